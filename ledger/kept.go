package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CheckpointHeader is the name of the mail header that carries a checkpoint in its
// one-line form, so that every mail that is sent is a witness of what the log was:
//
//	Consent-Ledger-Checkpoint: ledger.example.com/shop 1044 <root> <signature in two words>
const CheckpointHeader = "Consent-Ledger-Checkpoint"

// maxKeptLine is the largest one-line form in bytes, with its header's name and
// however it was folded.
const maxKeptLine = 4 << 10

// Kept is a checkpoint that somebody kept, to hold the log to it. Make one with
// [ParseKept]; its signatures are not verified before [Kept.Verify].
type Kept struct {
	Checkpoint
	// Line says that it is the one-line form, with the Ed25519 signature alone.
	Line bool
	note *SignedNote
}

// CheckpointLine gives the one-line form of a signed checkpoint:
//
//	<origin> <size> <root in base64> <base64 of key id ‖ Ed25519 signature, in two words>
//
// All is as in the note but for the space within the signature: mailers encode a word
// of more than 76 characters (RFC 2047), and it has 92. The line has about 200 bytes,
// because it leaves out the ML-DSA-44 signature, which has 3,200: what it shows rests
// on Ed25519 alone.
func CheckpointLine(signed []byte) (string, error) {
	n, err := ParseSignedNote(signed)
	if err != nil {
		return "", err
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(n.Lines, func(l SignatureLine) bool {
		return l.Name == c.Origin && len(l.Signature) == ed25519.SignatureSize
	})
	if i < 0 {
		return "", errors.New("checkpoint: no Ed25519 signature by the log")
	}
	l := n.Lines[i]
	signature := base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, l.KeyID), l.Signature...))
	half := len(signature) / 2
	return fmt.Sprintf("%s %d %v %s %s", c.Origin, c.Size, c.Root, signature[:half], signature[half:]), nil
}

// ParseKept parses a checkpoint that somebody kept: a signed note, or the one-line
// form, with the header's name before it or not, and with spaces and line breaks
// where mail folds a header (RFC 5322 § 2.2.3). The signature may be cut anywhere.
func ParseKept(text []byte) (*Kept, error) {
	if strings.Contains(strings.TrimSpace(string(text)), noteSplit) {
		n, err := ParseSignedNote(text)
		if err != nil {
			return nil, err
		}
		c, err := ParseCheckpoint(n.Text)
		if err != nil {
			return nil, err
		}
		return &Kept{Checkpoint: c, note: n}, nil
	}
	if len(text) > maxKeptLine {
		return nil, fmt.Errorf("checkpoint: a line of %d bytes, more than %d", len(text), maxKeptLine)
	}
	line := string(text)
	if n := len(CheckpointHeader); len(line) > n && strings.EqualFold(line[:n], CheckpointHeader) && line[n] == ':' {
		line = line[n+1:]
	}
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' })
	if len(words) < 4 {
		return nil, errors.New("checkpoint: neither a signed note nor a line of origin, size, root and signature")
	}
	c, err := ParseCheckpoint(strings.Join(words[:3], "\n") + "\n")
	if err != nil {
		return nil, err
	}
	blob, err := decodeCanonicalBase64(strings.Join(words[3:], ""))
	if err == nil && len(blob) != 4+ed25519.SignatureSize {
		err = fmt.Errorf("%d bytes, want %d", len(blob), 4+ed25519.SignatureSize)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: signature: %w", err)
	}
	l := SignatureLine{Name: c.Origin, KeyID: binary.BigEndian.Uint32(blob), Signature: blob[4:]}
	return &Kept{Checkpoint: c, Line: true, note: &SignedNote{Text: c.Text(), Lines: []SignatureLine{l}}}, nil
}

// Verify checks that the log signed the checkpoint: both of its keys in force at
// that size, of the one-line form the Ed25519 key. No quorum is demanded: it is the
// log that is held to it. An error that wraps [ErrPolicy] says that keys signed of
// which the policy knows nothing.
func (k *Kept) Verify(p *Policy) error {
	if k.Origin != p.Origin() {
		return fmt.Errorf("origin is %q, the policy's is %q", k.Origin, p.Origin())
	}
	if !k.Line {
		return p.verifyCheckpoint(k.Checkpoint, k.note)
	}
	key := p.KeysAt(k.Size).Ed25519
	signature, ok := k.note.signature(key)
	if !ok {
		return otherKeysError{fmt.Errorf("signed by another key than %q+%08x: if the log's keys were rotated, give its newest key entries (trust.keys)", key.Name, key.ID())}
	}
	return key.verifyCheckpoint(k.Checkpoint, signature)
}
