package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

func referKey(to, from ledger.Index) []byte {
	return binary.BigEndian.AppendUint64(indexKey(referRow, int64(to)), uint64(from))
}

// Referring calls yield for the entries that refer to entry i (`refers`), ascending,
// until it gives an error, which is returned. Of several parts each refers to what
// the first does.
func (p *Snapshot) Referring(i ledger.Index, yield func(ledger.Index, ledger.Kind) error) error {
	prefix := indexKey(referRow, int64(i))
	it := p.txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 8, Prefix: prefix})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().Key()
		if len(key) != len(prefix)+8 {
			return fmt.Errorf("%w: an entry that refers to entry %d", ErrDamaged, i)
		}
		from := ledger.Index(binary.BigEndian.Uint64(key[len(prefix):]))
		if err := it.Item().Value(func(v []byte) error { return yield(from, ledger.Kind(v)) }); err != nil {
			return err
		}
	}
	return nil
}

// referred compares the rows of what an entry refers to.
func (c *checker) referred(e *ledger.Entry) error {
	for _, i := range e.Refers {
		c.refers++
		if kind, err := get(c.p.txn, referKey(i, e.Index)); err != nil || string(kind) != string(e.Kind) {
			return errors.Join(err, fmt.Errorf("%w: that entry %d refers to entry %d is not stored as the entries give it", ErrDamaged, e.Index, i))
		}
	}
	return nil
}

// referRows counts what is referred to; each was compared with its entry.
func (c *checker) referRows() error {
	have, err := countRows(c.p.txn, referRow)
	if err == nil && have != c.refers {
		err = fmt.Errorf("%w: %d references to entries are stored, the entries give %d", ErrDamaged, have, c.refers)
	}
	return err
}
