package tlog_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/tlog"
)

// asked takes a query apart, to be changed.
type asked struct {
	Version int
	Imprint struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	Nonce   *big.Int `asn1:"optional"`
	CertReq bool     `asn1:"optional"`
}

// otherwise lets an authority answer another query than the one that it got.
func otherwise(change func(*asked)) func([]byte) []byte {
	return func(query []byte) []byte {
		var q asked
		if _, err := asn1.Unmarshal(query, &q); err != nil {
			panic(err)
		}
		change(&q)
		changed, err := asn1.Marshal(q)
		if err != nil {
			panic(err)
		}
		return changed
	}
}

var oidSHA1 = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}

// changed changes what an authority answers over HTTP.
func changed(mediaType string, change func(answer []byte) []byte) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			kept := httptest.NewRecorder()
			next.ServeHTTP(kept, r)
			w.Header().Set("Content-Type", mediaType)
			w.Write(change(kept.Body.Bytes()))
		})
	}
}

const reply = "application/timestamp-reply"

func same(b []byte) []byte { return b }

// TestBadAuthority is the table of authorities that do not do what they should. None
// of them gets anything recorded; each is shown with its reason; a good one beside it
// stamps all the same.
func TestBadAuthority(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	ended, stop := context.WithCancel(context.Background())
	defer stop()
	for _, bad := range []struct {
		name   string
		opt    testauthority.Options
		why    string
		detail string // what it says, at the least
	}{
		{"dead", testauthority.Options{}, tlog.WhyUnreachable, ""},
		{"slow", testauthority.Options{Between: hanging(ended, nil)}, tlog.WhyTimeout, ""},
		{"an endless trickle", testauthority.Options{Between: func(http.Handler) http.Handler { return trickle(ended) }}, tlog.WhyTimeout, ""},
		{"hangs up", testauthority.Options{Between: func(http.Handler) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}}, tlog.WhyUnreachable, ""},
		{"a page", testauthority.Options{Between: changed("text/html; charset=utf-8", same)}, tlog.WhyBadAnswer, "media type"},
		{"no media type", testauthority.Options{Between: changed("", same)}, tlog.WhyBadAnswer, "media type"},
		{"status 500", testauthority.Options{Between: answer(500, reply, "down")}, tlog.WhyRefused, "status 500"},
		{"status 201", testauthority.Options{Between: answer(201, reply, "")}, tlog.WhyRefused, "status 201"},
		{"redirects to another host", testauthority.Options{Between: redirecting(other.URL)}, tlog.WhyRefused, "status 307"},
		{"nothing", testauthority.Options{Between: answer(200, reply, "")}, tlog.WhyBadAnswer, "encoding"},
		{"truncated", testauthority.Options{Between: changed(reply, func(b []byte) []byte { return b[:len(b)-1] })}, tlog.WhyBadAnswer, "encoding"},
		{"bytes behind it", testauthority.Options{Between: changed(reply, func(b []byte) []byte { return append(b, 0) })}, tlog.WhyBadAnswer, "encoding"},
		{"huge", testauthority.Options{Between: changed(reply, func([]byte) []byte { return make([]byte, 1<<20) })}, tlog.WhyBadAnswer, "more than"},
		{"a bit changed", testauthority.Options{Between: changed(reply, flipLast)}, tlog.WhyBadToken, "signature: "},
		{"not granted", testauthority.Options{Query: func([]byte) []byte { return []byte{0x30, 0} }}, tlog.WhyRefused, "status: rejection"},
		{"of other bytes", testauthority.Options{Query: otherwise(func(q *asked) { q.Imprint.Digest[0] ^= 1 })}, tlog.WhyBadToken, "imprint: "},
		{"by SHA-1", testauthority.Options{Query: otherwise(func(q *asked) {
			sum := sha1.Sum(nil)
			q.Imprint.Digest, q.Imprint.Algorithm.Algorithm = sum[:], oidSHA1
		})}, tlog.WhyBadToken, "imprint_algorithm: "},
		{"another nonce", testauthority.Options{Query: otherwise(func(q *asked) { q.Nonce.Add(q.Nonce, big.NewInt(1)) })}, tlog.WhyBadToken, "nonce: "},
		{"no nonce", testauthority.Options{Query: otherwise(func(q *asked) { q.Nonce = nil })}, tlog.WhyBadToken, "nonce: "},
		{"no certificate", testauthority.Options{Query: otherwise(func(q *asked) { q.CertReq = false })}, tlog.WhyBadToken, "signer: "},
		{"binds its certificate by SHA-1", testauthority.Options{Config: "ess_cert_id_alg = sha1\n"}, tlog.WhyBadToken, "signing_certificate: "},
		{"a CA", testauthority.Options{Signer: func(c *x509.Certificate) { c.IsCA = true }}, tlog.WhyBadToken, "ca: "},
		{"for code", testauthority.Options{Signer: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{testauthority.Purposes(true, testauthority.CodeSigning)}
		}}, tlog.WhyBadToken, "extended_key_usage: "},
		{"for time stamps and code", testauthority.Options{Signer: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{testauthority.Purposes(true, testauthority.TimeStamping, testauthority.CodeSigning)}
		}}, tlog.WhyBadToken, "extended_key_usage: "},
		{"for time stamps, not critical", testauthority.Options{Signer: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{testauthority.Purposes(false, testauthority.TimeStamping)}
		}}, tlog.WhyBadToken, "extended_key_usage: "},
		{"expired", testauthority.Options{Signer: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }}, tlog.WhyBadToken, "validity: "},
		{"by another CA", testauthority.Options{Unknown: true}, tlog.WhyBadToken, "chain: "},
	} {
		t.Run(bad.name, func(t *testing.T) {
			x, good := testauthority.New(t, bad.opt), testauthority.New(t, testauthority.Options{})
			if bad.name == "dead" {
				x.Stop()
			}
			var logged bytes.Buffer
			k := newStamping(t, []tlog.Authority{authority(x, "bad", true), authority(good, "good", false)}, func(opt *tlog.StamperOptions) {
				opt.Timeout, opt.Logger = 30*time.Second, slog.New(slog.NewTextHandler(&logged, nil))
				if bad.why == tlog.WhyTimeout {
					opt.Timeout = 3 * time.Second
				}
			})
			got := k.s.StampNow(t.Context())
			if o := got[0]; o.Why != bad.why || !strings.Contains(o.Detail, bad.detail) || (bad.detail == "") != (o.Detail == "") || o.Size != 0 || o.Index != 0 {
				t.Errorf("got %+v, want %s, %q", o, bad.why, bad.detail)
			}
			if s := k.s.Status()[0]; s.Why != bad.why || !strings.Contains(s.Detail, bad.detail) || s.Failures != 1 || s.Size != 0 {
				t.Errorf("status %+v", s)
			}
			if !strings.Contains(logged.String(), "name=bad why="+bad.why) || strings.Count(logged.String(), "\n") != 1 {
				t.Errorf("logged: %s", &logged)
			}
			if got[1].Why != "" || k.size() != 2 || len(k.anchors()) != 1 {
				t.Errorf("the good one: %+v, %d entries", got[1], k.size())
			}
		})
	}
	if elsewhere.Load() > 0 {
		t.Error("a redirect was followed")
	}
}

// flipLast changes the last byte of the signature, which is the last of the answer.
func flipLast(b []byte) []byte {
	b[len(b)-1] ^= 1
	return b
}

func redirecting(to string) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler { return http.RedirectHandler(to, http.StatusTemporaryRedirect) }
}

// trickle answers a byte at a time, for ever.
func trickle(ctx context.Context) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", reply)
		for ctx.Err() == nil && r.Context().Err() == nil {
			w.Write([]byte{0x30})
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	})
}

// TestPassword: the user name and password in a URL reach the authority, and nothing
// else.
func TestPassword(t *testing.T) {
	x := testauthority.New(t, testauthority.Options{Between: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "shop" || password != "secret" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	for _, c := range []struct{ user, why string }{{"shop:secret@", ""}, {"shop:secret2@", tlog.WhyRefused}, {"", tlog.WhyRefused}} {
		var logged bytes.Buffer
		a := authority(x, "x", false)
		a.URL = strings.Replace(a.URL, "http://", "http://"+c.user, 1)
		k := newStamping(t, []tlog.Authority{a}, func(opt *tlog.StamperOptions) { opt.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
		o, s := k.s.StampNow(t.Context())[0], k.s.Status()[0]
		if o.Why != c.why || s.URL != x.URL || a.HasPassword() != (c.user != "") {
			t.Errorf("%q: %+v, %+v", c.user, o, s)
		}
		if strings.Contains(logged.String()+o.Detail+s.Detail, "secret") || c.why != "" && logged.Len() == 0 {
			t.Errorf("%q: logged %s", c.user, &logged)
		}
	}
}

// TestQueries: no two requests are the same, and none says more than an imprint.
func TestQueries(t *testing.T) {
	seen := map[string]bool{}
	x := testauthority.New(t, testauthority.Options{Query: func(query []byte) []byte {
		seen[string(query)] = true
		if len(query) > 80 {
			t.Errorf("a query of %d bytes", len(query))
		}
		return query
	}})
	k := newStamping(t, []tlog.Authority{authority(x, "x", false)})
	for range 3 {
		k.s.StampNow(t.Context())
	}
	if len(seen) != 3 {
		t.Errorf("%d different queries", len(seen))
	}
}
