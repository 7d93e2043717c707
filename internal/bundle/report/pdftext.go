package report

import (
	"slices"
	"strings"
	"unicode"

	"codeberg.org/go-fonts/dejavu/dejavusanscondensed"
	"codeberg.org/go-fonts/dejavu/dejavusanscondensedbold"
	"codeberg.org/go-fonts/dejavu/dejavusansmono"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/text/unicode/norm"
)

// face is one of the three fonts, DejaVu, free to use and embed by LICENSE-DejaVu, which
// goes with every copy of a program that has this package. They have Latin, Greek, Cyrillic, Armenian and Georgian
// letters. Writing that joins letters or runs from right to left would need shaping,
// which fpdf has not: it is printed as codes, as is what the fonts do not have.
type face uint8

const (
	sans face = iota
	bold
	mono
)

type typeface struct {
	family, style string
	font          *sfnt.Font
	buffer        sfnt.Buffer
	shown         map[rune]bool
}

func (p *sheet) loadFaces() {
	p.faces = map[face]*typeface{}
	for _, x := range []struct {
		face          face
		family, style string
		ttf           []byte
	}{{sans, "sans", "", dejavusanscondensed.TTF}, {bold, "sans", "B", dejavusanscondensedbold.TTF}, {mono, "mono", "", dejavusansmono.TTF}} {
		font, err := sfnt.Parse(x.ttf)
		if err != nil {
			p.f.SetError(err)
			return
		}
		p.f.AddUTF8FontFromBytes(x.family, x.style, slices.Clone(x.ttf)) // fpdf writes into them
		p.faces[x.face] = &typeface{family: x.family, style: x.style, font: font, shown: map[rune]bool{}}
	}
}

// unshaped are the scripts that stand for themselves, letter by letter, left to right.
var unshaped = []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Armenian, unicode.Georgian}

// shows reports whether the font has the character and it needs no shaping. fpdf
// knows the Basic Multilingual Plane only.
func (t *typeface) shows(r rune) bool {
	if known, ok := t.shown[r]; ok {
		return known
	}
	ok := r <= 0xffff && !unicode.Is(unicode.M, r) && (unicode.In(r, unshaped...) || unicode.Is(unicode.Common, r))
	if ok {
		glyph, err := t.font.GlyphIndex(&t.buffer, r)
		ok = err == nil && glyph != 0
	}
	t.shown[r] = ok
	return ok
}

// safe makes text printable: composed letters as one, tabs as spaces, codes for what
// the font does not have.
func (p *sheet) safe(look face, s string) string {
	if isPlain(s) {
		return s
	}
	s = visible(norm.NFC.String(s), p.faces[look].shows)
	return strings.ReplaceAll(s, "\t", "    ")
}

// ink sets the colour of text.
func (p *sheet) ink(shade int) { p.f.SetTextColor(shade, shade, shade) }

const (
	black = 0x11
	grey  = 0x55
)

// lineOf gives the height of a line of text, in millimetres, from its size in points.
func lineOf(size float64) float64 { return size * 0.3528 * 1.4 }

func (p *sheet) use(look face, size float64) {
	p.f.SetFont(p.faces[look].family, p.faces[look].style, size)
}

// put prints one line of safe text; y is its base line.
func (p *sheet) put(look face, size, x, y float64, s string) {
	p.use(look, size)
	p.f.Text(x, y, s)
}

func (p *sheet) width(look face, size float64, s string) float64 {
	p.use(look, size)
	return p.f.GetStringWidth(s)
}

// cut shortens a line of safe text that is too wide.
func (p *sheet) cut(look face, size float64, s string, width float64) string {
	if lines := p.breakLine(look, size, s, width); len(lines) > 1 {
		return lines[0] + "…"
	}
	return s
}

// flow prints text from the left edge of the column plus in, as wide as said.
func (p *sheet) flow(look face, size float64, s string, in, width float64) {
	for _, line := range p.lines(look, size, s, width) {
		p.keep(lineOf(size))
		p.put(look, size, marginSide+in, p.y+lineOf(size)*0.75, line)
		p.y += lineOf(size)
	}
}

// lines breaks text into lines of safe text.
func (p *sheet) lines(look face, size float64, s string, width float64) (lines []string) {
	for _, line := range strings.Split(p.safe(look, s), "\n") {
		lines = append(lines, p.breakLine(look, size, line, width)...)
	}
	return lines
}

// breakLine breaks a line of safe text where it has spaces, or inside a word that is
// wider than a line. Nothing is lost but the spaces at which it breaks.
func (p *sheet) breakLine(look face, size float64, s string, width float64) (lines []string) {
	p.use(look, size)
	var used float64
	begin, space := 0, -1
	var atSpace float64 // used up to and with the space
	for i, r := range s {
		w := p.f.GetStringWidth(string(r))
		if used+w > width && i > begin {
			switch {
			case r == ' ' && look != mono: // breaks here and vanishes
				lines, begin, used = append(lines, s[begin:i]), i+1, -w
			case space >= begin:
				lines, begin, used = append(lines, s[begin:space]), space+1, used-atSpace
			default:
				lines, begin, used = append(lines, s[begin:i]), i, 0
			}
			space = -1
		}
		if used += w; r == ' ' && look != mono && i > begin {
			space, atSpace = i, used
		}
	}
	return append(lines, s[begin:])
}
