package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// issue has openssl make a certificate for 127.0.0.1 that signs itself.
func issue(t *testing.T, dir, name string, with ...string) TLSFiles {
	t.Helper()
	files := TLSFiles{filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")}
	if with == nil {
		with = []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "90"}
	}
	foreign(t, "openssl", append([]string{"req", "-x509", "-nodes", "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1",
		"-keyout", files.Key, "-out", files.Certificate}, with...)...)
	return files
}

// foreign runs a program of others and returns what it says.
func foreign(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := tryForeign(t, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return out
}

func tryForeign(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not here", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput() // stdin is empty
	return string(out), err
}

func TestTLS(t *testing.T) {
	t.Parallel()
	files := issue(t, t.TempDir(), "ledger")
	r := start(t, new(services).mux(), func(o *Options) { o.TLS = &files })

	curl := func(args ...string) (string, error) {
		return tryForeign(t, "curl", append([]string{"-sS", "--max-time", "15", "--cacert", files.Certificate, "-w", "|%{http_version}|%{http_code}"}, args...)...)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--http2"}, "|2|200"},
		{[]string{"--http1.1"}, "|1.1|200"},
		{[]string{"--tlsv1.3"}, "|2|200"},
		{[]string{"--tls-max", "1.2"}, "|2|200"},
		{[]string{"--tls-max", "1.1"}, ""},
		{[]string{"--cacert", issue(t, t.TempDir(), "other").Certificate}, ""},
	} {
		out, err := curl(append(c.args, r.url+"/healthz")...)
		if (err == nil) != (c.want != "") || err == nil && !strings.HasSuffix(out, c.want) {
			t.Errorf("curl %q: %v, %q, want %q", c.args, err, out, c.want)
		}
	}
	out, err := curl("-H", "Content-Type: application/json", "-H", "Authorization: Bearer "+r.keys["app"], "-d", "{}", r.url+check)
	if err != nil || !strings.Contains(out, `"the-app"`) {
		t.Errorf("a call: %v, %q", err, out)
	}

	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "TLSv1.3"},
		{[]string{"-tls1_2"}, "ECDHE-ECDSA-"},
		{[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"}, ""},
		{[]string{"-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"}, ""},
		{[]string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, ""},
		{[]string{"-alpn", "h2"}, "ALPN protocol: h2"},
	} {
		out, err := tryForeign(t, "openssl", append([]string{"s_client", "-brief", "-connect", r.addr, "-CAfile", files.Certificate}, c.args...)...)
		if c.args != nil && c.args[0] == "-alpn" {
			out, err = tryForeign(t, "openssl", "s_client", "-connect", r.addr, "-CAfile", files.Certificate, "-alpn", "h2")
		}
		if (err == nil) != (c.want != "") || !strings.Contains(out, c.want) {
			t.Errorf("openssl s_client %q: %v, %s, want %q", c.args, err, out, c.want)
		}
	}

	resp, err := http.Get("http://" + r.addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "HTTPS") {
		t.Errorf("plain HTTP: %d %q", resp.StatusCode, body)
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	files := issue(t, t.TempDir(), "ledger")
	for scheme, change := range map[string]func(*Options){"http": nil, "https": func(o *Options) { o.TLS = &files }} {
		r := start(t, new(services).mux(), change)
		for _, path := range []string{"/healthz", "/", check, "/log/checkpoint"} {
			out := foreign(t, "curl", "-sS", "-o", os.DevNull, "-D", "-", "--cacert", files.Certificate, "-H", "Authorization: Bearer "+r.keys["auditor"], r.url+path)
			h := make(http.Header)
			for line := range strings.Lines(out) {
				if name, value, ok := strings.Cut(line, ":"); ok {
					h.Add(name, strings.TrimSpace(value))
				}
			}
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
				"Strict-Transport-Security": map[string]string{"https": "max-age=31536000"}[scheme], "Server": "",
			} {
				if got := strings.Join(h.Values(name), " and "); got != want {
					t.Errorf("%s%s: %s: %q, want %q", scheme, path, name, got, want)
				}
			}
		}
	}
}

var subject = regexp.MustCompile(`CN ?= ?([a-z]+)`)

// served asks openssl whose certificate is served.
func served(t *testing.T, addr string) string {
	t.Helper()
	m := subject.FindStringSubmatch(foreign(t, "openssl", "s_client", "-brief", "-connect", addr))
	if m == nil {
		t.Fatal("no certificate")
	}
	return m[1]
}

func TestCertificatesAreReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := issue(t, dir, "first"), issue(t, dir, "second")
	files := TLSFiles{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
	// put replaces a file as a renewal does.
	put := func(at, from string) {
		t.Helper()
		os.Remove(at + ".new")
		if err := os.Symlink(from, at+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(at+".new", at); err != nil {
			t.Fatal(err)
		}
	}
	put(files.Certificate, first.Certificate)
	put(files.Key, first.Key)
	r := start(t, new(services).mux(), func(o *Options) { o.TLS = &files })
	if got := served(t, r.addr); got != "first" {
		t.Fatalf("the certificate of %s is served", got)
	}

	put(files.Certificate, second.Certificate) // and the key is the first's still
	for range 2 {
		if err := r.server.certificate.look(false); err == nil || !strings.Contains(err.Error(), "served on") {
			t.Errorf("half of a pair: %v", err)
		}
	}
	if got := served(t, r.addr); got != "first" {
		t.Errorf("of half a pair the certificate of %s is served", got)
	}
	if n := strings.Count(r.log.String(), "cannot be used"); n != 1 {
		t.Errorf("the log says %d times that the pair cannot be used", n)
	}

	put(files.Key, second.Key) // nobody tells the server
	for begin := time.Now(); served(t, r.addr) != "second"; time.Sleep(100 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatal("the new certificate is not served")
		}
	}
	if err := r.server.ReloadCertificate(); err != nil || !strings.Contains(r.log.String(), "is the one that is served already") {
		t.Errorf("nothing new: %v", err)
	}
	if left := time.Until(r.server.CertificateEnd()); left < 89*24*time.Hour || left > 90*24*time.Hour {
		t.Errorf("it ends in %v", left)
	}
	if !strings.Contains(r.log.String(), "serving a new TLS certificate") {
		t.Error("the log does not say that it is served")
	}

	if err := os.Remove(files.Key); err != nil {
		t.Fatal(err)
	}
	if err := r.server.ReloadCertificate(); err == nil {
		t.Error("without a key nothing is said")
	}
	if got := served(t, r.addr); got != "second" {
		t.Errorf("without files the certificate of %s is served", got)
	}
}

// Another server gets the same TLS and the same bound, and a pair that is renewed.
func TestAnotherServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files, second := issue(t, dir, "first"), issue(t, dir, "second")
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := files.Listener(plain, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
	if err := BoundConnections(srv, 1); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	addr := plain.Addr().String()
	if out, err := tryForeign(t, "curl", "-sS", "--cacert", files.Certificate, "-w", "|%{http_version}|%{http_code}", "https://"+addr+"/"); err != nil || !strings.HasSuffix(out, "|1.1|404") {
		t.Errorf("curl: %v: %s", err, out)
	}
	if out, err := tryForeign(t, "curl", "-sS", "-k", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", "https://"+addr+"/"); err == nil {
		t.Errorf("TLS 1.1: %s", out)
	}
	silent, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if got := served(t, addr); got != "first" { // one connection more than there may be
		t.Errorf("the certificate of %s is served", got)
	}
	silent.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := silent.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("who says nothing keeps a connection: %v", err)
	}
	for _, pair := range [][2]string{{second.Certificate, files.Certificate}, {second.Key, files.Key}} {
		if err := os.Rename(pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	for begin := time.Now(); served(t, addr) != "second"; time.Sleep(100 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatal("the new certificate is not served")
		}
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	<-done
	if _, err := (TLSFiles{files.Certificate, second.Certificate}).Listener(plain, nil); err == nil {
		t.Error("a certificate without its key is served")
	}
	if err := BoundConnections(srv, 1<<40+1); err == nil {
		t.Error("more connections than files")
	}
}

// A pair that no client would accept, or whose key others may have, is not served.
func TestUnusableCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, other := issue(t, dir, "good"), issue(t, dir, "other")
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := func(name string, mode os.FileMode) TLSFiles {
		f := issue(t, dir, name)
		if err := os.Chmod(f.Key, mode); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for name, c := range map[string]struct {
		files TLSFiles
		want  string
	}{
		"good":              {good, ""},
		"key for the group": {open("grouped", 0o640), ""},
		"key for all":       {open("public", 0o644), "chmod 0640"},
		"writable key":      {open("writable", 0o620), "chmod 0600"},
		"no files":          {TLSFiles{}, "no such file"},
		"a directory":       {TLSFiles{dir, good.Key}, "not a regular file"},
		"another's key":     {TLSFiles{good.Certificate, other.Key}, "match"},
		"no PEM":            {TLSFiles{write("empty", ""), good.Key}, "PEM"},
		"the two confused":  {TLSFiles{good.Key, good.Certificate}, "others may do too much"},
		"too large":         {TLSFiles{write("large", strings.Repeat("x", maxPEM+1)), good.Key}, "larger than"},
		"small RSA":         {issue(t, dir, "small", "-newkey", "rsa:1024", "-days", "9"), "2048"},
		"small curve":       {issue(t, dir, "curve", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-224", "-days", "9"), "P-256"},
		"RSA":               {issue(t, dir, "rsa", "-newkey", "rsa:2048", "-days", "9"), ""},
		"Ed25519":           {issue(t, dir, "ed", "-newkey", "ed25519", "-days", "9"), ""},
	} {
		opts := minimal(t, "127.0.0.1:0")
		opts.TLS = &c.files
		s, err := New(opts)
		if err == nil {
			s.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	pair, err := tls.LoadX509KeyPair(good.Certificate, good.Key)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[time.Duration]string{-24 * time.Hour: "is the clock right", time.Minute: "<nil>", 91 * 24 * time.Hour: "renew"} {
		if err := usable(pair.Leaf, time.Now().Add(in)); !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("in %v: %v, want %q", in, err, want)
		}
	}
	insisting := minimal(t, "0.0.0.0:0")
	insisting.TLS = &good
	s, err := New(insisting)
	if err != nil {
		t.Fatalf("TLS beyond loopback: %v", err)
	}
	s.Close()
	plain, err := New(minimal(t, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if plain.ReloadCertificate() == nil || !plain.CertificateEnd().IsZero() {
		t.Error("plain HTTP has a certificate")
	}
}

// What ends soon is said, and not at every look.
func TestCertificatesThatEndSoon(t *testing.T) {
	t.Parallel()
	log := new(syncBuffer)
	c, err := loadCertificate(issue(t, t.TempDir(), "soon", "-newkey", "ed25519", "-days", "9"), slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.look(false); err != nil {
			t.Error(err)
		}
	}
	if n := strings.Count(log.String(), `"days_left":8`); n != 1 {
		t.Errorf("said %d times: %s", n, log)
	}
}

// curlPipe runs curl, whose answer waits until it is read, until the test ends.
func curlPipe(t *testing.T, args ...string) io.Reader {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not here")
	}
	cmd := exec.CommandContext(t.Context(), "curl", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	return out
}
