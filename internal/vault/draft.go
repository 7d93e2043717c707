package vault

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/consentledger/consentledger/ledger"
)

// Draft holds the operations of one decision. Its lookups see the draft, then
// the batch, then the database. Nothing is in the batch before [Draft.Keep];
// a draft that is dropped leaves no trace.
//
// Every operation only inserts. One that would replace a row is an error, and
// so is any operation of a draft after a failed one.
type Draft struct {
	view
	batch *Batch
	rows  map[string][]byte
	order []string
	load  load
	err   error
}

// put adds a row that must not be there yet.
func (d *Draft) put(r row) error {
	_, taken, err := d.get(r.key)
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

// NewSubject makes a person who is known by the identifiers ids, of which keys
// are the index keys ([Vault.IndexKey]) in the same order.
func (d *Draft) NewSubject(ids []Identifier, keys []IndexKey) (*Subject, error) {
	s, err := d.newSubject(ids, keys)
	if err := d.fail("adding a person", err); err != nil {
		return nil, err
	}
	return s, nil
}

func (d *Draft) newSubject(ids []Identifier, keys []IndexKey) (*Subject, error) {
	if len(ids) == 0 || len(ids) != len(keys) {
		return nil, fmt.Errorf("%d identifiers with %d index keys", len(ids), len(keys))
	}
	slot, err := d.freeSlot()
	if err != nil {
		return nil, err
	}
	s := &Subject{slot, newSecret()}
	identity := newSecret()
	rows := []row{
		d.tree.sealShardRow(rowSubject, idSlot(slot), s.key[:]),
		sealRow(keyIdentity(s.key), derive(s.key, "wrap"), identity[:]),
	}
	under := derive(identity, "identity")
	for n, id := range ids {
		// An erasure finds the index rows by the identifiers, so both must agree.
		if d.tree.indexKey(id.Kind, id.Value) != keys[n] {
			return nil, fmt.Errorf("the index key of identifier %d is not its own", n)
		}
		rows = append(rows,
			d.tree.sealShardRow(rowIndex, keys[n][:], u64(uint64(slot))),
			sealRow(keyIdentifier(identity, uint32(n)), under, []byte(id.Kind+"\x00"+id.Value)))
	}
	return s, d.putAll(rows...)
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
		_, taken, err := d.get(d.tree.shardRowKey(rowSubject, idSlot(slot)))
		if err != nil {
			return 0, err
		}
		if !taken {
			return slot, nil
		}
	}
}

// AddConsent adds a consent to a person, with the key under which its claims
// were sealed.
func (d *Draft) AddConsent(s *Subject, id ledger.ConsentID, k ConsentKey) error {
	return d.fail(fmt.Sprintf("adding consent %d", id), d.addConsent(s, id, k))
}

func (d *Draft) addConsent(s *Subject, id ledger.ConsentID, k ConsentKey) error {
	if s.Slot == 0 || id <= 0 {
		return errors.New("the ledger's own slot and entry 0 take no consent")
	}
	n, err := firstFree(func(n uint32) (bool, error) {
		_, taken, err := d.get(keyList(s.key, n))
		return taken, err
	})
	if err != nil {
		return err
	}
	return d.putAll(
		d.tree.sealShardRow(rowConsent, idConsent(id), u64(uint64(s.Slot))),
		sealRow(keyConsent(id), derive(s.key, "wrap"), k[:]),
		sealRow(keyList(s.key, n), derive(s.key, "list"), u64(uint64(id))))
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
		n, err := firstFree(func(n uint32) (bool, error) {
			_, taken, err := d.get(keyClaimList(k, n))
			return taken, err
		})
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
// each time, and makes it known if it is not yet.
func (d *Draft) ManageTokenFor(s *Subject, channelName string) (token string, err error) {
	token, err = d.manageTokenFor(s, channel{0, channelName})
	if err := d.fail("making a manage token", err); err != nil {
		return "", err
	}
	return token, nil
}

func (d *Draft) manageTokenFor(s *Subject, c channel) (string, error) {
	identity, err := d.identityKey(s)
	if err != nil {
		return "", err
	}
	token := manageToken(identity, c)
	key := d.tree.shardRowKey(rowManage, idManage(token))
	if _, taken, err := d.get(key); taken || err != nil {
		return token, err
	}
	n, err := firstFree(func(n uint32) (bool, error) {
		_, taken, err := d.get(keyChannel(identity, n))
		return taken, err
	})
	if err != nil {
		return "", err
	}
	named := append(u32(c.epoch), c.name...)
	return token, d.putAll(
		d.tree.sealShardRow(rowManage, idManage(token), append(u64(uint64(s.Slot)), named...)),
		sealRow(keyChannel(identity, n), derive(identity, "identity"), named))
}

// Remember keeps, for 24 to 48 hours, how the request with this idempotency key
// of source was answered. s is the person it was about, or the ledger's own.
func (d *Draft) Remember(s *Subject, source, key string, request [32]byte, indexes []ledger.Index, extra []byte) error {
	today := d.tree.days[0]
	id := idempotencyID(today, source, key)
	inner := seal(idempotencyKey(s, today), encodeInner(request, indexes, extra), innerLabel(id))
	r := d.tree.sealShardRow(rowIdempotency, id, append(u64(uint64(s.Slot)), inner...))
	return d.fail("remembering a request", d.put(r))
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
	if err := d.batch.keep(rows); err != nil {
		return err
	}
	d.err = errors.New("the draft was kept already")
	return nil
}
