package timestamp

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkOpenSSL checks that openssl accepts what we accepted, at the token's
// time: its certificates have expired.
func checkOpenSSL(t *testing.T, der []byte, a *attempt) {
	t.Helper()
	if !haveOpenSSL() {
		t.Log("openssl is missing")
		return
	}
	dir := t.TempDir()
	write(t, dir, "token.tst", der)
	write(t, dir, "root.pem", pemOf(a.root))
	write(t, dir, "others.pem", slices.Concat(pemOf(a.others...), pemOf(a.by.Pins...)))
	args := []string{"ts", "-verify", "-digest", hex.EncodeToString(a.imprint[:]), "-token_in", "-in", "token.tst",
		"-CAfile", "root.pem", "-untrusted", "others.pem", "-attime", fmt.Sprint(stampTime.Unix())}
	if out, err := openssl(dir, args...); err != nil || !strings.Contains(out, "Verification: OK") {
		t.Errorf("openssl refuses it: %v\n%s", err, out)
	}
}

func haveOpenSSL() bool {
	_, err := exec.LookPath("openssl")
	return err == nil
}

func openssl(dir string, args ...string) (string, error) {
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t testing.TB, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, dir, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func pemOf(certificates ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// station is a time-stamping authority that openssl runs in a directory: a CA,
// a certificate by it, and openssl ts.
type station struct {
	t   *testing.T
	dir string
}

const stationConfig = `
[req]
distinguished_name = name
prompt = no
[name]
O = Zeitstempel GmbH
CN = openssl
[ca_cert]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
[tsa_cert]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = station
[station]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
certs = ca.pem
default_policy = 2.999.1
other_policies = 2.999.2
digests = sha256, sha512
accuracy = secs:1, millisecs:500, microsecs:100
clock_precision_digits = 3
ordering = yes
tsa_name = yes
`

// newStation makes one with keys as genpkey's options say, and with more lines
// in the section of the authority.
func newStation(t *testing.T, more string, key ...string) *station {
	t.Helper()
	if !haveOpenSSL() {
		t.Skip("openssl is missing")
	}
	s := &station{t, t.TempDir()}
	write(t, s.dir, "config", []byte(stationConfig+more))
	write(t, s.dir, "serial", []byte("1234567890ABCDEF\n"))
	for _, name := range []string{"ca", "tsa"} {
		s.run(slices.Concat([]string{"genpkey", "-out", name + ".key"}, key)...)
	}
	s.run("req", "-x509", "-config", "config", "-extensions", "ca_cert", "-key", "ca.key", "-subj", "/CN=openssl CA", "-days", "30", "-out", "ca.pem")
	s.run("req", "-new", "-config", "config", "-key", "tsa.key", "-out", "tsa.csr")
	s.run("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "20",
		"-extfile", "config", "-extensions", "tsa_cert", "-out", "tsa.pem")
	return s
}

func (s *station) run(args ...string) string {
	s.t.Helper()
	out, err := openssl(s.dir, args...)
	if err != nil {
		s.t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
	return out
}

// answer lets the authority answer a request.
func (s *station) answer(query []byte) []byte {
	s.t.Helper()
	write(s.t, s.dir, "query.tsq", query)
	s.run("ts", "-reply", "-config", "config", "-section", "station", "-queryfile", "query.tsq", "-out", "answer.tsr")
	return read(s.t, s.dir, "answer.tsr")
}

func (s *station) pins(name string) []*x509.Certificate {
	s.t.Helper()
	pins, err := ParsePins(read(s.t, s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return pins
}

var (
	onP256 = []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}
	onP384 = []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"}
	byRSA  = []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}
)

// TestAuthority: openssl reads what we ask, we verify what it answers, and it
// verifies the same.
func TestAuthority(t *testing.T) {
	for _, c := range []struct {
		name, more string
		key        []string
	}{
		{"ECDSA", "signer_digest = sha256\ness_cert_id_alg = sha256\n", onP256},
		{"ECDSA P-384", "signer_digest = sha384\ness_cert_id_alg = sha384\n", onP384},
		{"RSA", "signer_digest = sha512\ness_cert_id_alg = sha512\ness_cert_id_chain = yes\n", byRSA},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStation(t, c.more, c.key...)
			before := time.Now().Add(-time.Second)
			request := NewRequest(imprint, asn1.ObjectIdentifier{2, 999, 2})
			stamp, token := s.stamp(request)
			if stamp.Time.Before(before) || stamp.Time.After(time.Now()) || stamp.Accuracy != 1500100*time.Microsecond ||
				!stamp.Policy.Equal(request.Policy) || stamp.Serial.Text(16) != "1234567890abcdf0" || stamp.TSA != "CN=openssl,O=Zeitstempel GmbH" {
				t.Errorf("the stamp says %+v", stamp)
			}
			for _, args := range [][]string{
				{"-queryfile", "query.tsq", "-in", "answer.tsr"},
				{"-data", "data", "-in", "token.tst", "-token_in"},
			} {
				write(t, s.dir, "data", stamped)
				write(t, s.dir, "token.tst", token.Bytes())
				if out := s.run(slices.Concat([]string{"ts", "-verify", "-CAfile", "ca.pem"}, args)...); !strings.Contains(out, "Verification: OK") {
					t.Errorf("openssl says %s", out)
				}
			}
		})
	}
}

// stamp asks the authority, and verifies its answer as a response and as a bare
// token, with either pin.
func (s *station) stamp(request *Request) (*Stamp, *Token) {
	s.t.Helper()
	query, err := request.Marshal()
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := ParseResponse(s.answer(query))
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := ParseToken(response.Bytes())
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := Verify(token, imprint, Authority{Pins: s.pins("tsa.pem")}, request); err != nil {
		s.t.Error(err)
	}
	stamp, err := Verify(response, imprint, Authority{Pins: s.pins("ca.pem")}, request)
	if err != nil {
		s.t.Fatal(err)
	}
	return stamp, token
}

// TestRequest: openssl reads a request as it is meant, and makes the same.
func TestRequest(t *testing.T) {
	if !haveOpenSSL() {
		t.Skip("openssl is missing")
	}
	dir := t.TempDir()
	r := NewRequest(imprint, policy)
	query, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "query.tsq", query)
	out, err := openssl(dir, "ts", "-query", "-in", "query.tsq", "-text")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"Hash Algorithm: sha256", "Policy OID: 2.999.1", "Certificate required: yes",
		fmt.Sprintf("Nonce: 0x%X", r.Nonce.Bytes())} {
		if !strings.Contains(out, want) {
			t.Errorf("openssl misses %q in\n%s", want, out)
		}
	}
	if out, err := openssl(dir, "ts", "-query", "-digest", hex.EncodeToString(imprint[:]), "-cert", "-tspolicy", "2.999.1", "-no_nonce", "-out", "theirs.tsq"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r.Nonce = nil
	if query, err = r.Marshal(); err != nil || !bytes.Equal(query, read(t, dir, "theirs.tsq")) {
		t.Errorf("openssl makes another request: %v", err)
	}
}

// TestRequestsDiffer: no two requests have the same nonce, and a policy that is
// none is refused.
func TestRequestsDiffer(t *testing.T) {
	seen := map[string]bool{}
	bits := 0
	for range 100 {
		n := NewRequest(imprint, nil).Nonce
		seen[n.String()] = true
		bits = max(bits, n.BitLen())
	}
	if len(seen) != 100 || bits < 58 {
		t.Errorf("%d different nonces of at most %d bits", len(seen), bits)
	}
	if _, err := NewRequest(imprint, asn1.ObjectIdentifier{9, 9}).Marshal(); err == nil {
		t.Error("a policy that is no object identifier is asked for")
	}
}

// TestAuthorityRefuses: what an authority does not grant, and what it grants
// more weakly than is accepted.
func TestAuthorityRefuses(t *testing.T) {
	s := newStation(t, "signer_digest = sha256\ness_cert_id_alg = sha1\n", onP256...)
	query, err := NewRequest(imprint, asn1.ObjectIdentifier{2, 999, 3}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	_, err = ParseResponse(s.answer(query))
	wantCheck(t, err, CheckStatus)
	if !strings.Contains(err.Error(), "rejection, unacceptedPolicy") {
		t.Errorf("got %v", err)
	}

	request := NewRequest(imprint, nil)
	if query, err = request.Marshal(); err != nil {
		t.Fatal(err)
	}
	answer := s.answer(query)
	token, err := ParseResponse(answer)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Verify(token, imprint, Authority{Pins: s.pins("ca.pem")}, request)
	wantCheck(t, err, CheckSigningCertificate)
	_, err = Verify(token, sha256.Sum256(nil), Authority{Pins: s.pins("ca.pem")}, request)
	wantCheck(t, err, CheckImprint)
	_, err = ParseToken(answer)
	wantCheck(t, err, CheckEncoding)
	_, err = ParseResponse(token.Bytes())
	wantCheck(t, err, CheckEncoding)
}

func wantCheck(t *testing.T, err error, want Check) {
	t.Helper()
	var refused *Error
	if !errors.As(err, &refused) || refused.Check != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}
