package vault

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"github.com/consentledger/consentledger/ledger"
)

// Subject is a person whose keys have been found. It holds them, so it is kept
// no longer than the view or draft that gave it, and is never printed.
type Subject struct {
	Slot Slot
	// Since is the entry that made the identifier known by which the person
	// was found, 0 if it was not by an identifier. The caller knows whether
	// that entry is published; until then the person is a stranger.
	Since ledger.Index

	key      secret
	identity identity
	first    []ownedConsent // ascending; the later ones have rows of their own
	wrap     cipher.AEAD    // of these rows; nil until it was needed
}

func (*Subject) String() string   { return "subject" }
func (*Subject) GoString() string { return "subject" }

// What a person began with is how the row of their slot goes on behind the subject
// key: the identity key, then any number of records, each a letter, its length u32
// and so many bytes: 'i' an identifier, 'c' a manage token, as in the rows of their
// own, and 'k' a consent, its id u64 and its key. Nearly everybody began with all
// there is to find, and one row is read and written sooner than three.
const (
	beganIdentifier = 'i'
	beganChannel    = 'c'
	beganConsent    = 'k'
)

// row makes the row of the person's slot.
func (s *Subject) row(t *tree) row { return t.sealShardRow(rowSubject, idSlot(s.Slot), s.encode()) }

func (s *Subject) encode() []byte {
	b := append(make([]byte, 0, 256), s.key[:]...)
	b = append(b, s.identity.key[:]...)
	add := func(kind byte, value []byte) {
		b = append(binary.BigEndian.AppendUint32(append(b, kind), uint32(len(value))), value...)
	}
	for _, id := range s.identity.ids {
		add(beganIdentifier, id.encode())
	}
	for _, c := range s.identity.channels {
		add(beganChannel, c.encode())
	}
	for _, c := range s.first {
		add(beganConsent, c.encode())
	}
	return b
}

func parseSubject(slot Slot, plain []byte) (*Subject, error) {
	bad := fmt.Errorf("%w: a person's row has %d bytes and does not parse", ErrDamaged, len(plain))
	if len(plain) < 32+32 {
		return nil, bad
	}
	s := &Subject{Slot: slot, key: secret(plain), identity: identity{key: secret(plain[32:])}}
	for b := plain[64:]; len(b) > 0; {
		if len(b) < 5 || uint64(len(b)-5) < uint64(binary.BigEndian.Uint32(b[1:])) {
			return nil, bad
		}
		kind, end := b[0], 5+binary.BigEndian.Uint32(b[1:])
		value := b[5:end]
		b = b[end:]
		switch kind {
		case beganIdentifier:
			id, err := parseIdentifier(value)
			if err != nil {
				return nil, err
			}
			s.identity.ids = append(s.identity.ids, id)
		case beganChannel:
			c, err := parseChannel(value)
			if err != nil {
				return nil, err
			}
			s.identity.channels = append(s.identity.channels, c)
		case beganConsent:
			c, err := parseConsent(value)
			if err != nil {
				return nil, err
			}
			s.first = append(s.first, c)
		default:
			return nil, bad
		}
	}
	return s, nil
}

// wrapping gives the cipher under which the person's later consents lie.
func (s *Subject) wrapping() cipher.AEAD {
	if s.wrap == nil {
		s.wrap = under(s.key, "wrap")
	}
	return s.wrap
}

// ownedConsent is a consent of a person.
type ownedConsent struct {
	id  ledger.ConsentID
	key ConsentKey
}

func (c ownedConsent) encode() []byte { return append(u64(uint64(c.id)), c.key[:]...) }

func parseConsent(plain []byte) (c ownedConsent, err error) {
	if len(plain) != 8+32 {
		return c, fmt.Errorf("%w: a person's consent has %d bytes", ErrDamaged, len(plain))
	}
	return ownedConsent{ledger.ConsentID(binary.BigEndian.Uint64(plain)), ConsentKey(plain[8:])}, nil
}

// row makes the row of a person's n-th consent, which is none of the first.
func (c ownedConsent) row(s *Subject, n uint32) row {
	return sealRow(keyConsent(s.key, n), s.wrapping(), c.encode())
}

// identity gives under what a person began to be known.
func (w View) identity(s *Subject) identity {
	if p := w.draft.knows(s); p != nil {
		return p.identity
	}
	return s.identity
}

// first gives the consents that a person began with.
func (w View) first(s *Subject) []ownedConsent {
	if p := w.draft.knows(s); p != nil {
		return p.first
	}
	return s.first
}

// consent gives the n-th consent of a person.
func (w View) consent(s *Subject, n uint32) (c ownedConsent, ok bool, err error) {
	if first := w.first(s); n < uint32(len(first)) {
		return first[n], true, nil
	}
	plain, ok, err := w.sealedRow(keyConsent(s.key, n), s.wrapping)
	if !ok || err != nil {
		return c, false, err
	}
	c, err = parseConsent(plain)
	return c, err == nil, err
}

// consents gives all consents of a person, ascending.
func (w View) consents(s *Subject) (list []ownedConsent, err error) {
	for n := uint32(0); ; n++ {
		c, ok, err := w.consent(s, n)
		if !ok || err != nil {
			return list, err
		}
		if n > 0 && c.id <= list[n-1].id {
			return nil, fmt.Errorf("%w: a person's consents do not ascend", ErrDamaged)
		}
		list = append(list, c)
	}
}

// Consents gives the ids of all consents of a person, ascending.
func (w View) Consents(s *Subject) ([]ledger.ConsentID, error) {
	list, err := w.consents(s)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	ids := make([]ledger.ConsentID, len(list))
	for i, c := range list {
		ids[i] = c.id
	}
	return ids, nil
}

// NewestConsents calls yield with the ids of a person's consents, the newest first,
// until it gives false. It costs no more for whoever has many.
func (w View) NewestConsents(s *Subject, yield func(ledger.ConsentID) bool) error {
	n, err := firstFree(func(n uint32) (bool, error) {
		if n < uint32(len(w.first(s))) {
			return true, nil
		}
		return w.has(keyConsent(s.key, n))
	})
	if err != nil {
		return err
	}
	for ; n > 0; n-- {
		c, ok, err := w.consent(s, n-1)
		if err == nil && !ok {
			err = fmt.Errorf("%w: a consent's row is missing", ErrDamaged)
		}
		if err != nil {
			return err
		}
		if !yield(c.id) {
			break
		}
	}
	return nil
}

// ConsentKey gives the key of one consent of the person; [ErrGone] if there is
// no such key.
func (w View) ConsentKey(s *Subject, id ledger.ConsentID) (ConsentKey, error) {
	var found *ConsentKey
	_, err := firstFree(func(n uint32) (bool, error) {
		c, ok, err := w.consent(s, n)
		if ok && c.id == id {
			found = &c.key
		}
		return ok && c.id < id, err
	})
	if err == nil && found == nil {
		err = ErrGone
	}
	if err != nil {
		return ConsentKey{}, fmt.Errorf("consent %d: %w", id, err)
	}
	return *found, nil
}
