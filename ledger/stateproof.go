package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	stateProofMagic  = stateProofPrefix + "1"
	stateProofPrefix = "consent-ledger/state-proof/v"
)

// MaxStateProofSize is the largest state proof in bytes.
const MaxStateProofSize = 4096

// StateProof says which entry changed a consent last, and the state that it led to,
// when the log had so many entries:
//
//	consent-ledger/state-proof/v1
//	consent <id>
//	size <decimal>             the index of the state.committed that it belongs to
//	consent <id> last <index> state <state>[ restricted][ locked][ erased]
//	<base64 of 32 bytes>       one line per hash, 0 to 63 of them
//
// The fourth line is the leaf of the state tree, byte for byte; see
// [AppendStateLeaf]. Parsing a proof verifies nothing; see [VerifyStateProof].
type StateProof struct {
	Consent ConsentID
	// Size is how many entries the state is of: those below this index.
	Size     Size
	Last     Index
	State    State
	Overlays Overlays
	// Hashes is the inclusion proof of RFC 6962 § 2.1.1, from the leaf's sibling up to
	// the root's child.
	Hashes []Hash
}

// appendLeaf appends the leaf that the proof is about.
func (p *StateProof) appendLeaf(b []byte) []byte {
	return AppendStateLeaf(b, Consent{ID: p.Consent, Last: p.Last, State: p.State, Overlays: p.Overlays})
}

// Text gives the proof's one spelling.
func (p *StateProof) Text() []byte {
	b := fmt.Appendf(nil, "%s\nconsent %d\nsize %d\n", stateProofMagic, p.Consent, p.Size)
	b = p.appendLeaf(b)
	for _, h := range p.Hashes {
		b = fmt.Appendf(b, "%s\n", h)
	}
	return b
}

// ParseStateProof parses a state proof. It refuses more than [MaxStateProofSize]
// bytes or [MaxProofHashes] hashes, a consent or a last entry that is not below the
// size, a last entry below the consent's own, a later version of the format (an error
// that wraps [ErrNewer]), and every spelling but the one that [StateProof.Text] gives.
func ParseStateProof(b []byte) (*StateProof, error) {
	if len(b) > MaxStateProofSize {
		return nil, fmt.Errorf("state proof: %d bytes are more than %d", len(b), MaxStateProofSize)
	}
	lines := strings.Split(string(b), "\n")
	if lines[0] != stateProofMagic {
		digits, ok := strings.CutPrefix(lines[0], stateProofPrefix)
		if version, err := parseNumber(digits); ok && err == nil && version > 1 {
			return nil, fmt.Errorf("state proof: %w: version %d", ErrNewer, version)
		}
		return nil, errors.New("state proof: not a state proof")
	}
	if len(lines) < 5 || lines[len(lines)-1] != "" {
		return nil, errors.New("state proof: a consent, a size and a leaf, each in a line of its own, are not all there")
	}
	p := &StateProof{}
	size, err := parseField(lines[2], "size ")
	if err != nil {
		return nil, fmt.Errorf("state proof: %w", err)
	}
	p.Size = Size(size)
	if err := p.parseLeaf(lines[3]); err != nil {
		return nil, fmt.Errorf("state proof: leaf: %w", err)
	}
	if p.Hashes, err = parseProofLines(lines[4 : len(lines)-1]); err != nil {
		return nil, fmt.Errorf("state proof: %w", err)
	}
	switch {
	case Size(p.Last) >= p.Size:
		return nil, fmt.Errorf("state proof: entry %d in a state of %d entries", p.Last, p.Size)
	case p.Last < Index(p.Consent):
		return nil, fmt.Errorf("state proof: entry %d cannot have changed consent %d", p.Last, p.Consent)
	case !bytes.Equal(p.Text(), b): // also: the second line names another consent
		return nil, errors.New("state proof: not in its one spelling")
	}
	return p, nil
}

// parseField parses the number of a line.
func parseField(line, name string) (int64, error) {
	digits, ok := strings.CutPrefix(line, name)
	if !ok {
		return 0, fmt.Errorf("no %sline", name)
	}
	n, err := parseNumber(digits)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", strings.TrimSpace(name), err)
	}
	return n, nil
}

// parseLeaf parses a leaf of the state tree; that it is in its one spelling is for
// the caller to check.
func (p *StateProof) parseLeaf(line string) error {
	words := strings.Split(line, " ")
	if len(words) < 6 || len(words) > 6+len(overlayNames) || words[0] != "consent" || words[2] != "last" || words[4] != "state" {
		return errors.New("not a leaf of the state tree")
	}
	id, err := parseNumber(words[1])
	if err != nil {
		return fmt.Errorf("consent: %w", err)
	}
	last, err := parseNumber(words[3])
	if err != nil {
		return fmt.Errorf("last: %w", err)
	}
	state := slices.Index(stateNames[:], words[5])
	if state <= int(NoState) {
		return errors.New("no such state")
	}
	p.Consent, p.Last, p.State = ConsentID(id), Index(last), State(state)
	for _, word := range words[6:] {
		i := slices.Index(overlayNames[:], word)
		if i < 0 {
			return errors.New("no such overlay")
		}
		p.Overlays |= 1 << i
	}
	return nil
}

// check checks that the proof leads to the root of the tree of its size.
func (p *StateProof) check(root Hash) error {
	if tlog.CheckRecord(p.Hashes, int64(p.Size), root, int64(p.Consent), tlog.RecordHash(p.appendLeaf(nil))) != nil {
		return fmt.Errorf("state proof: does not prove that the state of consent %d was committed with entry %d", p.Consent, p.Size)
	}
	return nil
}

// VerifyStateProof checks that the proof is of the state that an entry committed, a
// state.committed: that its size is the entry's index, and that it leads to the entry's
// root. What it then shows is that this log recorded no change of this consent, so no
// withdrawal either, behind its last entry and before the state.committed.
//
// It does not show that the entry is in the log, which is for its receipt (see
// [VerifyReceipt]); nor that the root is what the entries lead to, which only
// [VerifyLog] re-derives. To a proof belong the consent's own entries: see
// [FollowConsent] and [StateProof.Compare].
func VerifyStateProof(proof []byte, committed *Entry) (*StateProof, error) {
	p, err := ParseStateProof(proof)
	switch {
	case err != nil:
		return nil, err
	case committed.Kind != StateCommitted:
		return nil, fmt.Errorf("state proof: entry %d is no %s", committed.Index, StateCommitted)
	case p.Size != Size(committed.Index):
		return nil, fmt.Errorf("state proof: of %d entries, the state was committed with entry %d", p.Size, committed.Index)
	}
	if err := p.check(committed.StateRoot); err != nil {
		return nil, err
	}
	return p, nil
}

// Compare gives nil if the proof is about the consent and says the same of it. Of what
// [FollowConsent] gives that shows, after [VerifyStateProof], that all entries were
// there: a withdrawal that was left out is what the proof names last.
func (p *StateProof) Compare(c Consent) error {
	switch {
	case p.Consent != c.ID:
		return fmt.Errorf("the state proof is about consent %d, not %d", p.Consent, c.ID)
	case p.Last != c.Last:
		return fmt.Errorf("consent %d: the entries end with entry %d, the state proof says that entry %d changed it last", c.ID, c.Last, p.Last)
	case p.State != c.State || p.Overlays != c.Overlays:
		return fmt.Errorf("consent %d: the entries lead to %s, the state proof says %s", c.ID, describe(c), describe(Consent{State: p.State, Overlays: p.Overlays}))
	}
	return nil
}

// FollowConsent gives a consent as the entries lead to it that opened it and changed
// it, in their order. Each must say which one came before it (`after`), so that none
// can be missing in between; that none follows the last, a state proof shows, or the
// whole log. It checks neither the rules nor that the entries are in a log. Of what
// entries tell that only mention a consent it has nothing: Holds, Mode and Evidence may
// be less than the log gives, and Request is the consent itself.
func FollowConsent(id ConsentID, entries []*Entry) (Consent, error) {
	c := Consent{ID: id, Request: id}
	for i, e := range entries {
		if i == 0 {
			if ConsentID(e.Index) != id || len(e.Consents) > 0 || !opensRecord(e.Kind) {
				return Consent{}, fmt.Errorf("consent %d: entry %d does not open it", id, e.Index)
			}
			c.Purpose, c.Channel = e.Purpose, e.Channel
			c = Apply(c, e)
			continue
		}
		after, ok := e.Follows(id)
		switch {
		case !ok:
			return Consent{}, fmt.Errorf("consent %d: entry %d does not change it", id, e.Index)
		case after != c.Last || e.Index <= c.Last:
			return Consent{}, fmt.Errorf("consent %d: entry %d follows entry %d, not %d", id, e.Index, after, c.Last)
		}
		c = Apply(c, e)
	}
	if c.State == NoState {
		return Consent{}, fmt.Errorf("consent %d: no entries", id)
	}
	return c, nil
}

// Follows gives the entry that changed a consent before this one did (`after`); false
// if this one does not change it.
func (e *Entry) Follows(id ConsentID) (Index, bool) {
	i, ok := slices.BinarySearchFunc(e.Consents, id, func(l Link, id ConsentID) int { return cmp.Compare(l.Consent, id) })
	if !ok {
		return 0, false
	}
	return e.Consents[i].After, true
}

func opensRecord(kind Kind) bool {
	t := transitionOf(kind)
	return t != nil && t.opens
}
