package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// What waits for an answer from outside: requests under Art. 15 to 22 GDPR and
// recipients that were notified. A row is there for as long as it waits.

// A request's row: received:8 due:8 (Unix seconds) extended:1.
const rightsSize = 17

func encodeRights(q *ledger.RightsRequest) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, rightsSize), uint64(q.Received.Unix()))
	b = binary.BigEndian.AppendUint64(b, uint64(q.Due.Unix()))
	if q.Extended {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeRights(i ledger.Index, b []byte) (ledger.RightsRequest, error) {
	if len(b) != rightsSize || b[16] > 1 {
		return ledger.RightsRequest{}, fmt.Errorf("%w: row of the request of entry %d", ErrDamaged, i)
	}
	second := func(b []byte) time.Time { return time.Unix(int64(binary.BigEndian.Uint64(b)), 0).UTC() }
	return ledger.RightsRequest{Index: i, Received: second(b), Due: second(b[8:]), Extended: b[16] == 1}, nil
}

// appendWaiting appends the rows of what waits, and those without a value of what
// waits no more.
func (l *layer) appendWaiting(rows []row) []row {
	for i, q := range l.rights {
		r := row{key: indexKey(rightsRow, int64(i))}
		if q != nil {
			r.value = encodeRights(q)
		}
		rows = append(rows, r)
	}
	for i, open := range l.notifications {
		r := row{key: indexKey(noticedRow, int64(i))}
		if open {
			r.value = []byte{}
		}
		rows = append(rows, r)
	}
	return rows
}

func getRights(txn *badger.Txn, i ledger.Index) (ledger.RightsRequest, bool, error) {
	value, err := get(txn, indexKey(rightsRow, int64(i)))
	if value == nil || err != nil {
		return ledger.RightsRequest{}, false, err
	}
	q, err := decodeRights(i, value)
	return q, err == nil, err
}

func getNotification(txn *badger.Txn, i ledger.Index) (open bool, err error) {
	value, err := get(txn, indexKey(noticedRow, int64(i)))
	return value != nil, err
}

// RightsRequest gives a request under Art. 15 to 22 GDPR that waits for its answer.
func (p *Snapshot) RightsRequest(i ledger.Index) (ledger.RightsRequest, bool, error) {
	return getRights(p.txn, i)
}

// OpenRights calls yield for the requests under Art. 15 to 22 GDPR that wait for
// their answer, ascending by index, until it gives an error, which is returned.
func (p *Snapshot) OpenRights(yield func(ledger.RightsRequest) error) error {
	return eachRow(p.txn, rightsRow, func(key, value []byte) error {
		q, err := decodeRights(ledger.Index(indexOf(key)), value)
		if err != nil {
			return err
		}
		return yield(q)
	})
}

// Notification reports whether entry i is a recipient.notified that waits to be
// acknowledged.
func (p *Snapshot) Notification(i ledger.Index) (open bool, err error) {
	return getNotification(p.txn, i)
}

// OpenNotifications lists the recipient.notified entries that wait to be
// acknowledged, ascending.
func (p *Snapshot) OpenNotifications() (list []ledger.Index, err error) {
	err = eachRow(p.txn, noticedRow, func(key, _ []byte) error {
		list = append(list, ledger.Index(indexOf(key)))
		return nil
	})
	return list, err
}

// RightsRequest is [Snapshot.RightsRequest] of the log as it will be.
func (g *Group) RightsRequest(i ledger.Index) (ledger.RightsRequest, bool, error) {
	if q, ok := g.now.rights[i]; ok {
		return rightsOf(q)
	}
	return getRights(g.before.txn, i)
}

// Notification is [Snapshot.Notification] of the log as it will be.
func (g *Group) Notification(i ledger.Index) (open bool, err error) {
	if open, ok := g.now.notifications[i]; ok {
		return open, nil
	}
	return getNotification(g.before.txn, i)
}

// OpenRights is [Snapshot.OpenRights] of the log as it will be, in no order.
func (g *Group) OpenRights(yield func(ledger.RightsRequest) error) error {
	for _, q := range g.now.rights {
		if q != nil {
			if err := yield(*q); err != nil {
				return err
			}
		}
	}
	return g.before.OpenRights(func(q ledger.RightsRequest) error {
		if _, newer := g.now.rights[q.Index]; newer {
			return nil
		}
		return yield(q)
	})
}

// RightsRequest implements [ledger.Referred].
func (d *draft) RightsRequest(i ledger.Index) (ledger.RightsRequest, bool, error) {
	if q, ok := d.layer.rights[i]; ok {
		return rightsOf(q)
	}
	return d.g.RightsRequest(i)
}

// Notification implements [ledger.Referred].
func (d *draft) Notification(i ledger.Index) (open bool, err error) {
	if open, ok := d.layer.notifications[i]; ok {
		return open, nil
	}
	return d.g.Notification(i)
}

func rightsOf(q *ledger.RightsRequest) (ledger.RightsRequest, bool, error) {
	if q == nil {
		return ledger.RightsRequest{}, false, nil
	}
	return *q, true, nil
}
