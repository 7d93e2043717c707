package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

func reindex(t tb, v *Vault) Reindexed {
	t.Helper()
	return must[Reindexed](t)(v.Reindex(context.Background(), nil))
}

// indexEpochs counts the rows of the blind index of each epoch.
func indexEpochs(t tb, v *Vault) map[uint32]int {
	counts := make(map[uint32]int)
	for key := range dump(t, v) {
		if key[0] == rowShard && (key[shardKeySize] == rowIndex || key[shardKeySize] == rowLegal) {
			counts[epochOf([]byte(key))]++
		}
	}
	return counts
}

// A re-key replaces the index key, ROOT and all rows of the index, and changes
// nothing else.
func TestReindex(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	check(t, v.RotateDayKeys(day(20)))
	people := addPeople(t, v, 50, 1)
	part, _ := twoSided(t, v, 100)
	change(t, v, Change{Lock: true}, people[0])
	back := newPerson(1) // under the address of who is locked
	inGroup(t, v, func(d *Draft) { back.insert(t, v, d, 200) })
	people = append(people, part, back)
	gone := erase(t, v, people[1])
	if s := v.Status(); s.Index.Covers >= gone.Generation || s.Index.Epoch != 0 || !s.IndexSince.IsZero() || s.Reindexing {
		t.Errorf("status %+v", s)
	}
	before := v.tree
	var steps []int
	done := must[Reindexed](t)(v.Reindex(context.Background(), func(done, total int) { steps = append(steps, done*100/total) }))
	if done.Epoch != 1 || done.Covers < gone.Generation || !done.OldestDay.Equal(day(19).Truncate(24*time.Hour)) || time.Since(done.At) > time.Minute {
		t.Errorf("reindexed %+v", done)
	}
	if !slices.IsSorted(steps) || steps[len(steps)-1] != 100 {
		t.Errorf("progress %v", steps)
	}
	if v.tree.index[0].key == before.index[0].key || v.root.generation != before.generation+1 || len(v.tree.index) != 1 {
		t.Error("the index key or ROOT is the one before")
	}
	later := erase(t, v, people[2])
	if s := v.Status(); s.Index.Epoch != 1 || s.Index.Covers != done.Covers || s.Index.Covers >= later.Generation || s.Reindexing ||
		time.Since(s.IndexSince) > time.Minute || s.Generation != later.Generation || s.ShreddedAt != later.ContentsDestroyedAt {
		t.Errorf("status %+v", s)
	}
	for range 2 {
		for _, p := range people {
			p.verify(t, v)
		}
		if n := indexEpochs(t, v); len(n) != 1 || n[1] != len(people)-1 { // two are erased, one has a second identifier
			t.Errorf("rows by epoch: %v", n)
		}
		check(t, v.Close())
		v = openVault(t, opt)
	}
	change(t, v, Change{Identifiers: part.ids[:1]}, part)
	part.verify(t, v)
	if again := reindex(t, v); again.Epoch != 2 || again.Covers < later.Generation {
		t.Errorf("reindexed again %+v", again)
	}
	for _, p := range people {
		p.verify(t, v)
	}
}

// Lookups find everybody while a re-key runs beside writers and passes.
func TestReindexOnline(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	people := addPeople(t, v, 1500, 1)
	stop := make(chan struct{})
	var added []*person
	var wg sync.WaitGroup
	wg.Go(func() { added, _ = writerBeside(t, v, 100_000, stop) })
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				p := people[500+rand.IntN(1000)]
				if s, ok, err := findSubject(v, p.ids[0]); err != nil || !ok || s.Slot != p.slot || s.Since != ledger.Index(p.consents[0]) {
					t.Errorf("FindSubject during a re-key: %v, %v", ok, err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for i := 0; i < 500; i += 50 {
			plan(t, v, Change{Erase: true}, people[i:i+25]...)
			plan(t, v, Change{Lock: true}, people[i+25:i+50]...)
			must[Shredded](t)(v.CarryOut(v.Record().Seq))
		}
	})
	for epoch := range uint32(3) {
		if r := reindex(t, v); r.Epoch != epoch+1 {
			t.Errorf("epoch %d, want %d", r.Epoch, epoch+1)
		}
	}
	close(stop)
	wg.Wait()
	for i, p := range people[:500] {
		p.erased, p.locked = i%50 < 25, i%50 >= 25
	}
	for range 2 {
		for _, p := range slices.Concat(people, added) {
			clear(p.requests)
			p.verify(t, v)
		}
		check(t, v.Close())
		v = openVault(t, opt)
	}
	if n := indexEpochs(t, v); len(n) != 1 {
		t.Errorf("rows by epoch: %v", n)
	}
}

// A group that is dropped takes its rows under both keys with it, whenever the
// re-key was begun.
func TestReindexAndDropNewestGroup(t *testing.T) {
	for _, stage := range []string{"reindex begun", "reindex rows added", "erase planned", "group committed", "done"} {
		t.Run(stage, func(t *testing.T) {
			opt := testOptions(t)
			v := newVault(t, opt)
			people := addPeople(t, v, 20, 1)
			before := indexEpochs(t, v)[0]
			unpublished := func() {
				inGroup(t, v, func(d *Draft) {
					newPerson(100).insert(t, v, d, 100)
					s, _, err := d.SubjectOf(1)
					check(t, err)
					check(t, d.AddIdentifier(s, phone, 100))
				})
			}
			if stage != "group committed" {
				unpublished()
			}
			v.opt.testOnlyStep = func(name string) error {
				if name == stage {
					return errCrash
				}
				return nil
			}
			if stage == "group committed" { // the group after the re-key was begun
				stage = "reindex begun"
			}
			if _, err := v.Reindex(context.Background(), nil); (err != nil) != (stage != "done") {
				t.Fatal(err)
			}
			check(t, v.Close())
			v = openVault(t, opt)
			if v.Status().Reindexing != (stage != "done") {
				t.Errorf("status %+v", v.Status())
			}
			if v.Record().Seq == 1 {
				unpublished()
			}
			check(t, v.DropNewestGroup())
			if r := reindex(t, v); r.Epoch == 0 {
				t.Errorf("reindexed %+v", r)
			}
			if n := indexEpochs(t, v); len(n) != 1 || n[v.tree.index[0].epoch] != before {
				t.Errorf("rows by epoch: %v", n)
			}
			for _, id := range []Identifier{phone, newPerson(100).ids[0]} {
				if _, ok, err := findSubject(v, id); ok || err != nil {
					t.Errorf("FindSubject of a dropped identifier: %v, %v", ok, err)
				}
			}
			for _, p := range people {
				p.verify(t, v)
			}
		})
	}
}

// A vault that is closed between two steps of a re-key goes on with it later.
func TestCloseDuringReindex(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	people := addPeople(t, v, 5, 1)
	_, err := v.Reindex(context.Background(), func(done, total int) { check(t, v.Close()) })
	if !errors.Is(err, ErrStopped) {
		t.Errorf("Reindex: %v", err)
	}
	v = openVault(t, opt)
	if !v.Status().Reindexing {
		t.Error("no re-key was begun")
	}
	reindex(t, v)
	for _, p := range people {
		p.verify(t, v)
	}
}

// TestReindexCrashes ends a re-key at every step, and the recovery from that, and
// goes on with the files as they lie.
func TestReindexCrashes(t *testing.T) {
	opt := testOptions(t)
	opt.testOnlyTxnRows = 15
	v := newVault(t, opt)
	people := addPeople(t, v, 20, 1)
	change(t, v, Change{Lock: true}, people[0])
	for i := range 2 {
		inGroup(t, v, func(d *Draft) { check(t, d.Suppress(people[i].ids[0], "newsletter", "2026-11")) })
		inGroup(t, v, func(d *Draft) { check(t, d.Unsuppress(people[i].ids[0], "newsletter")) })
	}
	plan(t, v, Change{Erase: true}, people[1]) // it stays planned
	check(t, v.Close())
	rows := 0
	finish := func(t *testing.T, opt Options) {
		t.Helper()
		opt.testOnlyStep = nil
		v := must[*Vault](t)(Open(opt))
		defer func() { check(t, v.Close()) }()
		for _, p := range people {
			p.verify(t, v)
		}
		if v.Status().Reindexing || v.Status().Index.Epoch == 0 {
			if r := reindex(t, v); r.Epoch != 1 || r.Covers != 2 {
				t.Errorf("reindexed %+v", r)
			}
		}
		for _, p := range people {
			p.verify(t, v)
		}
		if n := len(dump(t, v)); rows != 0 && n != rows {
			t.Errorf("%d rows, want %d", n, rows)
		} else {
			rows = n
		}
		if v.Planned() != 1 {
			t.Errorf("%d plans", v.Planned())
		}
	}
	whole := copied(t, opt)
	finish(t, whole)

	seen := make(map[string]int)
	for n := 0; ; n++ {
		at := copied(t, opt)
		v := openVault(t, at)
		step, name := crashAt(n)
		v.opt.testOnlyStep, v.keeper.(*fileRoot).file.Step = step, step
		_, err := v.Reindex(context.Background(), nil)
		if err == nil {
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
			for m := 0; slices.Contains(recoveredEverywhere, *name) && seen[*name] == 1; m++ {
				again := copied(t, left)
				again.testOnlyStep, _ = crashAt(m)
				v, err := Open(again)
				if err == nil {
					check(t, v.Close())
					break
				}
				if !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				finish(t, again)
			}
			finish(t, left)
		})
	}
	for _, name := range []string{"reindex begun", "reindex rows added", "suppressions swept", "erase switched",
		"reindex old rows deleted", "root overwritten", "root promoted"} {
		if seen[name] == 0 {
			t.Errorf("no crash at step %q", name)
		}
	}
	for name := range seen {
		if !slices.Contains(steps, strings.TrimPrefix(name, "recovery: ")) {
			t.Errorf("step %q is not in the table", name)
		}
	}
}

// After a re-key, and when the keys of the day are replaced, true addresses and
// idempotency keys lead to no row of any copy of the files, with all keys that
// exist; with the ROOT before they do.
func TestExistenceIsForgotten(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	check(t, v.RotateDayKeys(day(20)))
	people := addPeople(t, v, 40, 1)
	change(t, v, Change{Lock: true}, people[:5]...)
	erase(t, v, people[:10]...)
	before := copyOf(t, opt)
	old := v.root
	check(t, v.RotateDayKeys(day(22)))
	r := reindex(t, v)
	if r.OldestDay.Before(day(20)) {
		t.Errorf("reindexed %+v", r)
	}
	root := v.root
	check(t, v.Close())
	rows := rawRows(t, before, copyOf(t, opt))
	// named counts the rows whose key somebody computes who has these roots.
	named := func(p *person, roots ...rootKey) (n int) {
		for r := range rows {
			if r.key != string(keyRoot()) {
				continue
			}
			for _, root := range roots {
				generation, err := rootGeneration([]byte(r.value))
				check(t, err)
				tree, err := decodeTree(rootKey{generation, root.key}, []byte(r.value))
				if err != nil {
					continue
				}
				for row := range rows {
					for _, k := range tree.index {
						if bytes.Contains([]byte(row.key), k.live(p.ids[0])) || bytes.Contains([]byte(row.key), k.legal(p.ids[0])) {
							n++
						}
					}
					for _, d := range tree.days {
						if bytes.Contains([]byte(row.key), idempotencyID(d, "shop", fmt.Sprint("request-", p.consents[0]))) {
							n++
						}
					}
				}
			}
		}
		return n
	}
	for i, p := range people[:15] {
		now, then := named(p, root), named(p, root, old)
		if i < 10 && now > 0 {
			t.Errorf("person %d: %d rows can be named", i, now)
		}
		if i >= 10 && now == 0 {
			t.Errorf("person %d is there and no row can be named: the test shows nothing", i)
		}
		if then <= now {
			t.Errorf("control: with the ROOT before, no more rows of person %d can be named", i)
		}
	}
}

// Only the rows of those go whose suppression was lifted last, and not by the
// newest group.
func TestLiftedSuppressionsAreSwept(t *testing.T) {
	v := newVault(t, testOptions(t))
	addPeople(t, v, 1, 1)
	ids := make([]Identifier, 5)
	for i := range ids {
		ids[i] = Identifier{"email", fmt.Sprintf("person-%d@mail.example", i)}
		for n := range i { // lifted, if even and not 0
			inGroup(t, v, func(d *Draft) {
				if n%2 == 0 {
					check(t, d.Suppress(ids[i], "newsletter", "2026-11"))
				} else {
					check(t, d.Unsuppress(ids[i], "newsletter"))
				}
			})
		}
	}
	reindex(t, v)
	if n := suppressionRows(t, v); n != 1+3+4 { // the last of 4 is in the newest group
		t.Errorf("%d rows, want 8", n)
	}
	check(t, v.DropNewestGroup())
	for i, want := range []bool{false, true, false, true, true} {
		if got := suppressed(t, v, ids[i], "newsletter"); got != want {
			t.Errorf("person %d: suppressed %v", i, got)
		}
	}
	inGroup(t, v, func(d *Draft) { check(t, d.Unsuppress(ids[4], "newsletter")) })
	addPeople(t, v, 1, 10)
	reindex(t, v)
	if n := suppressionRows(t, v); n != 1+3 {
		t.Errorf("%d rows, want 4", n)
	}
	inGroup(t, v, func(d *Draft) { check(t, d.Suppress(ids[4], "newsletter", "2027-01")) })
	for i, want := range []bool{false, true, false, true, true} {
		if got := suppressed(t, v, ids[i], "newsletter"); got != want {
			t.Errorf("person %d: suppressed %v", i, got)
		}
	}
}
