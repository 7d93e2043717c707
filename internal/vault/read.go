package vault

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/consentledger/consentledger/ledger"
)

// Subject is a person whose keys have been found. It holds them, so it is kept
// no longer than a request lasts and is never printed.
type Subject struct {
	Slot Slot
	key  secret
}

func (*Subject) String() string   { return "subject" }
func (*Subject) GoString() string { return "subject" }

// Identifier is one address or number under which a person is known: Kind is
// "email", "phone" or "external_id", Value its normalised form.
type Identifier struct{ Kind, Value string }

// view reads rows under one tree: those of the database, or of a draft with
// what lies below it.
type view struct {
	tree *tree
	get  getter
}

// read calls fn with a view of the database. No erasure switches meanwhile.
func (v *Vault) read(fn func(view) error) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	txn := v.db.NewTransaction(false)
	defer txn.Discard()
	return fn(view{v.tree, getterOf(txn)})
}

// IndexKey gives what an identifier looks like in the blind index. The value
// must be in its normalised form.
func (v *Vault) IndexKey(kind, normalised string) IndexKey {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.tree.indexKey(kind, normalised)
}

// FindSubject finds a person by an identifier. False means that nobody is known
// by it, now.
func (v *Vault) FindSubject(k IndexKey) (s *Subject, ok bool, err error) {
	err = v.read(func(w view) (err error) { s, ok, err = w.FindSubject(k); return })
	return s, ok, err
}

// SubjectOf finds the person of a consent. False means that the consent belongs
// to nobody who is known: never recorded, or erased.
func (v *Vault) SubjectOf(id ledger.ConsentID) (s *Subject, ok bool, err error) {
	err = v.read(func(w view) (err error) { s, ok, err = w.SubjectOf(id); return })
	return s, ok, err
}

// Consents gives the ids of all consents of a person in the order in which they
// were added.
func (v *Vault) Consents(s *Subject) (ids []ledger.ConsentID, err error) {
	err = v.read(func(w view) (err error) { ids, err = w.Consents(s); return })
	return ids, err
}

// ConsentKey gives the key of one consent of the person; [ErrGone] if there is
// no such key.
func (v *Vault) ConsentKey(s *Subject, id ledger.ConsentID) (k ConsentKey, err error) {
	err = v.read(func(w view) (err error) { k, err = w.ConsentKey(s, id); return })
	return k, err
}

// Identifiers gives the identifiers under which a person is known.
func (v *Vault) Identifiers(s *Subject) (ids []Identifier, err error) {
	err = v.read(func(w view) (err error) { ids, err = w.Identifiers(s); return })
	return ids, err
}

// ManageToken finds the person and the channel of a manage token. False means
// that the token is not well-formed, was never given out, or that its person
// was erased.
func (v *Vault) ManageToken(token string) (s *Subject, channel string, ok bool, err error) {
	err = v.read(func(w view) (err error) { s, channel, ok, err = w.ManageToken(token); return })
	return s, channel, ok, err
}

// OpenClaim opens the claim with the given commitment under a consent's key,
// and checks that it has that commitment. blob is nil unless the claim's bytes
// lie beside it. False means that there is no such claim.
func (v *Vault) OpenClaim(k ConsentKey, digest ledger.Hash) (d ledger.Disclosure, blob *BlobRef, ok bool, err error) {
	err = v.read(func(w view) (err error) { d, blob, ok, err = w.openClaim(k, digest); return })
	return d, blob, ok, err
}

// shardRow reads and opens the shard row (typ, id).
func (w view) shardRow(typ byte, id []byte) ([]byte, bool, error) {
	key := w.tree.shardRowKey(typ, id)
	sealed, ok, err := w.get(key)
	if !ok || err != nil {
		return nil, false, err
	}
	plain, err := w.tree.openShardRow(shardOf(typ, id), key, sealed)
	return plain, err == nil, err
}

// sealedRow reads and opens a row that is sealed under a key of a person.
func (w view) sealedRow(key []byte, k secret) ([]byte, bool, error) {
	sealed, ok, err := w.get(key)
	if !ok || err != nil {
		return nil, false, err
	}
	plain, err := open(k, sealed, key)
	if err != nil {
		return nil, false, fmt.Errorf("row of kind %q: %w", key[0], err)
	}
	return plain, true, nil
}

// wrappedKey reads a key that is wrapped in a row.
func (w view) wrappedKey(key []byte, k secret) (secret, bool, error) {
	plain, ok, err := w.sealedRow(key, k)
	if !ok || err != nil {
		return secret{}, false, err
	}
	if len(plain) != 32 {
		return secret{}, false, fmt.Errorf("%w: a wrapped key has %d bytes", ErrDamaged, len(plain))
	}
	return secret(plain), true, nil
}

// subject gives the person in a slot.
func (w view) subject(slot Slot) (*Subject, bool, error) {
	plain, ok, err := w.shardRow(rowSubject, idSlot(slot))
	if !ok || err != nil {
		return nil, false, err
	}
	if len(plain) != 32 {
		return nil, false, fmt.Errorf("%w: a subject key has %d bytes", ErrDamaged, len(plain))
	}
	return &Subject{slot, secret(plain)}, true, nil
}

// subjectNamed reads a row that names a slot and gives the person there. An
// erasure removes the row with the slot, so one without the other is damage.
func (w view) subjectNamed(typ byte, id []byte, size int) (s *Subject, rest []byte, ok bool, err error) {
	plain, ok, err := w.shardRow(typ, id)
	if !ok || err != nil {
		return nil, nil, false, err
	}
	if len(plain) < size {
		return nil, nil, false, fmt.Errorf("%w: a row of type %q has %d bytes", ErrDamaged, typ, len(plain))
	}
	s, ok, err = w.subject(Slot(binary.BigEndian.Uint64(plain)))
	if err != nil {
		return nil, nil, false, err
	}
	if !ok {
		return nil, nil, false, fmt.Errorf("%w: a row of type %q names a slot that is not there", ErrDamaged, typ)
	}
	return s, plain[8:], true, nil
}

// FindSubject finds a person by an identifier.
func (w view) FindSubject(k IndexKey) (*Subject, bool, error) {
	s, _, ok, err := w.subjectNamed(rowIndex, k[:], 8)
	return s, ok, err
}

// SubjectOf finds the person of a consent.
func (w view) SubjectOf(id ledger.ConsentID) (*Subject, bool, error) {
	s, _, ok, err := w.subjectNamed(rowConsent, idConsent(id), 8)
	return s, ok, err
}

// Consents gives the ids of all consents of a person in the order in which they
// were added.
func (w view) Consents(s *Subject) ([]ledger.ConsentID, error) {
	var ids []ledger.ConsentID
	k := derive(s.key, "list")
	for n := uint32(0); ; n++ {
		plain, ok, err := w.sealedRow(keyList(s.key, n), k)
		if err != nil {
			return nil, err
		}
		if !ok {
			return ids, nil
		}
		if len(plain) != 8 {
			return nil, fmt.Errorf("%w: a consent's row has %d bytes", ErrDamaged, len(plain))
		}
		ids = append(ids, ledger.ConsentID(binary.BigEndian.Uint64(plain)))
	}
}

// ConsentKey gives the key of one consent of the person.
func (w view) ConsentKey(s *Subject, id ledger.ConsentID) (ConsentKey, error) {
	k, ok, err := w.wrappedKey(keyConsent(id), derive(s.key, "wrap"))
	if err != nil {
		return ConsentKey{}, fmt.Errorf("consent %d: %w", id, err)
	}
	if !ok {
		return ConsentKey{}, fmt.Errorf("consent %d: %w", id, ErrGone)
	}
	return ConsentKey(k), nil
}

// identityKey gives the key of a person's identity rows.
func (w view) identityKey(s *Subject) (secret, error) {
	k, ok, err := w.wrappedKey(keyIdentity(s.key), derive(s.key, "wrap"))
	if err == nil && !ok {
		err = fmt.Errorf("identity rows: %w", ErrGone)
	}
	return k, err
}

// Identifiers gives the identifiers under which a person is known.
func (w view) Identifiers(s *Subject) ([]Identifier, error) {
	identity, err := w.identityKey(s)
	if err != nil {
		return nil, err
	}
	var ids []Identifier
	k := derive(identity, "identity")
	for n := uint32(0); ; n++ {
		plain, ok, err := w.sealedRow(keyIdentifier(identity, n), k)
		if err != nil {
			return nil, err
		}
		if !ok {
			return ids, nil
		}
		kind, value, ok := bytes.Cut(plain, []byte{0})
		if !ok {
			return nil, fmt.Errorf("%w: an identifier's row has no kind", ErrDamaged)
		}
		ids = append(ids, Identifier{string(kind), string(value)})
	}
}

// channel is one manage token that was given out.
type channel struct {
	epoch uint32
	name  string
}

// channels gives the channels for which a person has a manage token.
func (w view) channels(identity secret) ([]channel, error) {
	var channels []channel
	k := derive(identity, "identity")
	for n := uint32(0); ; n++ {
		plain, ok, err := w.sealedRow(keyChannel(identity, n), k)
		if err != nil {
			return nil, err
		}
		if !ok {
			return channels, nil
		}
		if len(plain) < 4 {
			return nil, fmt.Errorf("%w: a channel's row has %d bytes", ErrDamaged, len(plain))
		}
		channels = append(channels, channel{binary.BigEndian.Uint32(plain), string(plain[4:])})
	}
}

// manageVersion is the first byte of a manage token.
const manageVersion = 1

// manageToken derives the manage token of a channel.
func manageToken(identity secret, c channel) string {
	k := derive(identity, "manage", c.name, string(u32(c.epoch)))
	return base64.RawURLEncoding.EncodeToString(append([]byte{manageVersion}, k[:]...))
}

// ManageToken finds the person and the channel of a manage token.
func (w view) ManageToken(token string) (s *Subject, channel string, ok bool, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != 1+32 || raw[0] != manageVersion {
		return nil, "", false, nil
	}
	s, rest, ok, err := w.subjectNamed(rowManage, idManage(token), 8+4)
	if !ok || err != nil {
		return nil, "", false, err
	}
	return s, string(rest[4:]), true, nil
}

// firstFree gives the first n for which nothing is there yet; rows are numbered
// from 0 without gaps. It asks about 2 log₂ n times.
func firstFree(taken func(n uint32) (bool, error)) (uint32, error) {
	low, high := uint32(0), uint32(0) // all below low are taken
	for {
		ok, err := taken(high)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		low, high = high+1, 2*high+1
	}
	for low < high {
		middle := low + (high-low)/2
		ok, err := taken(middle)
		if err != nil {
			return 0, err
		}
		if ok {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}
