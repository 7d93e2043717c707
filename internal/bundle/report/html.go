package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"strconv"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

//go:embed report.css
var css string

// contentPolicy lets the page have its own style and nothing else: no script, no
// image, no form, nothing that is loaded (W3C Content Security Policy Level 3).
func contentPolicy() string {
	sum := sha256.Sum256([]byte(css))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}

// page is HTML as it is written. Whatever is not its own goes through escape.
type page struct {
	strings.Builder
	*document
}

// escape makes text harmless inside elements and quoted attributes, and what cannot
// be seen visible.
func escape(s string) string {
	return html.EscapeString(visible(s, func(rune) bool { return true }))
}

// put writes a pattern; the arguments are escaped.
func (p *page) put(pattern string, args ...string) {
	safe := make([]any, len(args))
	for i, a := range args {
		safe[i] = escape(a)
	}
	fmt.Fprintf(p, pattern, safe...)
}

func writeHTML(w io.Writer, d *document) error {
	p := &page{document: d}
	p.put("<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n", string(d.l))
	fmt.Fprintf(p, "<meta http-equiv=\"Content-Security-Policy\" content=\"%s\">\n", contentPolicy())
	p.put("<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"robots\" content=\"noindex\">\n"+
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>%s – %s</title>\n", d.name(), d.c.Origin)
	p.WriteString("<style>" + css + "</style>\n</head>\n<body>\n")
	for _, b := range d.blocks {
		p.block(b)
	}
	p.WriteString("</body>\n</html>\n")
	_, err := io.WriteString(w, p.String())
	return err
}

func (p *page) block(b any) {
	switch b := b.(type) {
	case title:
		p.put("<h1>%s</h1>\n<p class=\"sub\">%s</p>\n", b.text, b.sub)
	case heading:
		p.put("<h"+strconv.Itoa(b.level+1)+">%s</h"+strconv.Itoa(b.level+1)+">\n", b.text)
	case paragraph:
		class := ""
		if b.note {
			class = ` class="note"`
		}
		p.put("<p"+class+">%s</p>\n", b.text)
	case verdict:
		p.verdict(b)
	case pairs:
		p.WriteString("<table class=\"pairs\">\n")
		for _, r := range b {
			p.put("<tr><th scope=\"row\">%s</th><td dir=\"auto\">%s</td></tr>\n", r.label, r.value)
		}
		p.WriteString("</table>\n")
	case quote:
		class := ""
		if b.mono {
			class = ` class="mono"`
		}
		p.put("<pre dir=\"auto\""+class+">\n%s</pre>\n", b.text) // the first end of line is none of the text (HTML § 13.2.6.4.7)
	case anchor:
		p.put("<h3 id=\"e"+number(b.entry)+"\">%s</h3>\n", b.text)
	case picture:
		p.picture(b)
	case events:
		p.events(b)
	case bullets, ticks:
		p.list(b)
	case pageBreak:
		p.WriteString("<div class=\"break\"></div>\n")
	}
}

func (p *page) verdict(v verdict) {
	class := "no"
	if v.good {
		class = "yes"
	}
	p.put("<section class=\"verdict "+class+"\">\n<p class=\"question\">%s</p>\n<p class=\"head\">%s</p>\n<p>%s</p>\n</section>\n", v.question, v.head, v.why)
}

func (p *page) list(b any) {
	p.WriteString("<ul>\n")
	switch b := b.(type) {
	case bullets:
		for _, s := range b {
			p.put("<li>%s</li>\n", s)
		}
	case ticks:
		for _, t := range b {
			p.put("<li class=\"tick\">%s %s – %s</li>\n", mark(t.there), t.text, p.presence(t))
		}
	}
	p.WriteString("</ul>\n")
}

func mark(there bool) string {
	if there {
		return "✓"
	}
	return "✗"
}

func (d *document) presence(t tick) string {
	switch {
	case t.there && t.gone:
		return d.text(texts.Gone)
	case t.there:
		return d.text(texts.Present)
	}
	return d.text(texts.Absent)
}

func (p *page) events(list events) {
	p.put("<table class=\"events\">\n<thead><tr><th></th><th>%s</th><th>%s</th><th>%s</th></tr></thead>\n<tbody>\n",
		p.text(texts.Column), p.text(texts.ColumnWhat), p.text(texts.ColumnRef))
	for _, v := range list {
		n := ""
		if v.number > 0 {
			n = number(v.number)
		}
		p.put("<tr><td>%s</td><td>%s<br><span class=\"utc\">%s</span></td><td>%s", n, v.local, v.utc, v.sentence)
		for _, note := range v.notes {
			p.put("<br><span class=\"small\"><bdi>%s</bdi></span>", note)
		}
		p.put("</td><td>")
		p.link(v.entry)
		p.WriteString("</td></tr>\n")
	}
	p.WriteString("</tbody>\n</table>\n")
}

// link leads to an entry in the annex, if it is there.
func (p *page) link(i ledger.Index) {
	if !p.annexed(i) {
		p.put("%s (%s)", p.entryRef(i), p.text(texts.FileRef))
		return
	}
	p.put("<a href=\"#e"+number(i)+"\">%s</a>", p.entryRef(i))
}

// looks are the styles of a picture, as attributes: what prints SVG by itself does not
// know the style of the page.
var looks = [...]string{
	full:   `fill="#14532d" stroke="#14532d" stroke-width="0.3"`,
	empty:  `fill="#fff" stroke="#14532d" stroke-width="0.3"`,
	dashed: `stroke="#7f1d1d" stroke-width="0.5" stroke-dasharray="1.2 0.8"`,
}

// picture draws in SVG, in millimetres.
func (p *page) picture(b picture) {
	p.put("<svg role=\"img\" aria-label=\"%s\" viewBox=\"0 0 "+mm(pictureWidth)+" "+mm(b.height)+"\">\n", b.alt)
	for _, s := range b.shapes {
		switch s.form {
		case aBox:
			fmt.Fprintf(p, "<rect %s x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\"/>\n", looks[s.style], mm(s.x), mm(s.y), mm(s.w), mm(s.h))
		case aCircle:
			fmt.Fprintf(p, "<circle %s cx=\"%s\" cy=\"%s\" r=\"%s\"/>\n", looks[s.style], mm(s.x), mm(s.y), mm(s.size))
		case aLine:
			fmt.Fprintf(p, "<line %s x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>\n", looks[s.style], mm(s.x), mm(s.y), mm(s.x+s.w), mm(s.y+s.h))
		case aText:
			p.put("<text text-anchor=\"middle\" font-family=\"DejaVu Sans, Verdana, Arial, sans-serif\" fill=\"#111\" x=\""+mm(s.x)+"\" y=\""+mm(s.y)+
				"\" font-size=\""+mm(s.size)+"\">%s</text>\n", s.text)
		}
	}
	p.WriteString("</svg>\n")
}

// mm writes millimetres.
func mm(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }
