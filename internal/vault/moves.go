package vault

import (
	"fmt"
	"slices"

	"github.com/consentledger/consentledger/ledger"
)

// moving is a person whose change is being carried out.
type moving struct {
	Change
	subject *Subject
	// next is the person afterwards, under a new subject key; nil if they are erased or
	// locked. It has a new identity key, too, if an identifier or a channel is dropped,
	// so that nothing derived from the old one comes back.
	next *Subject
}

// rekeyed tells whether the person goes on under a new subject key.
func (m *moving) rekeyed() bool { return m.next != nil }

// after gives the person with new keys and what is left of what they began with.
func (m *moving) after() *Subject {
	next := &Subject{Slot: m.subject.Slot, key: newSecret(), identity: m.subject.identity}
	if m.reidentified() {
		next.identity = identity{key: newSecret()}
	}
	for _, c := range m.subject.first {
		if !m.drops(c.id) {
			next.first = append(next.first, c)
		}
	}
	return next
}

// reidentified tells whether the identity rows go on under a new identity key.
func (m *moving) reidentified() bool { return len(m.Identifiers)+len(m.Channels) > 0 }

// drops tells whether a consent is destroyed.
func (m *moving) drops(id ledger.ConsentID) bool {
	return m.Erase || slices.Contains(m.Consents, id)
}

// shardMoves is what a pass changes in one shard.
type shardMoves struct {
	// rows says of single rows, by type ‖ id, what stands there afterwards:
	// nothing if nil. All others stay as they are.
	rows map[string][]byte
	// fresh is the shard's key from then on.
	fresh shard
	// kept counts the rows afterwards, requests those of them that remember a
	// request: a sweep may delete them at any time.
	kept, requests int
}

// put plans that the shard row (typ, id) is value afterwards, nil for none,
// which touches its shard.
func (p *pass) put(typ byte, id, value []byte) {
	s := shardOf(typ, id)
	m := p.shards[s]
	if m == nil {
		m = &shardMoves{rows: make(map[string][]byte), fresh: newShard(p.next.generation)}
		p.shards[s] = m
	}
	m.rows[string(typ)+string(id)] = value
}

// add finds all shard rows that the planned change of a person moves.
func (p *pass) add(w View, slot Slot) error {
	c, err := w.planned(slot)
	if err != nil {
		return err
	}
	s, ok, err := w.subject(slot)
	if err != nil {
		return err
	}
	if !ok || slot == 0 {
		return fmt.Errorf("%w: a change is planned for nobody", ErrDamaged)
	}
	m := &moving{Change: c, subject: s}
	p.put(rowPlan, idSlot(slot), nil)
	switch {
	case m.Erase:
		p.put(rowSubject, idSlot(slot), nil)
	case !m.Lock:
		m.next = m.after()
		p.put(rowSubject, idSlot(slot), m.next.encode())
	}
	if err := p.addIdentifiers(w, m); err != nil {
		return err
	}
	if err := p.addChannels(w, m); err != nil {
		return err
	}
	if err := p.addConsents(w, m); err != nil {
		return err
	}
	p.people = append(p.people, m)
	return nil
}

// addIdentifiers moves the rows of the blind index: away if the person or the
// identifier goes, to the index of locked people by a lock, and within it when
// a locked person gets a new identity key.
func (p *pass) addIdentifiers(w View, m *moving) error {
	if m.rekeyed() && !m.reidentified() {
		return nil
	}
	ids, err := w.identifiers(m.subject.identity)
	if err != nil {
		return err
	}
	slot := u64(uint64(m.subject.Slot))
	for _, id := range ids {
		goes := m.Erase || slices.Contains(m.Identifiers, id)
		for _, k := range w.tree.index {
			// Somebody else may be known by the identifier of who is locked.
			live := k.live(id)
			owner, _, ok, err := w.named(rowIndex, live, 8)
			if err != nil {
				return err
			}
			if ok && owner == m.subject.Slot && (goes || m.Lock) {
				p.put(rowIndex, live, nil)
			}
			legal := k.legal(id)
			old := append(slices.Clone(legal), legalMark(m.subject.identity.key, id)...)
			locked, err := w.has(w.tree.shardRowKey(rowLegal, old))
			if err != nil {
				return err
			}
			if locked {
				p.put(rowLegal, old, nil)
			}
			switch {
			case m.Lock:
				p.put(rowLegal, old, slot)
			case locked && !goes:
				p.put(rowLegal, append(legal, legalMark(m.next.identity.key, id)...), slot)
			}
		}
	}
	return nil
}

// addChannels removes the rows of manage tokens that die.
func (p *pass) addChannels(w View, m *moving) error {
	if !m.Erase && len(m.Channels) == 0 {
		return nil
	}
	channels, err := w.channels(m.subject.identity)
	if err != nil {
		return err
	}
	for _, c := range channels {
		if m.Erase || slices.Contains(m.Channels, c.name) {
			p.put(rowManage, c.hash[:], nil)
		}
	}
	return nil
}

// addConsents removes the rows that name the person of a consent that goes.
func (p *pass) addConsents(w View, m *moving) error {
	gone := m.Consents
	if m.Erase {
		var err error
		if gone, err = w.Consents(m.subject); err != nil {
			return err
		}
	}
	for _, id := range gone {
		p.put(rowConsent, idConsent(id), nil)
	}
	return nil
}

// besideRows gives the rows under the person's new keys, which a pass writes
// before its switch beside the old ones.
func (m *moving) besideRows(w View, yield func(row) error) error {
	if !m.rekeyed() {
		return nil
	}
	consents, err := w.consents(m.subject)
	if err != nil {
		return err
	}
	n := uint32(len(m.next.first))
	for _, c := range consents[len(m.subject.first):] {
		if m.drops(c.id) {
			continue
		}
		if err := yield(c.row(m.next, n)); err != nil {
			return err
		}
		n++
	}
	if !m.reidentified() {
		return nil
	}
	return m.besideIdentity(w, yield)
}

// besideIdentity gives the rows under the new identity key.
func (m *moving) besideIdentity(w View, yield func(row) error) error {
	ids, err := w.identifiers(m.subject.identity)
	if err != nil {
		return err
	}
	ids = slices.DeleteFunc(ids, func(id Identifier) bool { return slices.Contains(m.Identifiers, id) })
	for n, id := range ids {
		if err := yield(id.row(m.next.identity.key, n)); err != nil {
			return err
		}
	}
	channels, err := w.channels(m.subject.identity)
	if err != nil {
		return err
	}
	channels = slices.DeleteFunc(channels, func(c channel) bool { return slices.Contains(m.Channels, c.name) })
	for n, c := range channels {
		if err := yield(c.row(m.next.identity.key, n)); err != nil {
			return err
		}
	}
	return nil
}

// deadRows gives the keys of the person's rows that nobody can read after the
// pass: those under the keys that go.
func (m *moving) deadRows(w View, yield func(key []byte) error) error {
	if m.Lock {
		return nil
	}
	var keys [][]byte
	if m.Erase || m.reidentified() {
		ids, err := w.identifiers(m.subject.identity)
		if err != nil {
			return err
		}
		for n := len(m.subject.identity.ids); n < len(ids); n++ {
			keys = append(keys, keyIdentifier(m.subject.identity.key, uint32(n)))
		}
		channels, err := w.channels(m.subject.identity)
		if err != nil {
			return err
		}
		for n := len(m.subject.identity.channels); n < len(channels); n++ {
			keys = append(keys, keyChannel(m.subject.identity.key, uint32(n)))
		}
	}
	consents, err := w.consents(m.subject)
	if err != nil {
		return err
	}
	var dropped, kept []ConsentKey
	for n, c := range consents {
		if n >= len(m.subject.first) {
			keys = append(keys, keyConsent(m.subject.key, uint32(n)))
		}
		if m.drops(c.id) {
			dropped = append(dropped, c.key)
		} else {
			kept = append(kept, c.key)
		}
	}
	keys = append(keys, w.claimRows(dropped, kept)...)
	for _, key := range keys {
		if err := yield(key); err != nil {
			return err
		}
	}
	return nil
}

// claimRows gives the keys of all rows under the keys of consents that are dropped,
// and those of their blobs, as far as the rows can be read, unless a consent that is
// kept names them, too: the consents of one request share their attachments. Claims
// and blobs are unreadable without their consent's key whether their rows are deleted
// or not, so damage there stands in no way.
func (w View) claimRows(dropped, kept []ConsentKey) (keys [][]byte) {
	blobs := make(map[[16]byte]BlobRef)
	for _, k := range dropped {
		rows, _ := w.claims(k, func(c Claim) {
			if c.Blob != nil {
				blobs[c.Blob.ID] = *c.Blob
			}
		})
		for n := range rows {
			keys = append(keys, keyClaims(k, n))
		}
	}
	if len(blobs) == 0 {
		return keys
	}
	for _, k := range kept {
		_, err := w.claims(k, func(c Claim) {
			if c.Blob != nil {
				delete(blobs, c.Blob.ID)
			}
		})
		if err != nil {
			return keys // what cannot be read may name them
		}
	}
	for _, blob := range blobs {
		keys = append(keys, blobKeys(blob)...)
	}
	return keys
}
