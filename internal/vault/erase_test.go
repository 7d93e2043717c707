package vault

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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

// copyFile copies a file without its holes: Badger's logs are mostly holes.
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
	defer out.Close()
	b, zeros := make([]byte, 1<<16), make([]byte, 1<<16)
	for at := int64(0); ; {
		n, err := in.ReadAt(b, at)
		if n > 0 && !bytes.Equal(b[:n], zeros[:n]) {
			if _, err := out.WriteAt(b[:n], at); err != nil {
				return err
			}
		}
		if at += int64(n); err == io.EOF {
			return out.Truncate(at)
		} else if err != nil {
			return err
		}
	}
}

// checkOldKeys makes sure that nothing which wrapped a key that went is in force
// now.
func checkOldKeys(t tb, v *Vault, p *pass, before *tree, oldRoot rootKey) {
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
	for _, m := range p.shards {
		for id := range m.rows {
			if present[before.shards[shardOf(id[0], []byte(id[1:]))].key] {
				t.Fatalf("the key of a shard with a row of type %q that went is still in force", id[0])
			}
		}
	}
	row, _, err := readOne(v.db, keyRoot())
	check(t, err)
	if opensRoot(oldRoot, row) {
		t.Fatal("the old root key opens the root row")
	}
	for key := range dump(t, v) {
		if key[0] == rowErasure || key[0] == rowShard && key[shardKeySize] == rowPlan {
			t.Fatalf("a row of kind %q is still there", key[0])
		}
	}
}

// TestPasses runs random inserts, changes and passes against a model that knows
// what it put in.
func TestPasses(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp("", "vault-*")
		check(r, err)
		defer os.RemoveAll(dir)
		opt := optionsIn(dir)
		opt.testOnlyTxnRows = 7
		check(r, Create(opt, testOrigin))
		v := must[*Vault](r)(Open(opt))
		defer func() { v.Close() }()
		m := &model{next: 1}
		steps := rapid.IntRange(1, 12).Draw(r, "steps")
		for range steps {
			switch rapid.SampledFrom([]string{"add", "add", "more", "change", "change", "change", "reopen", "reindex", "half"}).Draw(r, "step") {
			case "add":
				n := rapid.IntRange(1, 30).Draw(r, "people")
				m.people = append(m.people, addPeople(r, v, n, m.next)...)
				m.next += ledger.ConsentID(n)
			case "more":
				m.addMore(r, v)
			case "change":
				m.changeSome(r, v)
			case "reopen":
				check(r, v.Close())
				v = must[*Vault](r)(Open(opt))
			case "reindex":
				reindex(r, v)
				m.verify(r, v)
			case "half": // of a re-key, which a later one ends
				v.opt.testOnlyStep = func(name string) error {
					if name == "reindex rows added" {
						return errCrash
					}
					return nil
				}
				if _, err := v.Reindex(context.Background(), nil); err != nil {
					check(r, v.Close())
					v = must[*Vault](r)(Open(opt))
				}
				v.opt.testOnlyStep = nil
				m.verify(r, v)
			}
		}
		check(r, v.Close())
		v = must[*Vault](r)(Open(opt))
		m.verify(r, v)
	})
}

// model is what the property test knows.
type model struct {
	people []*person
	next   ledger.ConsentID
}

func (m *model) verify(r *rapid.T, v *Vault) {
	r.Helper()
	for _, p := range m.people {
		p.verify(r, v)
	}
}

// addMore gives some people more consents, and some another identifier.
func (m *model) addMore(r *rapid.T, v *Vault) {
	b := v.Begin()
	defer b.Discard()
	for _, p := range m.people {
		if p.erased || rapid.Bool().Draw(r, "skip") {
			continue
		}
		d := b.Draft()
		if p.locked {
			if s, _, err := d.SubjectOf(p.consents[0]); err != nil || d.AddIdentifier(s, Identifier{"phone", "x"}, 1) == nil {
				r.Fatal("a locked person takes an identifier:", err)
			}
			continue
		}
		p.insert(r, v, d, m.next)
		if rapid.IntRange(0, 2).Draw(r, "identifier") == 0 {
			s, _, err := d.SubjectOf(m.next)
			check(r, err)
			id := Identifier{"phone", fmt.Sprint("+49", m.next)}
			check(r, d.AddIdentifier(s, id, ledger.Index(m.next)))
			p.ids = append(slices.Clone(p.ids), id)
		}
		check(r, d.Keep())
		m.next++
	}
	must[GroupRecord](r)(b.Commit(ledger.Size(m.next), 1, ledger.Hash{}))
}

// draw draws a change that the person can have.
func (p *person) draw(r *rapid.T) (c Change) {
	some := func(label string, n int) (chosen []int) {
		for i := range n {
			if len(chosen) < n-1 && rapid.Bool().Draw(r, label) {
				chosen = append(chosen, i)
			}
		}
		return chosen
	}
	switch kind := rapid.IntRange(0, 5).Draw(r, "kind"); {
	case kind == 0:
		return Change{Erase: true}
	case kind == 1 && !p.locked:
		return Change{Lock: true}
	}
	for _, i := range some("consent", len(p.consents)) {
		c.Consents = append(c.Consents, p.consents[i])
	}
	for _, i := range some("identifier", len(p.ids)) {
		c.Identifiers = append(c.Identifiers, p.ids[i])
	}
	if len(c.Consents)+len(c.Identifiers) == 0 || rapid.Bool().Draw(r, "channel") {
		c.Channels = []string{"email"}
	}
	return c
}

// changeSome changes some of the people in a pass, and everything that a pass
// promises is checked.
func (m *model) changeSome(r *rapid.T, v *Vault) {
	chosen := make(map[*person]Change)
	var order, others []*person
	for _, p := range m.people {
		switch {
		case p.erased:
		case rapid.IntRange(0, 3).Draw(r, "change") > 0:
			others = append(others, p)
		default:
			chosen[p] = p.draw(r)
			order = append(order, p)
			plan(r, v, chosen[p], p)
		}
	}
	for _, p := range others {
		if !p.locked {
			m.next = crowd(r, v, p, m.next)
			break
		}
	}
	p := planOf(r, v)
	dead := deadOf(r, v, p)
	before, oldRoot := v.tree, v.root
	s := carryOut(r, v)
	for _, p := range order {
		p.changed(chosen[p])
	}
	if len(order) > 0 {
		checkOldKeys(r, v, p, before, oldRoot)
	} else if v.root != oldRoot {
		r.Fatal("a pass without plans replaced the root key")
	}
	if s.Generation != v.root.generation || s.Medium != "file" || s.ContentsDestroyedAt.IsZero() {
		r.Fatalf("shredded %v, root %d", s, v.root.generation)
	}
	rows := dump(r, v)
	for _, key := range dead {
		if _, ok := rows[string(key)]; ok {
			r.Fatalf("a dead row of kind %q is still there", key[0])
		}
	}
	m.verify(r, v)
}

func TestNothingPlanned(t *testing.T) {
	v := newVault(t, testOptions(t))
	p := addPeople(t, v, 2, 5)[0]
	before := dump(t, v)
	s := carryOut(t, v)
	if s.Generation != 1 || s.ContentsDestroyedAt.IsZero() {
		t.Errorf("shredded %v", s)
	}
	if err := sameRows(before, dump(t, v)); err != nil {
		t.Error(err)
	}
	first := erase(t, v, p)
	again := carryOut(t, v)
	if first != again || first.Generation != 2 {
		t.Errorf("shredded %v, then %v", first, again)
	}
	check(t, v.loadLedger())
}

// A person who comes back after an erasure is another person.
func TestComingBack(t *testing.T) {
	v := newVault(t, testOptions(t))
	gone := addPeople(t, v, 1, 5)[0]
	erase(t, v, gone)
	back := newPerson(5)
	inGroup(t, v, func(d *Draft) { back.insert(t, v, d, 6) })
	back.verify(t, v)
	if back.email != gone.email || back.token == gone.token || back.slot == gone.slot {
		t.Error("the old manage token or slot is back")
	}
	gone.verify(t, v)
}

// Readers never see a survivor fail, nor an erased person half.
func TestReadersDuringPasses(t *testing.T) {
	v := newVault(t, testOptions(t))
	people := addPeople(t, v, 60, 1)
	for i, p := range people { // a second consent, to be dropped from some
		inGroup(t, v, func(d *Draft) { p.insert(t, v, d, ledger.ConsentID(100+i)) })
	}
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
				err := v.View(func(w View) error {
					p := people[30+n%30] // they survive
					s, ok, err := w.FindSubject(p.ids[0])
					if err != nil || !ok {
						return fmt.Errorf("FindSubject: %v, %v", ok, err)
					}
					ids, err := w.Consents(s)
					if err != nil || len(ids) < 1 || len(ids) > 2 {
						return fmt.Errorf("Consents: %d, %v", len(ids), err)
					}
					for _, id := range ids {
						if k, ok, err := w.KeyOf(id); !ok || err != nil || k != p.keys[id] {
							return fmt.Errorf("KeyOf: %v, %v", ok, err)
						}
					}
					_, _, err = w.SubjectOf(people[n%30].consents[0])
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	drop := make([]Change, 30)
	for i := range drop {
		drop[i] = Change{Consents: []ledger.ConsentID{people[30+i].consents[i%2]}}
		plan(t, v, Change{Erase: true}, people[i])
		plan(t, v, drop[i], people[30+i])
		carryOut(t, v)
	}
	close(stop)
	wg.Wait()
	for i := range drop {
		people[i].changed(Change{Erase: true})
		people[30+i].changed(drop[i])
	}
	for _, p := range people {
		p.verify(t, v)
	}
}
