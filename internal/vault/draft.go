package vault

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/consentledger/consentledger/ledger"
)

// Draft holds the operations of one decision. Its lookups, those of its View,
// see the draft, then the batch, then the database; they give [ErrChanging]
// about a person for whom an earlier draft planned a change that is not carried
// out yet. Nothing is in the batch before [Draft.Keep]; a draft that is dropped
// leaves no trace.
//
// Every operation only inserts. One that would replace a row is an error, and
// so is any operation of a draft after a failed one. A [Subject] must come from
// a lookup of the same draft: one that a pass has given a new key since is
// refused with [ErrGone].
type Draft struct {
	View
	batch  *Batch
	begun  int               // rows that the batch had when the draft began
	rows   map[string][]byte // by their keys; nil for what was looked for and is not there
	order  []row
	people map[Slot]*drafted
	added  map[ConsentKey]nextClaims
	plans  []Slot
	load   load
	err    error
}

// drafted is what a draft knows of a person whom it has found or made.
type drafted struct {
	Subject
	// unwritten: the draft has drawn the person's keys, and what they begin with may
	// still grow. No rows are under these keys but the draft's own.
	unwritten bool
	consents  *nextConsent // nil if it was not needed
}

// nextConsent is where a draft goes on to add consents to a person.
type nextConsent struct {
	n    uint32
	last ledger.ConsentID
}

// knows gives what the draft knows of a person, nil for nothing.
func (d *Draft) knows(s *Subject) *drafted {
	if d == nil {
		return nil
	}
	if p := d.people[s.Slot]; p != nil && p.key == s.key {
		return p
	}
	return nil
}

// put adds a row that must not be there yet.
func (d *Draft) put(r row) error {
	taken, err := d.has(r.key)
	if err != nil {
		return err
	}
	if taken {
		return fmt.Errorf("a row of kind %q is there already", r.key[0])
	}
	d.add(r)
	return nil
}

// add adds a row of which it is known that it is not there: it was looked for, the one
// before it in its numbering was the last, or only who holds a key that was just drawn
// could have written it.
func (d *Draft) add(r row) {
	d.rows[string(r.key)] = r.value
	d.order = append(d.order, r)
	d.load.add(r)
}

// fail keeps the first error of an operation and says what was being done.
func (d *Draft) fail(doing string, err error) error {
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("%s: %w", doing, err)
		return d.err
	}
	return d.err
}

// mayChange makes sure that rows can be added to a person: the slot has the key
// that s holds, and nobody else has planned a change.
func (d *Draft) mayChange(s *Subject) error {
	if s.Slot == 0 {
		return errors.New("the ledger's own slot is nobody's")
	}
	if err := d.unchanging(s.Slot); err != nil {
		return err
	}
	now, ok, err := d.subject(s.Slot)
	if err != nil {
		return err
	}
	if !ok || now.key != s.key {
		return fmt.Errorf("the person was erased or got another key since: %w", ErrGone)
	}
	return nil
}

// NewSubject makes a person who is known by the identifiers ids from the entry
// since on.
func (d *Draft) NewSubject(ids []Identifier, since ledger.Index) (*Subject, error) {
	s, err := d.newSubject(ids, since)
	if err := d.fail("adding a person", err); err != nil {
		return nil, err
	}
	return s, nil
}

func (d *Draft) newSubject(ids []Identifier, since ledger.Index) (*Subject, error) {
	if len(ids) == 0 {
		return nil, errors.New("a person without an identifier")
	}
	slot, err := d.freeSlot()
	if err != nil {
		return nil, err
	}
	s := &Subject{Slot: slot, Since: since, key: newSecret(), identity: identity{key: newSecret(), ids: slices.Clone(ids)}}
	d.people[slot] = &drafted{Subject: *s, unwritten: true, consents: new(nextConsent)}
	for _, id := range ids {
		if err := d.putIndex(slot, id, since); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// writePeople adds the rows of the people whom the draft has made.
func (d *Draft) writePeople() {
	for _, p := range d.people {
		if p.unwritten {
			d.add(p.row(d.tree))
			p.unwritten = false
		}
	}
}

// freeSlot draws the number of a slot that nobody has.
func (d *Draft) freeSlot() (Slot, error) {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails, crypto/rand
		slot := Slot(binary.BigEndian.Uint64(b[:]))
		if slot == 0 || d.people[slot] != nil {
			continue
		}
		taken, err := d.has(d.tree.shardRowKey(rowSubject, idSlot(slot)))
		if err != nil {
			return 0, err
		}
		if !taken {
			return slot, nil
		}
	}
}

// AddIdentifier makes a person known by one more identifier from the entry since
// on. Who is locked takes none.
func (d *Draft) AddIdentifier(s *Subject, id Identifier, since ledger.Index) error {
	return d.fail("adding an identifier", d.addIdentifier(s, id, since))
}

func (d *Draft) addIdentifier(s *Subject, id Identifier, since ledger.Index) error {
	if err := d.mayChange(s); err != nil {
		return err
	}
	identity := d.identity(s)
	ids, err := d.identifiers(identity)
	if err != nil {
		return err
	}
	for _, known := range ids {
		if locked, err := d.isLocked(identity.key, known); err != nil {
			return err
		} else if locked {
			return errors.New("the person is locked")
		}
	}
	if err := d.putIndex(s.Slot, id, since); err != nil {
		return err
	}
	if p := d.people[s.Slot]; p.unwritten {
		p.identity.ids = append(p.identity.ids, id)
		return nil
	}
	d.add(id.row(identity.key, len(ids)))
	return nil
}

// putIndex writes an identifier into the index of each epoch.
func (d *Draft) putIndex(slot Slot, id Identifier, since ledger.Index) error {
	for _, k := range d.tree.index {
		if err := d.put(d.tree.sealShardRow(rowIndex, k.live(id), slotSince(slot, since))); err != nil {
			return err
		}
	}
	return nil
}

// slotSince is the value of a row of the blind index.
func slotSince(slot Slot, since ledger.Index) []byte {
	return append(u64(uint64(slot)), u64(uint64(since))...)
}

// sinceOf reads what slotSince wrote after the slot.
func sinceOf(rest []byte) ledger.Index { return ledger.Index(binary.BigEndian.Uint64(rest)) }

// AddConsent adds a consent to a person, later than all they have, with a key that was
// drawn for it.
func (d *Draft) AddConsent(s *Subject, id ledger.ConsentID, k ConsentKey) error {
	return d.fail(fmt.Sprintf("adding consent %d", id), d.addConsent(s, id, k))
}

func (d *Draft) addConsent(s *Subject, id ledger.ConsentID, k ConsentKey) error {
	if id <= 0 {
		return errors.New("entry 0 opens no consent")
	}
	if err := d.mayChange(s); err != nil {
		return err
	}
	next, err := d.nextConsent(s)
	if err != nil {
		return err
	}
	if next.n > 0 && id <= next.last {
		return fmt.Errorf("the person has consent %d already, and ids ascend", next.last)
	}
	if err := d.put(d.tree.sealShardRow(rowConsent, idConsent(id), u64(uint64(s.Slot)))); err != nil {
		return err
	}
	if p := d.people[s.Slot]; p.unwritten {
		p.first = append(p.first, ownedConsent{id, k})
	} else {
		d.add(ownedConsent{id, k}.row(s, next.n))
	}
	next.n, next.last = next.n+1, id
	if _, ok := d.added[k]; !ok {
		d.added[k] = nextClaims{} // its key is new, too
	}
	return nil
}

// nextConsent gives where the consents of a person end.
func (d *Draft) nextConsent(s *Subject) (*nextConsent, error) {
	p := d.people[s.Slot] // see mayChange
	if p.consents != nil {
		return p.consents, nil
	}
	next := new(nextConsent)
	var err error
	next.n, err = firstFree(func(n uint32) (bool, error) {
		c, ok, err := d.consent(s, n)
		next.last = max(next.last, c.id)
		return ok, err
	})
	if err == nil {
		p.consents = next
	}
	return next, err
}

// ManageTokenFor gives the person's manage token for a channel, the same one
// each time until the person gets a new identity key, and makes it known if it
// is not yet.
func (d *Draft) ManageTokenFor(s *Subject, channelName string) (token string, err error) {
	token, err = d.manageTokenFor(s, channelName)
	if err := d.fail("making a manage token", err); err != nil {
		return "", err
	}
	return token, nil
}

func (d *Draft) manageTokenFor(s *Subject, channelName string) (string, error) {
	if err := d.mayChange(s); err != nil {
		return "", err
	}
	identity := d.identity(s)
	token := manageToken(identity.key, 0, channelName)
	id := idManage(token)
	c := channel{0, [32]byte(id), channelName}
	p := d.people[s.Slot] // see mayChange
	var known bool
	if p.unwritten {
		known = slices.Contains(p.identity.channels, c)
	} else {
		var err error
		if known, err = d.has(d.tree.shardRowKey(rowManage, id)); err != nil {
			return "", err
		}
	}
	if known {
		return token, nil
	}
	named := append(append(u64(uint64(s.Slot)), u32(c.epoch)...), c.name...)
	d.add(d.tree.sealShardRow(rowManage, id, named))
	if p.unwritten {
		p.identity.channels = append(p.identity.channels, c)
		return token, nil
	}
	channels, err := d.channels(identity)
	if err != nil {
		return "", err
	}
	d.add(c.row(identity.key, len(channels)))
	return token, nil
}

// Remember keeps, for 24 to 48 hours, how the request with this idempotency key
// of source was answered. s is the person it was about, or the ledger's own.
func (d *Draft) Remember(s *Subject, source, key string, request [32]byte, indexes []ledger.Index, extra []byte) error {
	today := d.tree.days[0]
	id := idempotencyID(today, source, key)
	outer := append(u64(uint64(s.Slot)), requestMark(s)...)
	inner := idempotencyKey(s, today).Seal(nil, nil, encodeInner(request, indexes, extra), innerLabel(id))
	return d.fail("remembering a request", d.put(d.tree.sealShardRow(rowIdempotency, id, append(outer, inner...))))
}

// Fits tells whether Keep will succeed if nothing is added: nil, or the first
// failed operation's error, [ErrTooLarge] or [ErrGroupFull]. A caller that has
// something of its own to take over beside the draft asks first.
func (d *Draft) Fits() error {
	if d.err != nil {
		return fmt.Errorf("keeping a draft after a failed operation: %w", d.err)
	}
	if d.begun != len(d.batch.keys) {
		return errors.New("keeping a draft: another one was kept since it began")
	}
	d.writePeople()
	if err := d.batch.fits(d.load); err != nil {
		return fmt.Errorf("keeping a draft: %w", err)
	}
	return nil
}

// Keep moves the draft's rows into the batch, all of them or none. The draft is
// over then.
func (d *Draft) Keep() error {
	if err := d.Fits(); err != nil {
		return err
	}
	if err := d.batch.keep(d.order, d.plans); err != nil {
		return err
	}
	d.err = errors.New("the draft was kept already")
	return nil
}
