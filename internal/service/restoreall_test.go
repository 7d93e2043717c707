package service

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/backup"
	loghistory "github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
)

// newBackedUp makes a ledger with a backup target.
func newBackedUp(t testing.TB) *fixture {
	t.Helper()
	return newService(t, func(o *Options) {
		o.KeyBackup = &vault.KeyBackup{Target: t.TempDir(), IdentityPath: filepath.Join(t.TempDir(), "identity")}
	})
}

func (f *fixture) target() string { return f.opt.KeyBackup.Target }

func (f *fixture) backup(full bool) *BackupReport {
	f.t.Helper()
	r, err := f.s.Backup(ctx, full)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// keyFile gives the newest key backup of a target.
func keyFile(t testing.TB, target string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(target, "keys-*.age"))
	if err != nil || len(files) != 1 {
		t.Fatalf("key backups: %v, %v", files, err)
	}
	return files[0]
}

// copyPlace copies a directory as it lies, for its owner alone.
func copyPlace(t testing.TB, from, to string) {
	t.Helper()
	err := os.CopyFS(to, os.DirFS(from))
	err = errors.Join(err, filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
}

// restoring gives the options of a restore into a new directory, from copies of what the
// ledger's target and the medium of its identity hold now.
func (f *fixture) restoring() RestoreOptions {
	f.t.Helper()
	places := f.t.TempDir()
	target, medium := filepath.Join(places, "target"), filepath.Join(places, "medium")
	copyPlace(f.t, f.target(), target)
	copyPlace(f.t, filepath.Dir(f.opt.KeyBackup.IdentityPath), medium)
	opt := f.opt
	opt.Dir, opt.testOnlyStep = filepath.Join(places, "restored"), nil
	identity := filepath.Join(medium, "identity")
	opt.KeyBackup = &vault.KeyBackup{Target: target, IdentityPath: identity}
	return RestoreOptions{Options: opt, From: target, SigningKeys: filepath.Join(f.opt.Dir, signingKeysName), KeyFile: keyFile(f.t, target), Identity: identity}
}

// restored restores and opens what was made.
func restored(t testing.TB, opt RestoreOptions) (*fixture, *RestoredLedger) {
	t.Helper()
	r, err := RestoreAll(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	g := &fixture{t: t, log: new(logLines), clock: new(testClock), opt: opt.Options}
	g.open()
	t.Cleanup(g.finish)
	return g, r
}

// TestBackupAndRestore: a ledger with everything that a backup must carry, in three files,
// is made anew elsewhere, is sound, answers as it did and goes on.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	f := newBackedUp(t)
	f.confirmed("a@example.com", newsletter, account)
	f.confirmed("gone@example.com")
	if err := os.WriteFile(filepath.Join(f.opt.Dir, "apikeys"), []byte("keyed hashes"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := f.backup(true); r.From != 0 || r.File != "data-000001.backup" || r.To != f.size() || r.Rows == 0 || r.People != 2 {
		t.Errorf("the first backup is %+v", r)
	}
	f.withdraw(Withdrawal{Subject: email("a@example.com"), Purposes: []string{account}})
	if _, err := f.s.RecordAnchor(ctx, f.stampOf("token")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.s.RotateKey(ctx, admin, KeyRotation{}); err != nil {
		t.Fatal(err)
	}
	f.erase("gone@example.com")
	bytesOf := bytes.Repeat([]byte("PICTURE "), 1<<17)
	ask := asking("paper@example.com")
	ask.Attachments = []Attachment{{Claim: "form_snapshot", FileName: "form.png", MediaType: "image/png", Bytes: bytesOf}}
	asked, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil {
		t.Fatal(err)
	}
	f.confirm(asked.Token)
	second := f.backup(false)
	if _, _, err := f.s.AddSuppression(ctx, admin, Suppression{Subject: email("never@example.com")}); err != nil {
		t.Fatal(err)
	}
	f.confirmed("b@example.com")
	third := f.backup(false)
	if second.From == 0 || third.From != second.To || third.To != f.size() || third.Bytes > second.Bytes {
		t.Errorf("the backups are %+v and %+v", second, third)
	}
	files, err := filepath.Glob(filepath.Join(f.target(), "data-*"))
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		for _, personal := range []string{"@example.com", "PICTURE", "form.png"} {
			if err != nil || bytes.Contains(b, []byte(personal)) {
				t.Errorf("%s holds %q in clear, %v", file, personal, err)
			}
		}
	}
	size := f.size()
	f.confirmed("late@example.com")
	g, r := restored(t, f.restoring())
	if r.Size != size || r.Files != 3 || r.Vault.People != 3 || r.Gone != 0 || r.Check == nil || r.Check.Attachments != 1 || r.Vault.IdentityLeft != "" {
		t.Errorf("restored %+v, the vault %+v", r, r.Vault)
	}
	g.checks("a@example.com", newsletter, "confirmed")
	g.checks("a@example.com", account, "withdrawn")
	g.checks("b@example.com", newsletter, "confirmed")
	g.checks("paper@example.com", newsletter, "confirmed")
	g.checks("gone@example.com", newsletter, "unknown_subject")
	g.checks("late@example.com", newsletter, "unknown_subject")
	keys, err := os.ReadFile(filepath.Join(g.opt.Dir, "apikeys"))
	if err != nil || string(keys) != "keyed hashes" {
		t.Errorf("apikeys holds %q, %v", keys, err)
	}
	g.confirmed("new@example.com")
	g.erase("b@example.com")
	// The chain is of the vault that was, whatever the numbers of its rows; a new one is
	// begun in an empty place.
	chain, err := backup.OpenChain(g.target())
	for n, until := 0, uint64(0); err == nil && until <= chain[2].Until; n++ {
		g.request(fmt.Sprintf("more%d@example.com", n))
		var d *vault.DataBackup
		if d, err = g.s.vault.ReadData(func(vault.GroupRecord) bool { return true }); err == nil {
			until = d.Until
			d.Release()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.s.Backup(ctx, false)
	refused(t, err, refusal.FailedPrecondition, "backup_chain")
	_, err = g.s.Backup(ctx, true)
	refused(t, err, refusal.FailedPrecondition, "backup_chain")
	files, _ = filepath.Glob(filepath.Join(g.target(), "data-*"))
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	g.backup(true)
	h, _ := restored(t, g.restoring())
	h.checks("new@example.com", newsletter, "confirmed")
	h.checks("b@example.com", newsletter, "unknown_subject")
}

// TestBackupUnderLoad backs up while 64 writers record, and restores: everything that was
// acknowledged before the newest backup began is there, and the log goes on.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	f := newBackedUp(t)
	f.backup(true)
	var mu sync.Mutex
	acknowledged := map[string]bool{} // guarded by mu
	var writers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 64 {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				who := fmt.Sprintf("w%d-%d@example.com", w, n)
				r, err := f.s.RequestConsent(ctx, shop, asking(who))
				if err == nil {
					_, err = f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, Claims: map[string]string{"ip": "203.0.113.9"}})
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged[who] = true
				mu.Unlock()
			}
		})
	}
	var before []string
	for range 4 {
		for more := len(before); len(before) <= more && !t.Failed(); time.Sleep(time.Millisecond) {
			mu.Lock()
			before = slices.Collect(maps.Keys(acknowledged))
			mu.Unlock()
		}
		f.backup(false)
	}
	close(stop)
	writers.Wait()
	f.erase(before[0])
	if _, _, err := f.s.BackupKeys(ctx); err != nil {
		t.Fatal(err)
	}
	o := f.restoring()
	elsewhere := filepath.Join(t.TempDir(), "kept")
	if err := os.Rename(o.Identity, elsewhere); err != nil {
		t.Fatal(err)
	}
	o.Identity = elsewhere
	g, r := restored(t, o)
	if left := filesBelow(t, filepath.Dir(elsewhere)); len(left) != 1 {
		t.Errorf("the identity of before is not destroyed: %v", left)
	}
	if r.Files != 5 || r.Gone != 1 || !r.Erased || r.Vault.PeopleDamaged != 0 || r.Vault.ConsentsWithoutClaims != 0 || r.Check == nil {
		t.Errorf("restored %+v, the vault %+v", r, r.Vault)
	}
	for n, who := range before {
		want := "confirmed"
		if n == 0 {
			want = "unknown_subject"
		}
		if n < 200 {
			g.checks(who, newsletter, want)
		}
	}
	g.confirmed("new@example.com")
	if r.Vault.People < len(before)-1 {
		t.Errorf("%d people are back, %d were acknowledged before the last backup", r.Vault.People, len(before))
	}
}

// TestRestoreRefuses is the table of backups from which nothing is made.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	f := newBackedUp(t)
	f.confirmed("a@example.com")
	f.backup(true)
	f.confirmed("b@example.com")
	f.backup(false)
	f.confirmed("c@example.com")
	f.backup(false)
	stranger := newBackedUp(t)
	stranger.confirmed("a@example.com")
	stranger.backup(true)
	twin := func() *fixture { // went on from a copy of the directory
		f.close()
		dir := copyDir(t, f.opt.Dir)
		f.open()
		g := fixtureOf(t, dir)
		g.confirmed("d@example.com")
		return g
	}()
	fork := twin.checkpoint()
	f.confirmed("d@example.com")
	later := f.checkpoint()
	second := func(o *RestoreOptions) string { return filepath.Join(o.From, backup.Name(2)) }
	for name, c := range map[string]struct {
		spoil func(o *RestoreOptions) error
		want  string
	}{
		"nothing there":  {func(o *RestoreOptions) error { o.From = t.TempDir(); return nil }, "there is no data backup"},
		"a file missing": {func(o *RestoreOptions) error { return os.Remove(second(o)) }, "there is no"},
		"a file of another": {func(o *RestoreOptions) error {
			return replace(second(o), filepath.Join(stranger.target(), backup.Name(1)))
		}, "do not belong together"},
		"the others' chain": {func(o *RestoreOptions) error { o.From = stranger.target(); return nil }, "opening the log"},
		"no signing keys":   {func(o *RestoreOptions) error { o.SigningKeys = ""; return nil }, "signing keys"},
		"others' signing keys": {func(o *RestoreOptions) error {
			o.SigningKeys = filepath.Join(stranger.opt.Dir, signingKeysName)
			return nil
		}, "signing keys given"},
		"signing keys that others may read": {func(o *RestoreOptions) error {
			b, err := os.ReadFile(o.SigningKeys)
			o.SigningKeys = filepath.Join(t.TempDir(), "keys")
			return errors.Join(err, os.WriteFile(o.SigningKeys, b, 0o644))
		}, "others may read"},
		"others' key backup": {func(o *RestoreOptions) error {
			o.KeyFile, o.Identity = keyFile(t, stranger.target()), stranger.opt.KeyBackup.IdentityPath
			return nil
		}, ""},
		"no identity": {func(o *RestoreOptions) error { return os.Remove(o.Identity) }, "identity"},
		"a ledger in its place": {func(o *RestoreOptions) error {
			return os.CopyFS(o.Dir, os.DirFS(f.opt.Dir))
		}, "there is a ledger"},
		"something in its place": {func(o *RestoreOptions) error {
			return errors.Join(os.Mkdir(o.Dir, 0o700), os.WriteFile(filepath.Join(o.Dir, "notes"), nil, 0o600))
		}, "is not empty"},
		"somebody holds more":   {func(o *RestoreOptions) error { o.Held = holds(later); return nil }, "too old"},
		"somebody holds a fork": {func(o *RestoreOptions) error { o.Held = holds(fork); return nil }, "too old"},
		"a cut file":            {func(o *RestoreOptions) error { return os.Truncate(second(o), 1000) }, ""},
		"an older last file":    {func(o *RestoreOptions) error { return replace(filepath.Join(o.From, backup.Name(3)), second(o)) }, "renamed or copied"},
		"an older copy of a file": {func(o *RestoreOptions) error {
			return replace(filepath.Join(o.From, backup.Name(1)), filepath.Join(stranger.target(), backup.Name(1)))
		}, "do not belong together"},
	} {
		t.Run(name, func(t *testing.T) {
			o := f.restoring()
			if err := c.spoil(&o); err != nil {
				t.Fatal(err)
			}
			before := filesBelow(t, filepath.Dir(o.Dir))
			_, err := RestoreAll(ctx, o)
			if err == nil || !containsOne(err.Error(), c.want) {
				t.Errorf("restored, or refused with %v, want %q", err, c.want)
			}
			if after := filesBelow(t, filepath.Dir(o.Dir)); !maps.Equal(after, before) {
				t.Errorf("something was changed: %v, had %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
			}
		})
	}
	// Bytes of a file, sampled: none can be changed or cut off without being noticed.
	o := f.restoring()
	good, err := os.ReadFile(second(&o))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(good); at += len(good)/40 + 1 {
		b := bytes.Clone(good)
		b[at] ^= 0x10
		if err := os.WriteFile(second(&o), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := RestoreAll(ctx, o); err == nil {
			t.Fatalf("byte %d was changed and nobody noticed", at)
		}
	}
	if err := os.WriteFile(second(&o), good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreAll(ctx, o); err != nil {
		t.Errorf("what is whole is refused: %v", err)
	}
}

// holds gives a check against a checkpoint that somebody kept.
func holds(signed []byte) func(loghistory.Log) error {
	return func(log loghistory.Log) error {
		kept, err := loghistory.Open(log, signed)
		if err != nil {
			return err
		}
		found, err := loghistory.Find(log, kept.Checkpoint)
		if err == nil {
			err = found.Err()
		}
		return err
	}
}

func replace(path, by string) error {
	b, err := os.ReadFile(by)
	return errors.Join(err, os.WriteFile(path, b, 0o600))
}

// containsOne tells whether a text contains one of some alternatives, "|" between them.
func containsOne(text, want string) bool {
	return slices.ContainsFunc(strings.Split(want, "|"), func(w string) bool { return strings.Contains(text, w) })
}

// filesBelow gives what lies below a directory, with sizes.
func filesBelow(t testing.TB, dir string) map[string]int64 {
	t.Helper()
	files := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.IsDir() {
			files[path] = -1
		} else if err == nil {
			files[path] = info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestBackupKilled kills a backup at each of its steps: what is in the target then can be
// restored, and the next backup goes on from it and removes what is unfinished.
func TestBackupKilled(t *testing.T) {
	t.Parallel()
	f := newBackedUp(t)
	f.confirmed("a@example.com")
	f.backup(true)
	f.confirmed("b@example.com")
	left := map[string]string{}
	f.setFault(func(step string) error {
		if strings.HasPrefix(step, "backup ") {
			left[step] = filepath.Join(t.TempDir(), "target")
			copyPlace(t, f.target(), left[step])
		}
		return nil
	})
	f.backup(false)
	f.setFault(nil)
	f.confirmed("c@example.com")
	for step, files := range map[string]int{"backup synced": 1, "backup renamed": 2} {
		o := f.restoring()
		o.From = left[step]
		g, r := restored(t, o)
		if r.Files != files || r.Vault.People != files {
			t.Errorf("killed at %q: restored %+v, %+v", step, r, r.Vault)
		}
		g.checks("a@example.com", newsletter, "confirmed")
		if err := os.RemoveAll(f.target()); err != nil {
			t.Fatal(err)
		}
		copyPlace(t, left[step], f.target())
		if done := f.backup(false); done.File != backup.Name(uint64(files)+1) {
			t.Errorf("killed at %q: the next one is %+v", step, done)
		}
		if scraps, err := filepath.Glob(filepath.Join(f.target(), "*.tmp*")); err != nil || len(scraps) > 0 {
			t.Errorf("killed at %q: %v is left, %v", step, scraps, err)
		}
		g, _ = restored(t, f.restoring())
		g.checks("c@example.com", newsletter, "confirmed")
	}
}

// TestRestoreKilled kills a restore at each of its steps: it is begun again, or the ledger
// is in its place.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	f := newBackedUp(t)
	f.confirmed("a@example.com")
	f.confirmed("gone@example.com")
	f.backup(true)
	f.erase("gone@example.com")
	o := f.restoring()
	places, left := filepath.Dir(o.Dir), map[string]string{}
	moved := func(o RestoreOptions, to string) RestoreOptions {
		o.Dir, o.From, o.KeyFile, o.Identity = filepath.Join(to, "restored"), filepath.Join(to, "target"),
			filepath.Join(to, "target", filepath.Base(o.KeyFile)), filepath.Join(to, "medium", "identity")
		o.KeyBackup = &vault.KeyBackup{Target: o.From, IdentityPath: o.Identity}
		o.testOnlyStep = nil
		return o
	}
	o.testOnlyStep = func(step string) error {
		if strings.HasPrefix(step, "restore ") {
			left[step] = filepath.Join(t.TempDir(), "places")
			copyPlace(t, places, left[step])
		}
		return nil
	}
	if _, err := RestoreAll(ctx, o); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"restore log made", "restore vault made", "restore checked"} {
		if _, err := os.Stat(filepath.Join(left[step], "restored", restoring)); err != nil {
			t.Fatalf("killed at %q nothing is left: %v", step, err)
		}
		g, r := restored(t, moved(o, left[step]))
		if r.Gone != 1 || !r.Erased || r.Vault.People != 1 {
			t.Errorf("killed at %q: restored %+v, %+v", step, r, r.Vault)
		}
		g.checks("a@example.com", newsletter, "confirmed")
		g.checks("gone@example.com", newsletter, "unknown_subject")
	}
	// Between moving files up and the head, which comes last.
	half := moved(o, t.TempDir())
	if err := errors.Join(os.MkdirAll(filepath.Join(half.Dir, restoring, "log"), 0o700),
		os.WriteFile(filepath.Join(half.Dir, "root.key"), []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	fresh := f.restoring()
	copyPlace(t, fresh.From, half.From)
	copyPlace(t, filepath.Dir(fresh.Identity), filepath.Dir(half.Identity))
	restored(t, half)
	// In its place, and the old identity is still there: it is said what to do.
	in := moved(o, left["restore in place"])
	if _, err := RestoreAll(ctx, in); err == nil || !strings.Contains(err.Error(), "there is a ledger") {
		t.Errorf("restored over a ledger: %v", err)
	}
	if _, err := Open(in.Options); err == nil || !strings.Contains(err.Error(), "destroy the identity's file and remove that backup") {
		t.Errorf("opened with the identity of before: %v", err)
	}
	if err := errors.Join(os.Remove(in.Identity), os.Remove(in.KeyFile)); err != nil {
		t.Fatal(err)
	}
	g := &fixture{t: t, log: new(logLines), clock: new(testClock), opt: in.Options}
	g.open()
	t.Cleanup(g.finish)
	if _, _, err := g.s.BackupKeys(ctx); err != nil {
		t.Error(err)
	}
	g.checks("a@example.com", newsletter, "confirmed")
}

// TestBackupRefuses is the table of targets from which no backup goes on.
func TestBackupRefuses(t *testing.T) {
	t.Parallel()
	f := newBackedUp(t)
	f.confirmed("a@example.com")
	_, err := f.s.Backup(ctx, false)
	refused(t, err, refusal.FailedPrecondition, "backup_chain")
	f.backup(true)
	f.close()
	older := copyDir(t, f.opt.Dir)
	f.open()
	f.confirmed("b@example.com")
	f.backup(false)
	stranger := newBackedUp(t)
	stranger.backup(true)
	good := filepath.Join(t.TempDir(), "good")
	copyPlace(t, f.target(), good)
	newest := filepath.Join(f.target(), backup.Name(2))
	for name, spoil := range map[string]func() error{
		"cut":            func() error { return os.Truncate(newest, 1000) },
		"missing":        func() error { return os.Remove(filepath.Join(f.target(), backup.Name(1))) },
		"another's file": func() error { return replace(newest, filepath.Join(stranger.target(), backup.Name(1))) },
		"a byte changed": func() error {
			b, err := os.ReadFile(newest)
			b[len(b)/2] ^= 1
			return errors.Join(err, os.WriteFile(newest, b, 0o600))
		},
		"another's chain": func() error {
			return errors.Join(os.Remove(newest), replace(filepath.Join(f.target(), backup.Name(1)), filepath.Join(stranger.target(), backup.Name(1))))
		},
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		before := filesBelow(t, f.target())
		_, err := f.s.Backup(ctx, false)
		refused(t, err, refusal.FailedPrecondition, "backup_chain")
		if after := filesBelow(t, f.target()); !maps.Equal(before, after) {
			t.Errorf("%s: the target was changed", name)
		}
		if err := os.RemoveAll(f.target()); err != nil {
			t.Fatal(err)
		}
		copyPlace(t, good, f.target())
	}
	f.backup(false)
	// A ledger that was set back stops: the backup proves it.
	f.close()
	behind := fixtureOf(t, older)
	behind.close()
	behind.opt.KeyBackup = f.opt.KeyBackup
	behind.open()
	_, err = behind.s.Backup(ctx, false)
	if err == nil || !strings.Contains(err.Error(), "the log has signed") || behind.s.Fault() == nil {
		t.Errorf("a ledger that was set back is backed up: %v", err)
	}
	_, err = behind.s.RequestConsent(ctx, shop, asking("x@example.com"))
	refused(t, err, refusal.UnavailableCode, "")
	behind.close()
	f.open()
	_, err = newService(t).s.Backup(ctx, true)
	refused(t, err, refusal.FailedPrecondition, "backup_target")
}

// TestRestoreOfWhoChanged: what came after the data backup and is not in the log is said.
func TestRestoreOfWhoChanged(t *testing.T) {
	t.Parallel()
	f := newBackedUp(t)
	const was, now = "old@example.com", "new@example.com"
	f.confirmed(was)
	if _, _, err := f.s.BackupKeys(ctx); err != nil {
		t.Fatal(err)
	}
	early := f.restoring()
	f.confirmed("lost@example.com")
	f.backup(true)
	early.From = f.target()
	g, r := restored(t, early)
	if r.Gone != 1 || r.Erased || r.Vault.People != 1 {
		t.Errorf("with a key backup from before the data: %+v, %+v", r, r.Vault)
	}
	g.checks("lost@example.com", newsletter, "unknown_subject")
	f.rectify(Rectification{Subject: email(was), Remove: email(was), Add: email(now)})
	o := f.restoring()
	o.RootKeyPath = filepath.Join(t.TempDir(), "root.key")
	if _, err := RestoreAll(ctx, o); err == nil || !strings.Contains(err.Error(), "--despite-check") {
		t.Errorf("restored although an address was corrected since: %v", err)
	}
	// The root key of what was not put in its place opens a copy of everybody's keys.
	if left := filesBelow(t, filepath.Dir(o.RootKeyPath)); len(left) != 1 {
		t.Errorf("beside the root key there is %v", left)
	}
	o.DespiteCheck = true
	g, r = restored(t, o)
	g.damaged = true // as the report says
	if r.CheckErr == nil || r.Vault.IdentifiersAddedSince != 1 {
		t.Errorf("restored %+v, %+v", r, r.Vault)
	}
}
