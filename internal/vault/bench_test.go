package vault

import (
	"testing"

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
