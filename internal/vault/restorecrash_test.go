package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// smallDisaster is a ledger with a data backup, an erasure since and somebody
// added since. The data backup's vault is a group ahead of its log.
func smallDisaster(t *testing.T) (x *disaster, base string, o RestoreOptions) {
	t.Helper()
	x = &disaster{base: makePlaces(t)}
	x.story = newStory(t, newVault(t, backedOptions(x.base)))
	x.add(8)
	x.dataSize, x.dataLeaf = x.size(), x.leaf()
	x.late = x.add(1)
	x.data = copyBase(t, x.base)
	x.gone = x.people[:2]
	x.change(all(x.gone, Change{Erase: true}))
	check(t, x.v.Close())
	x.survivors = clonePeople(x.people[2:8])
	forgetRequests(x.survivors)
	for _, p := range x.gone {
		p.forgetClaims(p.consents)
	}
	base = rescue(t, x.data, x.base)
	return x, base, restoreIn(base, 2, x.dataSize, x.dataLeaf)
}

// TestRestoreCrashes ends a restore at every step. Then either it is done again,
// or the vault is in place and opens; there is always a backup that opens.
func TestRestoreCrashes(t *testing.T) {
	x, base, _ := smallDisaster(t)
	seen := make(map[string]int)
	for n := 0; ; n++ {
		at := copyBase(t, base)
		o := restoreIn(at, 2, x.dataSize, x.dataLeaf)
		step, name := crashAt(n)
		o.Vault.testOnlyStep = step
		_, err := Restore(o)
		if err == nil {
			break
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		seen[*name]++
		t.Run(fmt.Sprintf("%02d %s", n, *name), func(t *testing.T) {
			if len(pairs(t, at)) == 0 {
				t.Fatal("there is no backup that opens")
			}
			o.Vault.testOnlyStep = nil
			if _, err := Restore(o); err != nil && !strings.Contains(err.Error(), "start the ledger") {
				t.Fatal(err)
			}
			v := openVault(t, o.Vault)
			x.verifyRestored(t, v)
			check(t, v.Close())
			onePair(t, at, 3)
			if got := names(t, at+"/data"); !slices.Equal(got, []string{"root.key", "vault", "vault.before-restore"}) {
				t.Errorf("the data directory holds %v", got)
			}
		})
		os.RemoveAll(at)
	}
	for _, name := range []string{
		"root.next made", "root.next synced", "restore written", "restore built", "restore checked", "old vault set aside",
		"restored vault in place", "erase checked", "erase old rows deleted", "backup in place", "root overwritten", "root promoted",
		"identity overwritten", "identity promoted",
	} {
		if seen[name] == 0 {
			t.Errorf("no crash at step %q", name)
		}
	}
	t.Logf("crashes: %v", seen)
}

// A group that the vault has and the log does not is dropped by a restore, with
// its claims, and the record before it stands again.
func TestRestoreDropsGroup(t *testing.T) {
	x, _, o := smallDisaster(t)
	report := must[RestoreReport](t)(Restore(o))
	if report.People != 6 || report.PeopleAddedSince != 1 || report.PeopleErased != 2 {
		t.Errorf("%+v", report)
	}
	v := openVault(t, o.Vault)
	if r := v.Record(); r.Seq != 1 || r.Base+ledger.Size(r.Count) != x.dataSize || v.Previous() != (GroupRecord{}) {
		t.Errorf("the group record is %+v", r)
	}
	late := x.late[0]
	for id := range late.claims {
		if _, ok, err := readOne(v.db, keyClaims(late.keys[id], 0)); ok || err != nil {
			t.Errorf("claims of the dropped group are still there: %v", err)
		}
	}
}

// TestRestoreForeignGroup restores from a key backup that was made beside a
// group which the log never got: who has its indexes now is not mixed up with
// who had them in the backup.
func TestRestoreForeignGroup(t *testing.T) {
	base := makePlaces(t)
	opt := backedOptions(base)
	s := newStory(t, newVault(t, opt))
	s.add(4)
	lost := s.add(1)[0]
	fork := ledger.Index(s.size())
	s.more(s.people[0]) // the log will not have this
	_, _, err := s.v.BackupKeys()
	check(t, err)
	backup := copyBase(t, base)

	check(t, s.v.DropNewestGroup())
	s.leaves = s.leaves[:len(s.leaves)-1]
	s.people[0].consents = s.people[0].consents[:1]
	other := s.add(3)
	check(t, s.v.Close())

	at := rescue(t, base, backup)
	report := must[RestoreReport](t)(Restore(restoreIn(at, 1, s.size(), s.leaf())))
	if report.People != 5 || report.ConsentsAddedSince != 1 || report.PeopleNotBackedUp != 3 {
		t.Errorf("%+v", report)
	}
	v := openVault(t, backedOptions(at))
	everybody := clonePeople(append(s.people[:4:4], lost))
	forgetRequests(everybody)
	for _, p := range everybody {
		p.verify(t, v)
	}
	for _, p := range other {
		if _, ok, err := subjectOf(v, p.consents[0]); ok || err != nil {
			t.Errorf("consent %d belongs to somebody: %v", p.consents[0], err)
		}
	}

	// A backup of another history altogether is refused.
	leaf := s.leaf()
	at = rescue(t, base, backup)
	_, err = Restore(restoreIn(at, 1, s.size(), func(i ledger.Index) (ledger.Hash, error) {
		if i < fork {
			return ledger.Hash{2}, nil
		}
		return leaf(i)
	}))
	if !errors.Is(err, ErrBackupMismatch) || !strings.Contains(err.Error(), "another history") {
		t.Errorf("Restore: %v", err)
	}
}

// TestRestoreDamage restores what can be restored of damaged rows, and counts
// the rest.
func TestRestoreDamage(t *testing.T) {
	base := makePlaces(t)
	opt := backedOptions(base)
	s := newStory(t, newVault(t, opt))
	s.add(10)
	damaged, claimless, keyless, shred := s.people[1], s.people[2], s.people[3], s.people[4]
	setRow(t, s.v, keyClaims(damaged.keys[damaged.consents[0]], 0), []byte("damaged"))
	check(t, s.v.db.Update(func(txn *badger.Txn) error {
		return txn.Delete(keyClaims(claimless.keys[claimless.consents[0]], 0))
	}))
	subject := func(p *person) *Subject {
		found, _, err := subjectOf(s.v, p.consents[0])
		check(t, err)
		return found
	}
	setRow(t, s.v, keyConsent(subject(keyless).key, 1), []byte("damaged"))
	setRow(t, s.v, keyIdentifier(subject(shred).identity.key, uint32(len(shred.ids))), []byte("damaged"))
	_, _, err := s.v.BackupKeys()
	check(t, err)
	after := s.add(2)
	check(t, s.v.Close())
	at := rescue(t, base, base)
	report := must[RestoreReport](t)(Restore(restoreIn(at, 1, s.size(), s.leaf())))
	if report.People != 8 || report.Consents != 8 || report.ConsentsWithoutClaims != 2 || report.PeopleDamaged != 2 || report.PeopleNotBackedUp != len(after) {
		t.Errorf("%+v", report)
	}
	if _, err := os.Stat(filepath.Join(at, "data", "vault.before-restore")); err != nil || report.SetAside == "" {
		t.Errorf("the old vault is not set aside: %v", err)
	}
}
