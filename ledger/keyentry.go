package ledger

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// KeyText gives the text that the signatures of a key entry cover:
//
//	consent-ledger/rotation/v1
//	<origin>
//	<index>
//	<prev in base64>
//	add <verifier key>                   one line per key added
//
// Each line is ended by LF. Both keys sign it: Ed25519 (RFC 8032) and ML-DSA-44
// (FIPS 204, pure, empty context).
func (e *Entry) KeyText() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "consent-ledger/rotation/v1\n%s\n%d\n%v\n", e.Origin, e.Index, e.Prev)
	for _, k := range e.Add {
		b.WriteString("add " + k + "\n")
	}
	return []byte(b.String())
}

// NewLedger gives entry 0 of a new log: its controller, origin, keys, and the
// keys' signatures. now is cut to whole microseconds.
func NewLedger(s *Signer, controller string, now time.Time) (*Entry, error) {
	keys := s.Keys()
	e := &Entry{Time: now.UTC().Truncate(time.Microsecond), Kind: LedgerCreated, Source: SourceLedger,
		Controller: controller, Origin: s.Origin(), Format: FormatVersion,
		Add: []string{keys.Ed25519.String(), keys.MLDSA44.String()}}
	ed, ml := s.SignKeyText(e.KeyText())
	e.Sign = []KeySignature{{keys.Ed25519.ID(), ed}, {keys.MLDSA44.ID(), ml}}
	if _, err := e.Encode(); err != nil {
		return nil, err
	}
	return e, nil
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
	if e.Sign[0].KeyID != keys.Ed25519.ID() || e.Sign[1].KeyID != keys.MLDSA44.ID() {
		return KeyPair{}, errors.New("its signatures are not by the keys that it adds, in their order")
	}
	if err := keys.VerifyKeyText(e.KeyText(), e.Sign[0].Signature, e.Sign[1].Signature); err != nil {
		return KeyPair{}, err
	}
	return keys, nil
}

// VerifyKeyEntry checks entry 0 and that its keys are those given.
func VerifyKeyEntry(e *Entry, keys KeyPair) error {
	own, err := EntryKeys(e)
	if err != nil {
		return err
	}
	if own.Ed25519.String() != keys.Ed25519.String() || own.MLDSA44.String() != keys.MLDSA44.String() {
		return errors.New("its keys are not those of the policy")
	}
	return nil
}

// checkKeys checks that a trust.keys file, unless it is empty, begins with the
// policy's pair. If it does not, the policy says nothing about the log that the
// file is of, and there is no verdict.
func (p *Policy) checkKeys(file []byte) error {
	if len(file) == 0 {
		return nil
	}
	first, err := ParseEntry(file)
	if err == nil {
		err = VerifyKeyEntry(first, p.Keys())
	}
	if err != nil {
		return fmt.Errorf("%w: the keys file does not begin with the policy's keys: %v", ErrPolicy, err)
	}
	return nil
}
