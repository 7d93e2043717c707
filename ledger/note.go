package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a signed note. A checkpoint signed by the log and cosigned by three
// witnesses, all with ML-DSA-44, takes about 14 KiB; the C2SP page demands room
// for at least 16 signatures.
const (
	// MaxNoteSize is the largest signed note in bytes.
	MaxNoteSize = 64 << 10
	// MaxNoteLines is the largest number of signature lines of a note.
	MaxNoteLines = 64
)

const (
	noteSplit      = "\n\n"    // between the text and the signature lines
	noteLinePrefix = "\u2014 " // em dash and space
)

// SignatureLine is one signature of a [SignedNote]. Nothing in it has been
// verified, and its name may be any text that a stranger chose: quote it
// before printing.
type SignatureLine struct {
	// Name is the key name: not empty, no Unicode spaces, no plus sign.
	Name string
	// KeyID is the short hash that, with the name, says which key signed.
	KeyID uint32
	// Signature is what follows the four bytes of the key id, at least 1 byte.
	Signature []byte
}

// String gives the line as it stands in a note, without the newline.
func (l SignatureLine) String() string {
	blob := binary.BigEndian.AppendUint32(nil, l.KeyID)
	blob = append(blob, l.Signature...)
	return noteLinePrefix + l.Name + " " + base64.StdEncoding.EncodeToString(blob)
}

// SignedNote is a signed note that has been taken apart (c2sp.org/signed-note).
// Nothing in it has been verified.
type SignedNote struct {
	// Text is the signed text; its last byte is a newline.
	Text string
	// Lines are the signature lines in the order in which they stand, at least
	// one, and at most one of each (name, key id).
	Lines []SignatureLine
}

// ParseSignedNote takes a signed note apart (c2sp.org/signed-note v1.0.0),
// at the last blank line. It refuses more than [MaxNoteSize] bytes or
// [MaxNoteLines] lines, text that is not UTF-8, control characters other than
// newline, two lines of the same name and key id, and base64 in any but its one
// spelling: the note parser of golang.org/x/mod accepts four spellings of a
// signature's last character, and so many notes that differ but verify alike.
// Every note that it accepts, golang.org/x/mod accepts too.
func ParseSignedNote(b []byte) (*SignedNote, error) {
	if len(b) > MaxNoteSize {
		return nil, fmt.Errorf("signed note: %d bytes are more than %d", len(b), MaxNoteSize)
	}
	if !utf8.Valid(b) {
		return nil, errors.New("signed note: not UTF-8")
	}
	if i := bytes.IndexFunc(b, func(r rune) bool { return r < 0x20 && r != '\n' }); i >= 0 {
		return nil, fmt.Errorf("signed note: control character 0x%02x at byte %d", b[i], i)
	}
	split := bytes.LastIndex(b, []byte(noteSplit))
	if split < 0 {
		return nil, errors.New("signed note: no blank line before the signatures")
	}
	n := &SignedNote{Text: string(b[:split+1])}
	block, ok := strings.CutSuffix(string(b[split+len(noteSplit):]), "\n")
	if !ok {
		return nil, errors.New("signed note: does not end with a signature line and a newline")
	}
	type signer struct {
		name string
		id   uint32
	}
	seen := make(map[signer]bool)
	for line := range strings.SplitSeq(block, "\n") {
		number := len(n.Lines) + 1
		if number > MaxNoteLines {
			return nil, fmt.Errorf("signed note: more than %d signature lines", MaxNoteLines)
		}
		l, err := parseSignatureLine(line)
		if err != nil {
			return nil, fmt.Errorf("signed note: signature line %d: %w", number, err)
		}
		if seen[signer{l.Name, l.KeyID}] {
			return nil, fmt.Errorf("signed note: signature line %d: second line by key %q+%08x", number, l.Name, l.KeyID)
		}
		seen[signer{l.Name, l.KeyID}] = true
		n.Lines = append(n.Lines, l)
	}
	return n, nil
}

// Bytes gives the note's one spelling. A note that [ParseSignedNote] returned
// gives the bytes that were parsed.
func (n *SignedNote) Bytes() []byte {
	var b bytes.Buffer
	b.WriteString(n.Text)
	b.WriteByte('\n')
	for _, l := range n.Lines {
		b.WriteString(l.String())
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// signature gives the signature by a key, and whether there is one.
func (n *SignedNote) signature(k VerifierKey) ([]byte, bool) {
	id := k.ID()
	for _, l := range n.Lines {
		if l.Name == k.Name && l.KeyID == id {
			return l.Signature, true
		}
	}
	return nil, false
}

// parseSignatureLine parses one signature line, given without its newline.
func parseSignatureLine(line string) (SignatureLine, error) {
	rest, ok := strings.CutPrefix(line, noteLinePrefix)
	if !ok {
		return SignatureLine{}, errors.New("does not begin with an em dash and a space")
	}
	name, text, ok := strings.Cut(rest, " ")
	if !ok {
		return SignatureLine{}, errors.New("no space between key name and signature")
	}
	if err := checkKeyName(name); err != nil {
		return SignatureLine{}, err
	}
	blob, err := decodeCanonicalBase64(text)
	if err != nil {
		return SignatureLine{}, fmt.Errorf("signature: %w", err)
	}
	if len(blob) < 5 {
		return SignatureLine{}, errors.New("signature: no room for a key id and a signature")
	}
	return SignatureLine{Name: name, KeyID: binary.BigEndian.Uint32(blob), Signature: blob[4:]}, nil
}

// checkKeyName checks a key name as c2sp.org/signed-note defines it. Control
// characters are refused here too, because a key name may come from a policy.
func checkKeyName(name string) error {
	switch {
	case name == "":
		return errors.New("key name is empty")
	case !utf8.ValidString(name):
		return errors.New("key name is not UTF-8")
	case strings.ContainsRune(name, '+'):
		return fmt.Errorf("key name %q contains a plus sign", name)
	case strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || unicode.IsSpace(r) }):
		return fmt.Errorf("key name %q contains a space or a control character", name)
	}
	return nil
}

// decodeCanonicalBase64 decodes padded standard base64 (RFC 4648 § 4) and
// refuses all but its one spelling: Go's decoder skips line breaks even when it
// is strict.
func decodeCanonicalBase64(text string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || base64.StdEncoding.EncodeToString(b) != text {
		return nil, errors.New("not padded standard base64 in its one spelling")
	}
	return b, nil
}
