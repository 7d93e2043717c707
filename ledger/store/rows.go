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

// A consent's row: last:8 request:8 state:1 overlays:1 len:1 purpose len:1 channel.
func encodeConsent(c ledger.Consent) []byte {
	b := make([]byte, 0, 20+len(c.Purpose)+len(c.Channel))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Last))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Request))
	b = append(b, byte(c.State), byte(c.Overlays), byte(len(c.Purpose)))
	b = append(append(b, c.Purpose...), byte(len(c.Channel)))
	return append(b, c.Channel...)
}

func decodeConsent(id ledger.ConsentID, b []byte) (ledger.Consent, error) {
	wrong := fmt.Errorf("%w: row of consent %d", ErrDamaged, id)
	if len(b) < 20 {
		return ledger.Consent{}, wrong
	}
	c := ledger.Consent{
		ID:       id,
		Last:     ledger.Index(binary.BigEndian.Uint64(b)),
		Request:  ledger.ConsentID(binary.BigEndian.Uint64(b[8:])),
		State:    ledger.State(b[16]),
		Overlays: ledger.Overlays(b[17]),
	}
	n := int(b[18])
	if c.State > ledger.Invalidated || len(b) < 20+n || len(b) != 20+n+int(b[19+n]) {
		return ledger.Consent{}, wrong
	}
	c.Purpose, c.Channel = string(b[19:19+n]), string(b[20+n:])
	return c, nil
}

// seenLock is a lock ever seen. The request is open until its token is revealed.
type seenLock struct {
	ledger.OpenRequest
	revealed bool
}

// A lock's row: request:8 expires:8 (Unix seconds) revealed:1.
func encodeLock(l seenLock) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 17), uint64(l.Request))
	b = binary.BigEndian.AppendUint64(b, uint64(l.Expires.Unix()))
	if l.revealed {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeLock(lock ledger.Hash, b []byte) (seenLock, error) {
	if len(b) != 17 || b[16] > 1 {
		return seenLock{}, fmt.Errorf("%w: row of a lock", ErrDamaged)
	}
	return seenLock{ledger.OpenRequest{
		Lock:    lock,
		Request: ledger.ConsentID(binary.BigEndian.Uint64(b)),
		Expires: time.Unix(int64(binary.BigEndian.Uint64(b[8:])), 0).UTC(),
	}, b[16] == 1}, nil
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

func getConsent(txn *badger.Txn, id ledger.ConsentID) (ledger.Consent, bool, error) {
	value, err := get(txn, indexKey(consentKey, int64(id)))
	if value == nil || err != nil {
		return ledger.Consent{}, false, err
	}
	c, err := decodeConsent(id, value)
	return c, err == nil, err
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
