package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

const (
	forkMagic  = forkPrefix + "1"
	forkPrefix = "consent-ledger/fork/v"
)

// MaxForkProofSize is the largest fork proof in bytes.
const MaxForkProofSize = 2*MaxNoteSize + 64

// ForkProof is two signed checkpoints of one log that contradict each other, as a
// file that a witness keeps and anybody can check (see [VerifyFork]):
//
//	consent-ledger/fork/v1
//	                           a blank line
//	<signed checkpoint>
//	                           a blank line
//	<signed checkpoint>
//
// The text of a checkpoint holds no blank line, so that the blank lines take the
// file apart. Parsing it verifies nothing.
type ForkProof struct {
	First, Second []byte
}

// Text gives the fork proof's one spelling.
func (p ForkProof) Text() []byte {
	return JoinNotes([]byte(forkMagic+"\n"), p.First, p.Second)
}

// IsForkProof reports whether b begins as a fork proof does, of this or a later
// version, and as no other file of the ledger does.
func IsForkProof(b []byte) bool { return bytes.HasPrefix(b, []byte(forkPrefix)) }

// ParseForkProof parses a fork proof. It refuses more than [MaxForkProofSize]
// bytes, what [ParseSignedNote] refuses, and every spelling but the one that
// [ForkProof.Text] gives. A later version gives an error that wraps [ErrNewer].
func ParseForkProof(b []byte) (*ForkProof, error) {
	if len(b) > MaxForkProofSize {
		return nil, fmt.Errorf("fork proof: %d bytes are more than %d", len(b), MaxForkProofSize)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	if first != forkMagic {
		digits, ok := strings.CutPrefix(first, forkPrefix)
		if version, err := parseNumber(digits); ok && err == nil && version > 1 {
			return nil, fmt.Errorf("fork proof: %w: version %d", ErrNewer, version)
		}
		return nil, errors.New("fork proof: not a fork proof")
	}
	notes, err := SplitNotes(bytes.TrimPrefix(b, []byte(forkMagic+"\n")))
	if err != nil {
		return nil, fmt.Errorf("fork proof: %w", err)
	}
	if len(notes) != 2 {
		return nil, fmt.Errorf("fork proof: %d checkpoints, want 2", len(notes))
	}
	return &ForkProof{notes[0], notes[1]}, nil
}

// JoinNotes gives a file that begins with head and goes on with signed notes, a
// blank line before each. head, which may be empty, must be lines without a blank
// one, and the text of each note, too.
func JoinNotes(head []byte, notes ...[]byte) []byte {
	b := bytes.Clone(head)
	for _, n := range notes {
		b = append(b, '\n')
		b = append(b, n...)
	}
	return b
}

// SplitNotes takes apart what [JoinNotes] wrote after the head. Each note is one
// that [ParseSignedNote] accepts, with a text that has no blank line.
func SplitNotes(b []byte) ([][]byte, error) {
	var notes [][]byte
	for rest := string(b); rest != ""; {
		var ok bool
		if rest, ok = strings.CutPrefix(rest, "\n"); !ok {
			return nil, fmt.Errorf("note %d: no blank line before it", len(notes)+1)
		}
		// A note is two paragraphs: its text, and its lines.
		text := strings.Index(rest, "\n\n")
		if text < 0 || rest[0] == '\n' {
			return nil, fmt.Errorf("note %d: no text, a blank line and signatures", len(notes)+1)
		}
		end := len(rest)
		if lines := strings.Index(rest[text+2:], "\n\n"); lines >= 0 {
			end = text + 2 + lines + 1
		}
		note := []byte(rest[:end])
		if _, err := ParseSignedNote(note); err != nil {
			return nil, fmt.Errorf("note %d: %w", len(notes)+1, err)
		}
		notes, rest = append(notes, note), rest[end:]
	}
	return notes, nil
}
