package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// page is what the demo prints. The first error in writing stays in err.
type page struct {
	w       io.Writer
	err     error
	colour  bool
	acts    int
	entries int
}

const pageWidth = 96

func newPage(w io.Writer) *page {
	return &page{w: w, colour: isTerminal(w) && os.Getenv("NO_COLOR") == ""}
}

func (p *page) print(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format, args...); err != nil && p.err == nil {
		p.err = err
	}
}

// Colours (ECMA-48 § 8.3.117).
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

func (p *page) paint(code, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// act begins a part of the story.
func (p *page) act(title string) {
	p.acts++
	p.print("\n%s\n", p.paint(bold, fmt.Sprintf("%d. %s", p.acts, title)))
}

// say prints a paragraph.
func (p *page) say(format string, args ...any) {
	p.print("   %s\n", strings.ReplaceAll(wrap(fmt.Sprintf(format, args...), pageWidth-3), "\n", "\n   "))
}

// entry shows an entry as it stands in the log; of all but the first
// without index, prev and time.
func (p *page) entry(e demoEntry) {
	p.print("   The ledger wrote entry %s:\n", e.Index)
	text := e.Text
	if p.entries++; p.entries > 1 {
		text = text[strings.Index(text, "\nkind ")+1:]
	}
	p.quote(text)
}

// quote shows somebody else's text.
func (p *page) quote(text string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			p.print("\n")
			continue
		}
		p.print("       %s\n", p.paint(dim, line))
	}
}

// reasons says what the reasons of a check mean.
var reasons = map[string]string{
	"pending":         "nobody has confirmed yet",
	"confirmed":       "she confirmed, and has not withdrawn",
	"withdrawn":       "she took her consent back",
	"given":           "there is a yes, and no withdrawal",
	"no_consent":      "nobody was asked",
	"grade_too_low":   "the evidence is weaker than the purpose wants",
	"unknown_subject": "the ledger knows nobody of this address",
}

// asked shows a question and the answer to it.
func (p *page) asked(question string, allowed bool, reason string) {
	verdict := p.paint(red, "NO")
	if allowed {
		verdict = p.paint(green, "YES")
	}
	why, _, _ := strings.Cut(reason, ",")
	p.print("   %s %s, %s: %s.\n", question, verdict, reason, reasons[why])
}

// wrap breaks a text into lines of at most width characters, where words allow.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
