package witness

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// TestClockAtStart opens a witness whose newest cosignature is an hour old, with
// the clock set to other moments.
func TestClockAtStart(t *testing.T) {
	last := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		now    time.Time
		last   int64
		accept bool
		want   string // in the error
		stamp  int64
	}{
		{"new witness", last, 0, false, "", last.Unix()},
		{"new witness, clock never set", time.Unix(77, 0), 0, false, "the clock says 1970-01-01; set it right", 0},
		{"clock never set, accepted", time.Unix(77, 0), last.Unix(), true, "the clock says 1970-01-01", 0},
		{"an hour later", last.Add(time.Hour), last.Unix(), false, "", last.Unix() + 3600},
		{"half a minute back", last.Add(-30 * time.Second), last.Unix(), false, "", last.Unix()},
		{"an hour back", last.Add(-time.Hour), last.Unix(), false, "the clock is 1h0m0s behind the newest cosignature; set it right", 0},
		{"an hour back, accepted", last.Add(-time.Hour), last.Unix(), true, "", last.Unix()},
		{"a year and more later", last.Add(500 * 24 * time.Hour), last.Unix(), false, "the clock is 500 days ahead", 0},
		{"a year and more later, accepted", last.Add(500 * 24 * time.Hour), last.Unix(), true, "", last.Add(500 * 24 * time.Hour).Unix()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := newClock(func() time.Time { return test.now }, test.last, test.accept)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error is %v, want one with %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.now(); err != nil || got != test.stamp {
				t.Errorf("now is %d, %v, want %d", got, err, test.stamp)
			}
		})
	}
}

// TestTimesNeverGoBack moves the clock while a witness cosigns.
func TestTimesNeverGoBack(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(40, "entry")
	second := newTestLog(t, "log.example/second").grow(40, "entry")
	dir := makeWitness(t)
	now := time.Now()
	w, err := Open(Options{Dir: dir, Logs: []ledger.LogKeys{l.keys(), second.keys()}, Logger: discard(), testOnlyClock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	elapsed := time.Duration(0)
	w.clock.elapsed = func() time.Duration { return elapsed }
	stamp := func(l *testLog) int64 { return w.latest[l.signer.Origin()].stamp }
	wait := func(d time.Duration) { now, elapsed = now.Add(d), elapsed+d }

	add(t, w, l.request(0, 5))
	first := stamp(l)
	wait(3 * time.Second)
	add(t, w, l.request(5, 10))
	if stamp(l) != first+3 {
		t.Errorf("after 3 seconds %d, at first %d", stamp(l), first)
	}
	now = now.Add(-50 * time.Second) // set back by somebody
	add(t, w, second.request(0, 5))
	if stamp(second) != first+3 {
		t.Errorf("with the clock back %d, want %d, the newest of any log", stamp(second), first+3)
	}
	now = now.Add(-20 * time.Second)
	var no *Refusal
	if _, err := w.AddCheckpoint(l.request(10, 15)); err == nil || errors.As(err, &no) || !strings.Contains(err.Error(), "the clock is behind") {
		t.Errorf("70 seconds back: %v", err)
	}
	now = now.Add(70 * time.Second) // set right again
	add(t, w, l.request(10, 15))
	if stamp(l) < first+3 {
		t.Errorf("set right %d", stamp(l))
	}
	now = now.Add(2 * time.Minute) // ahead, and only a start can tell whether that is right
	for range 2 {
		if _, err := w.AddCheckpoint(l.request(15, 20)); err == nil || !strings.Contains(err.Error(), "the clock jumped 2m0s ahead") {
			t.Errorf("2 minutes ahead: %v", err)
		}
		now = now.Add(-2 * time.Minute)
	}
	if w.latest[testOrigin].checkpoint.Size != 15 {
		t.Error("a refusal was recorded")
	}
	w.Close()
	w = open(t, dir, l)
	add(t, w, l.request(15, 20))
	newest := stamp(l)
	w.Close()

	// A start remembers the newest time, too.
	at := Options{Dir: dir, Logs: []ledger.LogKeys{l.keys()}, Logger: discard(), testOnlyClock: func() time.Time { return time.Unix(newest-40, 0) }}
	if w, err = Open(at); err != nil {
		t.Fatal(err)
	}
	add(t, w, l.request(20, 25))
	if stamp(l) != newest {
		t.Errorf("a start 40 seconds before the newest cosignature gives %d, want %d", stamp(l), newest)
	}
	w.Close()
	at.testOnlyClock = func() time.Time { return time.Unix(newest-400, 0) }
	if _, err = Open(at); err == nil || !strings.Contains(err.Error(), "behind the newest cosignature") {
		t.Errorf("a start 400 seconds before: %v", err)
	}
}

// TestRepetition checks that a request which is repeated within a second costs no
// writing, and later gives a newer time.
func TestRepetition(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(5, "entry")
	now, writes := time.Now(), 0
	w, err := Open(Options{Dir: makeWitness(t), Logs: []ledger.LogKeys{l.keys()}, Logger: discard(),
		testOnlyClock: func() time.Time { return now },
		testOnlyStep: func(step string) error {
			if step == "rename" {
				writes++
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	add(t, w, l.request(0, 5))
	a, b := must(w.AddCheckpoint(l.request(5, 5))), must(w.AddCheckpoint(l.request(5, 5)))
	if string(a) != string(b) || writes != 1 {
		t.Errorf("%d writes for one second", writes)
	}
	now = now.Add(time.Second)
	if c := must(w.AddCheckpoint(l.request(5, 5))); string(c) == string(a) || writes != 2 {
		t.Errorf("a second later: %d writes", writes)
	}
}
