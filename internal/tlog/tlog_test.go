package tlog_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// client reads a log over HTTP.
type client struct {
	testing.TB
	url string
}

func serve(t testing.TB, log tlog.Log, logger *slog.Logger) client {
	srv := httptest.NewServer(tlog.New(log, logger))
	t.Cleanup(srv.Close)
	return client{t, srv.URL}
}

func (c client) do(method, path string, header ...string) (*http.Response, []byte) {
	req, err := http.NewRequest(method, c.url+path, nil)
	if err != nil {
		c.Fatal(err)
	}
	// Without this line the client would ask for gzip and undo it by itself.
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rsp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.Fatal(err)
	}
	defer rsp.Body.Close()
	b, err := io.ReadAll(rsp.Body)
	if err != nil {
		c.Fatal(err)
	}
	return rsp, b
}

// ReadPath implements [ledger.LogReader].
func (c client) ReadPath(_ context.Context, path string) ([]byte, error) {
	rsp, b := c.do("GET", "/log/"+path)
	if rsp.StatusCode == http.StatusNotFound {
		return nil, ledger.ErrMissing
	} else if rsp.StatusCode != http.StatusOK {
		return nil, errors.New(rsp.Status)
	}
	return b, nil
}

func TestVerifierReadsOverHTTP(t *testing.T) {
	s := testledger.New(t)
	for _, n := range []int{0, 9, 246, 1, 300} {
		testledger.Fill(t, s, n)
		c := serve(t, s, slog.New(slog.DiscardHandler))
		policy, err := ledger.ParsePolicy(ledger.NewPolicy(testledger.Signer(t).Keys()))
		if err != nil {
			t.Fatal(err)
		}
		rep, err := ledger.VerifyLog(t.Context(), c, ledger.VerifyOptions{Policy: policy})
		if _, size := s.Checkpoint(); err != nil || rep.Size != size {
			t.Errorf("%d entries: %v of %d", rep.Size, err, size)
		}
	}
}

// TestPartialTilesAreKept reads every partial tile and bundle that a checkpoint
// of any size implied, after the full ones exist.
func TestPartialTilesAreKept(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 599)
	c := serve(t, s, slog.New(slog.DiscardHandler))
	full, err := s.Tile(0, 1, 256)
	if err != nil {
		t.Fatal(err)
	}
	for width := 1; width <= 256; width++ {
		tile, err := c.ReadPath(t.Context(), ledger.TilePath(0, 1, width))
		if err != nil || !bytes.Equal(tile, full[:32*width]) {
			t.Fatalf("tile of width %d: %v", width, err)
		}
		bundle, err := c.ReadPath(t.Context(), ledger.EntriesPath(1, width))
		if err != nil {
			t.Fatal(err)
		}
		entries, err := ledger.ParseBundle(bundle)
		if err != nil || len(entries) != width {
			t.Fatalf("bundle of width %d: %d entries, %v", width, len(entries), err)
		}
		if h := ledger.LeafHash(entries[width-1]); !bytes.Equal(h[:], full[32*(width-1):32*width]) {
			t.Fatalf("bundle of width %d: its last entry is another one", width)
		}
	}
}

func TestHeaders(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 299)
	c := serve(t, s, slog.New(slog.DiscardHandler))
	const immutable, fresh = "public, max-age=604800, immutable", "no-store"
	sum := ledger.TextHash([]byte(testledger.NoticeText))
	for _, f := range []struct{ path, mediaType, cache string }{
		{"/log/checkpoint", "text/plain; charset=utf-8", fresh},
		{"/log/trust.keys", "text/plain; charset=utf-8", fresh},
		{"/log/tile/0/000", "application/octet-stream", immutable},
		{"/log/tile/0/001.p/44", "application/octet-stream", immutable},
		{"/log/tile/1/000.p/1", "application/octet-stream", immutable},
		{"/log/tile/entries/000", "application/octet-stream", immutable},
		{"/log/notices/" + hex.EncodeToString(sum[:]), "text/plain; charset=utf-8", immutable},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			rsp, b := c.do(method, f.path)
			for name, want := range map[string]string{
				"Content-Type": f.mediaType, "Cache-Control": f.cache, "Content-Encoding": "",
				"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff",
			} {
				if got := rsp.Header.Get(name); got != want {
					t.Errorf("%s %s: %s is %q, want %q", method, f.path, name, got, want)
				}
			}
			kept := strings.Replace(f.cache, "public", "private", 1)
			if rsp, _ := c.do(method, f.path, "Authorization", "Bearer key"); rsp.Header.Get("Cache-Control") != kept {
				t.Errorf("%s %s with a key: Cache-Control is %q, want %q", method, f.path, rsp.Header.Get("Cache-Control"), kept)
			}
			if rsp.StatusCode != 200 || rsp.ContentLength < 1 || (method == "HEAD") != (len(b) == 0) {
				t.Errorf("%s %s: %s, length %d, %d bytes", method, f.path, rsp.Status, rsp.ContentLength, len(b))
			}
		}
	}
}

func TestGzip(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 299)
	c := serve(t, s, slog.New(slog.DiscardHandler))
	plain, err := s.EntryBundle(0, 256)
	if err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string]bool{
		"gzip": true, "br, GZIP": true, "*": true, "gzip;q=0.5, identity": true, "gzip; q=1": true,
		"identity": false, "br": false, "gzip;q=0": false, "gzip;q=0.000, *": false, "*;q=0": false, "gzip;q=x": false, "xgzip": false,
	} {
		rsp, b := c.do("GET", "/log/tile/entries/000", "Accept-Encoding", accept)
		if rsp.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: no Vary", accept)
		}
		if got := rsp.Header.Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("%q: compressed is %v, want %v", accept, got, want)
			continue
		}
		if want {
			if 2*len(b) > len(plain) {
				t.Errorf("%d bytes became %d", len(plain), len(b))
			}
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if b, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(b, plain) {
			t.Errorf("%q: another bundle", accept)
		}
	}
	if rsp, _ := c.do("GET", "/log/tile/0/000", "Accept-Encoding", "gzip"); rsp.Header.Get("Content-Encoding") != "" {
		t.Error("a hash tile was compressed")
	}
}

func TestRefusals(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 299)
	c := serve(t, s, slog.New(slog.DiscardHandler))
	sum := ledger.TextHash([]byte(testledger.NoticeText))
	name := hex.EncodeToString(sum[:])
	for _, path := range []string{
		"/", "/log", "/log/", "/log/checkpoint/", "/log/Checkpoint", "/log/%63heckpoint", "/log//checkpoint", "/checkpoint", "/log/trust.policy",
		"/log/tile/", "/log/tile/0", "/log/tile/0/0", "/log/tile/0/000/", "/log/tile/00/000", "/log/tile/0/%3000", "/log/tile/0/x000/000",
		"/log/tile/0/000.p/0", "/log/tile/0/000.p/01", "/log/tile/0/000.p/256", "/log/tile/0/001", "/log/tile/0/001.p/45", "/log/tile/0/002.p/1",
		"/log/tile/1/000", "/log/tile/1/000.p/2", "/log/tile/1/001.p/1", "/log/tile/2/000.p/1", "/log/tile/63/000.p/1", "/log/tile/64/000",
		"/log/tile/-1/000", "/log/tile/entries/001", "/log/tile/entries/001.p/45", "/log/tile/entries/002.p/1", "/log/tile/8/000",
		"/log/tile/0/x999/x999/x999/x999/x999/x999/999", "/log/tile/entries/x036/x028/x797/x018/x963/968.p/1", "/log/tile/entries/x009/x223/x372/x036/x854/x775/807.p/1",
		"/log/notices/", "/log/notices/" + name[:62], "/log/notices/" + strings.ToUpper(name), "/log/notices/" + name + "00",
		"/log/notices/" + strings.Repeat("0", 64), "/log/notices/" + name + "/", "/log/../log/checkpoint",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			rsp, _ := c.do(method, path)
			if rsp.StatusCode != http.StatusNotFound || rsp.Header.Get("Cache-Control") != "no-store" || rsp.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s %s: %s, %v", method, path, rsp.Status, rsp.Header)
			}
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		for _, path := range []string{"/log/checkpoint", "/log/nothing"} {
			rsp, _ := c.do(method, path)
			if rsp.StatusCode != http.StatusMethodNotAllowed || rsp.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %s, %v", method, path, rsp.Status, rsp.Header)
			}
		}
	}
}

// faulty is a log whose disk has a fault.
type faulty struct{ *store.Store }

func (faulty) Tile(int, int64, int) ([]byte, error) {
	return nil, fmt.Errorf("%w: canary", store.ErrDamaged)
}

func TestFaultIsLoggedAndNotTold(t *testing.T) {
	var log bytes.Buffer
	c := serve(t, faulty{testledger.New(t)}, slog.New(slog.NewTextHandler(&log, nil)))
	rsp, b := c.do("GET", "/log/tile/0/000.p/1")
	if rsp.StatusCode != http.StatusInternalServerError || strings.Contains(string(b), "canary") || rsp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %q %v", rsp.Status, b, rsp.Header)
	}
	id := strings.TrimSuffix(strings.Fields(string(b))[2], ";")
	if len(id) != 26 || !strings.Contains(log.String(), "error_id="+id) || !strings.Contains(log.String(), "canary") {
		t.Errorf("the answer is %q, the log %q", b, log.String())
	}
}
