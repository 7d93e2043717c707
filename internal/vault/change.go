package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// Change is what is to happen to a person's keys: one of Erase, Lock, or at
// least one of the lists.
type Change struct {
	// Erase destroys everything of the person.
	Erase bool
	// Lock moves the person's identifiers to an index that only
	// [View.FindLocked] reads: to everything else they are a stranger, and
	// somebody new can be made under the same identifiers.
	Lock bool
	// Consents are destroyed, with their claims. At least one must stay.
	Consents []ledger.ConsentID
	// Identifiers are destroyed. At least one must stay.
	Identifiers []Identifier
	// Channels are those whose manage tokens die; those of other channels
	// that were given out live on. A token of a channel that is made after is
	// another one.
	Channels []string
}

// Plan plans a change of a person. It is durable with the group, and a start
// finds it; [Vault.CarryOut] carries it out when the group is published. Until
// then drafts get [ErrChanging] about the person, all but this one, and readers
// see the person as before.
func (d *Draft) Plan(s *Subject, c Change) error {
	return d.fail("planning a change", d.plan(s, c))
}

func (d *Draft) plan(s *Subject, c Change) error {
	if err := d.mayChange(s); err != nil {
		return err
	}
	if err := d.checkChange(s, c); err != nil {
		return err
	}
	d.plans = append(d.plans, s.Slot)
	return d.put(d.tree.sealShardRow(rowPlan, idSlot(s.Slot), c.encode()))
}

// checkChange refuses a change that contradicts itself or what the person has.
func (d *Draft) checkChange(s *Subject, c Change) error {
	lists := len(c.Consents) + len(c.Identifiers) + len(c.Channels)
	if c.Erase && c.Lock || (c.Erase || c.Lock) == (lists > 0) {
		return errors.New("a change is one of: erasing, locking, dropping some of what a person has")
	}
	if c.Erase {
		return nil
	}
	identity := d.identity(s)
	ids, err := d.identifiers(identity)
	if err != nil {
		return err
	}
	if c.Lock {
		return d.checkLock(identity, ids)
	}
	if err := checkDropped("identifiers", ids, c.Identifiers); err != nil {
		return err
	}
	if len(c.Consents) == 0 {
		return nil
	}
	consents, err := d.Consents(s)
	if err != nil {
		return err
	}
	return checkDropped("consents", consents, c.Consents)
}

func (d *Draft) checkLock(identity identity, ids []Identifier) error {
	for _, id := range ids {
		if locked, err := d.isLocked(identity.key, id); err != nil {
			return err
		} else if locked {
			return errors.New("the person is locked already")
		}
	}
	return nil
}

// checkDropped makes sure that what is dropped is there, named once, and not
// all there is.
func checkDropped[T comparable](what string, have, dropped []T) error {
	if len(dropped) > 0 && len(dropped) >= len(have) {
		return fmt.Errorf("%d %s are to go and the person has %d: one must stay, or erase the person", len(dropped), what, len(have))
	}
	for i, x := range dropped {
		if !slices.Contains(have, x) {
			return fmt.Errorf("one of the %s to go is not the person's", what)
		}
		if slices.Contains(dropped[:i], x) {
			return fmt.Errorf("one of the %s to go is named twice", what)
		}
	}
	return nil
}

const (
	changeErase = 1
	changeLock  = 2
)

// encode makes the value of a row of type 'q': flags u8 (1 erase, 2 lock), then
// three lists, each after its count u32: consents u64; identifiers, kind and
// value each after its length u32; channels, each after its length u32.
func (c Change) encode() []byte {
	b := []byte{0}
	if c.Erase {
		b[0] |= changeErase
	}
	if c.Lock {
		b[0] |= changeLock
	}
	text := func(s string) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...) }
	b = binary.BigEndian.AppendUint32(b, uint32(len(c.Consents)))
	for _, id := range c.Consents {
		b = binary.BigEndian.AppendUint64(b, uint64(id))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(c.Identifiers)))
	for _, id := range c.Identifiers {
		text(id.Kind)
		text(id.Value)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(c.Channels)))
	for _, name := range c.Channels {
		text(name)
	}
	return b
}

func parseChange(b []byte) (c Change, err error) {
	bad := fmt.Errorf("%w: a plan has %d bytes and does not parse", ErrDamaged, len(b))
	if len(b) < 1 || b[0] > changeErase|changeLock {
		return c, bad
	}
	c.Erase, c.Lock = b[0]&changeErase != 0, b[0]&changeLock != 0
	b = b[1:]
	// take gives the next n bytes, or notes that they are missing.
	short := false
	take := func(n uint32) []byte {
		if short = short || uint64(len(b)) < uint64(n); short {
			return make([]byte, 8)
		}
		out := b[:n]
		b = b[n:]
		return out
	}
	count := func() uint32 { return binary.BigEndian.Uint32(take(4)) }
	text := func() string { return string(take(count())) }
	for n := count(); n > 0 && !short; n-- {
		c.Consents = append(c.Consents, ledger.ConsentID(binary.BigEndian.Uint64(take(8))))
	}
	for n := count(); n > 0 && !short; n-- {
		kind := text()
		c.Identifiers = append(c.Identifiers, Identifier{kind, text()})
	}
	for n := count(); n > 0 && !short; n-- {
		c.Channels = append(c.Channels, text())
	}
	if short || len(b) > 0 {
		return Change{}, bad
	}
	return c, nil
}

// planned reads the change that is planned for a person.
func (w View) planned(slot Slot) (Change, error) {
	plain, ok, err := w.shardRow(rowPlan, idSlot(slot))
	if err != nil {
		return Change{}, err
	}
	if !ok {
		return Change{}, fmt.Errorf("%w: a plan is missing", ErrDamaged)
	}
	return parseChange(plain)
}

// Planned counts the people for whom a change is planned and not carried out.
func (v *Vault) Planned() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.plans)
}

// loadPlans finds, at a start, what is planned, and which of it belongs to the
// newest group.
func (v *Vault) loadPlans() {
	v.plans = make(map[Slot]uint64)
	txn := v.db.NewTransaction(false)
	defer txn.Discard()
	eachShardKey(txn, v.tree, rowPlan, func(key []byte) bool {
		v.plans[slotOf(key)] = 1 // of some group before the newest, which the log has
		return true
	})
	for _, key := range v.group.keys {
		if key[0] == rowShard && key[shardKeySize] == rowPlan {
			if _, ok := v.plans[slotOf(key)]; ok {
				v.plans[slotOf(key)] = v.group.record.Seq
			}
		}
	}
}

// minShardRow is the length of the shortest key of a shard row: no id is shorter than
// a slot. What is shorter is no row of ours.
const minShardRow = shardKeySize + 1 + 8

// slotOf reads the slot from the key of a row of type 'k' or 'q'.
func slotOf(key []byte) Slot { return Slot(binary.BigEndian.Uint64(key[shardKeySize+1:])) }

// eachShardKey calls fn with the keys of all rows of a type, shard by shard;
// fn tells whether the next one of the same shard is wanted. fn must copy what
// it keeps.
func eachShardKey(txn *badger.Txn, t *tree, typ byte, fn func(key []byte) (more bool)) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{rowShard}})
	defer it.Close()
	it.Rewind()
	for s := range uint16(shardCount) {
		prefix := append(t.shardPrefix(s), typ)
		if it.Valid() && bytes.Compare(it.Item().Key(), prefix) < 0 {
			it.Seek(prefix)
		}
		for ; it.ValidForPrefix(prefix); it.Next() {
			if key := it.Item().Key(); len(key) >= minShardRow && !fn(key) {
				break
			}
		}
	}
}
