package service

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// seen is what readers were shown while a commit failed.
type seen struct {
	mu      sync.Mutex
	entries map[ledger.Index]ledger.Hash
	roots   map[ledger.Size]ledger.Hash
}

// readers read whatever is published, over and over, until stop is called.
func (f *fixture) readers(n int) (s *seen, stop func()) {
	s = &seen{entries: map[ledger.Index]ledger.Hash{}, roots: map[ledger.Size]ledger.Hash{}}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-done:
					return
				default:
					f.readOnce(s)
				}
			}
		}()
	}
	return s, func() { close(done); wg.Wait() }
}

func (f *fixture) readOnce(s *seen) {
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	last := ledger.Index(snap.Size() - 1)
	text, err := snap.Entry(last)
	if err != nil {
		f.t.Error(err)
	}
	if _, err := snap.Entry(last + 1); err == nil {
		f.t.Errorf("entry %d can be read in a log of %d", last+1, snap.Size())
	}
	list, err := f.s.ListConsents(ctx, email("racing0@example.com"))
	if err != nil {
		f.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[last] = ledger.LeafHash(text)
	s.roots[snap.Size()] = snap.Root()
	for _, c := range list {
		s.entries[c.Entry.Index] = c.Entry.Leaf
	}
}

// kept checks that everything readers were shown is still there.
func (f *fixture) kept(s *seen) {
	f.t.Helper()
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	for i, leaf := range s.entries {
		text, err := snap.Entry(i)
		if err != nil || ledger.LeafHash(text) != leaf {
			f.t.Errorf("entry %d was seen and is lost: %v", i, err)
		}
	}
	for size, root := range s.roots {
		if size == snap.Size() && root != snap.Root() {
			f.t.Errorf("at %d entries another root was seen", size)
		}
		if size > snap.Size() {
			f.t.Errorf("a size of %d was seen, the log has %d entries", size, snap.Size())
		}
	}
}

// TestFaults lets a commit fail at each of its steps, as an error of the disk
// does: everybody in the group is told, nobody sees what may be lost, nothing
// more is recorded, and a start finds the group wholly or not at all.
func TestFaults(t *testing.T) {
	t.Parallel()
	for step, there := range map[string]bool{
		"before vault": false, "after vault": false, "before log": false, "after log": true, "before head": true, "after head": true,
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			f := newService(t)
			known := f.confirmed("known@example.com")
			unused, _ := drawn(6)
			before := f.size()
			s, stop := f.readers(3)
			f.setFault(failAt(step, 1))
			var calls []func()
			for i := range 3 {
				calls = append(calls, func() {
					ask := asking(fmt.Sprintf("racing%d@example.com", i), newsletter, offers)
					ask.Claims = map[string]string{"name": "Somebody"}
					ask.IdempotencyKey = fmt.Sprint("key ", i)
					_, err := f.s.RequestConsent(ctx, shop, ask)
					refused(t, err, refusal.UnavailableCode, "")
				})
			}
			calls = append(calls, func() { // refused by what may not be recorded: told the same
				_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: unused})
				refused(t, err, refusal.UnavailableCode, "")
			})
			f.together(calls...)
			time.Sleep(5 * time.Millisecond)
			stop()
			f.nothingIsRecorded(known)
			if f.size() != before {
				t.Errorf("%d entries are published after a fault, want %d", f.size(), before)
			}
			f.checks("known@example.com", newsletter, "confirmed")
			f.checks("racing0@example.com", newsletter, "unknown_subject")
			f.setFault(nil)
			f.reopen()
			f.kept(s)
			reason, size := "unknown_subject", before
			if there {
				reason, size = "pending", before+6
			}
			if f.size() != size {
				t.Errorf("%d entries after reopening, want %d", f.size(), size)
			}
			for i := range 3 {
				f.checks(fmt.Sprintf("racing%d@example.com", i), newsletter, reason)
			}
			f.checks("known@example.com", newsletter, "confirmed")
			// A retry is answered, or recorded as if for the first time.
			for i := range 3 {
				ask := asking(fmt.Sprintf("racing%d@example.com", i), newsletter, offers)
				ask.Claims = map[string]string{"name": "Somebody"}
				ask.IdempotencyKey = fmt.Sprint("key ", i)
				r, err := f.s.RequestConsent(ctx, shop, ask)
				if err != nil {
					t.Error(err)
					continue
				}
				f.confirm(r.Token)
			}
			if f.size() != before+6+3 {
				t.Errorf("%d entries in the end, want %d", f.size(), before+6+3)
			}
		})
	}
}

// A fault in a group that only the vault or only the log has rows of.
func TestFaultsOfOneSide(t *testing.T) {
	t.Parallel()
	f := newService(t)
	r := f.confirmed("a@example.com")
	// A withdrawal without claims writes no row to the vault.
	f.setFault(failAt("before head", 1))
	before := f.size()
	_, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email("a@example.com")})
	refused(t, err, refusal.UnavailableCode, "")
	f.checks("a@example.com", newsletter, "confirmed")
	f.setFault(nil)
	f.reopen()
	f.wrote(before, "consent.withdrawn")
	f.checks("a@example.com", newsletter, "withdrawn")
	// The same again with a key writes no entry.
	again := Withdrawal{ConsentIDs: ids(r.Consents), IdempotencyKey: "again"}
	for _, step := range []string{"before vault", "after vault", "before log", "after log"} {
		f.setFault(failAt(step, 1))
		_, err := f.s.WithdrawConsent(ctx, shop, again)
		refused(t, err, refusal.UnavailableCode, "")
		f.setFault(nil)
		f.reopen()
		f.wrote(before, "consent.withdrawn")
	}
	f.withdraw(again)
	f.withdraw(again)
	f.wrote(before, "consent.withdrawn")
	f.confirmed("b@example.com")
}

// keyChange is a call that changes people's keys.
type keyChange struct {
	prepare func(f *fixture, who string) []ledger.ConsentID
	call    func(f *fixture, who string) error
	// wrote is what it records, in the end.
	wrote         string
	before, after func(f *fixture, who string, made []ledger.ConsentID)
}

func found(f *fixture, who string, made []ledger.ConsentID) {
	f.t.Helper()
	f.known(email(who), made...)
	f.known(external(who), made...)
}

func prepareKnown(f *fixture, who string) []ledger.ConsentID {
	f.t.Helper()
	made := ids(f.confirmed(who, newsletter, account).Consents)
	f.rectify(Rectification{Subject: email(who), Add: external(who)})
	return made
}

// keyChanges are the ways to change keys, one of each kind of change.
var keyChanges = map[string]keyChange{
	"erase": {prepareKnown,
		func(f *fixture, who string) error {
			_, err := f.s.EraseSubject(ctx, shop, erasure(who))
			return err
		},
		"subject.erased evidence.shredded", found,
		func(f *fixture, who string, _ []ledger.ConsentID) { found(f, who, nil) }},
	"lock": {prepareKnown,
		func(f *fixture, who string) error {
			e := erasure(who)
			e.Mode = lockThenShred
			_, err := f.s.EraseSubject(ctx, shop, e)
			return err
		},
		"subject.locked", found,
		func(f *fixture, who string, made []ledger.ConsentID) {
			f.t.Helper()
			found(f, who, nil)
			list, err := f.s.ListAll(ctx, external(who))
			if err != nil || len(list) != len(made) || list[0].ID != made[0] || list[0].LockedUntil.IsZero() {
				f.t.Errorf("locked %+v, %v", list, err)
			}
		}},
	"rectify": {prepareKnown,
		func(f *fixture, who string) error {
			_, err := f.s.RectifySubject(ctx, legal, Rectification{Subject: external(who), Remove: email(who), Add: email("new-" + who)})
			return err
		},
		"subject.rectified consent.revoked",
		func(f *fixture, who string, made []ledger.ConsentID) {
			f.t.Helper()
			found(f, who, made)
			f.known(email("new-" + who))
		},
		func(f *fixture, who string, made []ledger.ConsentID) {
			f.t.Helper()
			f.known(email(who))
			f.known(email("new-"+who), made...)
			f.known(external(who), made...)
			f.reason(external(who), newsletter, "email", "revoked")
		}},
	// Of one person a part is shredded, of another one everything.
	"retention": {
		func(f *fixture, who string) []ledger.ConsentID {
			f.t.Helper()
			lapsed := f.request(who, newsletter)
			f.request("gone-" + who)
			f.clock.advance(lapsed.ExpiresAt.Sub(f.clock.now()) + time.Second)
			if _, err := f.s.RunRetention(ctx, RetentionRun{}); err != nil {
				f.t.Fatal(err)
			}
			kept := f.confirmed(who, account)
			f.clock.advance(decision.Days(defaultLapsedDays) + time.Second)
			return append(ids(lapsed.Consents), ids(kept.Consents)...)
		},
		func(f *fixture, who string) error {
			_, err := f.s.RunRetention(ctx, RetentionRun{})
			return err
		},
		"retention.applied subject.erased evidence.shredded",
		func(f *fixture, who string, made []ledger.ConsentID) {
			f.t.Helper()
			f.known(email(who), made...)
			f.checks("gone-"+who, newsletter, "lapsed")
		},
		func(f *fixture, who string, made []ledger.ConsentID) {
			f.t.Helper()
			f.known(email(who), made[1:]...)
			f.checks("gone-"+who, newsletter, "unknown_subject")
		}},
}

// TestFaultsOfKeyChanges lets every kind of change fail at every step of the
// groups that belong to it, and where keys are shredded: a start finds nothing
// of it, or does all of it.
func TestFaultsOfKeyChanges(t *testing.T) {
	t.Parallel()
	for name, change := range keyChanges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newService(t)
			for i, at := range []struct {
				step  string
				n     int // of the step, from the call on: the second group is what the eraser records
				there bool
			}{
				{"before vault", 1, false}, {"after vault", 1, false}, {"before log", 1, false},
				{"after log", 1, true}, {"before head", 1, true}, {"after head", 1, true}, {"before shred", 1, true},
				{"before log", 2, true}, {"after log", 2, true}, {"before head", 2, true}, {"after head", 2, true},
			} {
				if at.n == 2 && !strings.Contains(change.wrote, "evidence.shredded") {
					continue
				}
				f.keyChangeFails(change, fmt.Sprintf("person%d@example.com", i), at.step, at.n, at.there)
				if t.Failed() {
					t.Fatalf("%s, the %d. time", at.step, at.n)
				}
			}
		})
	}
}

func (f *fixture) keyChangeFails(change keyChange, who, step string, n int, there bool) {
	f.t.Helper()
	made := change.prepare(f, who)
	change.before(f, who, made)
	before := f.size()
	f.setFault(failAt(step, n))
	refused(f.t, change.call(f, who), refusal.UnavailableCode, "")
	_, err := f.s.RequestConsent(ctx, shop, asking("other@example.com"))
	refused(f.t, err, refusal.UnavailableCode, "")
	if f.size() == before {
		change.before(f, who, made) // nobody sees what may be lost
	}
	f.setFault(nil)
	f.reopen()
	if !there {
		f.wrote(before, "")
		change.before(f, who, made)
		if err := change.call(f, who); err != nil {
			f.t.Error(err)
		}
	}
	f.wrote(before, change.wrote)
	change.after(f, who, made)
	if planned := f.s.vault.Planned(); planned != 0 {
		f.t.Errorf("%d changes are still planned", planned)
	}
	if _, err := f.s.Check(nil); err != nil {
		f.t.Error(err)
	}
	f.request("other@example.com")
}

// tree gives the hash of every file below a directory.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %x\n", path, sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestVaultAndLogApart puts a log and a vault of different ages beside each
// other, as a restore of one of them does.
func TestVaultAndLogApart(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.confirmed("a@example.com")
	age := map[string]string{}
	keep := func(name string) {
		f.close()
		age[name] = copyDir(t, f.opt.Dir)
		f.open()
	}
	keep("0")
	f.request("one@example.com")
	keep("1")
	f.request("two@example.com")
	keep("2")
	f.request("three@example.com")
	keep("3")
	f.close()
	f.opt.Dir = copyDir(t, age["0"])
	f.open()
	f.request("another@example.com")
	keep("1'")
	f.close()

	// join takes the log of one age and the vault of another.
	join := func(log, vault string) string {
		dir := copyDir(t, age[log])
		for _, name := range []string{"vault", "root.key"} {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		from := copyDir(t, age[vault])
		for _, name := range []string{"vault", "root.key"} {
			if err := os.Rename(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	for name, dir := range map[string]string{
		"two groups ahead":           join("0", "2"),
		"three groups ahead":         join("0", "3"),
		"one group behind":           join("2", "1"),
		"two groups behind":          join("3", "1"),
		"another group":              join("1", "1'"),
		"a group ahead, but another": join("1'", "2"),
	} {
		f.opt.Dir = dir
		before, head := tree(t, filepath.Join(dir, "vault")), readFile(t, filepath.Join(dir, "head"))
		s, err := Open(f.opt)
		if err == nil {
			t.Errorf("%s: the ledger opens", name)
			s.Close()
			continue
		}
		if text := err.Error(); !strings.Contains(text, "do not belong together") || !strings.Contains(Remedied(err).Error(), "Nothing was changed") || strings.Contains(text, "@") {
			t.Errorf("%s: %v", name, err)
		}
		if tree(t, filepath.Join(dir, "vault")) != before || !bytes.Equal(readFile(t, filepath.Join(dir, "head")), head) {
			t.Errorf("%s: something was changed", name)
		}
	}
	f.opt.Dir = join("1", "2") // one group ahead: nobody was told of it
	f.open()
	f.checks("one@example.com", newsletter, "pending")
	f.checks("two@example.com", newsletter, "unknown_subject")
	f.confirmed("two@example.com")
	f.reopen()
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
