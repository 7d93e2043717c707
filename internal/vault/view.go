package vault

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// ErrChanging is in the chain of the error of a [Draft] about a person for whom
// a change is planned: decide again when [Vault.CarryOut] has carried it out.
var ErrChanging = errors.New("a change of this person's keys is planned")

// View is one consistent read of the vault: whatever passes run meanwhile, it
// sees each person either before or after a change.
type View struct {
	tree  *tree
	txn   *badger.Txn
	own   ConsentKey // the ledger's
	draft *Draft     // whose rows lie above those of txn; nil for readers
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
	return View{tree: v.tree, txn: v.db.NewTransaction(false), own: v.ledgerKey}
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

// OpenClaim is [View.OpenClaim] in a view of its own.
func (v *Vault) OpenClaim(k ConsentKey, at ledger.Index, digest ledger.Hash) (d ledger.Disclosure, blob *BlobRef, ok bool, err error) {
	err = v.View(func(w View) (err error) { d, blob, ok, err = w.OpenClaim(k, at, digest); return })
	return d, blob, ok, err
}

// get reads one row.
func (w View) get(key []byte) (value []byte, found bool, err error) {
	d := w.draft
	if d != nil {
		if value, ok := d.rows[string(key)]; ok {
			return value, value != nil, nil
		}
	}
	value, found, err = getRow(w.txn, key)
	if d != nil && !found && err == nil {
		d.rows[string(key)] = nil
	}
	return value, found, err
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
// aead gives its cipher, if there is a row.
func (w View) sealedRow(key []byte, aead func() cipher.AEAD) ([]byte, bool, error) {
	sealed, ok, err := w.get(key)
	if !ok || err != nil {
		return nil, false, err
	}
	plain, err := open(aead(), sealed, key)
	if err != nil {
		return nil, false, fmt.Errorf("row of kind %q: %w", key[0], err)
	}
	return plain, true, nil
}

// subject gives the person in a slot, whatever is planned for them.
func (w View) subject(slot Slot) (*Subject, bool, error) {
	if w.draft == nil {
		return w.readSubject(slot)
	}
	if p := w.draft.people[slot]; p != nil {
		s := p.Subject
		return &s, true, nil
	}
	s, ok, err := w.readSubject(slot)
	if ok && err == nil {
		w.draft.people[slot] = &drafted{Subject: *s}
	}
	return s, ok, err
}

func (w View) readSubject(slot Slot) (*Subject, bool, error) {
	plain, ok, err := w.shardRow(rowSubject, idSlot(slot))
	if !ok || err != nil {
		return nil, false, err
	}
	s, err := parseSubject(slot, plain)
	return s, err == nil, err
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

// firstFree gives the first n that is not taken; all before it are. It asks about
// 2 log₂ n times, about n-1 last of those that are.
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
