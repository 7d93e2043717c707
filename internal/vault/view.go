package vault

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// ErrChanging is in the chain of the error of a [Draft] about a person for whom
// a change is planned: decide again when [Vault.CarryOut] has carried it out.
var ErrChanging = errors.New("a change of this person's keys is planned")

// Subject is a person whose keys have been found. It holds them, so it is kept
// no longer than the view or draft that gave it, and is never printed.
type Subject struct {
	Slot Slot
	// Since is the entry that made the identifier known by which the person
	// was found, 0 if it was not by an identifier. The caller knows whether
	// that entry is published; until then the person is a stranger.
	Since ledger.Index
	key   secret
}

func (*Subject) String() string   { return "subject" }
func (*Subject) GoString() string { return "subject" }

// View is one consistent read of the vault: whatever passes run meanwhile, it
// sees each person either before or after a change.
type View struct {
	tree  *tree
	txn   *badger.Txn
	draft *Draft // whose rows lie above those of txn; nil for readers
}

// View calls fn with a view of the vault. Nobody waits for fn but the end of a
// pass that began to switch after it, so fn must not wait for a pass itself. It
// must not keep the view.
func (v *Vault) View(fn func(View) error) error {
	w := v.view()
	defer w.release()
	return fn(w)
}

// view begins a read; release ends it.
func (v *Vault) view() View {
	// Under mu so that the rows are those of the tree: old ones are deleted
	// only after the tree was replaced, which this transaction does not see.
	v.mu.RLock()
	defer v.mu.RUnlock()
	v.tree.readers.Add(1)
	return View{tree: v.tree, txn: v.db.NewTransaction(false)}
}

func (w View) release() {
	w.txn.Discard()
	w.tree.readers.Done()
}

// KeyOf gives the key of a consent; false means that it belongs to nobody who
// is known.
func (v *Vault) KeyOf(id ledger.ConsentID) (k ConsentKey, ok bool, err error) {
	err = v.View(func(w View) (err error) { k, ok, err = w.KeyOf(id); return })
	return k, ok, err
}

// OpenClaim opens the claim with the given commitment under a consent's key,
// and checks that it has that commitment. blob is nil unless the claim's bytes
// lie beside it. False means that there is no such claim.
func (v *Vault) OpenClaim(k ConsentKey, digest ledger.Hash) (d ledger.Disclosure, blob *BlobRef, ok bool, err error) {
	err = v.View(func(w View) (err error) { d, blob, ok, err = w.OpenClaim(k, digest); return })
	return d, blob, ok, err
}

// get reads one row.
func (w View) get(key []byte) (value []byte, found bool, err error) {
	if w.draft != nil {
		if value, ok := w.draft.rows[string(key)]; ok {
			return value, true, nil
		}
	}
	return getRow(w.txn, key)
}

// has tells whether a row is there.
func (w View) has(key []byte) (bool, error) {
	_, ok, err := w.get(key)
	return ok, err
}

// shardRow reads and opens the shard row (typ, id).
func (w View) shardRow(typ byte, id []byte) ([]byte, bool, error) {
	key := w.tree.shardRowKey(typ, id)
	sealed, ok, err := w.get(key)
	if !ok || err != nil {
		return nil, false, err
	}
	plain, err := w.tree.openShardRow(nil, shardOf(typ, id), key, sealed)
	return plain, err == nil, err
}

// sealedRow reads and opens a row that is sealed under a key of a person.
func (w View) sealedRow(key []byte, k secret) ([]byte, bool, error) {
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
func (w View) wrappedKey(key []byte, k secret) (secret, bool, error) {
	plain, ok, err := w.sealedRow(key, k)
	if !ok || err != nil {
		return secret{}, false, err
	}
	if len(plain) != 32 {
		return secret{}, false, fmt.Errorf("%w: a wrapped key has %d bytes", ErrDamaged, len(plain))
	}
	return secret(plain), true, nil
}

// subject gives the person in a slot, whatever is planned for them.
func (w View) subject(slot Slot) (*Subject, bool, error) {
	plain, ok, err := w.shardRow(rowSubject, idSlot(slot))
	if !ok || err != nil {
		return nil, false, err
	}
	if len(plain) != 32 {
		return nil, false, fmt.Errorf("%w: a subject key has %d bytes", ErrDamaged, len(plain))
	}
	return &Subject{Slot: slot, key: secret(plain)}, true, nil
}

// named reads a row that names a slot. What follows the slot has at least size
// bytes.
func (w View) named(typ byte, id []byte, size int) (slot Slot, rest []byte, ok bool, err error) {
	plain, ok, err := w.shardRow(typ, id)
	if !ok || err != nil {
		return 0, nil, false, err
	}
	if len(plain) < 8+size {
		return 0, nil, false, fmt.Errorf("%w: a row of type %q has %d bytes", ErrDamaged, typ, len(plain))
	}
	return Slot(binary.BigEndian.Uint64(plain)), plain[8:], true, nil
}

// subjectNamed reads a row that names a slot and gives the person there. A pass
// removes the row with the slot, so one without the other is damage. In a draft
// a person for whom a change is planned is an error.
func (w View) subjectNamed(typ byte, id []byte, size int) (s *Subject, rest []byte, ok bool, err error) {
	slot, rest, ok, err := w.named(typ, id, size)
	if !ok || err != nil {
		return nil, nil, false, err
	}
	if s, err = w.person(typ, slot); err != nil {
		return nil, nil, false, err
	}
	return s, rest, true, nil
}

// person gives the person in a slot that a row of type typ names.
func (w View) person(typ byte, slot Slot) (*Subject, error) {
	if err := w.unchanging(slot); err != nil {
		return nil, err
	}
	s, ok, err := w.subject(slot)
	if err == nil && !ok {
		err = fmt.Errorf("%w: a row of type %q names a slot that is not there", ErrDamaged, typ)
	}
	return s, err
}

// unchanging is [ErrChanging] in a draft about a person for whom somebody else
// has planned a change.
func (w View) unchanging(slot Slot) error {
	if w.draft != nil && w.draft.batch.changing(slot) {
		return ErrChanging
	}
	return nil
}

// SubjectOf finds the person of a consent. False means that the consent belongs
// to nobody who is known: never recorded, or erased.
func (w View) SubjectOf(id ledger.ConsentID) (*Subject, bool, error) {
	s, _, ok, err := w.subjectNamed(rowConsent, idConsent(id), 0)
	return s, ok, err
}

// KeyOf gives the key of a consent; false means that it belongs to nobody who
// is known.
func (w View) KeyOf(id ledger.ConsentID) (ConsentKey, bool, error) {
	s, ok, err := w.SubjectOf(id)
	if !ok || err != nil {
		return ConsentKey{}, false, err
	}
	k, err := w.ConsentKey(s, id)
	return k, err == nil, err
}

// Consents gives the ids of all consents of a person in the order in which they
// were added.
func (w View) Consents(s *Subject) ([]ledger.ConsentID, error) {
	var ids []ledger.ConsentID
	k := derive(s.key, "list")
	for n := uint32(0); ; n++ {
		id, ok, err := w.listed(s, k, n)
		if !ok || err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
}

// NewestConsents calls yield with the ids of a person's consents, the newest first,
// until it gives false. It costs no more for whoever has many.
func (w View) NewestConsents(s *Subject, yield func(ledger.ConsentID) bool) error {
	n, err := firstFree(func(n uint32) (bool, error) { return w.has(keyList(s.key, n)) })
	if err != nil {
		return err
	}
	k := derive(s.key, "list")
	for ; n > 0; n-- {
		id, ok, err := w.listed(s, k, n-1)
		if err == nil && !ok {
			err = fmt.Errorf("%w: a consent's row is missing", ErrDamaged)
		}
		if err != nil {
			return err
		}
		if !yield(id) {
			break
		}
	}
	return nil
}

// listed gives the n-th consent of a person; k is the key of the list.
func (w View) listed(s *Subject, k secret, n uint32) (ledger.ConsentID, bool, error) {
	plain, ok, err := w.sealedRow(keyList(s.key, n), k)
	if !ok || err != nil {
		return 0, false, err
	}
	if len(plain) != 8 {
		return 0, false, fmt.Errorf("%w: a consent's row has %d bytes", ErrDamaged, len(plain))
	}
	return ledger.ConsentID(binary.BigEndian.Uint64(plain)), true, nil
}

// ConsentKey gives the key of one consent of the person; [ErrGone] if there is
// no such key.
func (w View) ConsentKey(s *Subject, id ledger.ConsentID) (ConsentKey, error) {
	k, ok, err := w.wrappedKey(keyConsent(s.key, id), derive(s.key, "wrap"))
	if err != nil {
		return ConsentKey{}, fmt.Errorf("consent %d: %w", id, err)
	}
	if !ok {
		return ConsentKey{}, fmt.Errorf("consent %d: %w", id, ErrGone)
	}
	return ConsentKey(k), nil
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
