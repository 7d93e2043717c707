// Package testauthority gives tests a time-stamping authority (RFC 3161) that
// openssl runs: a CA, a certificate by it, and `openssl ts` behind HTTP on loopback.
//
// Start with [New]. [Options] make it lie. Tests are skipped where openssl is
// missing.
package testauthority

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Options change what an authority does. The zero value does everything right.
type Options struct {
	// Query changes what was asked, before openssl reads it.
	Query func(query []byte) []byte
	// Signer changes the certificate that signs, before the CA issues it. openssl ts
	// makes the token with a good one, then `openssl cms` signs its content with this.
	Signer func(*x509.Certificate)
	// Time is when tokens are from, signed like Signer's; zero: now.
	Time time.Time
	// Unknown lets another CA issue the certificate than the one that is pinned.
	Unknown bool
	// Config are more lines of openssl's configuration, which replace earlier ones.
	Config string
	// Between stands between the authority and its callers.
	Between func(http.Handler) http.Handler
}

// Authority is a running authority.
type Authority struct {
	testing.TB
	URL    string
	Dir    string       // its files
	CAFile string       // the certificate to pin, in PEM
	Asked  atomic.Int64 // requests that have reached it

	opt  Options
	addr string
	stop func()

	mu sync.Mutex // openssl counts in a file
}

const config = `
[station]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
certs = ca.pem
default_policy = 2.999.1
digests = sha1, sha256
signer_digest = sha256
ess_cert_id_alg = sha256
accuracy = secs:1
clock_precision_digits = 6
`

// New makes an authority and starts it; it ends with the test.
func New(t testing.TB, opt Options) *Authority {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is missing")
	}
	a := &Authority{TB: t, Dir: t.TempDir(), opt: opt}
	a.CAFile = filepath.Join(a.Dir, "ca.pem")
	a.write("config", []byte(config+opt.Config))
	a.write("serial", []byte("1000\n"))
	ca := a.issue("ca", nil, caTemplate("test CA"))
	a.issue("tsa", ca, tsaTemplate())
	issuer, signer := ca, tsaTemplate()
	if opt.Unknown {
		issuer = a.issue("other", nil, caTemplate("another CA"))
	}
	if opt.Signer != nil {
		opt.Signer(signer)
	}
	a.issue("signer", issuer, signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.addr = l.Addr().String()
	a.URL = "http://" + a.addr
	a.serve(l, opt.Between)
	return a
}

// Line is the authority's line in a configuration, under a name.
func (a *Authority) Line(name string) string {
	return "authority " + name + " " + a.URL + " " + a.CAFile + "\n"
}

// Stop lets nobody reach it any more.
func (a *Authority) Stop() { a.stop() }

// Restart brings it back at the same address, with something else between.
func (a *Authority) Restart(between func(http.Handler) http.Handler) {
	a.Helper()
	a.serve(ListenAgain(a, a.addr), between)
}

// ListenAgain listens at an address at which somebody listened before. Meanwhile a
// connection of another test may have got the port; it is waited for, 10 s at most.
func ListenAgain(t testing.TB, addr string) net.Listener {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return l
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func (a *Authority) serve(l net.Listener, between func(http.Handler) http.Handler) {
	var handler http.Handler = http.HandlerFunc(a.answer)
	if between != nil {
		handler = between(handler)
	}
	var handling sync.RWMutex // closing a server does not wait for its handlers
	stopped := false          // guarded by handling
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handling.RLock()
		defer handling.RUnlock()
		if stopped {
			return
		}
		a.Asked.Add(1)
		handler.ServeHTTP(w, r)
	})}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	a.stop = sync.OnceFunc(func() {
		srv.Close()
		<-done
		handling.Lock()
		defer handling.Unlock()
		stopped = true
	})
	a.Cleanup(a.stop)
}

func (a *Authority) answer(w http.ResponseWriter, r *http.Request) {
	query, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/timestamp-query" {
		http.Error(w, "no time-stamp query", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	w.Write(a.Answer(query))
}

// Answer gives the response to a query, both in DER.
func (a *Authority) Answer(query []byte) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.opt.Query != nil {
		query = a.opt.Query(query)
	}
	a.write("query.tsq", query)
	a.OpenSSL("ts", "-reply", "-config", "config", "-section", "station", "-queryfile", "query.tsq", "-out", "answer.tsr")
	answer := a.read("answer.tsr")
	if a.opt.Signer == nil && a.opt.Time.IsZero() && !a.opt.Unknown {
		return answer
	}
	return a.signAgain()
}

// signAgain signs the content of the newest token with the certificate of the options.
func (a *Authority) signAgain() []byte {
	a.OpenSSL("ts", "-reply", "-in", "answer.tsr", "-out", "token.tst", "-token_out")
	a.OpenSSL("cms", "-verify", "-noverify", "-nosigs", "-inform", "DER", "-in", "token.tst", "-out", "info.der")
	if !a.opt.Time.IsZero() {
		a.write("info.der", a.redate(a.read("info.der")))
	}
	a.OpenSSL("cms", "-sign", "-binary", "-nodetach", "-cades", "-nosmimecap", "-md", "sha256", "-econtent_type", "1.2.840.113549.1.9.16.1.4",
		"-in", "info.der", "-signer", "signer.pem", "-inkey", "signer.key", "-certfile", "ca.pem", "-outform", "DER", "-out", "token.tst")
	return a.marshal(struct {
		Status struct{ Status int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: a.read("token.tst")}})
}

// redate puts the time of the options into a TSTInfo.
func (a *Authority) redate(info []byte) []byte {
	var members []asn1.RawValue
	if _, err := asn1.Unmarshal(info, &members); err != nil || len(members) < 5 {
		a.Errorf("openssl made no TSTInfo: %v", err)
		return info
	}
	members[4] = asn1.RawValue{Tag: asn1.TagGeneralizedTime, Bytes: []byte(a.opt.Time.UTC().Format("20060102150405Z"))}
	return a.marshal(members)
}

func (a *Authority) marshal(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		a.Error(err)
	}
	return der
}

// OpenSSL runs openssl in the authority's directory and gives what it prints.
func (a *Authority) OpenSSL(args ...string) string {
	cmd := exec.Command("openssl", args...)
	cmd.Dir = a.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		a.Errorf("openssl %v: %v\n%s", args, err, out) // not Fatal: it may be a handler's goroutine
	}
	return string(out)
}

func (a *Authority) write(name string, content []byte) {
	if err := os.WriteFile(filepath.Join(a.Dir, name), content, 0o600); err != nil {
		a.Error(err)
	}
}

func (a *Authority) read(name string) []byte {
	content, err := os.ReadFile(filepath.Join(a.Dir, name))
	if err != nil {
		a.Error(err)
	}
	return content
}

// issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate and writes NAME.pem and NAME.key. Without an issuer it
// signs itself.
func (a *Authority) issue(name string, by *issued, template *x509.Certificate) *issued {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	if by == nil {
		by = &issued{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		a.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.Fatal(err)
	}
	a.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return &issued{cert, key}
}

var serial atomic.Int64

func certificate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{SerialNumber: big.NewInt(serial.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), BasicConstraintsValid: true}
}

func caTemplate(name string) *x509.Certificate {
	c := certificate(name)
	c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	return c
}

func tsaTemplate() *x509.Certificate {
	c := certificate("test authority")
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtraExtensions = []pkix.Extension{Purposes(true, TimeStamping)}
	return c
}

// Purposes is the extension extendedKeyUsage.
func Purposes(critical bool, of ...asn1.ObjectIdentifier) pkix.Extension {
	der, err := asn1.Marshal(of)
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: critical, Value: der}
}

// TimeStamping and CodeSigning are purposes (RFC 5280 § 4.2.1.12).
var (
	TimeStamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	CodeSigning  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}
)

// Accepts says whether openssl accepts a token, a file in the authority's directory,
// over another file there.
func (a *Authority) Accepts(data, token string) bool {
	cmd := exec.Command("openssl", "ts", "-verify", "-data", data, "-in", token, "-token_in", "-CAfile", "ca.pem")
	cmd.Dir = a.Dir
	out, err := cmd.CombinedOutput()
	return err == nil && bytes.Contains(out, []byte("Verification: OK"))
}
