package service

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
)

// newOnDisk gives a fixture on a disk whose room the test decides.
func newOnDisk(t *testing.T) (f *fixture, free *atomic.Int64) {
	free = new(atomic.Int64)
	free.Store(1 << 40)
	f = newService(t, func(o *Options) {
		o.testOnlySlow = 50 * time.Millisecond
		o.testOnlyFree = func(string) (int64, error) {
			if n := free.Load(); n >= 0 {
				return n, nil
			}
			return 0, errors.New("input/output error")
		}
	})
	return f, free
}

func TestNearlyFullDisk(t *testing.T) {
	t.Parallel()
	f, free := newOnDisk(t)
	withdrawn := f.request("withdraws@example.com")
	f.request("objects@example.com")
	f.request("goes@example.com")
	rejected := f.request("rejects@example.com")
	f.define(PurposeDefinition{ID: opens})
	tracking := func(mode string) error {
		_, _, err := f.s.SetTrackingMode(ctx, shop, TrackingChange{Subject: email("tracked@example.com"), Purpose: opens, Mode: mode, Method: "app"})
		return err
	}
	reserve := f.s.Recording().Reserve
	floor := reserve / 3 * 2

	free.Store(reserve - 1)
	before := f.size()
	for name, call := range map[string]func() error{
		"request": func() error { _, err := f.s.RequestConsent(ctx, shop, asking("new@example.com")); return err },
		"confirm": func() error { _, err := f.s.ConfirmConsent(ctx, shop, Click{Token: withdrawn.Token}); return err },
		"notice": func() error {
			_, _, err := f.s.PublishNotice(ctx, admin, NoticePublication{ID: "more", Language: "de", Text: "Mehr.", Purposes: []string{newsletter}})
			return err
		},
		"rotation": func() error { _, err := f.s.RotateKey(ctx, admin, KeyRotation{}); return err },
		"lifted restriction": func() error {
			_, err := f.s.LiftRestriction(ctx, legal, f.lifting(email("goes@example.com")))
			return err
		},
		"unsuppressed": func() error {
			_, _, err := f.s.RemoveSuppression(ctx, shop, Suppression{Subject: email("listed@example.com")})
			return err
		},
		"signal that says yes": func() error {
			_, err := f.s.RecordSignal(ctx, shop, tcString(email("tracked@example.com"), tcYes))
			return err
		},
		"more tracking": func() error { return tracking("anonymous") },
		"attachment": func() error {
			ask := asking("new@example.com")
			ask.Attachments = []Attachment{{Claim: "reference", MediaType: "text/plain", Bytes: []byte("bytes")}}
			_, err := f.s.RequestConsent(ctx, shop, ask)
			return err
		},
	} {
		err := call()
		refused(t, err, refusal.ResourceExhausted, "")
		var no *refusal.Error
		if errors.As(err, &no) && (no.Wait <= 0 || !strings.Contains(no.Reason, "MiB free and needs")) {
			t.Errorf("%s: refused with %q, to be tried again in %v", name, no.Reason, no.Wait)
		}
	}
	f.wrote(before, "")
	refused(t, f.s.Fault(), refusal.ResourceExhausted, "")
	f.checks("withdraws@example.com", newsletter, "pending")

	// What a person may demand at any time is recorded all the same.
	if _, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: ids(withdrawn.Consents)}); err != nil {
		t.Error(err)
	}
	f.object(Objection{Subject: email("objects@example.com"), Purposes: []string{newsletter}, Channel: "email", Article: "art21_2"}, "objection.recorded objection.recorded")
	if _, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email("goes@example.com"), Reason: "art17", Mode: "shred_now"}); err != nil {
		t.Error(err)
	}
	f.checks("goes@example.com", newsletter, "unknown_subject")
	f.checks("withdraws@example.com", newsletter, "withdrawn")
	f.checks("objects@example.com", newsletter, "objected")
	f.restrict("objects@example.com")
	f.checks("objects@example.com", newsletter, "restricted")
	if _, err := f.s.RejectConfirmation(ctx, shop, Click{Token: rejected.Token}); err != nil {
		t.Error(err)
	}
	f.checks("rejects@example.com", newsletter, "lapsed")
	if _, added, err := f.s.AddSuppression(ctx, shop, Suppression{Subject: email("listed@example.com")}); !added || err != nil {
		t.Error(added, err)
	}
	f.checks("listed@example.com", newsletter, "suppressed")
	if _, err := f.s.RecordSignal(ctx, shop, gpc(email("signals@example.com"))); err != nil {
		t.Error(err)
	}
	f.checks("signals@example.com", opens, "refused")
	if err := tracking("none"); err != nil {
		t.Error(err)
	}
	f.checks("tracked@example.com", opens, "refused")

	free.Store(floor - 1)
	before = f.size()
	_, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email("stranger@example.com")})
	refused(t, err, refusal.ResourceExhausted, "")
	_, err = f.s.EraseSubject(ctx, shop, Erasure{Subject: email("objects@example.com"), Reason: "art17", Mode: "shred_now"})
	refused(t, err, refusal.ResourceExhausted, "")
	f.wrote(before, "")
	f.checks("objects@example.com", newsletter, "restricted")

	// The last byte does not decide to and fro.
	free.Store(reserve)
	refused(t, f.s.Fault(), refusal.ResourceExhausted, "")
	free.Store(2 * reserve)
	if err := f.s.Fault(); err != nil {
		t.Error(err)
	}
	f.request("new@example.com")

	free.Store(-1)
	refused(t, f.s.Fault(), refusal.ResourceExhausted, "")
	free.Store(1 << 40)
	f.request("newer@example.com")
	text := f.log.String()
	for _, line := range []string{"the disk is nearly full", "the room on the disk is not known", "there is room on the disk again"} {
		if !strings.Contains(text, line) {
			t.Errorf("the log does not say %q", line)
		}
	}
}

// An erasure that is recorded when there is no room to carry it out leaves the person
// fenced, and is carried out when there is.
func TestErasureWaitsForRoom(t *testing.T) {
	t.Parallel()
	f, free := newOnDisk(t)
	f.request("goes@example.com")
	reached, release := f.holdPass()
	done := f.starts(func() error {
		_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email("goes@example.com"), Reason: "art17", Mode: "shred_now"})
		return err
	})
	<-reached
	free.Store(0)
	release()
	err := <-done
	refused(t, err, refusal.UnavailableCode, "") // half a pass: only a start can tell
	f.checks("goes@example.com", newsletter, "unknown_subject")
	f.close()
	f.open() // no room: it opens to be read
	f.checks("goes@example.com", newsletter, "unknown_subject")
	free.Store(1 << 40)
	f.reopen()
	if n := f.s.vault.Planned(); n != 0 {
		t.Errorf("%d erasures are still planned", n)
	}
	f.checks("goes@example.com", newsletter, "unknown_subject")
}
