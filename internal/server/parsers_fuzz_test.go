package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzEnvelopes: messages are found where they begin, in whatever pieces they come.
func FuzzEnvelopes(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 2, 'a', 'b', 1, 0, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff}, uint8(1))
	f.Add([]byte{0, 0, 0, 0}, uint8(3))
	f.Add(make([]byte, 40), uint8(7))
	f.Fuzz(func(t *testing.T, body []byte, piece uint8) {
		type message struct {
			flags  byte
			length int64
		}
		// As the protocols' pages write it.
		var want []message
		rest := body
		for len(rest) >= 5 {
			m := message{rest[0], int64(binary.BigEndian.Uint32(rest[1:]))}
			want = append(want, m)
			rest = rest[min(int64(len(rest)), 5+m.length):]
		}
		for _, size := range []int{len(body), 1, int(piece%16) + 1} {
			var e envelopes
			var got []message
			for p := body; len(p) > 0; p = p[min(size, len(p)):] {
				err := e.follow(p[:min(size, len(p))], func(flags byte, length int64) error {
					got = append(got, message{flags, length})
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if len(got) != len(want) {
				t.Fatalf("in pieces of %d: %v, want %v", size, got, want)
			}
			for i, m := range got {
				if m != want[i] {
					t.Errorf("in pieces of %d: message %d is %v, want %v", size, i, m, want[i])
				}
			}
			if e.left < 0 || len(e.header) > 4 || len(rest) == 0 && e.between() != (e.left == 0) {
				t.Errorf("in pieces of %d: %d bytes of a header, %d left", size, len(e.header), e.left)
			}
		}
		// What refuses a message ends the body.
		refused := errors.New("refused")
		var e envelopes
		if err := e.follow(body, func(byte, int64) error { return refused }); (len(want) > 0) != errors.Is(err, refused) {
			t.Errorf("%d messages, and the first is refused: %v", len(want), err)
		}
	})
}

// FuzzCertificate: a pair that cannot be used changes nothing, and no error holds
// anything of a key.
func FuzzCertificate(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ledger"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	cert, secret := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	dir := f.TempDir()
	files := TLSFiles{filepath.Join(dir, "crt"), filepath.Join(dir, "key")}
	write := func(t testing.TB, cert, key []byte) {
		if err := errors.Join(os.WriteFile(files.Certificate, cert, 0o600), os.WriteFile(files.Key, key, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write(f, cert, secret)
	c, err := loadCertificate(files, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cert, secret)
	f.Add(append(bytes.Clone(cert), cert...), secret)
	f.Add(secret, cert)
	f.Add(cert, secret[:len(secret)-30])
	f.Add(cert, append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), secret...))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		write(t, cert, key)
		before := c.serving.Load()
		changed, err := c.read()
		now := c.serving.Load()
		if err != nil && (changed || now != before) {
			t.Errorf("%v, and yet another certificate is served", err)
		}
		if now.Leaf == nil || usable(now.Leaf, time.Now()) != nil {
			t.Error("a certificate is served that nobody accepts")
		}
		if err != nil {
			for _, line := range strings.Split(string(key), "\n") {
				if len(line) > 12 && strings.Contains(err.Error(), line) {
					t.Errorf("the error holds a line of the key: %v", err)
				}
			}
		}
	})
}
