package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServeTLS speaks to a server's process with curl, over TLS, before and after a
// SIGHUP that finds half of a new pair.
func TestServeTLS(t *testing.T) {
	dir, _ := newLedger(t)
	cert, key := filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	openssl := func(keyOut string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-nodes", "-subj", "/CN=ledger", "-days", "30", "-newkey", "ec",
			"-pkeyopt", "ec_paramgen_curve:P-256", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", keyOut, "-out", cert).CombinedOutput(); err != nil {
			t.Skipf("openssl: %v: %s", err, out)
		}
	}
	openssl(key)
	server, err := startChild(dir, "--tls-cert", cert, "--tls-key", key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	if !strings.HasPrefix(server.URL, "https://127.0.0.1:") {
		t.Errorf("it serves at %s", server.URL)
	}
	trusted := filepath.Join(t.TempDir(), "trusted.crt")
	if out, err := exec.Command("cp", cert, trusted).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ready := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, "curl", "-sS", "--cacert", trusted, server.URL+"/readyz").CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"ready":true`) {
			t.Errorf("readyz: %v: %s", err, out)
		}
	}
	ready()
	openssl(filepath.Join(t.TempDir(), "elsewhere.key"))
	if err := server.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); !strings.Contains(server.Log.String(), "the one before it is served on"); time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("nothing is said of a broken pair:\n%s", server.Log)
		}
	}
	ready()
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
}
