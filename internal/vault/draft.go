package vault

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

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
	batch *Batch
	rows  map[string][]byte
	order []string
	plans []Slot
	load  load
	err   error
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
	d.rows[string(r.key)] = r.value
	d.order = append(d.order, string(r.key))
	d.load.add(r)
	return nil
}

// putAll adds rows that must not be there yet.
func (d *Draft) putAll(rows ...row) error {
	for _, r := range rows {
		if err := d.put(r); err != nil {
			return err
		}
	}
	return nil
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
	s := &Subject{Slot: slot, Since: since, key: newSecret()}
	identity := newSecret()
	err = d.putAll(
		d.tree.sealShardRow(rowSubject, idSlot(slot), s.key[:]),
		sealRow(keyIdentity(s.key), derive(s.key, "wrap"), identity[:]))
	for n := 0; n < len(ids) && err == nil; n++ {
		err = d.putIdentifier(slot, identity, n, ids[n], since)
	}
	return s, err
}

// freeSlot draws the number of a slot that nobody has.
func (d *Draft) freeSlot() (Slot, error) {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails, crypto/rand
		slot := Slot(binary.BigEndian.Uint64(b[:]))
		if slot == 0 {
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
	identity, err := d.identityKey(s)
	if err != nil {
		return err
	}
	ids, err := d.identifiers(identity)
	if err != nil {
		return err
	}
	for _, known := range ids {
		if locked, err := d.isLocked(identity, known); err != nil {
			return err
		} else if locked {
			return errors.New("the person is locked")
		}
	}
	return d.putIdentifier(s.Slot, identity, len(ids), id, since)
}

// putIdentifier writes the n-th identifier of a person, into the index of each
// epoch.
func (d *Draft) putIdentifier(slot Slot, identity secret, n int, id Identifier, since ledger.Index) error {
	for _, k := range d.tree.index {
		if err := d.put(d.tree.sealShardRow(rowIndex, k.live(id), slotSince(slot, since))); err != nil {
			return err
		}
	}
	return d.put(identifierRow(identity, n, id))
}

// slotSince is the value of a row of the blind index.
func slotSince(slot Slot, since ledger.Index) []byte {
	return append(u64(uint64(slot)), u64(uint64(since))...)
}

// sinceOf reads what slotSince wrote after the slot.
func sinceOf(rest []byte) ledger.Index { return ledger.Index(binary.BigEndian.Uint64(rest)) }

// AddConsent adds a consent to a person, with the key under which its claims
// were sealed.
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
	n, err := firstFree(func(n uint32) (bool, error) { return d.has(keyList(s.key, n)) })
	if err != nil {
		return err
	}
	if err := d.put(d.tree.sealShardRow(rowConsent, idConsent(id), u64(uint64(s.Slot)))); err != nil {
		return err
	}
	return d.putAll(consentRows(s.key, n, id, k)...)
}

// consentRows makes the rows of a person's n-th consent under a subject key.
func consentRows(subject secret, n uint32, id ledger.ConsentID, k ConsentKey) []row {
	return []row{
		sealRow(keyConsent(subject, id), derive(subject, "wrap"), k[:]),
		sealRow(keyList(subject, n), derive(subject, "list"), u64(uint64(id))),
	}
}

// AddClaims adds sealed claims, of one consent or of several.
func (d *Draft) AddClaims(claims ...SealedClaim) error {
	return d.fail("adding claims", d.addClaims(claims))
}

func (d *Draft) addClaims(claims []SealedClaim) error {
	digests := make(map[ConsentKey][]byte)
	var order []ConsentKey
	for _, c := range claims {
		if err := d.put(c.row); err != nil {
			return err
		}
		if _, ok := digests[c.consent]; !ok {
			order = append(order, c.consent)
		}
		digests[c.consent] = append(digests[c.consent], c.digest[:]...)
	}
	for _, k := range order {
		n, err := firstFree(func(n uint32) (bool, error) { return d.has(keyClaimList(k, n)) })
		if err != nil {
			return err
		}
		if err := d.put(sealRow(keyClaimList(k, n), derive(secret(k), "claims"), digests[k])); err != nil {
			return err
		}
	}
	return nil
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
	identity, err := d.identityKey(s)
	if err != nil {
		return "", err
	}
	token := manageToken(identity, 0, channelName)
	id := idManage(token)
	if known, err := d.has(d.tree.shardRowKey(rowManage, id)); known || err != nil {
		return token, err
	}
	n, err := firstFree(func(n uint32) (bool, error) { return d.has(keyChannel(identity, n)) })
	if err != nil {
		return "", err
	}
	named := append(append(u64(uint64(s.Slot)), u32(0)...), channelName...)
	return token, d.putAll(
		d.tree.sealShardRow(rowManage, id, named),
		channel{0, [32]byte(id), channelName}.row(identity, int(n)))
}

// Remember keeps, for 24 to 48 hours, how the request with this idempotency key
// of source was answered. s is the person it was about, or the ledger's own.
func (d *Draft) Remember(s *Subject, source, key string, request [32]byte, indexes []ledger.Index, extra []byte) error {
	today := d.tree.days[0]
	id := idempotencyID(today, source, key)
	outer := append(u64(uint64(s.Slot)), requestMark(s)...)
	inner := seal(idempotencyKey(s, today), encodeInner(request, indexes, extra), innerLabel(id))
	return d.fail("remembering a request", d.put(d.tree.sealShardRow(rowIdempotency, id, append(outer, inner...))))
}

// Fits tells whether Keep will succeed if nothing is added: nil, or the first
// failed operation's error, [ErrTooLarge] or [ErrGroupFull]. A caller that has
// something of its own to take over beside the draft asks first.
func (d *Draft) Fits() error {
	if d.err != nil {
		return fmt.Errorf("keeping a draft after a failed operation: %w", d.err)
	}
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
	rows := make([]row, len(d.order))
	for i, key := range d.order {
		rows[i] = row{[]byte(key), d.rows[key]}
	}
	if err := d.batch.keep(rows, d.plans); err != nil {
		return err
	}
	d.err = errors.New("the draft was kept already")
	return nil
}
