package service

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// holdCommit lets the next commit hang at a step until release is called.
func (f *fixture) holdCommit(at string) (reached <-chan struct{}, release func()) {
	hangs, free := make(chan struct{}), make(chan struct{})
	var once, freed sync.Once
	f.setFault(func(step string) error {
		if step == at {
			once.Do(func() { close(hangs); <-free })
		}
		return nil
	})
	release = func() { freed.Do(func() { close(free) }) }
	f.t.Cleanup(release)
	return hangs, release
}

// A caller has its deadline while the disk hangs. What was decided by then is
// recorded all the same, with the bytes beside it; what was not, never is.
func TestDeadlineWhileTheDiskHangs(t *testing.T) {
	for _, step := range []string{"before vault", "before log", "before head"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			f := newService(t)
			f.request("first@example.com")
			before := f.size()
			ask := asking("decided@example.com")
			ask.IdempotencyKey = "once"
			ask.Attachments = []Attachment{{Claim: "reference", MediaType: "text/plain", Bytes: []byte("bytes")}}
			hangs, release := f.holdCommit(step)
			short, cancel := context.WithCancel(ctx)
			decided := f.starts(func() error { _, err := f.s.RequestConsent(short, shop, ask); return err })
			<-hangs
			waiting := f.starts(func() error { _, err := f.s.RequestConsent(short, shop, asking("waits@example.com")); return err })
			f.becomes(func() bool { return len(f.s.recorder.queue) > 0 })
			cancel()
			if err := <-decided; !errors.Is(err, errUnanswered) || !errors.Is(err, context.Canceled) {
				t.Errorf("the decided one: %v", err)
			}
			if err := <-waiting; errors.Is(err, errUnanswered) || !errors.Is(err, context.Canceled) {
				t.Errorf("the waiting one: %v", err)
			}
			release()
			again, err := f.s.RequestConsent(ctx, shop, ask)
			if err != nil {
				t.Fatal(err)
			}
			if want := ledger.ConsentID(before); again.Consents[0].ID != want {
				t.Errorf("the repetition is answered with consent %d, want %d", again.Consents[0].ID, want)
			}
			f.wrote(before, "consent.requested")
			f.checks("waits@example.com", newsletter, "unknown_subject")
			f.blobs(1)
		})
	}
}

// A rotation is waited for however long it takes: which pair is in force decides
// which seeds are destroyed.
func TestRotationHasNoDeadline(t *testing.T) {
	t.Parallel()
	f := newService(t)
	hangs, release := f.holdCommit("before log")
	short, cancel := context.WithCancel(ctx)
	done := f.starts(func() error { _, err := f.s.RotateKey(short, admin, KeyRotation{}); return err })
	<-hangs
	cancel()
	select {
	case err := <-done:
		t.Fatalf("it is answered while it is written: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	f.request("a@example.com")
	f.reopen()
}

func TestSlowCommit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *Options) { o.testOnlySlow = 5 * time.Millisecond })
	hangs, release := f.holdCommit("before log")
	done := f.starts(func() error {
		_, _, err := f.s.DefinePurpose(ctx, admin, PurposeDefinition{ID: "p", Title: "P"})
		return err
	})
	<-hangs
	f.becomes(func() bool { return f.s.Recording().Stalled > 0 })
	refused(t, f.s.Fault(), refusal.UnavailableCode, "")
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	f.becomes(func() bool { return f.s.Fault() == nil })
	if got := f.s.Recording(); got.Slow == 0 || got.Stalled != 0 {
		t.Errorf("%d slow commits, stalled for %v", got.Slow, got.Stalled)
	}
	if text := f.log.String(); !strings.Contains(text, "a commit is slow") || !strings.Contains(text, "the slow commit has ended") {
		t.Errorf("the log says %s", text)
	}
}

func TestRecording(t *testing.T) {
	t.Parallel()
	f := newService(t)
	was := f.s.Recording()
	f.request("a@example.com")
	var errs [2]error
	f.together(
		func() { _, errs[0] = f.s.RequestConsent(ctx, shop, asking("b@example.com")) },
		func() { _, errs[1] = f.s.RequestConsent(ctx, shop, asking("c@example.com")) })
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	now := f.s.Recording()
	if groups, entries := now.Groups-was.Groups, now.Entries-was.Entries; groups != 2 || entries != uint64(f.size())-uint64(was.Entries)-1 {
		t.Errorf("%d groups of %d entries in all; want 2, and what the log has", groups, entries)
	}
	if now.Commit.Count != now.Groups || now.Commit.Sum <= 0 || now.Commit.Buckets[10] != now.Groups {
		t.Errorf("the histogram %+v does not tell of %d groups", now.Commit, now.Groups)
	}
	if now.Free <= 0 || now.Reserve <= 0 || now.Failed != 0 {
		t.Errorf("%+v", now)
	}
	f.setFault(func(step string) error {
		if step == "before head" {
			return errors.New("input/output error")
		}
		return nil
	})
	if _, err := f.s.RequestConsent(ctx, shop, asking("d@example.com")); err == nil {
		t.Error("a commit that failed is answered")
	}
	if got := f.s.Recording().Failed; got != 1 {
		t.Errorf("%d commits failed, want 1", got)
	}
}
