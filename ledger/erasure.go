package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// MaxErasureReceiptSize is the largest erasure receipt in bytes: room for a list
// of about 20,000 consents, with a checkpoint for each of its parts.
const MaxErasureReceiptSize = 1 << 20

// erasureMagic is the first line of every erasure receipt of this version.
const (
	erasureMagic  = "consent-ledger/erasure-receipt/v1"
	erasurePrefix = "consent-ledger/erasure-receipt/v"
)

// ErasureReceipt is what an erased person is given: the entries that record the
// erasure, each with its receipt, in one text that can be read and that anybody
// can verify:
//
//	consent-ledger/erasure-receipt/v1
//	                           a blank line
//	<entry>                    its exact bytes
//	                           a blank line
//	<receipt>                  of that entry, see [Receipt]; without extra bytes
//	…                          blank line, entry, blank line, receipt of each further entry
//
// Neither an entry nor a receipt's parts hold blank lines, so blank lines tell
// where they end. Which entries belong in it, and in which order, is
// [VerifyErasureReceipt]'s to say; parsing verifies nothing.
type ErasureReceipt struct {
	Sections []ErasureSection
}

// ErasureSection is one entry of an erasure receipt with its receipt.
type ErasureSection struct {
	// Entry is the entry's exact bytes.
	Entry []byte
	// Receipt proves that the entry is in the log.
	Receipt Receipt
}

// Text gives the erasure receipt's one spelling.
func (r ErasureReceipt) Text() []byte {
	var b bytes.Buffer
	b.WriteString(erasureMagic + "\n")
	for _, s := range r.Sections {
		b.WriteByte('\n')
		b.Write(s.Entry)
		b.WriteByte('\n')
		b.Write(s.Receipt.Text())
	}
	return b.Bytes()
}

// IsErasureReceipt reports whether b begins as an erasure receipt does, of this
// or a later version, and as no other file of the ledger does.
func IsErasureReceipt(b []byte) bool { return bytes.HasPrefix(b, []byte(erasurePrefix)) }

// ParseErasureReceipt parses an erasure receipt. It refuses more than
// [MaxErasureReceiptSize] bytes, one without entries, what [ParseEntry] and
// [ParseReceipt] refuse (but an entry that needs a newer verifier), extra bytes
// in a receipt, because nobody has signed them, and every spelling but the one
// that [ErasureReceipt.Text] gives. Errors begin with the number of a line; of a
// receipt it is its first. A later version of the format, or of a receipt's,
// gives an error that wraps [ErrNewer].
func ParseErasureReceipt(b []byte) (*ErasureReceipt, error) {
	if len(b) > MaxErasureReceiptSize {
		return nil, fmt.Errorf("%d bytes are more than %d", len(b), MaxErasureReceiptSize)
	}
	p := &paragraphs{rest: string(b)}
	if err := p.magic(); err != nil {
		return nil, err
	}
	r := new(ErasureReceipt)
	for p.more {
		s, err := p.section()
		if err != nil {
			return nil, err
		}
		r.Sections = append(r.Sections, s)
	}
	if len(r.Sections) == 0 {
		return nil, &ParseError{p.line + 1, "want a blank line and an entry"}
	}
	return r, nil
}

// paragraphs walks through a text at its blank lines.
type paragraphs struct {
	rest string
	more bool // a blank line stood before rest
	line int  // number of the line last taken
}

// next takes the lines up to the next blank one, which it takes too, and gives
// the number of their first line.
func (p *paragraphs) next() (text string, line int) {
	line = p.line + 1
	text, p.rest, p.more = strings.Cut(p.rest, "\n\n")
	p.line += strings.Count(text, "\n")
	if p.more {
		text += "\n"
		p.line += 2 // the end of the last line, and the blank one
	}
	return text, line
}

func (p *paragraphs) magic() error {
	text, line := p.next()
	first, others, ended := strings.Cut(text, "\n")
	if first != erasureMagic {
		digits, ok := strings.CutPrefix(first, erasurePrefix)
		if version, err := parseNumber(digits); ok && err == nil && version > 1 {
			return fmt.Errorf("%w: version %d of the erasure receipt", ErrNewer, version)
		}
		return &ParseError{line, "not an erasure receipt"}
	}
	if !ended || others != "" {
		return &ParseError{line + 1, "want a blank line"}
	}
	return nil
}

// section takes an entry and its receipt, which is three paragraphs: index and
// proof, the checkpoint's text, its signature lines.
func (p *paragraphs) section() (s ErasureSection, err error) {
	entry, line := p.next()
	if _, err := ParseEntry([]byte(entry)); err != nil && !errors.Is(err, ErrNewer) {
		if wrong := (*ParseError)(nil); errors.As(err, &wrong) {
			err = &ParseError{line + wrong.Line - 1, "entry: " + wrong.Reason}
		}
		return s, err
	}
	if !p.more {
		return s, &ParseError{p.line + 1, "want a blank line and the entry's receipt"}
	}
	proof, line := p.next()
	checkpoint, _ := p.next()
	signatures, _ := p.next()
	r, err := ParseReceipt([]byte(proof + "\n" + checkpoint + "\n" + signatures))
	if err != nil {
		return s, fmt.Errorf("line %d: %w", line, err)
	}
	if len(r.Extra) > 0 {
		return s, &ParseError{line + 1, "receipt: extra bytes, which nobody has signed"}
	}
	return ErasureSection{[]byte(entry), *r}, nil
}
