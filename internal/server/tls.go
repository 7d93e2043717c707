package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certificateLook is how often the files of the certificate are looked at.
const certificateLook = 2 * time.Second

// expiryNotice is how long before its end a certificate is said to end, once a day.
const expiryNotice = 14 * 24 * time.Hour

// maxPEM is the largest file of certificates or keys that is read.
const maxPEM = 1 << 20

// TLSFiles names a certificate and its key.
type TLSFiles struct {
	// Certificate is a file of PEM certificates: the server's, then those that
	// lead to its root.
	Certificate string

	// Key is the file of the PEM private key. Nobody but its owner may write it,
	// and nobody outside of its group read it.
	Key string
}

// Check reads the pair as a server does, refuses what a server refuses, and gives when
// the certificate ends.
func (f TLSFiles) Check() (end time.Time, err error) {
	c := &certificate{files: f}
	if _, err := c.read(); err != nil {
		return time.Time{}, err
	}
	return c.notAfter(), nil
}

// Listener speaks TLS on l with the pair, for an HTTP/1.1 server other than [Server].
// It follows the files as Server does, until it is closed.
func (f TLSFiles) Listener(l net.Listener, logger *slog.Logger) (net.Listener, error) {
	c, err := loadCertificate(f, logger)
	if err != nil {
		return nil, err
	}
	config := tlsConfig(c)
	config.NextProtos = []string{"http/1.1"}
	looking, stop := context.WithCancel(context.Background())
	go c.follow(looking)
	return &followingListener{tls.NewListener(l, config), stop}, nil
}

type followingListener struct {
	net.Listener
	stop context.CancelFunc
}

// Close implements [net.Listener].
func (l *followingListener) Close() error {
	l.stop()
	return l.Listener.Close()
}

// tlsConfig is TLS as it should be: 1.2 or better, and of 1.2 only what has forward
// secrecy and authenticated encryption. Versions, suites of 1.3 and key exchanges,
// X25519MLKEM768 first, are Go's.
func tlsConfig(c *certificate) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.serving.Load(), nil },
	}
}

// certificate is the pair that is served, and follows its files.
//
// What is read is compared, not the times of the files: renewal replaces files,
// links or directories, in whatever order. A pair that cannot be used, such as one
// that is half replaced, changes nothing; the one before it goes on being served.
type certificate struct {
	files   TLSFiles
	logger  *slog.Logger
	serving atomic.Pointer[tls.Certificate] // never nil

	mu         sync.Mutex // guards what follows
	cert, key  []byte     // the files of the pair that is served
	complained string     // what was said last of a pair that cannot be used
	reminded   time.Time  // when it was said last that the pair ends soon
}

// loadCertificate reads the pair for the first time; one that cannot be used is an
// error.
func loadCertificate(files TLSFiles, logger *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, logger: logger}
	if _, err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// read looks at the files and serves what is in them if that is new.
func (c *certificate) read() (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cert, err := readPEM(c.files.Certificate, 0o022)
	if err != nil {
		return false, fmt.Errorf("TLS certificate: %w", err)
	}
	key, err := readPEM(c.files.Key, 0o027)
	if err != nil {
		return false, fmt.Errorf("TLS key: %w", err)
	}
	if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("TLS certificate %s with key %s: %w", c.files.Certificate, c.files.Key, err)
	}
	if err := usable(pair.Leaf, time.Now()); err != nil {
		return false, fmt.Errorf("TLS certificate %s: %w", c.files.Certificate, err)
	}
	c.cert, c.key, c.reminded = cert, key, time.Time{}
	c.serving.Store(&pair)
	return true, nil
}

// usable refuses a certificate that every client refuses.
func usable(leaf *x509.Certificate, now time.Time) error {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return fmt.Errorf("its RSA key has %d bits, want 2048 or more", key.N.BitLen())
		}
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize < 256 {
			return fmt.Errorf("its key is on the curve %s, want P-256 or better", key.Curve.Params().Name)
		}
	}
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("it ended at %s; renew it", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("it begins at %s only; is the clock right?", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// readPEM reads a file of which others have no right in forbidden.
func readPEM(path string, forbidden os.FileMode) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a regular file", path)
	}
	if perm := info.Mode().Perm(); perm&forbidden != 0 {
		return nil, fmt.Errorf("%s: others may do too much with it (mode %04o); run: chmod %04o %s", path, perm, perm&^forbidden, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxPEM {
		return nil, fmt.Errorf("%s: is larger than %d bytes", path, maxPEM)
	}
	return data, nil
}

// look reads and tells the log what came of it; unasked nothing if nothing is new,
// and a fault once, until it is another.
func (c *certificate) look(asked bool) error {
	changed, err := c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if asked || err.Error() != c.complained {
			c.complained = err.Error()
			c.logger.Error("the new TLS certificate cannot be used; the one before it is served on",
				"error", err.Error(), "not_after", c.notAfter())
		}
		return fmt.Errorf("%w; the certificate before it is served on", err)
	}
	c.complained = ""
	switch {
	case changed:
		c.logger.Info("serving a new TLS certificate", "not_after", c.notAfter())
	case asked:
		c.logger.Info("the TLS certificate is the one that is served already", "not_after", c.notAfter())
	}
	if left := time.Until(c.notAfter()); left < expiryNotice && time.Since(c.reminded) >= 24*time.Hour {
		c.reminded = time.Now()
		c.logger.Warn("the TLS certificate ends soon, and no newer one is there",
			"not_after", c.notAfter(), "days_left", int(left.Hours()/24))
	}
	return nil
}

func (c *certificate) notAfter() time.Time { return c.serving.Load().Leaf.NotAfter.UTC() }

// follow looks at the files until ctx is done.
func (c *certificate) follow(ctx context.Context) {
	tick := time.NewTicker(certificateLook)
	defer tick.Stop()
	for {
		_ = c.look(false) // it has told the log
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ReloadCertificate looks at the files of the certificate now, as is done every two
// seconds anyway. A pair that cannot be used is an error and changes nothing.
func (s *Server) ReloadCertificate() error {
	if s.certificate == nil {
		return errors.New("there is no TLS certificate: this is plain HTTP")
	}
	return s.certificate.look(true)
}

// CertificateEnd is when the certificate that is served ends; zero for plain HTTP.
func (s *Server) CertificateEnd() time.Time {
	if s.certificate == nil {
		return time.Time{}
	}
	return s.certificate.notAfter()
}
