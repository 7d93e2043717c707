// Package plaintext prints reports about logs on terminals and into files.
//
// Start with [New]. It imports nothing of ours, so the offline verifier may use it.
package plaintext

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// Printer writes lines. Errors stay in it until it is flushed.
type Printer struct{ w *bufio.Writer }

// New gives a printer that writes to w.
func New(w io.Writer) *Printer { return &Printer{bufio.NewWriter(w)} }

// Line writes one line. A log is a stranger's text: what is not printable is
// escaped, so that it cannot move the cursor or hide a line.
func (p *Printer) Line(format string, args ...any) {
	for _, r := range fmt.Sprintf(format, args...) {
		if unicode.IsPrint(r) {
			p.w.WriteRune(r)
		} else {
			p.w.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	p.w.WriteByte('\n')
}

// List writes a title and below it each of the lines; nothing without lines.
func (p *Printer) List(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.Line("")
	p.Line("%s:", title)
	for _, l := range lines {
		p.Line("  %s", l)
	}
}

// Flush writes what is left, and gives the first error there was.
func (p *Printer) Flush() error { return p.w.Flush() }
