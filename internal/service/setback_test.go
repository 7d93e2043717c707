package service

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
)

// TestStopRecording: a ledger of which others hold more reads on, and changes nothing,
// neither in the log nor of what a newer copy would need.
func TestStopRecording(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	r := f.confirmed(a)
	before := f.rowsOf()
	f.s.StopRecording("a first reason")
	f.s.StopRecording("the witness at http://203.0.113.1 says it")
	f.nothingIsRecorded(r)
	_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "art17", Mode: "shred_now"})
	refused(t, err, refusal.UnavailableCode, "")
	_, err = f.s.RotateKey(ctx, admin, KeyRotation{})
	refused(t, err, refusal.UnavailableCode, "")
	_, err = f.s.RunRetention(ctx, RetentionRun{})
	refused(t, err, refusal.UnavailableCode, "")
	refused(t, f.s.RekeyIndex(ctx), refusal.UnavailableCode, "")
	if err := f.s.upkeep.tick(); err != nil {
		t.Error(err)
	}
	f.checks(a, newsletter, "confirmed")
	// Callers are told what to do, administrators also who says it.
	if said := f.s.Fault().Error(); strings.Contains(said, "203.0.113.1") || !strings.Contains(said, "Bring back the newest copy") {
		t.Errorf("callers read %s", said)
	}
	st, err := f.s.Status()
	if err != nil || !strings.HasPrefix(st.Fault.Error(), "the witness at http://203.0.113.1 says it. Bring back the newest copy") {
		t.Errorf("the status is %+v, %v", st, err)
	}
	// rowsOf opens the ledger anew. Nothing is remembered: whoever says it says it again.
	if after := f.rowsOf(); !maps.Equal(after, before) {
		t.Errorf("the vault has %d rows, had %d", len(after), len(before))
	}
	f.request(a)
}

// TestNoKeyBackupOfAnOldCopy: what opens the newest key backup is not destroyed.
func TestNoKeyBackupOfAnOldCopy(t *testing.T) {
	t.Parallel()
	target, stick := t.TempDir(), t.TempDir()
	f := newService(t, func(o *Options) {
		o.KeyBackup = &vault.KeyBackup{Target: target, IdentityPath: filepath.Join(stick, "identity")}
	})
	f.confirmed("a@example.com")
	if _, _, err := f.s.BackupKeys(ctx); err != nil {
		t.Fatal(err)
	}
	identity, err := os.ReadFile(filepath.Join(stick, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	f.s.StopRecording("a reason")
	_, _, err = f.s.BackupKeys(ctx)
	refused(t, err, refusal.UnavailableCode, "")
	if again, err := os.ReadFile(filepath.Join(stick, "identity")); err != nil || string(again) != string(identity) {
		t.Errorf("the identity is another one, %v", err)
	}
}

// TestHeldToItsDirectory is the table of what a directory may keep besides the log.
func TestHeldToItsDirectory(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.confirmed(a)
	sizeOfCopy := f.size()
	f.close()
	copied := copyDir(t, f.opt.Dir)
	f.open()
	f.confirmed("b@example.com")
	newer := f.checkpoint()
	_, err := f.s.RotateKey(ctx, admin, KeyRotation{})
	if err != nil {
		t.Fatal(err)
	}
	rotated := f.checkpoint()
	stranger := newFixture(t)
	own := fixtureOf(t, copied)
	same := own.checkpoint()
	own.confirmed("c@example.com")
	own.confirmed("d@example.com")
	own.confirmed("e@example.com")
	goneOn := own.opt.Dir
	own.close()
	for _, c := range []struct {
		name, dir string
		content   []byte
		want      string // "" for nothing
	}{
		{"its own", copied, same, ""},
		{"its own, and the log went on", goneOn, same, ""},
		{"a newer one", copied, newer, "the log has signed"},
		{"one of another history", goneOn, newer, "the log has signed two histories of"},
		{"one by keys that came later", copied, rotated, "is signed by keys that this log does not know"},
		{"one that is cut off", copied, newer[:len(newer)-1], ""},
		{"one with a bit flipped", copied, []byte(strings.Replace(string(newer), "\n"+newerSize(newer)+"\n", "\n9999\n", 1)), ""},
		{"another log's", copied, stranger.checkpoint(), "is signed by keys that this log does not know"},
		{"nothing", copied, []byte{}, ""},
	} {
		for _, name := range []string{"cosigned.checkpoint", "anchored.checkpoint"} {
			t.Run(c.name+" in "+name, func(t *testing.T) {
				dir := copyDir(t, c.dir)
				if err := os.WriteFile(filepath.Join(dir, name), c.content, 0o644); err != nil {
					t.Fatal(err)
				}
				g := fixtureOf(t, dir)
				if c.want == "" {
					g.request("new@example.com")
					return
				}
				g.refusesToRecord(a)
				g.checks(a, newsletter, "confirmed")
				st, err := g.s.Status()
				if err != nil || !strings.Contains(st.Fault.Error(), name) || !strings.Contains(st.Fault.Error(), c.want) {
					t.Errorf("the status is %+v, %v", st, err)
				}
				if g.size() < sizeOfCopy {
					t.Errorf("the copy has %d entries", g.size())
				}
			})
		}
	}
	// What cannot be read may say anything: then nobody knows.
	dir := copyDir(t, copied)
	if err := os.Mkdir(filepath.Join(dir, "cosigned.checkpoint"), 0o755); err != nil {
		t.Fatal(err)
	}
	opt := f.opt
	opt.Dir = dir
	if _, err := Open(opt); err == nil || !strings.Contains(err.Error(), "reading a checkpoint that was kept") {
		t.Errorf("opened with %v", err)
	}
}

// fixtureOf opens a ledger in a directory that is there.
func fixtureOf(t testing.TB, dir string) *fixture {
	t.Helper()
	f := &fixture{t: t, log: new(logLines), clock: new(testClock)}
	f.opt = Options{Dir: dir, Memory: MinMemory, Logger: slog.New(slog.NewTextHandler(f.log, nil)), testOnlyClock: f.clock.now, MaxConfirmationMails: -1}
	f.open()
	t.Cleanup(f.finish)
	return f
}

// newerSize gives the second line of a checkpoint.
func newerSize(checkpoint []byte) string { return strings.Split(string(checkpoint), "\n")[1] }

// checkpoint gives the newest.
func (f *fixture) checkpoint() []byte {
	signed, _ := f.s.Log().Checkpoint()
	return signed
}

// TestErasureWaitsForWitnesses: an erasure that a crash interrupted is carried out
// when others were asked what they hold, and in a ledger that was set back not at all.
func TestErasureWaitsForWitnesses(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	r := f.confirmed(a)
	f.setFault(failAt("before shred", 1))
	before := f.size()
	_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "art17", Mode: "shred_now"})
	refused(t, err, refusal.UnavailableCode, "")
	f.setFault(nil)
	root := func() string {
		b, err := os.ReadFile(filepath.Join(f.opt.Dir, "root.key"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	f.opt.Later = true
	f.reopen()
	old := root()
	f.wrote(before, "subject.erased")
	f.s.StopRecording("a reason")
	if err := f.s.Begin(); err != nil {
		t.Error(err)
	}
	f.wrote(before, "subject.erased")
	f.close()
	if root() != old {
		t.Error("keys were destroyed")
	}
	f.open()
	f.wrote(before, "subject.erased")
	if err := f.s.Begin(); err != nil {
		t.Error(err)
	}
	f.wrote(before, "subject.erased evidence.shredded")
	f.strangers(a, r)
	if root() == old {
		t.Error("no keys were destroyed")
	}
	f.opt.Later = false
}
