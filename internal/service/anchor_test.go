package service

import (
	"errors"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// stampOf gives a stamp of the newest checkpoint, by nobody.
func (f *fixture) stampOf(token string) tlog.Anchor {
	signed, size := f.s.Log().Checkpoint()
	return tlog.Anchor{Size: size, Checkpoint: signed, Token: []byte(token), Stamped: time.Now()}
}

// stamped checks that an anchor is there, whole, or not at all.
func (f *fixture) stamped(a tlog.Anchor, want bool) {
	f.t.Helper()
	for what, content := range map[string][]byte{"checkpoint": a.Checkpoint, "token": a.Token} {
		got, err := f.s.Log().Anchor(ledger.TextHash(content))
		if want && (err != nil || string(got) != string(content)) || !want && !errors.Is(err, store.ErrNotFound) {
			f.t.Errorf("the %s of a stamp that is there (%v): %v", what, want, err)
		}
	}
	if changed, err := f.s.Log().ChangedSince(a.Size); changed || err != nil {
		f.t.Errorf("a stamp counts as a change: %v", err)
	}
}

// TestRecordAnchor: the entry says what was given, as the ledger's own.
func TestRecordAnchor(t *testing.T) {
	f := newService(t)
	a := f.stampOf("token")
	a.Stamped = time.Date(2026, 11, 22, 13, 0, 0, 123456789, time.FixedZone("", 3600))
	at, err := f.s.RecordAnchor(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	e := f.entry(at)
	if e.Kind != ledger.CheckpointAnchored || e.Source != ledger.SourceLedger || e.Size != a.Size || e.Checkpoint != ledger.TextHash(a.Checkpoint) ||
		e.Stamp != ledger.TextHash(a.Token) || !e.Stamped.Equal(time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)) {
		t.Errorf("entry %d is %+v", at, e)
	}
	f.stamped(a, true)
	// A checkpoint of more entries than there are is none of this log's.
	a.Size = f.size() + 1
	if _, err := f.s.RecordAnchor(ctx, a); err == nil {
		t.Error("a stamp of what is not there yet is recorded")
	}
}

// TestAnchorFaults lets the commit of a stamp fail at each step: a start finds the
// entry with what it names, or neither.
func TestAnchorFaults(t *testing.T) {
	t.Parallel()
	for step, there := range map[string]bool{"before log": false, "after log": true, "before head": true, "after head": true} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			f := newService(t)
			a, before := f.stampOf("token"), f.size()
			f.setFault(failAt(step, 1))
			_, err := f.s.RecordAnchor(ctx, a)
			refused(t, err, refusal.UnavailableCode, "")
			f.stamped(a, false)
			if f.s.Fault() == nil || f.size() != before {
				t.Errorf("recording goes on after a fault: %d entries", f.size())
			}
			f.setFault(nil)
			f.reopen()
			f.stamped(a, there)
			if (f.size() > before) != there {
				t.Errorf("%d entries after reopening", f.size())
			}
			b := f.stampOf("another token")
			if _, err := f.s.RecordAnchor(ctx, b); err != nil {
				t.Error(err)
			}
			f.stamped(b, true)
		})
	}
}
