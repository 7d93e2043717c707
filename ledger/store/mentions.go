package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// mention is an entry that mentions a consent and moves nothing.
type mention struct {
	index ledger.Index
	kind  ledger.Kind
}

// eachMention calls yield for the entries that mention a consent, the newest
// first, from the one before `before` on, until it gives false.
func eachMention(txn *badger.Txn, id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error {
	prefix := indexKey(mentionRow, int64(id))
	it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 4, Reverse: true, Prefix: prefix})
	defer it.Close()
	for it.Seek(mentionKey(id, before-1)); it.Valid(); it.Next() {
		key := it.Item().Key()
		if len(key) != len(prefix)+8 {
			return fmt.Errorf("%w: a mention of consent %d", ErrDamaged, id)
		}
		more := false
		err := it.Item().Value(func(v []byte) error {
			more = yield(ledger.Index(binary.BigEndian.Uint64(key[len(prefix):])), ledger.Kind(v))
			return nil
		})
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		if !more {
			break
		}
	}
	return nil
}

func mentionKey(id ledger.ConsentID, i ledger.Index) []byte {
	return binary.BigEndian.AppendUint64(indexKey(mentionRow, int64(id)), uint64(i))
}

// Mentions calls yield for the entries that mention the consent (`about`), the
// newest first, from the one before `before` on, until it gives false.
func (p *Snapshot) Mentions(id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error {
	if before < 1 {
		return nil
	}
	return eachMention(p.txn, id, before, yield)
}

// Mention is an entry that mentions a consent and moves nothing.
type Mention struct {
	Index ledger.Index
	Kind  ledger.Kind
}

// MentionWalk reads the mentions of one consent after the other, in one pass over
// their rows: whoever wants those of all consents needs no search for each. It is
// not safe for concurrent use; Close it before the snapshot is released.
type MentionWalk struct {
	it   *badger.Iterator
	list []Mention
}

// WalkMentions begins before the first consent.
func (p *Snapshot) WalkMentions() *MentionWalk {
	w := &MentionWalk{it: p.txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 256, Prefix: []byte{mentionRow}})}
	w.it.Rewind()
	return w
}

// Of gives the entries that mention a consent, ascending; they are good until the
// next call. The ids of the calls ascend.
func (w *MentionWalk) Of(id ledger.ConsentID) ([]Mention, error) {
	w.list = w.list[:0]
	for ; w.it.Valid(); w.it.Next() {
		key := w.it.Item().Key()
		if len(key) != 17 {
			return nil, fmt.Errorf("%w: a row of a mention", ErrDamaged)
		}
		at := ledger.ConsentID(binary.BigEndian.Uint64(key[1:]))
		if at > id {
			break
		} else if at < id {
			continue
		}
		i := ledger.Index(binary.BigEndian.Uint64(key[9:]))
		err := w.it.Item().Value(func(v []byte) error {
			w.list = append(w.list, Mention{i, ledger.Kind(v)})
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading the log: %w", err)
		}
	}
	return w.list, nil
}

// Close ends the walk.
func (w *MentionWalk) Close() { w.it.Close() }

// Mentions is [Snapshot.Mentions] of the log as it will be.
func (g *Group) Mentions(id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error {
	list := g.now.mentions[id]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].index < before && !yield(list[i].index, list[i].kind) {
			return nil
		}
	}
	return g.before.Mentions(id, before, yield)
}

// LastUse gives the newest consent.used about the consent, regular or not; false
// if there is none.
func (p *Snapshot) LastUse(id ledger.ConsentID) (ledger.Index, bool, error) {
	return lastUse(p.Mentions, id)
}

// LastUse is [Snapshot.LastUse] of the log as it will be.
func (g *Group) LastUse(id ledger.ConsentID) (ledger.Index, bool, error) {
	return lastUse(g.Mentions, id)
}

func lastUse(mentions func(ledger.ConsentID, ledger.Index, func(ledger.Index, ledger.Kind) bool) error, id ledger.ConsentID) (use ledger.Index, ok bool, err error) {
	err = mentions(id, math.MaxInt64, func(i ledger.Index, kind ledger.Kind) bool {
		if kind == ledger.ConsentUsed {
			use, ok = i, true
		}
		return !ok
	})
	return use, ok, err
}

// SizeAt gives how many entries the log had at a moment: those whose time is not
// after it, because times never decrease.
func (p *Snapshot) SizeAt(at time.Time) (ledger.Size, error) {
	var failed error
	n := sort.Search(int(p.meta.Size), func(i int) bool {
		text, err := p.Entry(ledger.Index(i))
		if err != nil {
			failed = errors.Join(failed, err)
			return true
		}
		e, err := ledger.ParseEntry(text)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%w: entry %d: %w", ErrDamaged, i, err))
			return true
		}
		return e.Time.After(at)
	})
	return ledger.Size(n), failed
}
