package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
