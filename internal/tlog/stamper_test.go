package tlog_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
)

// TestStamped has a growing log stamped by two authorities. What is kept of each
// stamp is enough for openssl, and for the verifier.
func TestStamped(t *testing.T) {
	began := time.Now().Add(-time.Second)
	x, y := testauthority.New(t, testauthority.Options{}), testauthority.New(t, testauthority.Options{})
	k := newStamping(t, []tlog.Authority{authority(x, "x", true), authority(y, "y", false)}, paced)
	k.s.Start()
	for n := 1; n <= 3; n++ {
		k.until("both have stamped", func() bool {
			s := k.s.Status()
			return s[0].Failures == 0 && s[1].Failures == 0 && min(s[0].Size, s[1].Size) > 0 && !k.due(0) && !k.due(1)
		})
		k.record()
	}
	k.until("the last entry is stamped", func() bool { return !k.due(0) && !k.due(1) })
	// A log that gets nothing but its own entries is left alone.
	before := x.Asked.Load() + y.Asked.Load()
	time.Sleep(5 * pace)
	if after := x.Asked.Load() + y.Asked.Load(); after != before || after < 4 {
		t.Errorf("asked %d times, and then %d", before, after)
	}
	for i, s := range k.s.Status() {
		if s.Name != []string{"x", "y"}[i] || s.Qualified != (i == 0) || s.Why != "" || s.Detail != "" || s.ClockDifference != 0 ||
			s.Time.Before(began) || s.Time.After(time.Now()) || s.Size < 2 {
			t.Errorf("status %+v", s)
		}
	}
	k.verifies(x, y)
	newest := k.anchors()[len(k.anchors())-1]
	if kept, err := os.ReadFile(k.opt.File); err != nil || ledger.TextHash(kept) != newest.Checkpoint {
		t.Errorf("the newest stamped checkpoint is not kept: %v", err)
	}
}

func (k *stamping) due(i int) bool { return tlog.Due(k.s, i, time.Now()) }

// verifies verifies an export by the authorities' pins, then each token by openssl.
func (k *stamping) verifies(by ...*testauthority.Authority) {
	k.Helper()
	snap := k.svc.Log().Snapshot()
	defer snap.Release()
	dir := k.TempDir()
	if err := snap.Export(dir); err != nil {
		k.Fatal(err)
	}
	trust, err := os.ReadFile(filepath.Join(k.dir, "trust.policy"))
	if err != nil {
		k.Fatal(err)
	}
	policy, err := ledger.ParsePolicy(trust)
	if err != nil {
		k.Fatal(err)
	}
	rep, err := ledger.VerifyLog(k.Context(), serve(k, k.svc.Log(), slog.New(slog.DiscardHandler)), ledger.VerifyOptions{Policy: policy,
		Stamps: func(der []byte, imprint ledger.Hash) (ledger.Stamp, error) {
			token, err := timestamp.ParseToken(der)
			if err != nil {
				return ledger.Stamp{}, err
			}
			for i, a := range by {
				if s, err := timestamp.Verify(token, imprint, authority(a, "", i == 0).Authority, nil); err == nil {
					return ledger.Stamp{Time: s.Time, Accuracy: s.Accuracy, Authority: s.TSA, Qualified: s.Qualified}, nil
				}
			}
			return ledger.Stamp{}, errors.New("of nobody")
		}})
	all := k.anchors()
	if err != nil || len(rep.Stamps) != len(all) || len(all) < 2*len(by) || !strings.Contains(rep.Anchors, "STAMPED") || len(rep.IrregularFirst) > 0 {
		k.Errorf("%d stamps of %d, %q, %+v: %v", len(rep.Stamps), len(all), rep.Anchors, rep.IrregularFirst, err)
	}
	for _, e := range all {
		accepted := slices.ContainsFunc(by, func(a *testauthority.Authority) bool {
			for name, sum := range map[string]ledger.Hash{"data": e.Checkpoint, "kept.tst": e.Stamp} {
				b, err := os.ReadFile(filepath.Join(dir, ledger.AnchorPath(sum)))
				if err == nil {
					err = os.WriteFile(filepath.Join(a.Dir, name), b, 0o600)
				}
				if err != nil {
					k.Fatal(err)
				}
			}
			return a.Accepts("data", "kept.tst")
		})
		if !accepted {
			k.Errorf("openssl does not accept the token of entry %d", e.Index)
		}
	}
}

// TestOneStampEach: after a restart each authority's last stamp is known by its
// pinned certificate, so that nobody is asked again before the time.
func TestOneStampEach(t *testing.T) {
	x, y := testauthority.New(t, testauthority.Options{}), testauthority.New(t, testauthority.Options{})
	k := newStamping(t, []tlog.Authority{authority(x, "x", false), authority(y, "y", false)})
	if !k.due(0) || !k.due(1) {
		t.Error("a log that was never stamped is not due")
	}
	y.Stop()
	k.s.StampNow(t.Context())
	y.Restart(nil)
	k.record()
	last := k.s.Status()[0]
	if last.Size != 1 || k.s.Status()[1].Size != 0 {
		t.Fatalf("status %+v", k.s.Status())
	}
	k.reopen()
	for i, s := range k.s.Status() {
		if want := []ledger.Size{1, 0}[i]; s.Size != want || s.Why != "" || i == 0 && !s.Time.Equal(last.Time) {
			t.Errorf("after a restart: %+v, before: %+v", s, last)
		}
	}
	hour := time.Now().Add(time.Hour)
	for _, c := range []struct {
		what string
		i    int
		at   time.Time
		want bool
	}{
		{"within the interval", 0, time.Now(), false},
		{"after the interval", 0, hour, true},
		{"by a clock that was set back", 0, time.Now().Add(-2 * time.Hour), true},
		{"never stamped", 1, time.Now(), true},
	} {
		if got := tlog.Due(k.s, c.i, c.at); got != c.want {
			t.Errorf("%s: due is %v", c.what, got)
		}
	}
	k.s.StampNow(t.Context())
	if tlog.Due(k.s, 0, time.Now().Add(2*time.Hour)) {
		t.Error("due although the log got nothing but a stamp")
	}
	k.record()
	if tlog.Due(k.s, 0, time.Now().Add(time.Minute)) || !tlog.Due(k.s, 0, time.Now().Add(2*time.Hour)) {
		t.Error("the interval does not count from the last stamp")
	}
}

// TestStampNow: whoever asks for a stamp gets one of each authority, or why not, also
// when nothing is due.
func TestStampNow(t *testing.T) {
	x, y := testauthority.New(t, testauthority.Options{}), testauthority.New(t, testauthority.Options{})
	k := newStamping(t, []tlog.Authority{authority(x, "x", false), authority(y, "y", false)})
	for round := range 2 {
		n := k.size()
		got := k.s.StampNow(t.Context())
		for i, o := range got {
			if o.Authority != []string{"x", "y"}[i] || o.Why != "" || o.Detail != "" || o.Size < n || ledger.Size(o.Index) < o.Size || o.Time.IsZero() {
				t.Errorf("round %d: %+v", round, o)
			}
		}
		if k.size() != n+2 {
			t.Errorf("%d entries after two stamps of %d", k.size(), n)
		}
	}
	y.Stop()
	got := k.s.StampNow(t.Context())
	if got[0].Why != "" || got[1].Why != tlog.WhyUnreachable || got[1].Size != 0 || got[1].Detail != "" {
		t.Errorf("one of them is dead: %+v", got)
	}
	// What is new is stamped; without anything new nobody is asked.
	y.Restart(nil)
	for i := range 3 {
		before := x.Asked.Load()
		got, err := k.s.StampChanged(t.Context())
		if err != nil || (i == 1) != (got != nil) || (i == 1) != (x.Asked.Load() > before) {
			t.Errorf("%d: %+v, %v", i, got, err)
		}
		if i == 0 {
			k.record()
		}
	}
}

// TestStampNowEnds: neither a slow authority nor one that is still at work on what it
// was asked before makes anybody wait for longer than the timeout.
func TestStampNowEnds(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	begun := make(chan struct{}, 1)
	x := testauthority.New(t, testauthority.Options{Between: hanging(ctx, begun)})
	k := newStamping(t, []tlog.Authority{authority(x, "x", false)}, func(opt *tlog.StamperOptions) { opt.Timeout = 300 * time.Millisecond })
	if got := k.s.StampNow(t.Context()); got[0].Why != tlog.WhyTimeout {
		t.Errorf("got %+v", got)
	}
	if s := k.s.Status()[0]; s.Why != tlog.WhyTimeout || s.Failures != 1 {
		t.Errorf("status %+v", s)
	}
	// Two at a time: the second finds the first at work.
	<-begun
	k.opt.Timeout = time.Minute
	k.begin()
	first, cancel := context.WithCancel(t.Context())
	done := make(chan []tlog.Outcome)
	go func() { done <- k.s.StampNow(first) }()
	<-begun
	second, cancelSecond := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelSecond()
	if got := k.s.StampNow(second); got[0].Why != tlog.WhyBusy {
		t.Errorf("while another request is at work: %+v", got)
	}
	// A caller who goes away takes the request along, and no authority is to blame.
	cancel()
	<-done
	if s := k.s.Status()[0]; s.Failures != 0 || s.Why != "" {
		t.Errorf("the caller has gone: %+v", s)
	}
	if k.size() != 1 {
		t.Errorf("%d entries", k.size())
	}
}

// TestNobodyWaits: while an authority takes its time, the ledger records.
func TestNobodyWaits(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	begun := make(chan struct{}, 1)
	x := testauthority.New(t, testauthority.Options{Between: hanging(ctx, begun)})
	k := newStamping(t, []tlog.Authority{authority(x, "x", false)}, paced, func(opt *tlog.StamperOptions) { opt.Timeout = time.Hour })
	k.s.Start()
	<-begun
	n := k.size()
	for range 20 {
		k.record()
	}
	if k.size() < n+20 || x.Asked.Load() != 1 || k.s.Status()[0].Failures != 0 {
		t.Errorf("%d entries, asked %d times, %+v", k.size()-n, x.Asked.Load(), k.s.Status())
	}
}

// TestCloseEndsRequests: whoever closes a stamper does not wait for an authority.
func TestCloseEndsRequests(t *testing.T) {
	begun := make(chan struct{}, 1)
	x := testauthority.New(t, testauthority.Options{Between: hanging(context.Background(), begun)})
	k := newStamping(t, []tlog.Authority{authority(x, "x", false)}, paced)
	k.s.Start()
	<-begun
	before := time.Now()
	if err := k.s.Close(); err != nil || time.Since(before) > 10*time.Second {
		t.Errorf("closing took %v: %v", time.Since(before), err)
	}
}

// notRecording is a recorder that has stopped.
type notRecording struct{ *service.Service }

func (notRecording) Fault() error { return errors.New("stopped") }

// TestNotRecorded: a ledger that records nothing asks for nothing.
func TestNotRecorded(t *testing.T) {
	x := testauthority.New(t, testauthority.Options{})
	k := newStamping(t, []tlog.Authority{authority(x, "x", false)})
	k.opt.Record = notRecording{k.svc}
	k.begin()
	if got := k.s.StampNow(t.Context()); got[0].Why != tlog.WhyNotRecorded || got[0].Detail != "stopped" || x.Asked.Load() != 0 {
		t.Errorf("got %+v, asked %d times", got, x.Asked.Load())
	}
	if _, err := os.Stat(k.opt.File); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a checkpoint is kept that was not stamped: %v", err)
	}
}

// TestPauses: after failures an authority is asked ever less often, at most once per
// interval, and not before.
func TestPauses(t *testing.T) {
	x := testauthority.New(t, testauthority.Options{})
	x.Stop()
	k := newStamping(t, []tlog.Authority{authority(x, "x", false)}, func(opt *tlog.StamperOptions) {
		opt.RetryMin, opt.RetryMax, opt.Interval = time.Minute, time.Hour, 3*time.Minute
	})
	for i, want := range []time.Duration{1, 2, 3, 3} {
		k.s.StampNow(t.Context())
		pause := time.Until(tlog.NotFrom(k.s, 0))
		if want *= time.Minute; pause > want || pause < want-10*time.Second {
			t.Errorf("pause %d is %v, want %v", i, pause, want)
		}
		if tlog.Due(k.s, 0, time.Now().Add(want-10*time.Second)) || !tlog.Due(k.s, 0, time.Now().Add(want)) {
			t.Errorf("pause %d: asked too early or never", i)
		}
	}
	x.Restart(nil)
	k.s.StampNow(t.Context())
	if s := k.s.Status()[0]; s.Failures != 0 || s.Why != "" || !tlog.NotFrom(k.s, 0).IsZero() {
		t.Errorf("after a stamp: %+v", s)
	}
}

// TestClockDifference: a stamp of another time is recorded, and status says so, also
// after a restart.
func TestClockDifference(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, -4 * time.Minute, 4 * time.Minute, time.Hour} {
		x := testauthority.New(t, testauthority.Options{Time: time.Now().Add(ahead)})
		k := newStamping(t, []tlog.Authority{authority(x, "x", false)})
		for _, when := range []string{"at once", "after a restart"} {
			if when == "at once" {
				k.s.StampNow(t.Context())
			} else {
				k.reopen()
			}
			s := k.s.Status()[0]
			shown := ahead
			if ahead.Abs() < tlog.MaxClockDifference {
				shown = 0
			}
			if off := s.ClockDifference - shown; s.Size != 1 || off.Abs() > time.Minute || (shown == 0) != (s.ClockDifference == 0) {
				t.Errorf("%v ahead, %s: %+v", ahead, when, s)
			}
		}
	}
}

// TestStamperOptions: what cannot work does not start.
func TestStamperOptions(t *testing.T) {
	one := tlog.Authority{Name: "x", URL: "http://127.0.0.1:1"}
	for _, c := range []struct {
		name, want string
		change     func(*tlog.StamperOptions)
	}{
		{"too often", "must be 1m0s to 24h0m0s", func(opt *tlog.StamperOptions) { opt.Interval = time.Minute - 1 }},
		{"too seldom", "must be 1m0s to 24h0m0s", func(opt *tlog.StamperOptions) { opt.Interval = 24*time.Hour + 1 }},
		{"nobody", "0 time-stamping authorities", func(opt *tlog.StamperOptions) { opt.Authorities = nil }},
		{"a crowd", "9 time-stamping authorities", func(opt *tlog.StamperOptions) { opt.Authorities = make([]tlog.Authority, 9) }},
	} {
		opt := tlog.StamperOptions{Authorities: []tlog.Authority{one}}
		c.change(&opt)
		if _, err := tlog.NewStamper(opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestAnchorsServed: what was stamped and the tokens are served like tiles, each under
// one path.
func TestAnchorsServed(t *testing.T) {
	x := testauthority.New(t, testauthority.Options{})
	k := newStamping(t, []tlog.Authority{authority(x, "x", false)})
	signed, _ := k.svc.Log().Checkpoint()
	k.s.StampNow(t.Context())
	e := k.anchors()[0]
	c := serve(t, k.svc.Log(), slog.New(slog.DiscardHandler))
	for _, sum := range []ledger.Hash{e.Checkpoint, e.Stamp} {
		path := ledger.AnchorPath(sum)
		rsp, b := c.do("GET", "/log/"+path)
		if rsp.StatusCode != 200 || ledger.TextHash(b) != sum || rsp.Header.Get("Content-Type") != "application/octet-stream" ||
			rsp.Header.Get("Cache-Control") != "public, max-age=604800, immutable" || (sum == e.Checkpoint) != bytes.Equal(b, signed) {
			t.Errorf("%s: %s, %v, %d bytes", path, rsp.Status, rsp.Header, len(b))
		}
		name := strings.TrimPrefix(path, "anchors/")
		for _, other := range []string{"notices/" + name, "anchors/" + strings.ToUpper(name), path + "/", path + "00", path[:len(path)-2], "anchors/"} {
			if rsp, _ := c.do("GET", "/log/"+other); rsp.StatusCode != 404 {
				t.Errorf("%s: %s", other, rsp.Status)
			}
		}
	}
}
