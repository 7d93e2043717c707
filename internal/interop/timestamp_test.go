package interop

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/notaryproject/tspclient-go"

	"github.com/consentledger/consentledger/internal/timestamp"
)

// TestTimestampAuthority: a request of ours and one of tspclient's, each
// answered by openssl, each answer judged by both.
func TestTimestampAuthority(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is missing")
	}
	dir := timestampStation(t)
	data := []byte("log.example/consent\n1044\nroot\n")
	imprint := sha256.Sum256(data)
	ours := timestamp.NewRequest(imprint, nil)
	query, err := ours.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	theirs := new(tspclient.Request)
	if err := errors.Join(theirs.UnmarshalBinary(query), theirs.Validate()); err != nil || !theirs.CertReq || theirs.Nonce.Cmp(ours.Nonce) != 0 {
		t.Fatalf("tspclient reads our request as %+v, %v", theirs, err)
	}
	bothAccept(t, dir, theirs, ours)

	theirs, err = tspclient.NewRequest(tspclient.RequestOptions{Content: data, HashAlgorithm: crypto.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	bothAccept(t, dir, theirs, &timestamp.Request{Imprint: imprint, Nonce: theirs.Nonce})
}

// bothAccept lets openssl answer a request, and both readers judge the answer.
func bothAccept(t *testing.T, dir string, theirs *tspclient.Request, ours *timestamp.Request) {
	t.Helper()
	query, err := theirs.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "query.tsq"), query, 0o600); err != nil {
		t.Fatal(err)
	}
	runOpenSSL(t, dir, "ts", "-reply", "-config", "config", "-queryfile", "query.tsq", "-out", "answer.tsr")
	answer := readTimestamp(t, filepath.Join(dir, "answer.tsr"))
	pins := readPins(t, filepath.Join(dir, "ca.pem"))

	token, err := timestamp.ParseResponse(answer)
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := timestamp.Verify(token, ours.Imprint, timestamp.Authority{Pins: pins}, ours)
	if err != nil {
		t.Fatal(err)
	}
	resp := new(tspclient.Response)
	if err := errors.Join(resp.UnmarshalBinary(answer), resp.Validate(theirs)); err != nil {
		t.Fatal(err)
	}
	if err := tspclientSays(t, resp.TimestampToken.FullBytes, pins, stamp); err != nil {
		t.Error(err)
	}
}

// tspclientSays lets tspclient verify a token at the token's time, and compares
// what it finds.
func tspclientSays(t *testing.T, der []byte, pins []*x509.Certificate, stamp *timestamp.Stamp) error {
	token, err := tspclient.ParseSignedToken(der)
	if err != nil {
		return err
	}
	info, err := token.Info()
	if err != nil {
		return err
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), CurrentTime: info.GenTime}
	for _, c := range pins {
		options.Roots.AddCert(c)
	}
	chain, err := token.Verify(t.Context(), options)
	if err != nil {
		return err
	}
	accuracy := time.Duration(info.Accuracy.Seconds)*time.Second + time.Duration(info.Accuracy.Milliseconds)*time.Millisecond
	if !info.GenTime.Equal(stamp.Time) || accuracy != stamp.Accuracy || info.SerialNumber.Cmp(stamp.Serial) != 0 ||
		!info.Policy.Equal(stamp.Policy) || !slices.EqualFunc(chain, stamp.Chain, (*x509.Certificate).Equal) {
		return fmt.Errorf("tspclient finds %v ± %v, number %v, policy %v; we find %+v", info.GenTime, accuracy, info.SerialNumber, info.Policy, stamp)
	}
	return nil
}

// TestTimestampTokens: the tokens that tspclient is tested with, some by
// authorities of this world, some damaged. We accept only what it accepts, and
// where we refuse, the check is the one that stands here.
func TestTimestampTokens(t *testing.T) {
	dir := tspclientData(t)
	globalSign := readPins(t, filepath.Join(dir, "GlobalSignRootCA.crt"))
	want := map[string]timestamp.Check{
		"TimeStampToken":                                             "",
		"SHA1TimeStampToken":                                         timestamp.CheckImprintAlgorithm,
		"TimeStampTokenNoRoot":                                       timestamp.CheckImprint, // of Microsoft, over bytes that we do not have
		"TimeStampTokenWithInvalidSignature":                         timestamp.CheckSignature,
		"TimeStampTokenWithInvalidSigningCertificateV1":              timestamp.CheckEncoding,
		"TimeStampTokenWithInvalidSigningCertificateV2":              timestamp.CheckEncoding,
		"TimeStampTokenWithInvalidTSTInfo":                           timestamp.CheckEncoding,
		"TimeStampTokenWithInvalideContentType":                      timestamp.CheckEncoding,
		"TimeStampTokenWithMismatchCertHash":                         timestamp.CheckSigningCertificate,
		"TimeStampTokenWithSHA1CertHash":                             timestamp.CheckAlgorithm,
		"TimeStampTokenWithSigningCertificateV1":                     timestamp.CheckImprintAlgorithm, // SHA-512
		"TimeStampTokenWithSigningCertificateV1NoCert":               timestamp.CheckEncoding,
		"TimeStampTokenWithSigningCertificateV2NoCert":               timestamp.CheckEncoding,
		"TimeStampTokenWithTSTInfoVersion2":                          timestamp.CheckEncoding,
		"TimeStampTokenWithValidAndInvalidSignerInfos":               timestamp.CheckSigners,
		"TimeStampTokenWithoutCertificate":                           timestamp.CheckSigner,
		"TimeStampTokenWithoutSigningCertificate":                    timestamp.CheckSigningCertificate,
		"TimeStampTokenWithoutSigningCertificateV2IssuerSerial":      timestamp.CheckSignature,
		"TimeStampTokenWithWrongSigningCertificateV2IssuerChoiceTag": timestamp.CheckSigningCertificate,
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.p7s"))
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d tokens in %s, want %d; %v", len(files), dir, len(want), err)
	}
	data := []byte("notation")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".p7s")
		t.Run(name, func(t *testing.T) {
			der := readTimestamp(t, file)
			token, err := timestamp.ParseToken(der)
			var stamp *timestamp.Stamp
			if err == nil {
				stamp, err = timestamp.Verify(token, sha256.Sum256(data), timestamp.Authority{Pins: globalSign}, nil)
			}
			var refused *timestamp.Error
			switch check, known := want[name]; {
			case !known:
				t.Error("nobody expects it")
			case check != "":
				if !errors.As(err, &refused) || refused.Check != check {
					t.Errorf("got %v, want %s", err, check)
				}
			case err != nil:
				t.Error(err)
			default:
				if err := tspclientSays(t, der, globalSign, stamp); err != nil {
					t.Errorf("tspclient refuses what we accept: %v", err)
				}
			}
		})
	}
}

// TestTimestampMicrosoft: a token with a fraction of a second and a nonce of 160
// bits, by an authority that is in use. What it is about is not known, its CA is
// the one that it carries.
func TestTimestampMicrosoft(t *testing.T) {
	der := readTimestamp(t, filepath.Join(tspclientData(t), "TimeStampTokenNoRoot.p7s"))
	theirs, err := tspclient.ParseSignedToken(der)
	if err != nil {
		t.Fatal(err)
	}
	info, err := theirs.Info()
	if err != nil {
		t.Fatal(err)
	}
	pins := slices.DeleteFunc(slices.Clone(theirs.Certificates), func(c *x509.Certificate) bool { return !c.IsCA })
	token, err := timestamp.ParseToken(der)
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := timestamp.Verify(token, [sha256.Size]byte(info.MessageImprint.HashedMessage), timestamp.Authority{Pins: pins}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tspclientSays(t, der, pins, stamp); err != nil {
		t.Error(err)
	}
}

// tspclientData is where tspclient keeps what it is tested with.
func tspclientData(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/notaryproject/tspclient-go").Output()
	if err != nil || len(out) < 2 {
		t.Fatalf("where tspclient is: %q, %v", out, err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "testdata")
}

// timestampStation makes a directory in which openssl ts -reply works.
func timestampStation(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	config := `
[req]
distinguished_name = name
prompt = no
[name]
CN = authority
[ca_cert]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
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
signer_digest = sha256
ess_cert_id_alg = sha256
default_policy = 2.999.1
digests = sha256
accuracy = secs:1, millisecs:500
clock_precision_digits = 3
tsa_name = yes
`
	for name, content := range map[string]string{"config": config, "serial": "01\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ca", "tsa"} {
		runOpenSSL(t, dir, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", name+".key")
	}
	runOpenSSL(t, dir, "req", "-x509", "-config", "config", "-extensions", "ca_cert", "-key", "ca.key", "-subj", "/CN=CA", "-days", "3", "-out", "ca.pem")
	runOpenSSL(t, dir, "req", "-new", "-config", "config", "-key", "tsa.key", "-out", "tsa.csr")
	runOpenSSL(t, dir, "x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
		"-extfile", "config", "-extensions", "tsa_cert", "-out", "tsa.pem")
	return dir
}

func runOpenSSL(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

func readTimestamp(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readPins(t *testing.T, name string) []*x509.Certificate {
	t.Helper()
	b := readTimestamp(t, name)
	if c, err := x509.ParseCertificate(b); err == nil {
		return []*x509.Certificate{c}
	}
	pins, err := timestamp.ParsePins(b)
	if err != nil {
		t.Fatal(err)
	}
	return pins
}
