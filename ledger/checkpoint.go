package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint says how many entries a log has and what they are: the size and
// the root of its tree (c2sp.org/tlog-checkpoint v1.0.0).
type Checkpoint struct {
	// Origin is the name of the log, see [ValidOrigin].
	Origin string
	// Size is the number of entries.
	Size Size
	// Root is the RFC 6962 tree hash over all of them.
	Root Hash
}

// Text gives the text that is signed: origin, size in decimal and root in
// padded standard base64, each with a newline. There are no extension lines,
// because an ML-DSA-44 signature would not cover them.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(int64(c.Size), 10) + "\n" + c.Root.String() + "\n"
}

// ParseCheckpoint parses the text of a checkpoint. It demands exactly three
// lines, a valid origin, a size of at least 0, for size 0 the root of the empty
// tree, and the one spelling that [Checkpoint.Text] gives.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, errors.New("checkpoint: not exactly three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return Checkpoint{}, errors.New("checkpoint: line 2: size is not a decimal number below 2^63")
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, errors.New("checkpoint: line 3: root is not the base64 of 32 bytes")
	}
	c := Checkpoint{Origin: lines[0], Size: Size(size), Root: root}
	if err := c.check(); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	if c.Text() != text {
		return Checkpoint{}, errors.New("checkpoint: size or root is not in its one spelling")
	}
	return c, nil
}

// ErrEmptyRoot says that a checkpoint of size 0 has a root that is not the empty
// tree's.
var ErrEmptyRoot = errors.New("size is 0 but the root is not the empty tree's")

// check says whether the checkpoint can be true of any log.
func (c Checkpoint) check() error {
	if err := ValidOrigin(c.Origin); err != nil {
		return err
	}
	if c.Size < 0 {
		return fmt.Errorf("size is %d", c.Size)
	}
	if c.Size == 0 && c.Root != emptyRoot {
		return fmt.Errorf("%w: root is %s", ErrEmptyRoot, c.Root)
	}
	return nil
}

// OpenedCheckpoint is a checkpoint whose signatures satisfied a policy.
type OpenedCheckpoint struct {
	Checkpoint
	// Witnesses are the witnesses of the policy whose cosignature verified, by
	// their names in the policy, sorted. The log's own ML-DSA-44 key counts as
	// a witness; [Policy.LogWitness] says which one it is.
	Witnesses []string
	// Cosigned says when the witnesses besides the log itself signed, in their order.
	Cosigned []Cosigned
	// Unchecked are the signature lines by keys that the policy does not know,
	// as name+keyid, in the order in which they stand. Nothing is known about
	// them, and their names are a stranger's text: quote them before printing.
	Unchecked []string
	// Signed is the whole signed note.
	Signed []byte
}

// Cosigned is when a witness signed a checkpoint, by its own clock.
type Cosigned struct {
	Witness string    `json:"witness"` // its name in the policy
	Time    time.Time `json:"time"`    // UTC, whole seconds
}

// OpenCheckpoint verifies a signed checkpoint under a policy. Both keys of the
// log must have signed, every signature by a witness of the policy must
// verify, and the policy's quorum of witnesses must be reached.
//
// An error that wraps [ErrPolicy] says that the quorum is not reached, and
// names the witnesses that are missing, or that other keys than those of the policy
// signed in the log's name, or keys that the policy's replaced, see
// [Policy.WithKeys]; any other error means that the
// checkpoint is invalid. A note that lacks one of the log's two signatures is
// invalid, too: somebody who can forge one of them would strip the other.
func OpenCheckpoint(signed []byte, p *Policy) (*OpenedCheckpoint, error) {
	n, err := ParseSignedNote(signed)
	if err != nil {
		return nil, fmt.Errorf("opening checkpoint: %w", err)
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return nil, fmt.Errorf("opening checkpoint: %w", err)
	}
	if c.Origin != p.Origin() {
		return nil, fmt.Errorf("opening checkpoint: origin is %q, the policy's is %q", c.Origin, p.Origin())
	}
	if err := p.verifyCheckpoint(c, n); err != nil {
		return nil, fmt.Errorf("opening checkpoint of size %d: %w", c.Size, err)
	}
	if err := p.notRetired(c.Size); err != nil {
		return nil, fmt.Errorf("opening checkpoint of size %d: %w", c.Size, err)
	}
	o := &OpenedCheckpoint{Checkpoint: c, Signed: bytes.Clone(signed)}
	if err := o.countWitnesses(n, p); err != nil {
		return nil, fmt.Errorf("opening checkpoint of size %d: %w", c.Size, err)
	}
	if missing := p.missing(o.Witnesses); len(missing) > 0 {
		return nil, policyErrorf("opening checkpoint of size %d: quorum %q is not reached: no cosignature by %q",
			c.Size, p.quorum.name, missing)
	}
	return o, nil
}

// verifyCheckpoint demands both signatures of the pair in force at the checkpoint's
// size.
func (p *Policy) verifyCheckpoint(c Checkpoint, n *SignedNote) error {
	keys := p.KeysAt(c.Size)
	err := keys.verifyCheckpoint(c, n)
	if err != nil && p.signedByOthers(n) {
		return otherKeysError{fmt.Errorf("%w, but by two others of its name: if the log's keys were rotated, give its newest key entries (trust.keys)", err)}
	}
	return err
}

// signedByOthers reports whether a pair signed in the log's name that nothing is
// known of, and none of the known keys did.
func (p *Policy) signedByOthers(n *SignedNote) bool {
	known := []KeyEntry{{Keys: p.keys}}
	if p.ring != nil {
		known = p.ring.entries
	}
	others := 0
	for _, l := range n.Lines {
		if l.Name != p.Origin() {
			continue
		}
		if slices.ContainsFunc(known, func(e KeyEntry) bool { return l.KeyID == e.Keys.Ed25519.ID() || l.KeyID == e.Keys.MLDSA44.ID() }) {
			return false
		}
		others++
	}
	return others >= 2
}

// verifyCheckpoint demands both of the log's signatures over a checkpoint.
func (k KeyPair) verifyCheckpoint(c Checkpoint, n *SignedNote) error {
	for _, key := range []VerifierKey{k.Ed25519, k.MLDSA44} {
		signature, ok := n.signature(key)
		if !ok {
			return fmt.Errorf("no signature by the log's key %q+%08x of type 0x%02x", key.Name, key.ID(), key.Type)
		}
		if err := key.verifyCheckpoint(c, signature); err != nil {
			return fmt.Errorf("the log's %w", err)
		}
	}
	return nil
}

// countWitnesses verifies every line by a witness of the policy and notes the
// lines by keys that the policy does not know. The log's own two lines have
// been verified before.
func (o *OpenedCheckpoint) countWitnesses(n *SignedNote, p *Policy) error {
	keys := p.KeysAt(o.Size)
	for _, l := range n.Lines {
		if l.Name == p.Origin() && l.KeyID == keys.Ed25519.ID() {
			continue
		}
		if l.Name == p.Origin() && l.KeyID == keys.MLDSA44.ID() {
			o.Witnesses = append(o.Witnesses, p.logWitness)
			continue
		}
		w := p.witness(l.Name, l.KeyID)
		if w == nil || w.name == p.logWitness { // a key of the log that is not in force is nobody's
			o.Unchecked = append(o.Unchecked, fmt.Sprintf("%s+%08x", l.Name, l.KeyID))
			continue
		}
		if err := w.key.verifyCheckpoint(o.Checkpoint, l.Signature); err != nil {
			return fmt.Errorf("witness %q: %w", w.name, err)
		}
		o.Witnesses = append(o.Witnesses, w.name)
		if unix := binary.BigEndian.Uint64(l.Signature); unix > 0 && unix < maxSigned { // 0 makes no statement about time
			o.Cosigned = append(o.Cosigned, Cosigned{w.name, time.Unix(int64(unix), 0).UTC()})
		}
	}
	slices.Sort(o.Witnesses)
	slices.SortFunc(o.Cosigned, func(a, b Cosigned) int { return strings.Compare(a.Witness, b.Witness) })
	return nil
}
