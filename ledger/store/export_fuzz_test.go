package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"

	"github.com/consentledger/consentledger/ledger"
)

// CheckRow opens and checks the log as it would be if a row had another value, and
// says what was found. Nothing is written.
func (s *Store) CheckRow(key, value []byte) error {
	p := s.Snapshot()
	defer p.Release()
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	if err := txn.Set(key, value); err != nil {
		return err
	}
	q := &Snapshot{store: s, txn: txn, checkpoint: p.checkpoint}
	if err := q.load(); err != nil {
		return err
	}
	if _, err := q.Check(nil); err != nil {
		return err
	}
	return q.walk()
}

// walk reads what is read of consents one by one. Only one iterator at a time may be
// open in a transaction that writes.
func (p *Snapshot) walk() error {
	walk := p.WalkMentions()
	all := map[ledger.ConsentID]int{}
	for id := ledger.ConsentID(0); id < ledger.ConsentID(p.meta.Size); id++ {
		list, err := walk.Of(id)
		if err != nil {
			walk.Close()
			return err
		}
		if len(list) > 0 {
			all[id] = len(list)
		}
	}
	walk.Close()
	for id, want := range all {
		n := 0
		if err := p.Mentions(id, ledger.Index(p.meta.Size), func(ledger.Index, ledger.Kind) bool { n++; return true }); err != nil {
			return err
		}
		if n != want {
			return errors.New("two ways to the mentions of a consent give two numbers")
		}
		if err := p.Referring(ledger.Index(id), func(ledger.Index, ledger.Kind) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// Row gives the value of a row; nil means that there is none.
func (s *Store) Row(key []byte) ([]byte, error) {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	return get(txn, key)
}

// ReencodeRow decodes what a row holds, by the first byte of its key, and encodes it
// again; nil means that such rows are not decoded, or that it was refused.
func ReencodeRow(kind byte, value []byte) ([]byte, error) {
	switch kind {
	case consentKey:
		c, o, err := decodeConsent(7, value)
		if err != nil {
			return nil, err
		}
		return encodeConsent(c, o), nil
	case lockKey:
		l, err := decodeLock(ledger.Hash{7}, value)
		if err != nil {
			return nil, err
		}
		return encodeLock(l), nil
	case erasureRow:
		i, err := decodeIndex("an erasure", value)
		if err != nil {
			return nil, err
		}
		return encodeIndex(i), nil
	case rightsRow:
		q, err := decodeRights(7, value)
		if err != nil {
			return nil, err
		}
		return encodeRights(&q), nil
	case tileRow:
		hashes, err := splitHashes(value, 0, 7)
		if err != nil {
			return nil, err
		}
		var b []byte
		for _, h := range hashes {
			b = append(b, h[:]...)
		}
		return b, nil
	}
	return nil, nil
}

// RewriteHead reads a head file and gives the checkpoint and the sequence number that
// it holds, and what a file holds to which the checkpoint is written again.
func RewriteHead(dir string, file []byte) (checkpoint []byte, seq uint64, again []byte, err error) {
	name := filepath.Join(dir, "head")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		return nil, 0, nil, err
	}
	h, checkpoint, err := openHead(dir)
	if err != nil {
		return nil, 0, nil, err
	}
	seq, checkpoint = h.seq, bytes.Clone(checkpoint)
	err = errors.Join(h.write(checkpoint), h.close())
	if err == nil {
		again, err = os.ReadFile(name)
	}
	return checkpoint, seq, again, err
}
