package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// KeyEntry is a pair of keys and the entry that names it: the two sign every
// checkpoint of more than Index entries, until another key entry follows.
type KeyEntry struct {
	Index Index
	Keys  KeyPair
}

// KeyText gives the text that the signatures of a key entry cover:
//
//	consent-ledger/rotation/v1
//	<origin>
//	<index>
//	<prev in base64>
//	add <verifier key>                   one line per key added
//	retire <verifier key>                one line per key that they follow
//
// Each line is ended by LF. Every key that it names signs it: Ed25519 (RFC 8032)
// and ML-DSA-44 (FIPS 204, pure, empty context). Since the keys that go are signed
// by those that come, too, the chain of key entries can be followed both ways.
func (e *Entry) KeyText() []byte {
	origin := e.Origin
	if origin == "" && len(e.Add) > 0 { // it never changes, so key.rotated has no line for it
		origin, _, _ = strings.Cut(e.Add[0], "+")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "consent-ledger/rotation/v1\n%s\n%d\n%v\n", origin, e.Index, e.Prev)
	for _, k := range e.Add {
		b.WriteString("add " + k + "\n")
	}
	for _, k := range e.Retire {
		b.WriteString("retire " + k + "\n")
	}
	return []byte(b.String())
}

// vkeys gives the lines of a pair in a key entry.
func (k KeyPair) vkeys() []string { return []string{k.Ed25519.String(), k.MLDSA44.String()} }

// sign adds the pair's signatures over the text of a key entry.
func (s *Signer) sign(e *Entry) {
	ed, ml := s.SignKeyText(e.KeyText())
	e.Sign = append(e.Sign, KeySignature{s.keys.Ed25519.ID(), ed}, KeySignature{s.keys.MLDSA44.ID(), ml})
}

// NewLedger gives entry 0 of a new log: its controller, origin, keys, and the
// keys' signatures. now is cut to whole microseconds.
func NewLedger(s *Signer, controller string, now time.Time) (*Entry, error) {
	e := &Entry{Time: now.UTC().Truncate(time.Microsecond), Kind: LedgerCreated, Source: SourceLedger,
		Controller: controller, Origin: s.Origin(), Format: FormatVersion, Add: s.Keys().vkeys()}
	s.sign(e)
	if _, err := e.Encode(); err != nil {
		return nil, err
	}
	return e, nil
}

// Rotate gives a key.rotated entry, but for its time and source: from index at on,
// after an entry with the leaf hash prev, next signs in the place of old, whose key
// entry is before. The entry can stand nowhere else. It refuses a pair of another
// origin, and one that has a key of the old.
func Rotate(old, next *Signer, before, at Index, prev Hash) (*Entry, error) {
	e := &Entry{Index: at, Prev: prev, Kind: KeyRotated, Refers: []Index{before}, Add: next.Keys().vkeys(), Retire: old.Keys().vkeys()}
	old.sign(e)
	next.sign(e)
	if _, err := VerifyRotation(e, KeyEntry{before, old.Keys()}); err != nil {
		return nil, fmt.Errorf("rotating keys: %w", err)
	}
	return e, nil
}

// VerifyRotation checks a key.rotated entry against the key entry before it, and
// gives the pair that it names: both pairs have one origin and no key in common,
// and all four keys signed.
func VerifyRotation(e *Entry, before KeyEntry) (KeyPair, error) {
	if e.Kind != KeyRotated || len(e.Add) != 2 || len(e.Sign) != 4 || len(e.Refers) != 1 {
		return KeyPair{}, errors.New("not a rotation of keys")
	}
	if e.Refers[0] != before.Index {
		return KeyPair{}, fmt.Errorf("refers to entry %d, the key entry before it is %d", e.Refers[0], before.Index)
	}
	if !slices.Equal(e.Retire, before.Keys.vkeys()) {
		return KeyPair{}, errors.New("the keys that it retires are not those in force")
	}
	keys, err := ParseKeyPair(e.Add[0], e.Add[1])
	switch {
	case err != nil:
		return KeyPair{}, err
	case keys.Ed25519.Name != before.Keys.Ed25519.Name:
		return KeyPair{}, errors.New("its keys have another origin")
	case slices.ContainsFunc(e.Add, func(k string) bool { return slices.Contains(e.Retire, k) }):
		return KeyPair{}, errors.New("a key that it adds is one that it retires")
	}
	for i, pair := range []KeyPair{before.Keys, keys} {
		if err := e.signedBy(pair, e.Sign[2*i:2*i+2]); err != nil {
			return KeyPair{}, err
		}
	}
	return keys, nil
}

// signedBy checks a pair's two signatures over the text of a key entry.
func (e *Entry) signedBy(keys KeyPair, sign []KeySignature) error {
	if sign[0].KeyID != keys.Ed25519.ID() || sign[1].KeyID != keys.MLDSA44.ID() {
		return errors.New("its signatures are not by the keys that it names, in their order")
	}
	return keys.VerifyKeyText(e.KeyText(), sign[0].Signature, sign[1].Signature)
}

// EntryKeys gives the two keys that entry 0 names, after checking that both
// signed it.
func EntryKeys(e *Entry) (KeyPair, error) {
	if e.Kind != LedgerCreated || len(e.Add) != 2 || len(e.Sign) != 2 {
		return KeyPair{}, errors.New("not a key entry")
	}
	keys, err := ParseKeyPair(e.Add[0], e.Add[1])
	if err != nil {
		return KeyPair{}, err
	}
	if keys.Ed25519.Name != e.Origin {
		return KeyPair{}, errors.New("its keys have another origin")
	}
	return keys, e.signedBy(keys, e.Sign)
}
