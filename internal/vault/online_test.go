package vault

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
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
			t.Fatal(fmt.Sprintf("a row of type %q of another generation is left", key[shardKeySize]))
		}
	}
}
