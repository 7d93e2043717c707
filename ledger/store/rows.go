package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// row is one key and value to be written.
type row struct{ key, value []byte }

// Opening is what the row of a consent keeps of the entry that opened it, which never
// changes: whoever is asked about the consent need not read that entry.
type Opening struct {
	Notice  string    // as [ledger.NoticeRef.Name] gives it; "" without one
	Expires time.Time // of the request's own lock; the zero time without one
}

func openingOf(e *ledger.Entry) (o Opening) {
	if e.Notice.ID != "" {
		o.Notice = e.Notice.Name()
	}
	if e.Lock != (ledger.Hash{}) {
		o.Expires = e.Expires
	}
	return o
}

// A consent's row: last:8 request:8 state:1 overlays:1 kept:1 holds:1 basis:1
// mode:1 evidence:4 len:1 purpose len:1 channel, then expires:8 (Unix seconds, 0 for
// none) notice.
const consentFixed = 36

func encodeConsent(c ledger.Consent, o Opening) []byte {
	b := make([]byte, 0, consentFixed+len(c.Purpose)+len(c.Channel)+len(o.Notice))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Last))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Request))
	kept := byte(0)
	if c.Kept {
		kept = 1
	}
	b = append(b, byte(c.State), byte(c.Overlays), kept, c.Holds, byte(c.Basis), byte(c.Mode))
	b = append(binary.BigEndian.AppendUint32(b, uint32(c.Evidence)), byte(len(c.Purpose)))
	b = append(append(b, c.Purpose...), byte(len(c.Channel)))
	expires := uint64(0)
	if !o.Expires.IsZero() {
		expires = uint64(o.Expires.Unix())
	}
	b = binary.BigEndian.AppendUint64(append(b, c.Channel...), expires)
	return append(b, o.Notice...)
}

func decodeConsent(id ledger.ConsentID, b []byte) (c ledger.Consent, o Opening, err error) {
	wrong := func() (ledger.Consent, Opening, error) {
		return ledger.Consent{}, Opening{}, fmt.Errorf("%w: row of consent %d", ErrDamaged, id)
	}
	if len(b) < consentFixed {
		return wrong()
	}
	c = ledger.Consent{
		ID:       id,
		Last:     ledger.Index(binary.BigEndian.Uint64(b)),
		Request:  ledger.ConsentID(binary.BigEndian.Uint64(b[8:])),
		State:    ledger.State(b[16]),
		Overlays: ledger.Overlays(b[17]),
		Kept:     b[18] == 1,
		Holds:    b[19],
		Basis:    ledger.Basis(b[20]),
		Mode:     ledger.Mode(b[21]),
		Evidence: ledger.Evidence(binary.BigEndian.Uint32(b[22:])),
	}
	n := int(b[26])
	if id < 0 || c.State > ledger.Invalidated || c.Basis > ledger.ExistingCustomer || c.Mode > ledger.Personal || b[18] > 1 ||
		len(b) < consentFixed+n || len(b) < consentFixed+n+int(b[27+n]) {
		return wrong()
	}
	rest := 28 + n + int(b[27+n])
	c.Purpose, c.Channel, o.Notice = string(b[27:27+n]), string(b[28+n:rest]), string(b[rest+8:])
	if expires := int64(binary.BigEndian.Uint64(b[rest:])); expires != 0 {
		o.Expires = time.Unix(expires, 0).UTC()
	}
	return c, o, nil
}

// seenLock is a lock ever seen. The request is open until its token is revealed
// or its expiry recorded.
type seenLock struct {
	ledger.OpenRequest
	closed bool
}

// A lock's row: request:8 expires:8 (Unix seconds) flags:1.
const (
	lockClosed     = 1
	lockSuperseded = 2
)

func encodeLock(l seenLock) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 17), uint64(l.Request))
	b = binary.BigEndian.AppendUint64(b, uint64(l.Expires.Unix()))
	flags := byte(0)
	if l.closed {
		flags |= lockClosed
	}
	if l.Superseded {
		flags |= lockSuperseded
	}
	return append(b, flags)
}

func decodeLock(lock ledger.Hash, b []byte) (seenLock, error) {
	if len(b) != 17 || b[16] > lockClosed|lockSuperseded {
		return seenLock{}, fmt.Errorf("%w: row of a lock", ErrDamaged)
	}
	return seenLock{ledger.OpenRequest{
		Lock:       lock,
		Request:    ledger.ConsentID(binary.BigEndian.Uint64(b)),
		Expires:    time.Unix(int64(binary.BigEndian.Uint64(b[8:])), 0).UTC(),
		Superseded: b[16]&lockSuperseded != 0,
	}, b[16]&lockClosed != 0}, nil
}

// erasure is how far an erasure has come: waiting for its keys while shredded is
// 0, then for its existence since the evidence.shredded at this index; gone when
// it is complete.
type erasure struct {
	shredded ledger.Index
	gone     bool
}

func (e erasure) phase() ledger.ErasurePhase {
	switch {
	case e.gone:
		return ledger.NoErasure
	case e.shredded == 0:
		return ledger.ContentsWait
	}
	return ledger.ExistenceWaits
}

// An erasure's row: shredded:8.
func encodeIndex(i ledger.Index) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(i))
}

func decodeIndex(what string, b []byte) (ledger.Index, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: row of %s", ErrDamaged, what)
	}
	return ledger.Index(binary.BigEndian.Uint64(b)), nil
}

// getIndex reads a row that holds an index.
func getIndex(txn *badger.Txn, key []byte, what string) (ledger.Index, bool, error) {
	value, err := get(txn, key)
	if value == nil || err != nil {
		return 0, false, err
	}
	i, err := decodeIndex(what, value)
	return i, err == nil, err
}

func getErasure(txn *badger.Txn, i ledger.Index) (erasure, error) {
	shredded, ok, err := getIndex(txn, indexKey(erasureRow, int64(i)), "an erasure")
	return erasure{shredded, !ok}, err
}

func getHold(txn *badger.Txn, i ledger.Index) (open bool, err error) {
	value, err := get(txn, indexKey(holdRow, int64(i)))
	return value != nil, err
}

// get reads one value; nil means that there is none.
func get(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	value, err := item.ValueCopy([]byte{}) // never nil, also when it is empty
	if err != nil {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	return value, nil
}

func getConsent(txn *badger.Txn, id ledger.ConsentID) (ledger.Consent, Opening, bool, error) {
	value, err := get(txn, indexKey(consentKey, int64(id)))
	if value == nil || err != nil {
		return ledger.Consent{}, Opening{}, false, err
	}
	c, o, err := decodeConsent(id, value)
	return c, o, err == nil, err
}

func getLock(txn *badger.Txn, lock ledger.Hash) (seenLock, bool, error) {
	value, err := get(txn, hashKey(lockKey, lock))
	if value == nil || err != nil {
		return seenLock{}, false, err
	}
	l, err := decodeLock(lock, value)
	return l, err == nil, err
}

func (m meta) encode() ([]byte, error) { return json.Marshal(m) }

func readMeta(txn *badger.Txn) (meta, error) {
	var m meta
	value, err := get(txn, []byte{metaRow})
	if err == nil && value == nil {
		err = fmt.Errorf("%w: it has no newest group", ErrDamaged)
	}
	if err == nil {
		err = json.Unmarshal(value, &m)
	}
	if err == nil && (len(m.Root) != len(ledger.Hash{}) || len(m.Leaf) != len(ledger.Hash{}) || m.Size < 1 || m.Count < 1) {
		err = fmt.Errorf("%w: the row of its newest group", ErrDamaged)
	}
	return m, err
}
