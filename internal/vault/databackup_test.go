package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// dataRow is a row of a data backup.
type dataRow struct{ key, value []byte }

// takeData takes a data backup.
func takeData(t testing.TB, v *Vault, since uint64) (d *DataBackup, rows []dataRow) {
	t.Helper()
	d = must[*DataBackup](t)(v.ReadData(func(GroupRecord) bool { return true }))
	defer d.Release()
	check(t, d.Rows(since, func(key, value []byte) error {
		rows = append(rows, dataRow{bytes.Clone(key), bytes.Clone(value)})
		return nil
	}))
	return d, rows
}

func backUpKeys(t testing.TB, v *Vault) {
	t.Helper()
	_, _, err := v.BackupKeys()
	check(t, err)
}

// given gives the rows of files to a restore.
func given(rows []dataRow) func(each func(key, value []byte) error) error {
	return func(each func(key, value []byte) error) error {
		for _, r := range rows {
			if err := each(r.key, r.value); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestDataBackupNeverBringsBack: with everything that data backups from before and after an
// erasure hold, and every key of the newest key backup, nothing of whoever was erased opens.
func TestDataBackupNeverBringsBack(t *testing.T) {
	base := makePlaces(t)
	s := newStory(t, newVault(t, backedOptions(base)))
	people := s.add(30)
	picture := bytes.Repeat([]byte("PICTURE "), 1<<16)
	ref := must[BlobRef](t)(s.v.PutBlob(picture))
	s.group(func(d *Draft, at ledger.Index) {
		p := newPerson(int(at))
		p.blob, p.bytes = &ref, picture
		p.insert(t, s.v, d, ledger.ConsentID(at))
		s.people = append(s.people, p)
	})
	first, rows := takeData(t, s.v, 0)
	if first.Generation != 1 || len(rows) == 0 {
		t.Fatalf("the first backup is of generation %d and has %d rows", first.Generation, len(rows))
	}
	backUpKeys(t, s.v)
	then := copyBase(t, base) // with the identity that nobody must keep
	gone := append(people[:5:5], s.people[30])
	s.change(all(gone, Change{Erase: true}))
	s.add(5)
	second, more := takeData(t, s.v, first.Until)
	if second.Instance != first.Instance || second.Until <= first.Until || second.Generation != 2 || len(more) == 0 || len(more) > len(rows)/2 {
		t.Errorf("the second backup is %+v with %d rows, the first %+v with %d", second, len(more), first, len(rows))
	}
	backUpKeys(t, s.v)
	size, leaf, group, origin := s.size(), s.leaf(), s.v.Record(), s.v.Origin()
	check(t, s.v.Close())

	fresh := func(from string, generation uint32) (RestoreOptions, string) {
		base := copyBase(t, from)
		o := restoreIn(base, generation, size, leaf)
		o.Vault = optionsIn(filepath.Join(base, "new"))
		check(t, os.Mkdir(filepath.Join(base, "new"), 0o700))
		o.Data = &RestoreData{Origin: origin, Generation: second.Generation, Group: group, Rows: given(append(rows, more...))}
		return o, filepath.Join(base, "new")
	}
	o, dir := fresh(base, 2)
	report := must[RestoreReport](t)(Restore(o))
	if report.People != 30 || report.ConsentsWithoutClaims != 0 || report.SetAside != "" || report.IdentityLeft != o.Identity {
		t.Errorf("restored %+v", report)
	}
	root := must[rootKey](t)(readRoot(o.Vault.RootKeyPath))
	a := attack(rawRows(t, dir), root)
	for _, p := range s.people {
		if n := a.finds(p.email); (n == 0) != p.erased {
			t.Errorf("an address of somebody (erased %v) stands in %d rows", p.erased, n)
		}
	}
	if a.finds("PICTURE ") > 0 {
		t.Error("the picture of somebody who was erased opens")
	}
	v := openVault(t, o.Vault)
	forgetRequests(s.people)
	for _, p := range s.people {
		if p.erased {
			p.forgetClaims(p.consents) // they lie there, and nobody has their key
			p.blob = nil
		}
		p.verify(t, v)
	}

	// What finds nothing here finds them with the key backup of before.
	o, dir = fresh(then, 1)
	o.Data.Generation = 1
	must[RestoreReport](t)(Restore(o))
	control := attack(rawRows(t, dir), must[rootKey](t)(readRoot(o.Vault.RootKeyPath)))
	for _, p := range gone {
		if control.finds(p.email) == 0 {
			t.Error("the control does not find somebody who was not erased then")
		}
	}
}

// TestRestoreDataRefused is the table of data that a restore must not take.
func TestRestoreDataRefused(t *testing.T) {
	base := makePlaces(t)
	s := newStory(t, newVault(t, backedOptions(base)))
	s.add(5)
	_, rows := takeData(t, s.v, 0)
	backUpKeys(t, s.v)
	size, leaf, group := s.size(), s.leaf(), s.v.Record()
	origin := s.v.Origin()
	check(t, s.v.Close())
	for name, spoil := range map[string]func(d *RestoreData){
		"another ledger":       func(d *RestoreData) { d.Origin = "ledger.example.org" },
		"a later generation":   func(d *RestoreData) { d.Generation = 2 },
		"another group":        func(d *RestoreData) { d.Group.Leaf[0] ^= 1 },
		"a group to come":      func(d *RestoreData) { d.Group.Base = size },
		"a row of a key":       func(d *RestoreData) { d.Rows = given([]dataRow{{[]byte("kxxx"), []byte("x")}}) },
		"a row without a kind": func(d *RestoreData) { d.Rows = given([]dataRow{{nil, []byte("x")}}) },
		"no rows":              func(d *RestoreData) { d.Rows = nil },
		"rows that end early":  func(d *RestoreData) { d.Rows = func(func(key, value []byte) error) error { return errors.New("cut") } },
	} {
		base := copyBase(t, base)
		o := restoreIn(base, 1, size, leaf)
		o.Vault = optionsIn(filepath.Join(base, "new"))
		check(t, os.Mkdir(filepath.Join(base, "new"), 0o700))
		o.Data = &RestoreData{Origin: origin, Generation: 1, Group: group, Rows: given(rows)}
		spoil(o.Data)
		if _, err := Restore(o); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
}

// TestReadDataWaitsForTheLog: the vault is read when the log has its newest group, and
// nobody writes meanwhile.
func TestReadDataWaitsForTheLog(t *testing.T) {
	s := newStory(t, newVault(t, backedOptions(makePlaces(t))))
	s.add(1)
	asked := 0
	d := must[*DataBackup](t)(s.v.ReadData(func(r GroupRecord) bool {
		if r != s.v.Record() || s.v.writing.TryLock() {
			t.Error("somebody may write")
		}
		asked++
		return asked == 3
	}))
	if asked != 3 {
		t.Errorf("the log was asked %d times", asked)
	}
	if _, err := s.v.ReadData(func(GroupRecord) bool { return true }); !errors.Is(err, ErrBusy) {
		t.Errorf("two at once: %v", err)
	}
	s.add(1) // writers go on
	s.change(all(s.people[:1], Change{Erase: true}))
	d.Release()
	takeData(t, s.v, 0)
	if _, err := newVault(t, optionsIn(t.TempDir())).ReadData(nil); !errors.Is(err, ErrBackupTarget) {
		t.Errorf("without a target: %v", err)
	}
}
