package store_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// ourRows are the kinds of rows of the log's database whose every value is compared
// with the entries. Of the others, entries, tiles and texts count as far as entries
// lead to them, and of the newest group what opening and checking read.
const ourRows = "caflpnsuqdg"

// keyRows are those that say everything by their key.
const keyRows = "hrvkj"

// FuzzRow: another value of any row, and any row more, is found when the log is opened
// or checked, as an error.
func FuzzRow(f *testing.F) {
	opt, _ := tampered(f)
	s := open(f, opt)
	defer func() { closeStore(f, s) }()
	seen := map[byte]int{}
	err := s.DB().View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key := it.Item().KeyCopy(nil)
			value, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			if seen[key[0]]++; seen[key[0]] > 2 {
				continue
			}
			f.Add(key, value)
			f.Add(key, append(bytes.Clone(value), 0))
			f.Add(append(bytes.Clone(key), 0), value)
			f.Add(key[:len(key)-1], value)
			f.Add(key[:1], value)
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, kind := range []byte(ourRows + keyRows + "etxym") {
		if seen[kind] == 0 && kind != 'k' && kind != 'v' && kind != 'y' {
			f.Errorf("the log has no row of kind %q", kind)
		}
	}
	size := size(s)
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if len(key) == 0 || len(key) > 1000 || len(value) > 1<<16 || bytes.HasPrefix(key, []byte("!badger!")) {
			return // Badger takes no such row
		}
		if again, err := store.ReencodeRow(key[0], value); err == nil && again != nil && !bytes.Equal(again, value) {
			t.Errorf("a row of kind %q has two spellings: %x and %x", key[0], value, again)
		}
		was, err := s.Row(key)
		if err != nil {
			t.Fatal(err)
		}
		err = s.CheckRow(key, value)
		switch {
		case was != nil && bytes.Equal(was, value):
			if err != nil {
				t.Errorf("the row as it was: %v", err)
			}
		case err != nil && !errors.Is(err, store.ErrDamaged) && err.Error() == "":
			t.Error("no reason")
		case err != nil:
		case slices.Contains([]byte(ourRows), key[0]) && !sameJSON(was, value) || was == nil && slices.Contains([]byte(keyRows), key[0]) || was != nil && slices.Contains([]byte("etx"), key[0]):
			t.Errorf("the row %q with the value %q instead of %q: not found", key, value, was)
		case string(key) == "m" && !sameMeta(was, value):
			t.Errorf("the row of the newest group as %q instead of %q: not found", value, was)
		case len(key) == 9 && key[0] == 'e' && ledger.Size(key[8])+ledger.Size(key[7])<<8 < size && bytes.Equal(key[1:7], make([]byte, 6)):
			t.Errorf("entry %x changed: not found", key)
		}
	})
}

// sameJSON tells whether two rows are two spellings of the same JSON value.
func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// sameMeta tells whether two rows of the newest group differ only in what opening and
// checking do not compare: how many entries the group has, when the state was
// committed, and what belongs to the vault.
func sameMeta(a, b []byte) bool {
	type meta struct {
		Size  int64
		Root  []byte
		Leaf  []byte
		Last  string
		State int64
	}
	var x, y meta
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// FuzzHead: what a head file holds is what was written to it, however damaged it is,
// and the next checkpoint leaves it standing beside.
func FuzzHead(f *testing.F) {
	opt := options(f)
	s := open(f, opt)
	testledger.Fill(f, s, 3)
	testledger.Fill(f, s, 3)
	closeStore(f, s)
	good, err := os.ReadFile(filepath.Join(opt.Dir, "head"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:store.HeadSlotSize])
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good[store.HeadSlotSize:]), good[:store.HeadSlotSize]...))
	f.Add([]byte("CLhead"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, file []byte) {
		if len(file) > 4*store.HeadSlotSize {
			return
		}
		checkpoint, seq, again, err := store.RewriteHead(dir, file)
		if err != nil {
			return
		}
		if !bytes.Contains(file, checkpoint) {
			t.Errorf("%q is not in the file", checkpoint)
		}
		// The slot that was read last is still there.
		old := int(seq%2) * store.HeadSlotSize
		if !bytes.Equal(again[old:min(old+20+len(checkpoint)+4, len(again))], file[old:min(old+20+len(checkpoint)+4, len(file))]) {
			t.Error("the checkpoint before was written over")
		}
		read, next, _, err := store.RewriteHead(dir, again)
		if err != nil || next != seq+1 || !bytes.Equal(read, checkpoint) {
			t.Errorf("%d: %q is written and read as %d: %q, %v", seq, checkpoint, next, read, err)
		}
	})
}

// FuzzReadPath: a log is read where it is as from its export: by the paths of its
// files, and no file is another one's content.
func FuzzReadPath(f *testing.F) {
	s := open(f, options(f))
	defer func() { closeStore(f, s) }()
	testledger.Fill(f, s, 300)
	size := size(s)
	sum := sha256.Sum256([]byte(testledger.NoticeText))
	notice := "notices/" + hex.EncodeToString(sum[:])
	for _, path := range []string{"checkpoint", "trust.keys", notice, "tile/0/000", "tile/0/001.p/45", "tile/entries/000", "tile/entries/001.p/7", "tile/0/001", "anchors/" + notice[8:], "notices/00", "notices/..", "tile/0/../0/000", ""} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p := s.Snapshot()
		defer p.Release()
		b, err := p.ReadPath(t.Context(), path)
		level, n, width, tileErr := ledger.ParseTilePath(path)
		full, partial := ledger.TileRange(size, level)
		in := tileErr == nil && (n < full || n == full && width <= partial)
		switch {
		case err != nil && (!errors.Is(err, ledger.ErrMissing) || in || path == "checkpoint" || path == "trust.keys" || path == notice):
			t.Errorf("%q: %v", path, err)
		case err != nil:
		case strings.HasPrefix(path, "notices/") || strings.HasPrefix(path, "anchors/"):
			if sum := sha256.Sum256(b); !strings.EqualFold(hex.EncodeToString(sum[:]), path[8:]) {
				t.Errorf("%q has another hash", path)
			}
		case path != "checkpoint" && path != "trust.keys" && !in:
			t.Errorf("%q is in no export", path)
		}
	})
}
