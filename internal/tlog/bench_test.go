package tlog_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// BenchmarkServe reads the log over HTTP as fast as it is served on loopback, as
// many clients at a time as there are processors, and reports files and megabytes
// a second, of what crosses the wire: the clients have their share of the time.
// Full tiles and bundles, 64 in turn.
func BenchmarkServe(b *testing.B) {
	s := testledger.New(b)
	testledger.Fill(b, s, 64*ledger.TileWidth-1)
	c := serve(b, s, slog.New(slog.DiscardHandler))
	const bundles = "/log/tile/entries/"
	for _, f := range []struct{ name, path, encoding string }{
		{"checkpoint", "/log/checkpoint", "identity"},
		{"tile", "/log/tile/0/", "identity"},
		{"bundle", bundles, "identity"},
		{"bundle compressed", bundles, "gzip"},
	} {
		b.Run(f.name, func(b *testing.B) { c.measure(b, f.path, f.encoding) })
	}
}

// measure reads one path, or all 64 files below one that ends with a slash.
func (c client) measure(b *testing.B, path, encoding string) {
	var next, wire atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		transport := &http.Transport{DisableCompression: true}
		defer transport.CloseIdleConnections()
		for pb.Next() {
			p := path
			if strings.HasSuffix(p, "/") {
				p += fmt.Sprintf("%03d", next.Add(1)%64)
			}
			req, err := http.NewRequest("GET", c.url+p, nil)
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Accept-Encoding", encoding)
			rsp, err := transport.RoundTrip(req)
			if err != nil {
				b.Error(err)
				return
			}
			n, err := io.Copy(io.Discard, rsp.Body)
			rsp.Body.Close()
			if err != nil || rsp.StatusCode != http.StatusOK {
				b.Errorf("%s: %s, %v", p, rsp.Status, err)
				return
			}
			wire.Add(n)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "files/s")
	b.ReportMetric(float64(wire.Load())/1e6/b.Elapsed().Seconds(), "MB/s")
}
