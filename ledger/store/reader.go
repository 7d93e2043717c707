package store

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/ledger"
)

// The methods of this file are for those who only read. Each takes the
// published snapshot, reads what was asked for and releases it, so that nobody
// holds one while an answer travels over the network. They are safe for
// concurrent use until [Store.Close].

// Checkpoint gives the newest signed checkpoint and its size. The caller must
// not change the bytes.
func (s *Store) Checkpoint() ([]byte, ledger.Size) {
	p := s.Snapshot()
	defer p.Release()
	return p.Checkpoint(), p.Size()
}

// Keys gives the text of the log's key entries, the content of trust.keys.
func (s *Store) Keys() ([]byte, error) {
	p := s.Snapshot()
	defer p.Release()
	return p.Keys()
}

// Tile is [Snapshot.Tile] of the newest log.
func (s *Store) Tile(level int, n int64, width int) ([]byte, error) {
	p := s.Snapshot()
	defer p.Release()
	return p.Tile(level, n, width)
}

// EntryBundle is [Snapshot.EntryBundle] of the newest log.
func (s *Store) EntryBundle(n int64, width int) ([]byte, error) {
	p := s.Snapshot()
	defer p.Release()
	return p.EntryBundle(n, width)
}

// NoticeText is [Snapshot.NoticeText] of the newest log.
func (s *Store) NoticeText(sum ledger.Hash) ([]byte, error) {
	p := s.Snapshot()
	defer p.Release()
	return p.NoticeText(sum)
}

// maxPageBytes is where a page of entries ends early: a message that holds it,
// in base64 too, stays under the 4 MiB that gRPC clients accept.
const maxPageBytes = 2 << 20

// errPageFull ends the reading of a page; no caller sees it.
var errPageFull = errors.New("page is full")

// EntryPage gives up to limit entries from start on, at least 0: fewer when the
// log ends or the page reaches 2 MiB, none when start is the log's size or more.
// The bytes are the caller's.
func (s *Store) EntryPage(start ledger.Index, limit int) ([][]byte, error) {
	p := s.Snapshot()
	defer p.Release()
	if ledger.Size(start) >= p.Size() {
		return nil, nil
	}
	var page [][]byte
	size := 0
	err := p.Entries(start, limit, func(_ ledger.Index, b []byte) error {
		if size += len(b); size > maxPageBytes && len(page) > 0 {
			return errPageFull
		}
		page = append(page, append([]byte(nil), b...))
		return nil
	})
	if errors.Is(err, errPageFull) {
		err = nil
	}
	return page, err
}

// Receipt proves that entry i is in the log of a size, at most the newest, and
// gives the entry's leaf hash. The checkpoint of an older size is signed anew,
// dated like its last entry; it says nothing that the newest does not say. Of a
// size that retired keys signed it is [ErrRetired].
func (s *Store) Receipt(i ledger.Index, size ledger.Size) (*ledger.Receipt, ledger.Hash, error) {
	return s.ReceiptWith(i, size, nil)
}

// ReceiptWith is [Store.Receipt] with a checkpoint of this size that was signed
// before; nil is none.
func (s *Store) ReceiptWith(i ledger.Index, size ledger.Size, signed []byte) (*ledger.Receipt, ledger.Hash, error) {
	p := s.Snapshot()
	defer p.Release()
	proof, err := p.InclusionProof(i, size)
	if err != nil {
		return nil, ledger.Hash{}, err
	}
	entry, err := p.Entry(i)
	if err != nil {
		return nil, ledger.Hash{}, err
	}
	if signed == nil {
		if signed, err = p.checkpointAt(size); err != nil {
			return nil, ledger.Hash{}, err
		}
	}
	return &ledger.Receipt{Index: i, Proof: proof, Checkpoint: signed}, ledger.LeafHash(entry), nil
}

// checkpointAt gives a signed checkpoint of a size from 1 to the newest.
func (p *Snapshot) checkpointAt(size ledger.Size) ([]byte, error) {
	if size == p.meta.Size {
		return p.checkpoint, nil
	}
	if since := p.registry.keyEntry().Index; size <= ledger.Size(since) {
		return nil, fmt.Errorf("a checkpoint of %d entries: %w, with entry %d", size, ErrRetired, since)
	}
	root, err := p.rootAt(size)
	if err != nil {
		return nil, err
	}
	text, err := p.Entry(ledger.Index(size - 1))
	if err != nil {
		return nil, err
	}
	last, err := ledger.ParseEntry(text)
	if err != nil {
		return nil, fmt.Errorf("%w: entry %d: %w", ErrDamaged, size-1, err)
	}
	return p.signer.SignCheckpoint(
		ledger.Checkpoint{Origin: p.store.Origin(), Size: size, Root: root}, last.Time.Unix())
}

// rootAt gives the root of the tree over the first size entries.
func (p *Snapshot) rootAt(size ledger.Size) (ledger.Hash, error) {
	return tlog.TreeHash(int64(size), tlog.HashReaderFunc(p.readHashes))
}

// RootAt gives the root of the tree over the first size entries, which is at most the
// newest size; [ErrNotFound] beyond it.
func (s *Store) RootAt(size ledger.Size) (ledger.Hash, error) {
	p := s.Snapshot()
	defer p.Release()
	switch {
	case size < 0 || size > p.meta.Size:
		return ledger.Hash{}, fmt.Errorf("size %d of a log of %d: %w", size, p.meta.Size, ErrNotFound)
	case size == 0:
		return new(ledger.Tree).Root(), nil
	}
	return p.rootAt(size)
}

// ConsistencyProof is [Snapshot.ConsistencyProof] of the newest log.
func (s *Store) ConsistencyProof(old, size ledger.Size) ([]ledger.Hash, error) {
	p := s.Snapshot()
	defer p.Release()
	return p.ConsistencyProof(old, size)
}

// NoticeByHash gives the first version of a notice with this text or these
// facts, and the document, or [ErrNotFound].
func (s *Store) NoticeByHash(sum ledger.Hash) (first ledger.Notice, document []byte, err error) {
	p := s.Snapshot()
	defer p.Release()
	if document, err = p.NoticeText(sum); err != nil {
		return ledger.Notice{}, nil, err
	}
	p.Notices(func(n ledger.Notice) {
		if (n.SHA256 == sum || n.Facts == sum) && (first.ID == "" || n.Index < first.Index) {
			first = n
		}
	})
	if first.ID == "" {
		return ledger.Notice{}, nil, fmt.Errorf("%w: a document belongs to no notice", ErrDamaged)
	}
	return first, document, nil
}
