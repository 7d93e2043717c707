package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/witness"
)

// TestServeHearsFirst: whether a ledger may record is known before it is served, even
// if the witness takes its time.
func TestServeHearsFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := service.Create(dir, "ledger.example.com/shop", "", nil); err != nil {
		t.Fatal(err)
	}
	begun, release := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.NotFound(out, r)
			return
		}
		close(begun) // it is asked once
		<-release
		out.Header().Set("Content-Type", "text/x.tlog.size")
		out.WriteHeader(http.StatusConflict)
		io.WriteString(out, "7\n")
	}))
	t.Cleanup(srv.Close)
	lines, err := witness.Create(filepath.Join(t.TempDir(), "w"), "w.example", srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := os.ReadFile(filepath.Join(dir, "trust.policy"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "witnessed.policy")
	text := strings.Replace(string(policy), "group hybrid all self-pq", string(lines)+"group hybrid all self-pq w.example", 1)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	svc, err := service.Open(service.Options{Dir: dir, Logger: logger, Later: true})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-begun
		close(release)
	}()
	others := othersFlags{witnessFlags: witnessFlags{WitnessPolicy: file}}
	c, err := others.askWitnesses(svc, dir, logger)
	if err != nil {
		t.Fatal(err)
	}
	st, err := svc.Status()
	if err != nil || st.Fault == nil || !strings.Contains(st.Fault.Error(), "says, without proof so far: it has cosigned 7 entries of this log, which holds 1") {
		t.Errorf("the status is %+v, %v", st, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := svc.Close(); err != nil {
		t.Error(err)
	}
}

// TestServeFinishesErasures: what a start holds back until the witnesses were heard is
// done then.
func TestServeFinishesErasures(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := service.Create(dir, "ledger.example.com/shop", "", nil); err != nil {
		t.Fatal(err)
	}
	if err := authn.Create(apiKeys(dir)); err != nil {
		t.Fatal(err)
	}
	// The clock goes back as soon as the erasure is in the log, so that nothing more is.
	var svc *service.Service
	var stopAt atomic.Int64
	opt := service.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)}
	opt.ReplaceClock(func() time.Time {
		if at := stopAt.Load(); at > 0 {
			if _, size := svc.Log().Checkpoint(); int64(size) > at {
				return time.Now().Add(-time.Hour)
			}
		}
		return time.Now()
	})
	svc, err := service.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	admin, shop := service.Source{Name: "admin", Role: "admin"}, service.Source{Name: "shop", Role: "app"}
	anna := service.Subject{Email: "anna@example.com"}
	if _, _, err := svc.DefinePurpose(t.Context(), admin, service.PurposeDefinition{ID: "newsletter", Title: "News", Marketing: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.RecordObjection(t.Context(), shop, service.Objection{Subject: anna, Article: "art21_2", Purposes: []string{"newsletter"}, Channel: "email"}); err != nil {
		t.Fatal(err)
	}
	_, before := svc.Log().Checkpoint()
	stopAt.Store(int64(before))
	if _, err := svc.EraseSubject(t.Context(), shop, service.Erasure{Subject: anna, Reason: "art17", Mode: "shred_now"}); err == nil {
		t.Fatal("the erasure was recorded as carried out")
	}
	if _, size := svc.Log().Checkpoint(); size != before+1 {
		t.Fatalf("%d entries, want %d", size, before+1)
	}
	if err := svc.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := startServing(service.Options{Dir: dir, Logger: opt.Logger}, othersFlags{}, nil, server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, size := s.ledger.(*service.Service).Log().Checkpoint(); size != before+2 {
		t.Errorf("%d entries, want evidence.shredded as number %d", size, before+2)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
