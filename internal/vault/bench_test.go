package vault

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// BenchmarkInsert adds one person with three claims to a group, sealing
// included; the group's one sync is shared by up to 1,000 people.
func BenchmarkInsert(b *testing.B) {
	v := newVault(b, Options{Dir: b.TempDir(), RootKeyPath: b.TempDir() + "/root.key"})
	id := ledger.ConsentID(1)
	batch := v.Begin()
	b.ReportAllocs()
	for b.Loop() {
		p := newPerson(int(id))
		d := batch.Draft()
		p.insert(b, v, d, id)
		check(b, d.Keep())
		if id++; id%1000 == 0 || batch.Full() {
			must[GroupRecord](b)(batch.Commit(ledger.Size(id), 1000, ledger.Hash{}))
			batch = v.Begin()
		}
	}
	must[GroupRecord](b)(batch.Commit(ledger.Size(id), 1000, ledger.Hash{}))
}

const manyPeople = 20_000

func crowdedVault(b *testing.B) (*Vault, []*person) {
	v := newVault(b, Options{Dir: b.TempDir(), RootKeyPath: b.TempDir() + "/root.key"})
	return v, addPeople(b, v, manyPeople, 1)
}

// BenchmarkFindSubject is what a check reads: person by address, then consents.
func BenchmarkFindSubject(b *testing.B) {
	v, people := crowdedVault(b)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		check(b, v.View(func(w View) error {
			s, ok, err := w.FindSubject(people[n*7919%len(people)].ids[0])
			if !ok || err != nil {
				b.Fatal(err)
			}
			if ids, err := w.Consents(s); err != nil || len(ids) != 1 {
				b.Fatal(err)
			}
			return nil
		}))
		n++
	}
}

// BenchmarkOpenClaim reads and opens one of three claims of a consent.
func BenchmarkOpenClaim(b *testing.B) {
	v, people := crowdedVault(b)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		p := people[n*7919%len(people)]
		id := p.consents[0]
		if _, _, ok, err := v.OpenClaim(p.keys[id], ledger.Index(id), p.claims[id][0].Digest()); !ok || err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// BenchmarkErase erases one person among 20,000.
func BenchmarkErase(b *testing.B) {
	v, people := crowdedVault(b)
	n := 0
	for b.Loop() {
		erase(b, v, people[n])
		n++
	}
}

// BenchmarkEraseBatch erases 1,000 people among 20,000 at once.
func BenchmarkEraseBatch(b *testing.B) {
	v, people := crowdedVault(b)
	n := 0
	for b.Loop() {
		if n == len(people) {
			b.Fatal("nobody is left")
		}
		erase(b, v, people[n:n+1000]...)
		n += 1000
	}
}

// BenchmarkReindex replaces the key of the blind index of 20,000 people.
func BenchmarkReindex(b *testing.B) {
	v, _ := crowdedVault(b)
	for b.Loop() {
		must[Reindexed](b)(v.Reindex(context.Background(), nil))
	}
}

// BenchmarkBesideErase reports how long a writer of one person per group, and a
// reader, wait at most while 1,000 people among 20,000 are erased.
func BenchmarkBesideErase(b *testing.B) {
	v, people := crowdedVault(b)
	n, id := 0, ledger.ConsentID(1<<30)
	var groups, reads []time.Duration
	for b.Loop() {
		if n == len(people) {
			b.Fatal("nobody is left")
		}
		plan(b, v, Change{Erase: true}, people[n:n+1000]...)
		n += 1000
		stop := make(chan struct{})
		var wg sync.WaitGroup
		beside := func(took *[]time.Duration, do func()) {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						start := time.Now()
						do()
						*took = append(*took, time.Since(start))
					}
				}
			})
		}
		beside(&groups, func() {
			id++
			inGroup(b, v, func(d *Draft) { newPerson(int(id)).insert(b, v, d, id) })
		})
		beside(&reads, func() {
			_, _, err := findSubject(v, people[len(people)-1].ids[0])
			check(b, err)
		})
		must[Shredded](b)(v.CarryOut(v.Record().Seq))
		close(stop)
		wg.Wait()
	}
	for name, took := range map[string][]time.Duration{"group": groups, "read": reads} {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms/"+name+"-max")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms/"+name+"-p99")
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/"+name+"-p50")
	}
}
