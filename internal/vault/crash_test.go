package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// crashCase is what a crash test knows of a vault.
type crashCase struct {
	people []*person
	// planned is what is planned of whom.
	planned map[*person]Change
	// late gets more consents while a pass runs.
	late *person
	// reindexing says that a re-key of the blind index is half done.
	reindexing bool
}

// newCrashCase makes a closed vault with people for some of whom changes of
// every kind are planned.
func newCrashCase(t *testing.T, reindexing bool) (opt Options, c *crashCase) {
	opt = testOptions(t)
	v := newVault(t, opt)
	blob := must[BlobRef](t)(v.PutBlob([]byte("an attachment")))
	c = &crashCase{reindexing: reindexing}
	b := v.Begin()
	for i := range 20 {
		p := newPerson(i)
		p.ids = append(p.ids, Identifier{"phone", fmt.Sprint("+49", i)})
		d := b.Draft()
		if i == 0 {
			p.blob, p.bytes = &blob, []byte("an attachment")
		}
		p.insert(t, v, d, ledger.ConsentID(2*i+1))
		check(t, d.Keep())
		d = b.Draft()
		p.insert(t, v, d, ledger.ConsentID(2*i+2))
		check(t, d.Keep())
		c.people = append(c.people, p)
	}
	must[GroupRecord](t)(b.Commit(1, 60, ledger.Hash{}))
	c.planned = map[*person]Change{
		c.people[0]:  {Erase: true},
		c.people[10]: {Erase: true},
		c.people[11]: {Lock: true},
		c.people[12]: {Consents: c.people[12].consents[:1]},
		c.people[13]: {Identifiers: c.people[13].ids[:1], Channels: []string{"email"}},
	}
	for p, change := range c.planned {
		plan(t, v, change, p)
	}
	crowd(t, v, c.people[5], 1000)
	c.late = c.people[6]
	if reindexing {
		v.opt.testOnlyTxnRows = 25
		v.opt.testOnlyStep = func(name string) error {
			if name == "reindex rows added" {
				return errCrash
			}
			return nil
		}
		if _, err := v.Reindex(context.Background(), nil); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
	}
	check(t, v.Close())
	return opt, c
}

// clone gives a case of which late can change.
func (c *crashCase) clone() *crashCase {
	late := *c.late
	late.consents, late.keys = slices.Clone(late.consents), maps.Clone(late.keys)
	late.claims, late.requests = maps.Clone(late.claims), maps.Clone(late.requests)
	people := slices.Clone(c.people)
	people[slices.Index(people, c.late)] = &late
	return &crashCase{people, c.planned, &late, c.reindexing}
}

// now gives the people as they are before or after everything planned was
// carried out.
func (c *crashCase) now(done bool) (people []*person) {
	for _, p := range c.people {
		q := *p
		if change, ok := c.planned[p]; ok && done {
			q.requests = maps.Clone(p.requests)
			q.changed(change)
		}
		people = append(people, &q)
	}
	return people
}

func (c *crashCase) verify(t *testing.T, v *Vault, done bool) {
	t.Helper()
	for _, p := range c.now(done) {
		p.verify(t, v)
	}
}

// rows counts the rows that the people have.
func (c *crashCase) rows(done bool) (n int) {
	for _, p := range c.now(done) {
		n += len(p.requests) // their outer rows stay
		if p.erased {
			continue
		}
		n += 1 + len(p.ids) + 3*len(p.consents)
		if began := slices.Min(append(slices.Clone(p.consents), p.goneConsents...)); slices.Contains(p.consents, began) {
			n-- // it has no row of its own
		}
		if p.token != "" {
			n++
		}
		if len(p.goneIDs) > 0 { // the others have rows of their own now
			n += len(p.ids)
			if p.token != "" {
				n++
			}
		}
		if p.blob != nil {
			n++
		}
	}
	return n
}

var errCrash = errors.New("crash")

// crashAt gives a seam that ends the operation at its n-th step, and the name of
// the step at which it did.
func crashAt(n int) (step func(string) error, name *string) {
	name = new(string)
	return func(at string) error {
		if n--; n == -1 {
			*name = at
		}
		if n < 0 {
			return errCrash
		}
		return nil
	}, name
}

// inserting gives a seam that first inserts rows into every shard that a pass
// touches, while it runs: when it has begun, and after it caught up once.
func (c *crashCase) inserting(t *testing.T, v *Vault, then func(string) error) func(string) error {
	next := ledger.ConsentID(1 << 20)
	at := []string{"erase begun", "erase caught up"}
	inserts := false
	return func(name string) error {
		switch {
		case inserts:
			return nil
		case len(at) > 0 && name == at[0]:
			at = at[1:]
			inserts = true
			next = crowd(t, v, c.late, next)
			inserts = false
		}
		return then(name)
	}
}

// copied gives the options of a copy of what the vault's files are.
func copied(t *testing.T, opt Options) Options {
	dir := optionsIn(copyOf(t, opt))
	opt.Dir, opt.RootKeyPath = dir.Dir, dir.RootKeyPath
	return opt
}

// TestCrashes ends a pass at every step, and the recovery at every step of its
// own, and goes on with the files as they lie.
func TestCrashes(t *testing.T) {
	seen := testCrashes(t, false)
	for _, name := range steps {
		switch {
		case name == "group committed" || name == "group dropped" || strings.HasPrefix(name, "blob") || strings.HasPrefix(name, "reindex") ||
			name == "day keys replaced" || name == "idempotency swept" || name == "suppressions swept": // no pass does
		case seen[name]+seen["recovery: "+name] == 0:
			t.Errorf("no crash at step %q", name)
		}
	}
	for name := range seen {
		if !slices.Contains(steps, strings.TrimPrefix(name, "recovery: ")) {
			t.Errorf("step %q is not in the table", name)
		}
	}
	t.Logf("crashes: %v", seen)
}

// TestCrashesDuringReindex does the same within a re-key of the blind index.
func TestCrashesDuringReindex(t *testing.T) { testCrashes(t, true) }

// recoveredEverywhere are the steps that leave a start most to do; its own steps
// are the same after the others.
var recoveredEverywhere = []string{"root.next made", "erase caught up", "erase switched", "root overwritten"}

func testCrashes(t *testing.T, reindexing bool) (seen map[string]int) {
	opt, base := newCrashCase(t, reindexing)
	opt.testOnlyTxnRows = 25
	seen = make(map[string]int)
	for n := 0; ; n++ {
		at, c := copied(t, opt), base.clone()
		v := openVault(t, at)
		step, name := crashAt(n)
		v.opt.testOnlyStep, v.keeper.(*fileRoot).file.Step = c.inserting(t, v, step), step
		_, err := v.CarryOut(v.Record().Seq)
		if err == nil {
			c.verify(t, v, true)
			v.Close()
			break
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		seen[*name]++
		left := copied(t, at)
		v.Close()
		os.RemoveAll(filepath.Dir(at.Dir))
		t.Run(fmt.Sprintf("%02d %s", n, *name), func(t *testing.T) {
			c.recover(t, left, seen, seen[*name] == 1 && slices.Contains(recoveredEverywhere, *name) && !reindexing)
		})
		os.RemoveAll(filepath.Dir(left.Dir))
	}
	return seen
}

// recover opens what a crash left, if wanted with a second crash at every step
// of the recovery, and then for good.
func (c *crashCase) recover(t *testing.T, left Options, seen map[string]int, everywhere bool) {
	for n := 0; everywhere; n++ {
		again := copied(t, left)
		step, name := crashAt(n)
		again.testOnlyStep = step
		v, err := Open(again)
		if err == nil {
			check(t, v.Close())
			break
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		seen["recovery: "+*name]++
		again.testOnlyStep = nil
		c.finish(t, again)
		os.RemoveAll(filepath.Dir(again.Dir))
	}
	c.finish(t, left)
}

// finish opens a vault and does what a start does: it carries out what is still
// planned.
func (c *crashCase) finish(t *testing.T, opt Options) {
	t.Helper()
	v := must[*Vault](t)(Open(opt))
	defer func() { check(t, v.Close()) }()
	left := v.Planned()
	if left != 0 && left != len(c.planned) {
		t.Fatalf("%d of %d plans are carried out", len(c.planned)-left, len(c.planned))
	}
	c.verify(t, v, left == 0)
	c.count(t, v, left)
	if s := carryOut(t, v); s.Generation != 2 {
		t.Errorf("generation %d, want 2", s.Generation)
	}
	c.verify(t, v, true)
	if state := v.keeper.Read(); !errors.Is(state.stagedErr, fs.ErrNotExist) || state.current != v.root {
		t.Errorf("root key file: %v, staged: %v", state.currentErr, state.stagedErr)
	}
	c.count(t, v, 0)
	if c.reindexing {
		reindex(t, v)
		c.reindexing = false
		c.count(t, v, 0)
		c.reindexing = true
		c.verify(t, v, true)
	}
	// And it goes on from there.
	addPeople(t, v, 1, 1<<30)[0].verify(t, v)
}

// count makes sure that there are the rows that there must be, and no other.
func (c *crashCase) count(t *testing.T, v *Vault, planned int) {
	t.Helper()
	// The vault's own are version, root row, group record and slot.
	want, got := 4+planned+c.rows(planned == 0), 0
	for key := range dump(t, v) {
		if c.reindexing && key[0] == rowShard && (key[shardKeySize] == rowIndex || key[shardKeySize] == rowLegal) && epochOf([]byte(key)) == 1 {
			continue // under the key to come: only some
		}
		got++
	}
	if got != want {
		t.Errorf("%d rows are left, want %d", got, want)
	}
}
