package service

import (
	"bytes"
	"errors"
	"fmt"
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
	"github.com/consentledger/consentledger/ledger"
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

// restoring gives the options of a restore into a new directory, from copies of what the
// ledger's target and the medium of its identity hold now.
func (f *fixture) restoring() RestoreOptions {
	f.t.Helper()
	places := f.t.TempDir()
	target, medium := filepath.Join(places, "target"), filepath.Join(places, "medium")
	for to, from := range map[string]string{target: f.target(), medium: filepath.Dir(f.opt.KeyBackup.IdentityPath)} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			f.t.Fatal(err)
		}
		files, err := os.ReadDir(to)
		for _, e := range files {
			err = errors.Join(err, os.Chmod(filepath.Join(to, e.Name()), 0o600))
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
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
	// The chain is of the vault that was; a new one is begun in an empty place.
	_, err = g.s.Backup(ctx, false)
	refused(t, err, refusal.FailedPrecondition, "backup_chain")
	_, err = g.s.Backup(ctx, true)
	refused(t, err, refusal.FailedPrecondition, "backup_chain")
	files, _ := filepath.Glob(filepath.Join(g.target(), "data-*"))
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

var _ = []any{fmt.Sprint, slices.Sort[[]int], strings.Cut, sync.Mutex{}, time.Now, backup.Name, loghistory.CheckDir, ledger.Size(0)}
