package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/ledger"
)

// rescue gives a place where only what survives a disaster lies: the data of
// dataBase without its root key, and backups and identity of backupBase.
func rescue(t testing.TB, dataBase, backupBase string) (base string) {
	t.Helper()
	base = copyBase(t, dataBase)
	check(t, os.Remove(filepath.Join(base, "data", "root.key")))
	for _, dir := range []string{"target", "medium"} {
		check(t, os.RemoveAll(filepath.Join(base, dir)))
		check(t, os.CopyFS(filepath.Join(base, dir), os.DirFS(filepath.Join(backupBase, dir))))
		check(t, filepath.WalkDir(filepath.Join(base, dir), func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				err = os.Chmod(path, 0o600)
			}
			return err
		}))
	}
	return base
}

// restoreIn gives the options of a restore in base from the backup of a
// generation.
func restoreIn(base string, generation uint32, size ledger.Size, leaf func(ledger.Index) (ledger.Hash, error)) RestoreOptions {
	opt := backedOptions(base)
	return RestoreOptions{Vault: opt, Backup: filepath.Join(base, "target", fmt.Sprintf(backupName, generation)),
		Identity: opt.KeyBackup.IdentityPath, LogSize: size, Leaf: leaf}
}

// forgetRequests takes note that no request is remembered.
func forgetRequests(people []*person) {
	for _, p := range people {
		clear(p.requests)
	}
}

// forgetClaims takes note that claims may lie in a vault to which no key exists:
// a restore copies the rows of the data backup as they are.
func (p *person) forgetClaims(consents []ledger.ConsentID) {
	p.claims = maps.Clone(p.claims)
	for _, id := range consents {
		delete(p.claims, id)
	}
}

// disaster is a ledger that goes on after a data backup, up to a key backup and a
// little further: everything that a restore can meet.
type disaster struct {
	*story
	base string // the ledger
	// The data backup, and what went with it but must not have: the key backup
	// of that time and, as nobody must keep one, a copy of its identity.
	data     string
	dataSize ledger.Size
	dataLeaf func(ledger.Index) (ledger.Hash, error)

	survivors []*person // as they are to be after a restore
	gone      []*person // erased after the data backup
	late      []*person // added after it
	unsaved   []*person // added after the key backup
	want      RestoreReport
}

// generations of the data backup and of the newest key backup.
const dataGeneration, keyGeneration = 2, 5

func makeDisaster(t testing.TB, count int) *disaster {
	t.Helper()
	base := makePlaces(t)
	s := newStory(t, newVault(t, backedOptions(base)))
	x := &disaster{story: s, base: base}
	x.beforeData(t, count)
	x.data, x.dataSize, x.dataLeaf = copyBase(t, base), s.size(), s.leaf()
	x.afterData(t)
	check(t, s.v.beginReindex()) // the key backup will have two index keys
	_, people, err := s.v.BackupKeys()
	check(t, err)
	if want := len(x.survivors) + len(x.late); people != want {
		t.Fatalf("the key backup has %d people, want %d", people, want)
	}
	x.unsaved = s.add(5)
	check(t, s.v.Close())
	return x
}

func (x *disaster) beforeData(t testing.TB, count int) {
	picture := bytes.Repeat([]byte("PICTURE "), 1<<17)
	ref := must[BlobRef](t)(x.v.PutBlob(picture))
	some := x.add(count)
	x.group(func(d *Draft, at ledger.Index) {
		p := newPerson(int(at))
		p.blob, p.bytes = &ref, picture
		p.insert(t, x.v, d, ledger.ConsentID(at))
		x.people = append(x.people, p)
		check(t, d.Suppress(Identifier{"email", "before@mail.example"}, "newsletter", "2026-10"))
	})
	x.more(some[:40]...)
	changes := all(some[50:55], Change{Erase: true})
	for _, p := range some[60:62] {
		changes[p] = Change{Lock: true}
	}
	x.change(changes)
	// Somebody new has the addresses of somebody locked.
	x.group(func(d *Draft, at ledger.Index) {
		p := newPerson(int(at))
		p.email, p.ids = some[61].email, some[61].ids
		p.insert(t, x.v, d, ledger.ConsentID(at))
		x.people = append(x.people, p)
	})
	_, _, err := x.v.BackupKeys()
	check(t, err)
}

// afterData changes everything that can be changed, and says what a restore is
// to make of it.
func (x *disaster) afterData(t testing.TB) {
	some := x.people
	x.late = x.add(30)
	x.more(some[10:15]...)
	x.more(some[21:23]...)
	changes := all(some[100:120], Change{Erase: true})
	changes[some[60]] = Change{Erase: true} // locked before
	for _, p := range some[:5] {
		changes[p] = Change{Consents: p.consents[:1]}
	}
	for _, p := range some[70:73] {
		changes[p] = Change{Lock: true}
	}
	for _, p := range some[80:83] {
		changes[p] = Change{Identifiers: p.ids[:1], Channels: []string{"email"}}
	}
	x.change(changes)
	x.gone = clonePeople(append(slices.Clone(some[100:120]), some[60]))
	for _, p := range x.gone {
		p.forgetClaims(p.consents)
	}
	for _, p := range some[90:93] {
		x.group(func(d *Draft, at ledger.Index) {
			subject, _, err := d.SubjectOf(p.consents[0])
			check(t, err)
			id := Identifier{"email", fmt.Sprintf("new-%d@mail.example", at)}
			check(t, d.AddIdentifier(subject, id, at))
			p.ids = append(p.ids, id)
		})
	}
	// The third one's old address goes.
	x.change(map[*person]Change{some[92]: {Identifiers: some[92].ids[:1]}})
	x.group(func(d *Draft, _ ledger.Index) {
		check(t, d.Unsuppress(Identifier{"email", "before@mail.example"}, "newsletter"))
		check(t, d.Suppress(Identifier{"email", "after@mail.example"}, "newsletter", "2026-11"))
	})
	must[Reindexed](t)(x.v.Reindex(context.Background(), nil))
	for _, p := range some {
		if !p.erased {
			x.survivors = append(x.survivors, p)
		}
	}
	x.survivors = clonePeople(x.survivors)
	forgetRequests(x.survivors)
	for _, p := range x.survivors {
		p.forgetClaims(p.goneConsents)
		had := len(p.consents)
		p.consents = slices.DeleteFunc(slices.Clone(p.consents), func(id ledger.ConsentID) bool { return ledger.Size(id) >= x.dataSize })
		x.want.Consents += len(p.consents)
		x.want.ConsentsAddedSince += had - len(p.consents)
	}
	x.want.Generation = keyGeneration + 1
	x.want.People = len(x.survivors)
	x.want.PeopleAddedSince = len(x.late)
	x.want.PeopleErased = len(x.gone)
	x.want.IdentifiersAddedSince = 3
	x.planAtLast(some)
}

// planAtLast plans changes that the key backup holds and nobody carried out.
func (x *disaster) planAtLast(some []*person) {
	x.plan(map[*person]Change{
		some[130]: {Erase: true},
		some[131]: {Lock: true},
		some[20]:  {Consents: some[20].consents[1:]},
		some[21]:  {Consents: some[21].consents[2:]}, // which the log does not have: nothing is left of it
		some[22]:  {Consents: some[22].consents[:2]}, // all that the log has: it becomes an erasure
	})
}

// afterPlans is what the survivors are once a restored vault has carried out
// what is planned.
func (x *disaster) afterPlans(some []*person) {
	of := func(n int) *person {
		i := slices.IndexFunc(x.survivors, func(p *person) bool { return p.slot == some[n].slot })
		return x.survivors[i]
	}
	of(130).changed(Change{Erase: true})
	of(131).changed(Change{Lock: true})
	of(20).changed(Change{Consents: some[20].consents[1:]})
	of(22).changed(Change{Erase: true})
}

func (x *disaster) verifyRestored(t testing.TB, v *Vault) {
	t.Helper()
	for _, p := range x.survivors {
		p.verify(t, v)
	}
	absent := clonePeople(slices.Concat(x.gone, x.late, x.unsaved))
	forgetRequests(absent)
	for _, p := range absent {
		p.erased, p.blob = true, nil
		p.verify(t, v)
	}
}

// verifyForgotten makes sure that nothing of what the log does not have is left
// to get in the way of what it will have: no entry of it made an identifier
// known, and no key of a consent has an id that another consent will have.
func (x *disaster) verifyForgotten(t testing.TB, some []*person) {
	t.Helper()
	check(t, x.v.View(func(w View) error {
		for _, p := range x.survivors {
			for _, id := range p.ids {
				if s, ok, err := w.FindSubject(id); err != nil || ok && ledger.Size(s.Since) >= x.dataSize {
					t.Errorf("an identifier is known since entry %d of %d: %v", s.Since, x.dataSize, err)
				}
			}
		}
		for _, p := range slices.Concat(some[10:15], some[21:23]) {
			s, _, err := w.SubjectOf(p.consents[0])
			check(t, err)
			last := p.consents[len(p.consents)-1]
			if _, err := w.ConsentKey(s, last); !errors.Is(err, ErrGone) || ledger.Size(last) < x.dataSize {
				t.Errorf("the key of consent %d is there: %v", last, err)
			}
		}
		return nil
	}))
}

// TestRestore is the first thing that a restore must hold: old data and the
// newest key backup with its identity, never a ROOT, and everybody in both opens
// again, as they were when the key backup was made.
func TestRestore(t *testing.T) {
	x := makeDisaster(t, 520)
	base := rescue(t, x.data, x.base)
	o := restoreIn(base, keyGeneration, x.dataSize, x.dataLeaf)
	report := must[RestoreReport](t)(Restore(o))
	x.want.BackupAt, x.want.SetAside = report.BackupAt, o.Vault.Dir+".before-restore"
	if report != x.want {
		t.Errorf("report\n%+v, want\n%+v", report, x.want)
	}
	onePair(t, base, keyGeneration+1)
	if got := names(t, base+"/data"); !slices.Equal(got, []string{"root.key", "vault", "vault.before-restore"}) {
		t.Errorf("the data directory holds %v", got)
	}
	some := x.people
	leaves := x.leaves[:x.dataSize]
	x.story = newStory(t, openVault(t, o.Vault))
	x.leaves = leaves
	x.verifyRestored(t, x.v)
	status := x.v.Status()
	if status.Index.Covers != keyGeneration+1 || time.Since(status.Index.OldestDay) > 50*time.Hour || status.Index.Epoch != 3 || status.Reindexing {
		t.Errorf("status %+v", status)
	}
	check(t, x.v.View(func(w View) error {
		for address, want := range map[string]bool{"before": false, "after": true, "never": false} {
			if got, err := w.Suppressed(Identifier{"email", address + "@mail.example"}, "newsletter"); got != want || err != nil {
				t.Errorf("%s is suppressed: %v, %v", address, got, err)
			}
		}
		return nil
	}))
	x.verifyForgotten(t, some)
	if got := x.v.Planned(); got != 4 {
		t.Errorf("%d changes are planned, want 4", got)
	}
	carryOut(t, x.v)
	x.afterPlans(some)
	x.verifyRestored(t, x.v)

	// Life goes on, with the ids of the consents that are lost.
	x.add(10)
	x.more(x.survivors[10:15]...)
	x.more(x.survivors[0])
	x.change(all(x.survivors[200:203], Change{Erase: true}))
	if _, people, err := x.v.BackupKeys(); err != nil || people != x.want.People+10-3-2 {
		t.Errorf("BackupKeys: %d people, %v", people, err)
	}
	must[Reindexed](t)(x.v.Reindex(context.Background(), nil))
	onePair(t, base, keyGeneration+4)
	x.late = nil // their ids and addresses are other people's now
	x.verifyRestored(t, x.v)
	x.verify()
}

// TestRestoreWithoutNewBackup restores without a target for the backups to come.
func TestRestoreWithoutNewBackup(t *testing.T) {
	x := makeDisaster(t, 520)
	base := rescue(t, x.data, x.base)
	o := restoreIn(base, keyGeneration, x.dataSize, x.dataLeaf)
	o.Vault.KeyBackup = nil
	report := must[RestoreReport](t)(Restore(o))
	if report.IdentityLeft != o.Identity {
		t.Errorf("the identity left is %q", report.IdentityLeft)
	}
	onePair(t, base, keyGeneration)
	x.verifyRestored(t, openVault(t, o.Vault))
}

// TestRestoreFromElsewhere restores with an identity that is not where the next
// one is kept.
func TestRestoreFromElsewhere(t *testing.T) {
	x := makeDisaster(t, 520)
	base := rescue(t, x.data, x.base)
	o := restoreIn(base, keyGeneration, x.dataSize, x.dataLeaf)
	o.Identity = filepath.Join(base, "brought")
	check(t, os.Rename(base+"/medium/identity", o.Identity+".next")) // its replacement was interrupted
	check(t, os.WriteFile(o.Identity, []byte("overwritten"), 0o600))
	report := must[RestoreReport](t)(Restore(o))
	if _, err := os.Stat(o.Identity); !errors.Is(err, fs.ErrNotExist) || report.IdentityLeft != "" {
		t.Errorf("the identity is still there: %v, %q", err, report.IdentityLeft)
	}
	if got := pairs(t, base); !slices.Equal(got, []uint32{keyGeneration + 1}) {
		t.Errorf("backups of the generations %v open", got)
	}
	x.verifyRestored(t, openVault(t, o.Vault))
}

// TestOldBackupsOpenNothing is the second thing: with old data, the old key
// backup and every key that exists today, nobody is found who was erased since.
func TestOldBackupsOpenNothing(t *testing.T) {
	x := makeDisaster(t, 135)
	for _, identity := range []string{"identity", "identity.next"} {
		base := rescue(t, x.data, x.base)
		old := fmt.Sprintf("/target/"+backupName, dataGeneration)
		check(t, copyFile(x.data+old, base+old))
		check(t, os.Remove(base+fmt.Sprintf("/target/"+backupName, keyGeneration)))
		o := restoreIn(base, dataGeneration, x.dataSize, x.dataLeaf)
		o.Identity = base + "/medium/" + identity
		before := contents(t, base)
		if _, err := Restore(o); err == nil || identity == "identity" && !errors.Is(err, ErrBackupContent) {
			t.Errorf("Restore from the old key backup: %v", err)
		}
		if after := contents(t, base); after != before {
			t.Error("it changed something")
		}
	}

	// An attacker tries today's keys on all rows of then and of now.
	rows := rawRows(t, copyBase(t, x.data)+"/data", copyBase(t, x.base)+"/data")
	root := must[rootKey](t)(readRoot(x.base + "/data/root.key"))
	// What a key backup gives is what a root row would.
	id := must[*backupIdentity](t)(readBackupIdentity(x.base + "/medium/identity"))
	h, _, err := readSealed(x.base+fmt.Sprintf("/target/"+backupName, keyGeneration), id, nil)
	check(t, err)
	fake := newRootKey(100)
	rows[stale{string(keyRoot()), string(h.tree.encode(fake))}] = true
	a := attack(rows, root, fake)
	for _, p := range x.gone {
		if n := a.finds(p.email); n > 0 {
			t.Errorf("somebody erased is found in %d rows", n)
		}
	}
	for _, p := range x.survivors {
		if a.finds(p.ids[0].Value) == 0 {
			t.Fatal("a survivor is not found: the attack does not work")
		}
	}

	// With a copy of the old identity they all come back.
	base := rescue(t, x.data, x.data)
	must[RestoreReport](t)(Restore(restoreIn(base, dataGeneration, x.dataSize, x.dataLeaf)))
	v := openVault(t, backedOptions(base))
	for _, p := range x.gone {
		if _, ok, err := subjectOf(v, p.consents[0]); !ok || err != nil {
			t.Errorf("control: somebody erased is not restored: %v", err)
		}
	}
}

// TestNoKeyBackup is the third: data without ROOT and without a key backup are
// refused by a name of their own, on which the caller serves the log alone.
func TestNoKeyBackup(t *testing.T) {
	_, base, _ := smallDisaster(t)
	if _, err := Open(backedOptions(base)); !errors.Is(err, ErrRootMissing) {
		t.Errorf("Open: %v", err)
	}
}

// contents gives a digest of everything below a directory.
func contents(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	check(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			fmt.Fprintln(h, path)
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %x\n", path, sha256.Sum256(b))
		return err
	}))
	return fmt.Sprintf("%x", h.Sum(nil))
}

// TestRestoreRefused restores from what does not belong together or is damaged:
// each is refused and nothing changed.
func TestRestoreRefused(t *testing.T) {
	x := makeDisaster(t, 520)
	base := rescue(t, x.data, x.base)
	good := restoreIn(base, keyGeneration, x.dataSize, x.dataLeaf)
	backup := must[[]byte](t)(os.ReadFile(good.Backup))
	write := func(name string, b []byte) string {
		check(t, os.WriteFile(filepath.Join(base, name), b, 0o600))
		return filepath.Join(base, name)
	}
	otherID := must[*backupIdentity](t)(newBackupIdentity(testOrigin, keyGeneration))
	other := newVault(t, testOptions(t))
	check(t, other.Close())
	type refusal struct {
		change func(o *RestoreOptions)
		want   error
		says   string
	}
	cases := map[string]refusal{
		"wrong identity": {func(o *RestoreOptions) { o.Identity = write("other", otherID.encode()) }, ErrBackupContent, "identity"},
		"other generation": {func(o *RestoreOptions) {
			text := bytes.Replace(must[[]byte](t)(os.ReadFile(o.Identity)), []byte("generation 5"), []byte("generation 6"), 1)
			o.Identity = write("edited", text)
		}, ErrBackupMismatch, "generation 6"},
		"no identity":    {func(o *RestoreOptions) { o.Identity += ".none" }, fs.ErrNotExist, "identity"},
		"no backup":      {func(o *RestoreOptions) { o.Backup += ".none" }, fs.ErrNotExist, "keys-5"},
		"not age":        {func(o *RestoreOptions) { o.Backup = write("text", []byte("keys")) }, ErrBackupContent, "age"},
		"empty":          {func(o *RestoreOptions) { o.Backup = write("empty", nil) }, ErrBackupContent, ""},
		"lengthened":     {func(o *RestoreOptions) { o.Backup = write("longer", append(bytes.Clone(backup), 0)) }, ErrBackupContent, ""},
		"not the newest": {func(o *RestoreOptions) { write("target/keys-9.age", backup) }, ErrBackupMismatch, "keys-9.age is newer"},
		"root key there": {func(o *RestoreOptions) { o.Vault.RootKeyPath = write("root", newRootKey(4).encode()) }, nil, "already"},
		"no log":         {func(o *RestoreOptions) { o.Leaf = nil }, nil, "required"},
		"other log": {func(o *RestoreOptions) {
			o.Leaf = func(ledger.Index) (ledger.Hash, error) { return ledger.Hash{1}, nil }
		}, ErrBackupMismatch, "one data backup"},
		"older log":        {func(o *RestoreOptions) { o.LogSize = 100 }, ErrBackupMismatch, "one data backup"},
		"other vault":      {func(o *RestoreOptions) { o.Vault.Dir = otherOrigin(t, base) }, ErrBackupMismatch, "other.example"},
		"data too new":     {func(o *RestoreOptions) { o.Vault.Dir = newerData(t, base, o.Vault) }, ErrBackupMismatch, "the data are of generation 9"},
		"no data":          {func(o *RestoreOptions) { o.Vault.Dir += ".none" }, fs.ErrNotExist, "no database"},
		"set aside before": {func(o *RestoreOptions) { check(t, os.MkdirAll(o.Vault.Dir+".before-restore", 0o700)) }, nil, "earlier restore"},
		"identity path":    {func(o *RestoreOptions) { o.Vault.KeyBackup.IdentityPath = base + "/data/identity" }, ErrBackupIdentity, "ledger's directory"},
		"later identity": {func(o *RestoreOptions) {
			later := must[*backupIdentity](t)(newBackupIdentity(testOrigin, 9))
			o.Vault.KeyBackup.IdentityPath = write("later", later.encode())
		}, ErrBackupMismatch, "generation 9"},
	}
	for i := range 10 {
		at := i * (len(backup) - 1) / 9
		flipped := bytes.Clone(backup)
		flipped[at] ^= 1
		cases[fmt.Sprint("flipped at ", at)] = refusal{func(o *RestoreOptions) { o.Backup = write("flipped", flipped) }, ErrBackupContent, ""}
		cases[fmt.Sprint("cut to ", at)] = refusal{func(o *RestoreOptions) { o.Backup = write("cut", backup[:at]) }, ErrBackupContent, ""}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := good
			k := *good.Vault.KeyBackup
			o.Vault.KeyBackup = &k
			c.change(&o)
			before := contents(t, base)
			_, err := Restore(o)
			if err == nil || !errors.Is(err, c.want) && c.want != nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Restore: %v, want %v with %q", err, c.want, c.says)
			}
			if contents(t, base) != before {
				t.Error("it changed something")
			}
			check(t, os.RemoveAll(base+"/target/keys-9.age"))
			check(t, os.RemoveAll(good.Vault.Dir+".before-restore"))
		})
	}
	must[RestoreReport](t)(Restore(good))
}

// otherOrigin makes a vault of another ledger.
func otherOrigin(t *testing.T, base string) string {
	t.Helper()
	opt := optionsIn(filepath.Join(base, "other-vault"))
	check(t, Create(opt, "other.example/ledger"))
	return opt.Dir
}

// newerData copies a vault and gives it the root row of a later generation.
func newerData(t *testing.T, base string, opt Options) string {
	t.Helper()
	check(t, os.CopyFS(filepath.Join(base, "newer", "vault"), os.DirFS(opt.Dir)))
	v := &Vault{db: must[*badger.DB](t)(badgerdb.Open(optionsIn(filepath.Join(base, "newer")).database()))}
	setRow(t, v, keyRoot(), newTree(9).encode(newRootKey(9)))
	check(t, v.db.Close())
	return filepath.Join(base, "newer", "vault")
}
