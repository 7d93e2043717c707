package vault

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// RecallState says what is known of an idempotency key.
type RecallState int

const (
	// NeverSeen: no request with this key in the last 24 to 48 hours.
	NeverSeen RecallState = iota
	// Seen: the request was answered; [Remembered] says how.
	Seen
	// PersonErased: the request was answered and its person was erased since,
	// or got a new key, as when less than the person was erased: how it was
	// answered might tell what is gone.
	PersonErased
)

// Remembered is what is kept of a request that was answered.
type Remembered struct {
	Subject *Subject
	// Indexes are the entries that the request wrote or was answered with.
	Indexes []ledger.Index
	// Request is the [Vault.RequestMAC] of the request.
	Request [32]byte
	// Extra is what the caller gave to Remember, opaque here.
	Extra []byte
}

// RequestMAC gives the mark by which a retry is told from another request under
// the same idempotency key. It is keyed under the ledger's own slot, which never
// changes, so marks of one request are equal however long the row lives; the
// row itself can be read only while the person and the key of the day exist.
func (v *Vault) RequestMAC(source, key string, request []byte) [32]byte {
	m := append(u32(uint32(len(source))), source...)
	m = append(m, u32(uint32(len(key)))...)
	m = append(m, key...)
	m = append(m, request...)
	return macOf(v.requestKey, m)
}

// idempotencyID gives the id of the row for a key that is remembered on day d.
func idempotencyID(d dayKey, source, key string) []byte {
	return idIdempotency(d, macOf(d.key, []byte(source+"\x00"+key)))
}

// idempotencyKey is what the inner part is sealed under. The key of the day is
// in it so that a row in the ledger's own slot, which no erasure reaches, can
// be read no longer than that key exists.
func idempotencyKey(s *Subject, d dayKey) cipher.AEAD {
	return under(s.key, "idempotency", string(d.key[:]))
}

// requestMark tells whether a row was written under the person's present key.
func requestMark(s *Subject) []byte { return prf(s.key, "request", nil)[:markSize] }

// Recall looks up an idempotency key of a source.
func (w View) Recall(source, key string) (Remembered, RecallState, error) {
	for _, d := range w.tree.days {
		id := idempotencyID(d, source, key)
		slot, rest, ok, err := w.named(rowIdempotency, id, markSize)
		if err != nil {
			return Remembered{}, NeverSeen, err
		}
		if !ok {
			continue
		}
		if err := w.unchanging(slot); err != nil {
			return Remembered{}, NeverSeen, err
		}
		s, ok, err := w.subject(slot)
		if err != nil {
			return Remembered{}, NeverSeen, err
		}
		if !ok || !bytes.Equal(rest[:markSize], requestMark(s)) {
			return Remembered{}, PersonErased, nil
		}
		inner, err := open(idempotencyKey(s, d), rest[markSize:], innerLabel(id))
		if err != nil {
			return Remembered{}, NeverSeen, fmt.Errorf("idempotency row: %w", err)
		}
		r, err := parseInner(inner)
		if err != nil {
			return Remembered{}, NeverSeen, err
		}
		r.Subject = s
		return r, Seen, nil
	}
	return Remembered{}, NeverSeen, nil
}

// innerLabel is the associated data of the inner part. It leaves out the
// generation, because an erasure moves the inner part without opening it.
func innerLabel(id []byte) []byte { return append([]byte{rowIdempotency}, id...) }

// encodeInner: mark (32), count u32, indexes u64 each, extra.
func encodeInner(request [32]byte, indexes []ledger.Index, extra []byte) []byte {
	b := append([]byte(nil), request[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(indexes)))
	for _, i := range indexes {
		b = binary.BigEndian.AppendUint64(b, uint64(i))
	}
	return append(b, extra...)
}

func parseInner(b []byte) (r Remembered, err error) {
	if len(b) < 36 || uint64(len(b)-36) < 8*uint64(binary.BigEndian.Uint32(b[32:])) {
		return r, fmt.Errorf("%w: an idempotency row's inner part has %d bytes", ErrDamaged, len(b))
	}
	copy(r.Request[:], b)
	count := binary.BigEndian.Uint32(b[32:])
	for b = b[36:]; count > 0; count-- {
		r.Indexes = append(r.Indexes, ledger.Index(binary.BigEndian.Uint64(b)))
		b = b[8:]
	}
	r.Extra = b
	return r, nil
}

// RotateDayKeys draws a new key of the day when now lies on a later day of UTC
// than the newest one, keeps the one of the day before and drops older ones with
// their rows. The writer calls it before a group, and after opening: then a key
// is kept for at least 24 and at most 48 hours. A clock that goes back changes
// nothing. A dropped key is beyond reach only after the next erasure, which
// destroys the ROOT that wrapped it.
func (v *Vault) RotateDayKeys(now time.Time) error {
	day := uint32(max(now.Unix(), 0) / 86400)
	if !v.dayIsNewer(day) {
		return nil
	}
	v.writing.Lock()
	defer v.writing.Unlock()
	if err := v.stopped(); err != nil {
		return err
	}
	if !v.dayIsNewer(day) {
		return nil
	}
	next := *v.tree
	if next.days[1] = next.days[0]; next.days[1].day+1 != day {
		next.days[1] = dayKey{day - 1, newSecret()}
	}
	next.days[0] = dayKey{day, newSecret()}
	if err := v.replaceTree(&next, v.root, func() {}); err != nil {
		return v.stop(fmt.Errorf("changing the key of the day: %w", err))
	}
	if err := v.step("day keys replaced"); err != nil {
		return v.stop(err)
	}
	if err := v.sweepIdempotency(&next, day-1); err != nil {
		return v.stop(fmt.Errorf("deleting old idempotency rows: %w", err))
	}
	return nil
}

func (v *Vault) dayIsNewer(day uint32) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return day > v.tree.days[0].day
}

// sweepIdempotency deletes the idempotency rows of days before the given one,
// also those that an earlier sweep did not reach.
func (v *Vault) sweepIdempotency(t *tree, before uint32) error {
	return v.deleteFound("idempotency swept", func(txn *badger.Txn, found func(key []byte)) error {
		eachShardKey(txn, t, rowIdempotency, func(key []byte) bool {
			if binary.BigEndian.Uint32(key[shardKeySize+1:]) >= before {
				return false // days ascend within a shard
			}
			found(bytes.Clone(key))
			return true
		})
		return nil
	})
}
