package vault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// inForce gives the tree while somebody may replace it.
func (v *Vault) inForce() *tree {
	w := v.view()
	defer w.release()
	return w.tree
}

// writerBeside inserts people and more consents into a vault until stop is
// closed, one group after another, and gives everybody it inserted and how long
// it waited for a group at most.
func writerBeside(t *testing.T, v *Vault, first ledger.ConsentID, stop chan struct{}) (people []*person, longest time.Duration) {
	id := first
	for {
		select {
		case <-stop:
			return people, longest
		default:
		}
		start := time.Now()
		b := v.Begin()
		for range 5 {
			p := newPerson(int(id))
			if len(people) > 0 && rand.IntN(3) == 0 {
				p = people[rand.IntN(len(people))]
			} else {
				people = append(people, p)
			}
			d := b.Draft()
			p.insert(t, v, d, id)
			check(t, d.Keep())
			id++
		}
		must[GroupRecord](t)(b.Commit(ledger.Size(id), 1, ledger.Hash{}))
		longest = max(longest, time.Since(start))
		if rand.IntN(50) == 0 {
			check(t, v.RotateDayKeys(time.Unix(int64(v.inForce().days[0].day+1)*86400, 0)))
			for _, p := range people {
				for id := range p.requests {
					delete(p.requests, id) // two days later they are forgotten; not what this is about
				}
			}
		}
	}
}

// Nothing that is inserted while passes run is lost, now or after opening anew.
func TestWritersDuringPasses(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	people := addPeople(t, v, 2000, 1)
	stop := make(chan struct{})
	var added []*person
	var longest time.Duration
	var wg sync.WaitGroup
	wg.Go(func() { added, longest = writerBeside(t, v, 100_000, stop) })
	for from := 0; from < 600; from += 100 {
		some := people[from : from+100]
		plan(t, v, Change{Erase: true}, some[:50]...)
		plan(t, v, Change{Lock: true}, some[50:]...)
		check(t, func() error { _, err := v.CarryOut(v.Record().Seq); return err }())
		for i, p := range some {
			p.erased, p.locked = i < 50, i >= 50
		}
	}
	close(stop)
	wg.Wait()
	if len(added) < 100 {
		t.Fatalf("only %d people were added meanwhile", len(added))
	}
	t.Logf("%d people added meanwhile, the longest group took %v", len(added), longest)
	for range 2 {
		for _, p := range slices.Concat(people, added) {
			clear(p.requests)
			p.verify(t, v)
		}
		check(t, v.Close())
		v = openVault(t, opt)
	}
	// Only rows of the generations in force are left.
	for key := range dump(t, v) {
		if key[0] == rowShard && key[:shardKeySize] != string(v.tree.shardPrefix(shardIn([]byte(key)))) {
			t.Fatalf("a row of type %q of another generation is left", key[shardKeySize])
		}
	}
}

// A view that began before the switch sees everything as it was until it ends,
// and what goes is not called destroyed before.
func TestViewOutlivesSwitch(t *testing.T) {
	v := newVault(t, testOptions(t))
	people := addPeople(t, v, 20, 1)
	part, _ := twoSided(t, v, 100)
	plan(t, v, Change{Erase: true}, people[:10]...)
	drop := Change{Consents: part.consents[:1]}
	plan(t, v, drop, part)
	var passed atomic.Bool
	var wg sync.WaitGroup
	before := append(slices.Clone(people), part)
	check(t, v.View(func(w View) error {
		wg.Go(func() {
			carryOut(t, v)
			passed.Store(true)
		})
		for v.Planned() > 0 {
			time.Sleep(time.Millisecond)
		}
		// Everybody else goes on meanwhile.
		people = append(people, addPeople(t, v, 1, 1000)...)
		for _, p := range before {
			s := p.verifyIdentity(t, w)
			for _, id := range p.consents {
				p.verifyConsent(t, v, w, s, id)
			}
		}
		time.Sleep(300 * time.Millisecond) // in which the pass would be through
		if root := v.keeper.Read(); passed.Load() || root.currentErr != nil || root.current.generation != 1 {
			t.Error("ROOT was destroyed while somebody read by it")
		}
		return nil
	}))
	wg.Wait()
	for i, p := range people {
		p.erased = i < 10
		p.verify(t, v)
	}
	part.changed(drop)
	part.verify(t, v)
}

// A day may end at every step of a pass, and the pass or a start goes on.
func TestDayEndsDuringPass(t *testing.T) {
	base := testOptions(t)
	v := newVault(t, base)
	check(t, v.RotateDayKeys(day(20)))
	people := addPeople(t, v, 20, 1)
	plan(t, v, Change{Erase: true}, people[:3]...)
	crowd(t, v, people[5], 1000)
	touched := planOf(t, v).touched()
	for n, found := 0, 0; found < 3; n++ { // rows that are copied
		key := fmt.Sprint("request of nobody ", n)
		if slices.Contains(touched, shardOf(rowIdempotency, idempotencyID(v.tree.days[0], "shop", key))) {
			inGroup(t, v, func(d *Draft) { check(t, d.Remember(v.LedgerSubject(), "shop", key, [32]byte{}, nil, nil)) })
			found++
		}
	}
	check(t, v.Close())
	for _, name := range []string{"erase planned", "root.next synced", "erase listed", "erase begun", "erase rewritten", "erase switched",
		"erase checked", "erase old rows deleted", "erase checked again", "root overwritten", "root promoted"} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, crash %v", name, crash), func(t *testing.T) {
				opt := copied(t, base)
				v := openVault(t, opt)
				var late []*person
				step := func(at string) error {
					if at != name || late != nil {
						return nil
					}
					late = []*person{}
					check(t, v.RotateDayKeys(day(22)))
					late = addPeople(t, v, 3, 5000)
					if crash {
						return errCrash
					}
					return nil
				}
				v.opt.testOnlyStep, v.keeper.(*fileRoot).file.Step = step, step
				if _, err := v.CarryOut(v.Record().Seq); errors.Is(err, errCrash) != crash {
					t.Fatal(err)
				}
				if crash {
					check(t, v.Close())
					v = openVault(t, opt)
					carryOut(t, v)
				}
				if days := v.tree.days; days[0].day-days[1].day != 1 || !day(22).Truncate(24*time.Hour).Equal(time.Unix(int64(days[0].day)*86400, 0)) {
					t.Errorf("days %d and %d", days[0].day, days[1].day)
				}
				if crash { // what it left is swept on the next day
					check(t, v.RotateDayKeys(day(23)))
				}
				if n := idempotencyRows(t, v); n != len(late) {
					t.Errorf("%d idempotency rows, want %d", n, len(late))
				}
				for i, p := range slices.Concat(people, late) {
					q := *p
					q.erased = i < 3
					if i < len(people) {
						q.requests = nil
						if state := recallState(t, v, "shop", fmt.Sprint("request-", p.consents[0])); state != NeverSeen {
							t.Errorf("state %v after two days", state)
						}
					}
					q.verify(t, v)
				}
			})
		}
	}
}

// Right after the switch somebody may come back under an address that went, and
// more be planned for who lost a part: the pass takes neither for its own.
func TestComingBackDuringPass(t *testing.T) {
	v := newVault(t, testOptions(t))
	gone := addPeople(t, v, 1, 5)[0]
	part, _ := twoSided(t, v, 100)
	plan(t, v, Change{Erase: true}, gone)
	drop := Change{Consents: part.consents[:1]}
	plan(t, v, drop, part)
	back := newPerson(5)
	v.opt.testOnlyStep = func(name string) error {
		if name == "erase checked" {
			part.changed(drop)
			inGroup(t, v, func(d *Draft) { back.insert(t, v, d, 200) })
			plan(t, v, Change{Erase: true}, part)
		}
		return nil
	}
	carryOut(t, v)
	gone.erased = true
	for _, p := range []*person{gone, back, part} {
		p.verify(t, v)
	}
	v.opt.testOnlyStep = nil
	if v.Planned() != 1 {
		t.Errorf("%d plans, want 1", v.Planned())
	}
	carryOut(t, v)
	part.erased = true
	part.verify(t, v)
}
