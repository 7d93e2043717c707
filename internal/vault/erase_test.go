package vault

import (
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/consentledger/consentledger/ledger"
)

// TestMain keeps the property test to what a vault on disk can do in seconds.
func TestMain(m *testing.M) {
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "rapid.checks" })
	if !set {
		flag.Set("rapid.checks", "15")
	}
	os.Exit(m.Run())
}

// copyOf copies the vault's directory and root keys as they lie.
func copyOf(t testing.TB, opt Options) (dir string) {
	t.Helper()
	dir = t.TempDir()
	from := filepath.Dir(opt.Dir)
	check(t, filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := must[string](t)(filepath.Rel(from, path))
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(dir, rel), 0o700)
		}
		return copyFile(path, filepath.Join(dir, rel))
	}))
	return dir
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// checkOldKeys makes sure that nothing which wrapped a key of the erased before
// is in force now.
func checkOldKeys(t tb, v *Vault, e *erasure, before *tree, oldRoot rootKey) {
	t.Helper()
	if v.root.generation != oldRoot.generation+1 || v.root.key == oldRoot.key || v.tree.generation != v.root.generation {
		t.Fatalf("root generation %d after %d, tree %d", v.root.generation, oldRoot.generation, v.tree.generation)
	}
	state := v.keeper.Read()
	if state.currentErr != nil || state.current != v.root || !errors.Is(state.stagedErr, fs.ErrNotExist) {
		t.Fatalf("root key file: %v, staged: %v", state.currentErr, state.stagedErr)
	}
	present := make(map[secret]bool)
	for s := range v.tree.shards {
		present[v.tree.shards[s].key] = true
	}
	for id := range e.omit {
		s := shardOf(id[0], []byte(id[1:]))
		if present[before.shards[s].key] {
			t.Fatalf("the key of shard %d, which wrapped a key of the erased, is still in force", s)
		}
	}
	row, _, err := readOne(v.db, keyRoot())
	check(t, err)
	if opensRoot(oldRoot, row) {
		t.Fatal("the old root key opens the root row")
	}
	for key := range dump(t, v) {
		if key[0] == rowErasure {
			t.Fatal("the list of dead rows is still there")
		}
	}
}

// crowd gives p one more consent in each shard that an erasure of ids would
// touch, so that these shards have a survivor; the ids of the consents are from
// next on. Among few people in 4096 shards it would hardly happen.
func crowd(t tb, v *Vault, p *person, ids []ledger.ConsentID, next ledger.ConsentID) ledger.ConsentID {
	t.Helper()
	e := must[*erasure](t)(v.planErasure(ids))
	b := v.Begin()
	for _, s := range e.touched() {
		for ; shardOf(rowConsent, idConsent(next)) != s; next++ {
		}
		d := b.Draft()
		p.insert(t, v, d, next)
		check(t, d.Keep())
		next++
	}
	must[GroupRecord](t)(b.Commit(ledger.Size(next), 1, ledger.Hash{}))
	return next
}

// TestErase runs random inserts and erasures against a model that knows what it
// put in.
func TestErase(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp("", "vault-*")
		check(r, err)
		defer os.RemoveAll(dir)
		opt := optionsIn(dir)
		opt.testOnlyTxnRows = 7
		check(r, Create(opt, testOrigin))
		v := must[*Vault](r)(Open(opt))
		defer func() { v.Close() }()
		var people []*person
		next := ledger.ConsentID(1)
		steps := rapid.IntRange(1, 12).Draw(r, "steps")
		for range steps {
			switch rapid.SampledFrom([]string{"add", "add", "add", "more", "erase", "erase", "reopen"}).Draw(r, "step") {
			case "add":
				n := rapid.IntRange(1, 40).Draw(r, "people")
				people = append(people, addPeople(r, v, n, next)...)
				next += ledger.ConsentID(n)
			case "more":
				b := v.Begin()
				for _, p := range people {
					if p.erased || rapid.Bool().Draw(r, "skip") {
						continue
					}
					d := b.Draft()
					p.insert(r, v, d, next)
					check(r, d.Keep())
					next++
				}
				must[GroupRecord](r)(b.Commit(ledger.Size(next), 1, ledger.Hash{}))
			case "erase":
				next = eraseSome(r, v, people, next)
			case "reopen":
				check(r, v.Close())
				v = must[*Vault](r)(Open(opt))
			}
		}
		for _, p := range people {
			p.verify(r, v)
		}
	})
}

// eraseSome erases randomly chosen people, named by one of their consents each.
func eraseSome(r *rapid.T, v *Vault, people []*person, next ledger.ConsentID) ledger.ConsentID {
	ids := []ledger.ConsentID{1 << 40} // nobody's
	some := false
	for _, p := range people {
		if rapid.IntRange(0, 3).Draw(r, "erase") > 0 {
			continue
		}
		some = some || !p.erased
		ids = append(ids, rapid.SampledFrom(p.consents).Draw(r, "consent"))
		p.erased = true
	}
	for _, p := range people {
		if !p.erased {
			next = crowd(r, v, p, ids, next)
			break
		}
	}
	e := must[*erasure](r)(v.planErasure(ids))
	before, oldRoot := v.tree, v.root
	s := must[Shredded](r)(v.Erase(ids))
	if some {
		checkOldKeys(r, v, e, before, oldRoot)
	} else if v.root != oldRoot {
		r.Fatal("an erasure of nobody replaced the root key")
	}
	if s.Generation != v.root.generation || s.Medium != "file" || s.ContentsDestroyedAt.IsZero() {
		r.Fatalf("shredded %v, root %d", s, v.root.generation)
	}
	rows := dump(r, v)
	for _, key := range e.dead {
		if _, ok := rows[string(key)]; ok {
			r.Fatalf("a row of kind %q of an erased person is still there", key[0])
		}
	}
	for _, p := range people {
		p.verify(r, v)
	}
	return next
}

func TestEraseNobody(t *testing.T) {
	v := newVault(t, testOptions(t))
	p := addPeople(t, v, 2, 5)[0]
	s := must[Shredded](t)(v.Erase(nil))
	if s.Generation != 1 || s.ContentsDestroyedAt.IsZero() {
		t.Errorf("shredded %v", s)
	}
	must[Shredded](t)(v.Erase([]ledger.ConsentID{0})) // the ledger's own has no consent row
	first := must[Shredded](t)(v.Erase(p.consents))
	again := must[Shredded](t)(v.Erase(p.consents))
	if first != again || first.Generation != 2 {
		t.Errorf("shredded %v, then %v", first, again)
	}
	check(t, v.loadLedger())
}

// A person who comes back after an erasure is another person.
func TestComingBack(t *testing.T) {
	v := newVault(t, testOptions(t))
	gone := addPeople(t, v, 1, 5)[0]
	must[Shredded](t)(v.Erase(gone.consents))
	back := newPerson(5)
	b := v.Begin()
	d := b.Draft()
	back.insert(t, v, d, 6)
	check(t, d.Keep())
	must[GroupRecord](t)(b.Commit(6, 1, ledger.Hash{}))
	back.verify(t, v)
	if back.email != gone.email || back.token == gone.token {
		t.Error("the old manage token is back")
	}
	if _, ok, err := v.SubjectOf(5); ok || err != nil {
		t.Errorf("SubjectOf the old consent: %v, %v", ok, err)
	}
}

// Readers never see a survivor fail, nor an erased person half.
func TestReadersDuringErasure(t *testing.T) {
	v := newVault(t, testOptions(t))
	people := addPeople(t, v, 60, 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				p := people[30+n%30] // they survive
				s, ok, err := v.FindSubject(v.IndexKey("email", p.email))
				if err != nil || !ok {
					t.Errorf("FindSubject: %v, %v", ok, err)
					return
				}
				if ids, err := v.Consents(s); err != nil || len(ids) != 1 {
					t.Errorf("Consents: %d, %v", len(ids), err)
					return
				}
				if _, _, err := v.SubjectOf(people[n%30].consents[0]); err != nil {
					t.Errorf("SubjectOf: %v", err)
					return
				}
			}
		})
	}
	for i := range 30 {
		must[Shredded](t)(v.Erase(people[i].consents))
		people[i].erased = true
	}
	close(stop)
	wg.Wait()
	for _, p := range people {
		p.verify(t, v)
	}
}
