package report

import (
	"strings"
	"unicode/utf8"

	"github.com/consentledger/consentledger/ledger"
)

// picture is a drawing in millimetres, pictureWidth wide.
type picture struct {
	height float64
	alt    string
	shapes []shape
}

// shape is a rectangle, a line or a text.
type shape struct {
	form       form
	x, y, w, h float64 // of a line, w and h lead to its end; a text stands on y
	style      style
	size       float64 // of a text, in mm; of a circle, its radius
	text       string
}

type form uint8

const (
	aBox form = iota
	aCircle
	aLine
	aText // its middle at x
)

type style uint8

const (
	full   style = iota // dark
	empty               // outlined
	dashed              // of a question
)

const (
	pictureWidth = 174.0
	perStrip     = 7    // events in a row
	stripHeight  = 28.0 // of a row
)

// picture draws the course of a record: a bar from event to event, filled while the
// record could be used, and a line for each question. Events stand at equal distances.
func (d *document) picture(h *history) picture {
	p := picture{alt: d.text(texts.PictureAlt, "id", number(h.ID))}
	var marks []int // of steps
	for i, s := range h.steps {
		if isMilestone(s.Kind) || i == 0 {
			marks = append(marks, i)
		}
	}
	for from := 0; from < len(marks); from += perStrip {
		d.strip(&p, h, marks, from)
		p.height += stripHeight
	}
	return p
}

// strip draws a row of events, from the one said.
func (d *document) strip(p *picture, h *history, marks []int, from int) {
	const column = pictureWidth / perStrip
	top, to := p.height, min(from+perStrip, len(marks))
	at := func(i int) float64 { return (float64(i-from) + 0.5) * column }
	for i := from; i < to; i++ {
		d.bar(p, h.steps[marks[i]].after, at(i), min(at(i)+column, pictureWidth), top+11)
	}
	for i := from; i < to; i++ {
		s := h.steps[marks[i]]
		p.shapes = append(p.shapes,
			shape{form: aText, x: at(i), y: top + 3, size: 2.7, text: d.date(s.Time)},
			shape{form: aText, x: at(i), y: top + 6.4, size: 2.7, text: d.time(s.Time)},
			shape{form: aCircle, x: at(i), y: top + 13.5, size: 2.4, style: empty},
			shape{form: aText, x: at(i), y: top + 14.5, size: 2.8, text: number(marks[i] + 1)})
	}
	for n, q := range d.c.Questions {
		if i := h.asked(q, marks); from <= i && i < to {
			d.asked(p, n+1, at(i)+column*0.8, top)
		}
	}
}

// bar draws the record as it stood from one event to the next.
func (d *document) bar(p *picture, c ledger.Consent, from, to, y float64) {
	look := empty
	if c.State.Allows() && c.Overlays == 0 {
		look = full
	}
	p.shapes = append(p.shapes, shape{form: aBox, x: from, y: y, w: to - from, h: 5, style: look})
	label := d.word("state", c.State.String())
	if names := c.Overlays.Names(); len(names) > 0 {
		label = d.word("overlay", names[len(names)-1])
	}
	for i, line := range labelLines(label) {
		p.shapes = append(p.shapes, shape{form: aText, x: (from + to) / 2, y: y + 8 + 2.7*float64(i), size: 2.3, text: line})
	}
}

// labelLines breaks a label into lines; there is room for three, which a test
// demands of every label.
func labelLines(s string) (lines []string) {
	const width = 18
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && utf8.RuneCountInString(line+word) >= width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}

// asked draws the moment of a question.
func (d *document) asked(p *picture, n int, x, top float64) {
	p.shapes = append(p.shapes, shape{form: aLine, x: x, y: top + 8.5, h: 16, style: dashed},
		shape{form: aText, x: x, y: top + 27, size: 2.3, text: d.text(texts.PictureAsked, "n", number(n))})
}

// asked gives the place among the marks after which a question asks; -1 if it is not
// about the record, or asks before it was opened.
func (h *history) asked(q Question, marks []int) int {
	if !h.isAbout(q) {
		return -1
	}
	at := -1
	for i, m := range marks {
		if !h.steps[m].Time.After(q.At) {
			at = i
		}
	}
	return at
}
