package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// crashVault makes a closed vault with people for some of whom changes of every
// kind are planned; planned says which.
func crashVault(t *testing.T) (opt Options, people []*person, planned map[*person]Change) {
	opt = testOptions(t)
	v := newVault(t, opt)
	blob := must[BlobRef](t)(v.PutBlob([]byte("an attachment")))
	b := v.Begin()
	for i := range 20 {
		p := newPerson(i)
		p.ids = append(p.ids, Identifier{"phone", fmt.Sprint("+49", i)})
		d := b.Draft()
		if i == 0 {
			p.blob, p.bytes = &blob, []byte("an attachment")
		}
		p.insert(t, v, d, ledger.ConsentID(2*i+1))
		p.insert(t, v, d, ledger.ConsentID(2*i+2))
		check(t, d.Keep())
		people = append(people, p)
	}
	must[GroupRecord](t)(b.Commit(1, 60, ledger.Hash{}))
	planned = map[*person]Change{
		people[0]:  {Erase: true},
		people[10]: {Erase: true},
		people[11]: {Lock: true},
		people[12]: {Consents: []ledger.ConsentID{people[12].consents[0]}},
		people[13]: {Identifiers: people[13].ids[:1], Channels: []string{"email"}},
	}
	for p, c := range planned {
		plan(t, v, c, p)
	}
	crowd(t, v, people[5], 1000)
	check(t, v.Close())
	return opt, people, planned
}

// verifyAll makes sure that either everything planned was carried out, or
// nothing.
func verifyAll(t *testing.T, v *Vault, people []*person, planned map[*person]Change, done bool) {
	t.Helper()
	for _, p := range people {
		q := *p
		if c, ok := planned[p]; ok && done {
			q.requests = maps.Clone(p.requests)
			q.changed(c)
		}
		q.verify(t, v)
	}
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

// TestCrashes ends an erasure at every step, and the recovery from that at every
// step of its own, and goes on with the files as they lie.
func TestCrashes(t *testing.T) {
	opt, people, planned := crashVault(t)
	opt.testOnlyTxnRows = 12
	seen := make(map[string]int)
	for n := 0; ; n++ {
		at := opt
		dir := optionsIn(copyOf(t, opt))
		at.Dir, at.RootKeyPath = dir.Dir, dir.RootKeyPath
		v := openVault(t, at)
		step, name := crashAt(n)
		v.opt.testOnlyStep, v.keeper.(*fileRoot).step = step, step
		_, err := v.CarryOut(v.Record().Seq)
		if err == nil {
			verifyAll(t, v, people, planned, true)
			v.Close()
			break
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		seen[*name]++
		left := at
		dir = optionsIn(copyOf(t, at))
		left.Dir, left.RootKeyPath = dir.Dir, dir.RootKeyPath
		v.Close()
		os.RemoveAll(filepath.Dir(at.Dir))
		t.Run(fmt.Sprintf("%02d %s", n, *name), func(t *testing.T) {
			recoverEverywhere(t, left, people, planned, seen)
		})
		os.RemoveAll(filepath.Dir(left.Dir))
	}
	for _, name := range []string{
		"erase planned", "root.next made", "root.next synced", "erase rewritten", "erase listed", "erase switched", "erase checked",
		"erase old rows deleted", "erase dead rows deleted", "erase list deleted", "erase checked again",
		"root overwritten", "root renamed", "root promoted", "recovery: rows taken back", "recovery: root.next dropped",
		"recovery: erase checked", "recovery: erase old rows deleted", "recovery: root overwritten", "recovery: root renamed",
	} {
		if seen[name] == 0 {
			t.Errorf("no crash at step %q", name)
		}
	}
	t.Logf("crashes: %v", seen)
}

// recoverEverywhere opens what a crash left, with a second crash at every step
// of the recovery, and then for good.
func recoverEverywhere(t *testing.T, left Options, people []*person, planned map[*person]Change, seen map[string]int) {
	for n := 0; ; n++ {
		again := left
		dir := optionsIn(copyOf(t, left))
		again.Dir, again.RootKeyPath = dir.Dir, dir.RootKeyPath
		step, name := crashAt(n)
		again.testOnlyStep = step
		v, err := Open(again)
		if err == nil {
			v.opt.testOnlyStep, v.keeper.(*fileRoot).step = nil, func(string) error { return nil }
			finish(t, v, people, planned)
			check(t, v.Close())
			return
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		seen["recovery: "+*name]++
		again.testOnlyStep = nil
		v, err = Open(again)
		check(t, err)
		finish(t, v, people, planned)
		check(t, v.Close())
		os.RemoveAll(filepath.Dir(again.Dir))
	}
}

// finish does what a start does: it carries out what is still planned.
func finish(t *testing.T, v *Vault, people []*person, planned map[*person]Change) {
	t.Helper()
	left := v.Planned()
	if left != 0 && left != len(planned) {
		t.Fatalf("%d of %d plans are carried out", len(planned)-left, len(planned))
	}
	verifyAll(t, v, people, planned, left == 0)
	if s := carryOut(t, v); s.Generation != 2 {
		t.Errorf("generation %d, want 2", s.Generation)
	}
	verifyAll(t, v, people, planned, true)
	if state := v.keeper.Read(); !errors.Is(state.stagedErr, fs.ErrNotExist) || state.current != v.root {
		t.Errorf("root key file: %v, staged: %v", state.currentErr, state.stagedErr)
	}
	// What is left is exactly what the people have: per person slot, identity
	// key, twice index and identifier, token, channel; per consent row, key,
	// list, 3 claims, list of claims; and the outer rows of all requests.
	const perPerson, perConsent = 8, 7
	crowded := len(people[5].consents) - 2
	want := 3 + 2 + 18*perPerson + (18*2+crowded)*perConsent + 20*2 + crowded
	want -= 1*perConsent + 2 + 2 // of 12 and of 13
	if got := len(dump(t, v)); got != want {
		t.Errorf("%d rows are left, want %d", got, want)
	}
	// And it goes on from there.
	addPeople(t, v, 1, 1<<30)[0].verify(t, v)
}
