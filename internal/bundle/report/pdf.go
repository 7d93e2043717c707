package report

import (
	"bytes"
	"io"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"

	"github.com/consentledger/consentledger/ledger"
)

// The page, in millimetres.
const (
	paperWidth   = 210.0
	paperHeight  = 297.0
	marginSide   = (paperWidth - pictureWidth) / 2
	marginTop    = 18.0
	marginBottom = 20.0
)

// sheet is PDF as it is written: a column of text, from top to bottom.
type sheet struct {
	*document
	f     *fpdf.Fpdf
	faces map[face]*typeface
	y     float64 // where the next line goes
	// The pages of the entries in the annex, and how many there are, as the pass
	// before found them.
	pages, found map[ledger.Index]int
	total        int
	links        map[ledger.Index]int
}

// writePDF writes the document twice: the first time finds the pages to which the
// second one refers. The places of these numbers do not depend on their length.
func writePDF(w io.Writer, d *document) error {
	first := newSheet(d, nil, 0)
	first.print()
	second := newSheet(d, first.found, first.f.PageCount())
	second.print()
	var b bytes.Buffer
	if err := second.f.Output(&b); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func newSheet(d *document, pages map[ledger.Index]int, total int) *sheet {
	p := &sheet{document: d, f: fpdf.New("P", "mm", "A4", ""), pages: pages, found: map[ledger.Index]int{}, total: total, links: map[ledger.Index]int{}}
	p.f.SetAutoPageBreak(false, 0)
	p.f.SetMargins(0, 0, 0)
	p.f.SetCellMargin(0)
	// The same bytes for the same case: no clock, no order of maps.
	p.f.SetCatalogSort(true)
	made := d.c.Custody.Made.UTC().Truncate(time.Second)
	p.f.SetCreationDate(made)
	p.f.SetModificationDate(made)
	p.f.SetTitle(d.name()+" – "+d.c.Origin, true)
	p.f.SetProducer("consent ledger, go-pdf/fpdf", true)
	p.f.SetLang(string(d.l))
	p.loadFaces()
	return p
}

// print lays out the blocks; an error stays in f.
func (p *sheet) print() {
	p.newPage()
	for i, b := range p.blocks {
		if h, ok := b.(heading); ok && i+1 < len(p.blocks) {
			p.keep(75 - 20*float64(h.level)) // a heading is not left alone
		}
		p.block(b)
	}
}

// newPage begins a page and prints its foot.
func (p *sheet) newPage() {
	p.f.AddPage()
	p.y = marginTop
	foot := p.text(texts.Page, "n", number(p.f.PageNo()), "of", number(p.total))
	p.ink(grey)
	p.put(sans, 7, marginSide, paperHeight-11, p.cut(sans, 7, p.safe(sans, p.name()+" – "+p.c.Origin), pictureWidth-30))
	p.put(sans, 7, paperWidth-marginSide-p.width(sans, 7, foot), paperHeight-11, foot)
	p.ink(black)
}

// keep begins a new page unless so much room is left.
func (p *sheet) keep(room float64) {
	if p.y+room > paperHeight-marginBottom {
		p.newPage()
	}
}

func (p *sheet) block(b any) {
	switch b := b.(type) {
	case title:
		p.flow(bold, 17, b.text, 0, pictureWidth)
		p.ink(grey)
		p.flow(sans, 10, b.sub, 0, pictureWidth)
		p.ink(black)
		p.y += 3
	case heading:
		p.heading(b)
	case paragraph:
		p.paragraph(b)
	case verdict:
		p.verdict(b)
	case pairs:
		p.pairs(b)
	case quote:
		p.quote(b)
	case anchor:
		p.anchor(b)
	case picture:
		p.picture(b)
	case events:
		p.events(b)
	case bullets:
		for _, s := range b {
			p.item("•", s)
		}
	case ticks:
		for _, t := range b {
			p.item(mark(t.there), t.text+" – "+p.presence(t))
		}
	case pageBreak:
		p.newPage()
	}
}

func (p *sheet) heading(h heading) {
	if h.level > 1 {
		p.y += 3
		p.flow(bold, 10, h.text, 0, pictureWidth)
		p.y++
		return
	}
	if p.y > marginTop {
		p.y += 5
	}
	p.flow(bold, 13, h.text, 0, pictureWidth)
	p.f.SetDrawColor(black, black, black)
	p.f.SetLineWidth(0.35)
	p.f.Line(marginSide, p.y+0.5, paperWidth-marginSide, p.y+0.5)
	p.y += 3
}

func (p *sheet) paragraph(b paragraph) {
	if b.note {
		p.ink(grey)
		p.flow(sans, 8, b.text, 0, pictureWidth)
		p.ink(black)
	} else {
		p.flow(sans, 9.5, b.text, 0, pictureWidth)
	}
	p.y += 1.5
}

func (p *sheet) item(sign, s string) {
	p.keep(lineOf(9.5))
	p.put(sans, 9.5, marginSide+1, p.y+lineOf(9.5)*0.75, sign)
	p.flow(sans, 9.5, s, 6, pictureWidth-6)
	p.y += 0.8
}

// verdict frames a question and its answer.
func (p *sheet) verdict(v verdict) {
	const in = 6.0
	p.y += 2
	parts := []struct {
		face face
		size float64
		text string
	}{{bold, 10, v.question}, {bold, 12.5, v.head}, {sans, 9.5, v.why}}
	height := 6.0
	for _, x := range parts {
		height += float64(len(p.lines(x.face, x.size, x.text, pictureWidth-2*in))) * lineOf(x.size)
	}
	p.keep(height)
	top := p.y
	p.y += 2
	for _, x := range parts {
		p.flow(x.face, x.size, x.text, in, pictureWidth-2*in)
		p.y++
	}
	p.f.SetLineWidth(0.4)
	p.colour(v.good)
	p.f.Rect(marginSide, top, pictureWidth, p.y-top, "D")
	p.f.Rect(marginSide, top, 2, p.y-top, "F")
	p.y += 3
}

// colour sets the colour of what is allowed, or not.
func (p *sheet) colour(good bool) {
	if good {
		p.f.SetDrawColor(0x14, 0x53, 0x2d)
		p.f.SetFillColor(0x14, 0x53, 0x2d)
	} else {
		p.f.SetDrawColor(0x7f, 0x1d, 0x1d)
		p.f.SetFillColor(0x7f, 0x1d, 0x1d)
	}
}

func (p *sheet) pairs(list pairs) {
	const label = 32.0
	for _, r := range list {
		p.keep(lineOf(9.5))
		p.ink(grey)
		y, page := p.y, p.f.PageNo()
		p.flow(sans, 8.5, r.label, 0, label-2)
		p.ink(black)
		after := p.y
		if p.f.PageNo() == page {
			p.y = y
		}
		p.flow(sans, 9.5, r.value, label, pictureWidth-label)
		if p.f.PageNo() == page {
			p.y = max(p.y, after)
		}
		p.y += 0.8
	}
	p.y++
}

// quote prints text of others with a bar at its side.
func (p *sheet) quote(q quote) {
	look, size, sign := sans, 9.5, ""
	if q.mono {
		look, size, sign = mono, 7.5, "↳"
	}
	p.y++
	for _, line := range strings.Split(strings.TrimSuffix(p.safe(look, q.text), "\n"), "\n") {
		for i, part := range p.breakLine(look, size, line, pictureWidth-8) {
			p.keep(lineOf(size))
			p.f.SetFillColor(0x99, 0x99, 0x99)
			p.f.Rect(marginSide, p.y, 0.8, lineOf(size), "F")
			if i > 0 && sign != "" {
				p.put(look, size, marginSide+2, p.y+lineOf(size)*0.75, sign)
			}
			p.put(look, size, marginSide+5, p.y+lineOf(size)*0.75, part)
			p.y += lineOf(size)
		}
	}
	p.y += 2
}

func (p *sheet) anchor(a anchor) {
	p.y += 4
	p.keep(25)
	p.found[a.entry] = p.f.PageNo()
	p.f.SetLink(p.link(a.entry), p.y, p.f.PageNo())
	p.flow(bold, 10, a.text, 0, pictureWidth)
	p.y++
}

// link gives the link to an entry in the annex.
func (p *sheet) link(i ledger.Index) int {
	if _, ok := p.links[i]; !ok {
		p.links[i] = p.f.AddLink()
	}
	return p.links[i]
}
