package store_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// taken is what an import needs of a log.
type taken struct {
	texts      [][]byte
	documents  map[int][][]byte
	checkpoint []byte
}

func take(t *testing.T, s *store.Store) taken {
	t.Helper()
	p := s.Snapshot()
	defer p.Release()
	l := taken{documents: map[int][][]byte{}, checkpoint: slices.Clone(p.Checkpoint())}
	err := p.Entries(0, int(p.Size()), func(i ledger.Index, text []byte) error {
		l.texts = append(l.texts, slices.Clone(text))
		e, err := ledger.ParseEntry(text)
		if err != nil {
			return err
		}
		l.documents[int(i)], err = p.Documents(e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// imported imports into a new directory and gives it.
func (l taken) imported(t *testing.T, companion []byte, accept bool) (dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	m, err := store.NewImport(store.Options{Dir: dir, MemTableBytes: badgerdb.MinMemTableBytes})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	for i, text := range l.texts {
		for _, d := range l.documents[i] {
			m.Document(d)
		}
		if err := m.Entry(text); err != nil {
			return dir, err
		}
	}
	p, err := m.Finish(l.checkpoint, companion)
	if err != nil {
		return dir, err
	}
	defer p.Release()
	policy, err := ledger.ParsePolicy(ledger.NewPolicy(testledger.Signer(t).Keys()))
	if err != nil {
		t.Fatal(err)
	}
	if rep, err := ledger.VerifyLog(context.Background(), p, ledger.VerifyOptions{Policy: policy}); err != nil {
		t.Errorf("the log before it is accepted: %s, %v", rep.Verdict, err)
	}
	if store.IsLedger(dir) {
		t.Error("it is a log before it is accepted")
	}
	if accept {
		err = m.Accept()
	}
	return dir, err
}

// TestImport: a log that is made anew from its entries is the same, opens with its keys
// and goes on.
func TestImport(t *testing.T) {
	t.Parallel()
	s := testledger.New(t, func(o *store.Options) { o.StateEntries, o.StateInterval = 200, time.Nanosecond })
	for range 5 {
		testledger.Fill(t, s, 1500) // more than one group of the import holds
		g, err := s.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if err := g.CommitState(g.Last()); err != nil {
			t.Fatal(err)
		}
		if err := g.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	l := take(t, s)
	dir, err := l.imported(t, []byte("the companion"), true)
	if err != nil {
		t.Fatal(err)
	}
	again, err := store.Open(store.Options{Dir: dir, Signer: testledger.Signer(t), MemTableBytes: badgerdb.MinMemTableBytes})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	testledger.Verify(t, again)
	was, is := s.Snapshot(), again.Snapshot()
	if !bytes.Equal(is.Checkpoint(), was.Checkpoint()) || is.Root() != was.Root() || string(is.Companion()) != "the companion" {
		t.Errorf("the import ends with %s and the companion %q", is.Checkpoint(), is.Companion())
	}
	at, _ := was.Committed()
	if got, ok := is.Committed(); !ok || got != at {
		t.Errorf("the newest state.committed is %d, want %d", got, at)
	}
	was.Release()
	is.Release()
	testledger.Fill(t, again, 500)
	testledger.Verify(t, again)
}

// TestImportRefuses is the table of what an import must not take.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	s := testledger.New(t)
	testledger.Fill(t, s, 40)
	for name, spoil := range map[string]func(l *taken){
		"no entry":               func(l *taken) { l.texts = nil },
		"an entry less":          func(l *taken) { l.texts = l.texts[:len(l.texts)-1] },
		"an entry left out":      func(l *taken) { l.texts = slices.Delete(l.texts, 20, 21) },
		"an entry twice":         func(l *taken) { l.texts = slices.Insert(l.texts, 20, l.texts[20]) },
		"another entry":          func(l *taken) { l.texts[30] = bytes.Replace(l.texts[30], []byte("shop"), []byte("shap"), 1) },
		"no entry at all":        func(l *taken) { l.texts[30] = []byte("x") },
		"a notice left out":      func(l *taken) { l.documents[3] = l.documents[3][:1] },
		"another text":           func(l *taken) { l.documents[3][0] = []byte("another") },
		"a text too many":        func(l *taken) { l.documents[5] = [][]byte{[]byte("nobody names it")} },
		"another checkpoint":     func(l *taken) { l.checkpoint = bytes.Replace(l.checkpoint, []byte("\n41\n"), []byte("\n40\n"), 1) },
		"an unsigned checkpoint": func(l *taken) { l.checkpoint = l.checkpoint[:bytes.Index(l.checkpoint, []byte("\n\n"))+2] },
	} {
		l := take(t, s)
		spoil(&l)
		if dir, err := l.imported(t, nil, true); err == nil || store.IsLedger(dir) {
			t.Errorf("%s: imported", name)
		}
	}
	dir, err := take(t, s).imported(t, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.NewImport(store.Options{Dir: dir, MemTableBytes: badgerdb.MinMemTableBytes}); err == nil {
		t.Error("imported over a log")
	}
}
