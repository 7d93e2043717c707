package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// crashVault makes a closed vault with people, some of whom are to be erased.
func crashVault(t *testing.T) (opt Options, people []*person, ids []ledger.ConsentID) {
	opt = testOptions(t)
	v := newVault(t, opt)
	blob := must[BlobRef](t)(v.PutBlob([]byte("an attachment")))
	b := v.Begin()
	for i := range 20 {
		p := newPerson(i)
		d := b.Draft()
		if i == 0 {
			p.blob, p.bytes = &blob, []byte("an attachment")
		}
		p.insert(t, v, d, ledger.ConsentID(2*i+1))
		p.insert(t, v, d, ledger.ConsentID(2*i+2))
		check(t, d.Keep())
		people = append(people, p)
		if i%10 == 0 {
			ids = append(ids, p.consents[0])
		}
	}
	must[GroupRecord](t)(b.Commit(1, 60, ledger.Hash{}))
	crowd(t, v, people[5], ids, 1000)
	check(t, v.Close())
	return opt, people, ids
}

// erasedBy gives whether the vault has lost the people of ids: all or none.
func erasedBy(t *testing.T, v *Vault, ids []ledger.ConsentID) bool {
	t.Helper()
	gone := 0
	for _, id := range ids {
		_, ok, err := v.SubjectOf(id)
		check(t, err)
		if !ok {
			gone++
		}
	}
	if gone != 0 && gone != len(ids) {
		t.Fatalf("%d of %d people are erased", gone, len(ids))
	}
	return gone > 0
}

// verifyAll makes sure that the people of ids are erased, if gone, and the
// others are whole.
func verifyAll(t *testing.T, v *Vault, people []*person, ids []ledger.ConsentID, gone bool) {
	t.Helper()
	chosen := make(map[ledger.ConsentID]bool)
	for _, id := range ids {
		chosen[id] = true
	}
	for _, p := range people {
		q := *p
		q.erased = gone && chosen[p.consents[0]]
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
	opt, people, ids := crashVault(t)
	opt.testOnlyTxnRows = 12
	seen := make(map[string]int)
	for n := 0; ; n++ {
		at := opt
		dir := optionsIn(copyOf(t, opt))
		at.Dir, at.RootKeyPath = dir.Dir, dir.RootKeyPath
		v := openVault(t, at)
		step, name := crashAt(n)
		v.opt.testOnlyStep, v.keeper.(*fileRoot).step = step, step
		_, err := v.Erase(ids)
		if err == nil {
			verifyAll(t, v, people, ids, true)
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
			recoverEverywhere(t, left, people, ids, seen)
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
func recoverEverywhere(t *testing.T, left Options, people []*person, ids []ledger.ConsentID, seen map[string]int) {
	for n := 0; ; n++ {
		again := left
		dir := optionsIn(copyOf(t, left))
		again.Dir, again.RootKeyPath = dir.Dir, dir.RootKeyPath
		step, name := crashAt(n)
		again.testOnlyStep = step
		v, err := Open(again)
		if err == nil {
			v.opt.testOnlyStep, v.keeper.(*fileRoot).step = nil, func(string) error { return nil }
			finishErasing(t, v, people, ids)
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
		finishErasing(t, v, people, ids)
		check(t, v.Close())
		os.RemoveAll(filepath.Dir(again.Dir))
	}
}

// finishErasing does what a start does with an erasure that is not recorded as
// done: it erases again.
func finishErasing(t *testing.T, v *Vault, people []*person, ids []ledger.ConsentID) {
	t.Helper()
	verifyAll(t, v, people, ids, erasedBy(t, v, ids))
	s := must[Shredded](t)(v.Erase(ids))
	if s.Generation != 2 {
		t.Errorf("generation %d, want 2", s.Generation)
	}
	verifyAll(t, v, people, ids, true)
	if state := v.keeper.Read(); !errors.Is(state.stagedErr, fs.ErrNotExist) || state.current != v.root {
		t.Errorf("root key file: %v, staged: %v", state.currentErr, state.stagedErr)
	}
	// What is left is exactly the survivors: per person 2 consents × (row,
	// key, list, 3 claims, list of claims, request) + slot, index, token,
	// identity key, identifier, channel; and the dead outer rows of requests.
	const perPerson, dead = 2*8 + 6, 2
	crowded := len(people[5].consents) - 2
	want := 3 + 2 + (len(people)-len(ids))*perPerson + 8*crowded + len(ids)*dead
	if got := len(dump(t, v)); got != want {
		t.Errorf("%d rows are left, want %d", got, want)
	}
	// And it goes on from there.
	addPeople(t, v, 1, 1<<30)[0].verify(t, v)
}
