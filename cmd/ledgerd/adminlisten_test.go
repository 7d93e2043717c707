package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/metrics"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/service"
)

func TestAdminListen(t *testing.T) {
	if o, err := new(adminFlags).listen(nil, nil); o != nil || err != nil || o.String() != "" || o.Close() != nil {
		t.Errorf("without the flag: %v, %v", o, err)
	}
	for addr, want := range map[string]string{"0.0.0.0:9090": "--allow-open-admin", ":9090": "--allow-open-admin", "nonsense": "--admin-listen"} {
		if o, err := (&adminFlags{AdminListen: addr}).listen(metrics.New("v", nil), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			o.Close()
			t.Errorf("%s: %v", addr, err)
		}
	}
	for addr, profiles := range map[string]int{"127.0.0.1:0": http.StatusOK, "0.0.0.0:0": http.StatusNotFound} {
		f := adminFlags{AdminListen: addr, AllowOpenAdmin: true}
		o, err := f.listen(metrics.New("v", nil), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		line := strings.TrimPrefix(strings.TrimSpace(o.String()), "Metrics at ")
		for path, want := range map[string]int{"/metrics": 200, "/debug/pprof/": profiles, "/debug/pprof/heap": profiles, "/debug/pprof/cmdline": profiles, "/": 404} {
			rsp, err := http.Get(strings.TrimSuffix(line, "/metrics") + path)
			if err != nil {
				t.Fatal(err)
			}
			rsp.Body.Close()
			if rsp.StatusCode != want {
				t.Errorf("%s at %s: %d, want %d", path, addr, rsp.StatusCode, want)
			}
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLongProfiles: nobody has the program looked at for hours.
func TestLongProfiles(t *testing.T) {
	h := adminHandler(metrics.New("v", nil), true, 100*time.Millisecond)
	for _, path := range []string{"profile", "trace", "heap"} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/debug/pprof/"+path+"?seconds=36000", nil)
		r.Host = "localhost"
		if h.ServeHTTP(w, r); w.Body.Len() == 0 {
			t.Errorf("%s: %d, nothing", path, w.Code)
		}
	}
}

// TestAdminHost: a page of another host that resolves to loopback is shown nothing.
func TestAdminHost(t *testing.T) {
	h := adminHandler(metrics.New("v", nil), true, time.Minute)
	for host, want := range map[string]int{"127.0.0.1:9": 200, "[::1]:9": 200, "[::1]": 200, "localhost": 200, "localhost:9": 200, "127.0.0.1": 200,
		"evil.example": 403, "evil.example:9": 403, "127.0.0.1.evil.example:9": 403, "": 403, "192.0.2.1:9": 403} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("host %q: %d, want %d", host, w.Code, want)
		}
	}
}

// TestMeasured reads the numbers of a ledger that is open, of its log alone, and of one
// that is closed.
func TestMeasured(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := createLedger(dir, "ledger.example.com", ""); err != nil {
		t.Fatal(err)
	}
	opt := service.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)}
	for what, want := range map[string]struct {
		start  func(service.Options, *metrics.Metrics) (*serving, error)
		shown  []string
		absent string
	}{
		"ledger": {func(opt service.Options, m *metrics.Metrics) (*serving, error) {
			return startServing(opt, othersFlags{}, nil, server.Options{Listen: "127.0.0.1:0", Requests: m})
		}, []string{"ledgerd_up 1", "ledgerd_recording 1", "ledgerd_log_entries 1", "ledgerd_vault_root_key_generation 1"}, "ledgerd_witness"},
		"log": {func(opt service.Options, m *metrics.Metrics) (*serving, error) {
			return startLogOnly(opt, othersFlags{}, nil, server.Options{Listen: "127.0.0.1:0", Requests: m})
		}, []string{"ledgerd_up 1", "ledgerd_recording 0", "ledgerd_log_entries 1"}, "ledgerd_vault"},
	} {
		m := metrics.New("v", nil)
		s, err := want.start(opt, m)
		if err != nil {
			t.Fatal(err)
		}
		s.unfollow = m.Follow(dir, s.measure)
		text := readMetrics(t, m)
		for _, line := range want.shown {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s: not shown: %s", what, line)
			}
		}
		if strings.Contains(text, want.absent) {
			t.Errorf("%s: shown: %s", what, want.absent)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if text := readMetrics(t, m); !strings.Contains(text, "\nledgerd_up 0\n") {
			t.Errorf("%s: closed and shown as up", what)
		}
	}
}

func readMetrics(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
