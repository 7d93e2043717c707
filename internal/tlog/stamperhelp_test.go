package tlog_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
)

// pace is how often stampers of these tests look at their log.
const pace = 20 * time.Millisecond

// stamping is a ledger whose log is stamped.
type stamping struct {
	testing.TB
	dir     string
	svc     *service.Service
	s       *tlog.Stamper
	opt     tlog.StamperOptions
	entries int
}

// newStamping makes a ledger with a stamper that has not begun. At the end of the
// test the whole log is verified.
func newStamping(t testing.TB, authorities []tlog.Authority, change ...func(*tlog.StamperOptions)) *stamping {
	t.Helper()
	k := &stamping{TB: t, dir: filepath.Join(t.TempDir(), "led")}
	if err := service.Create(k.dir, "stamped.example.com", "", nil); err != nil {
		t.Fatal(err)
	}
	k.open()
	k.opt = tlog.StamperOptions{Log: k.svc.Log(), Record: k.svc, Authorities: authorities, File: filepath.Join(k.dir, "anchored.checkpoint"),
		RetryMin: pace, RetryMax: 5 * pace, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&k.opt)
	}
	k.begin()
	t.Cleanup(func() {
		testledger.Verify(t, k.svc.Log())
		if err := errors.Join(k.s.Close(), k.svc.Close()); err != nil {
			t.Error(err)
		}
	})
	return k
}

func (k *stamping) open() {
	k.Helper()
	var err error
	if k.svc, err = service.Open(service.Options{Dir: k.dir, Memory: service.MinMemory}); err != nil {
		k.Fatal(err)
	}
}

func (k *stamping) begin() {
	k.Helper()
	var err error
	if k.s, err = tlog.NewStamper(k.opt); err != nil {
		k.Fatal(err)
	}
}

// reopen closes the ledger and its stamper, and opens both anew.
func (k *stamping) reopen() {
	k.Helper()
	if err := errors.Join(k.s.Close(), k.svc.Close()); err != nil {
		k.Fatal(err)
	}
	k.open()
	k.opt.Log, k.opt.Record = k.svc.Log(), k.svc
	k.begin()
}

func (k *stamping) size() ledger.Size { _, n := k.svc.Log().Checkpoint(); return n }

// record appends an entry that is not the log's own.
func (k *stamping) record() {
	k.Helper()
	k.entries++
	_, _, err := k.svc.DefinePurpose(k.Context(), service.Source{Name: "admin", Role: "admin"},
		service.PurposeDefinition{ID: fmt.Sprint("purpose.x", k.entries), Title: "News", Insist: true})
	if err != nil {
		k.Fatal(err)
	}
}

// anchors gives all entries about stamps, in the order of sizes.
func (k *stamping) anchors() (list []*ledger.Entry) {
	k.Helper()
	snap := k.svc.Log().Snapshot()
	defer snap.Release()
	err := snap.Anchors(0, func(_ ledger.Size, at ledger.Index) error {
		text, err := snap.Entry(at)
		if err != nil {
			return err
		}
		e, err := ledger.ParseEntry(text)
		list = append(list, e)
		return err
	})
	if err != nil {
		k.Fatal(err)
	}
	return list
}

// until waits for something to be so.
func (k *stamping) until(what string, ok func() bool) {
	k.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			k.Fatalf("not within %v: %s; the status is %+v", patience, what, k.s.Status())
		}
	}
}

// authority gives what is configured about an authority of the tests.
func authority(a *testauthority.Authority, name string, qualified bool) tlog.Authority {
	a.Helper()
	text, err := os.ReadFile(a.CAFile)
	if err != nil {
		a.Fatal(err)
	}
	pins, err := timestamp.ParsePins(text)
	if err != nil {
		a.Fatal(err)
	}
	return tlog.Authority{Name: name, URL: a.URL, Authority: timestamp.Authority{Pins: pins, Qualified: qualified}}
}

func paced(opt *tlog.StamperOptions) { tlog.Pace(opt, pace) }
