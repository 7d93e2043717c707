package interop

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/torchwood"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"

	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
)

// export writes a copy of the log, which is there until the test ends.
func (l *log) export() string {
	dir := filepath.Join(l.TempDir(), "export")
	p := l.store.Snapshot()
	defer p.Release()
	l.must(p.Export(dir))
	return dir
}

// TestExport lets others read an export through Go's static web server, which
// knows nothing of tiles, and as files; and the live log the same way.
func TestExport(t *testing.T) {
	l := newLog(t)
	for _, size := range []int64{1, 2, 255, 256, 257, 600} {
		l.grow(int(size - l.size()))
		dir := l.export()
		static := httptest.NewServer(http.FileServer(http.Dir(dir)))
		l.must(l.fsck(fetcher(t, static.URL, l.http)))
		overHTTP, err := torchwood.NewTileFetcher(static.URL, torchwood.WithHTTPClient(l.http))
		l.must(err)
		files, err := torchwood.NewTileFS(os.DirFS(dir))
		l.must(err)
		for name, reader := range map[string]torchwood.TileReader{"live": l.fetch, "static": overHTTP, "files": files} {
			if n, err := l.allEntries(reader); err != nil || n != size {
				t.Errorf("%s: torchwood reads %d of %d entries, %v", name, n, size, err)
			}
		}
		static.Close()
	}
}

// allEntries reads the log with torchwood, which checks each entry against the
// tiles and the tiles against the checkpoint.
func (l *log) allEntries(reader torchwood.TileReader) (n int64, err error) {
	signed, err := reader.ReadEndpoint(l.Context(), "checkpoint")
	if err != nil {
		return 0, err
	}
	c, _, err := torchwood.VerifyCheckpoint(signed, l.policy)
	if err != nil {
		return 0, err
	}
	torch, err := torchwood.NewClient(reader)
	if err != nil {
		return 0, err
	}
	for i, entry := range torch.AllEntries(l.Context(), c.Tree, 0) {
		if leaf := ledger.LeafHash(entry); i != n || !bytes.Equal(leaf[:], l.leaves[i]) {
			l.Errorf("torchwood reads entry %d after %d as %q", i, n-1, entry)
		}
		n++
	}
	return n, torch.Err()
}

// TestDamage: others notice one flipped bit in whatever they read. Without it a
// reader that checks nothing would pass all other tests.
func TestDamage(t *testing.T) {
	l := newLog(t)
	l.grow(299)
	for _, c := range []struct {
		path string
		bit  int
	}{
		{"checkpoint", 0}, {"checkpoint", 300}, {"tile/0/000", 0}, {"tile/0/000", 8191 * 8}, {"tile/0/001.p/44", 1000}, {"tile/1/000.p/1", 7},
		{"tile/entries/000", 0}, {"tile/entries/000", 20_000}, {"tile/entries/001.p/44", 15}, {"tile/entries/001.p/44", 9999},
	} {
		d := &damage{path: c.path, bit: c.bit}
		if err := l.fsck(fetcher(t, l.base, &http.Client{Transport: d})); err == nil {
			t.Errorf("Tessera takes %s with bit %d flipped", c.path, c.bit)
		}
		torch, err := torchwood.NewTileFetcher(l.base, torchwood.WithHTTPClient(&http.Client{Transport: d}))
		l.must(err)
		if n, err := l.allEntries(torch); err == nil {
			t.Errorf("torchwood takes %s with bit %d flipped, and reads %d entries", c.path, c.bit, n)
		}
		if done := d.done.Load(); done < 2 {
			t.Errorf("%s was damaged %d times", c.path, done)
		}
	}
}

// damage flips one bit of the answer to one path.
type damage struct {
	path string
	bit  int
	done atomic.Int32
}

func (d *damage) RoundTrip(r *http.Request) (*http.Response, error) {
	rsp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, tlog.Prefix+d.path) {
		return rsp, err
	}
	b, err := io.ReadAll(rsp.Body)
	if err := errors.Join(err, rsp.Body.Close()); err != nil {
		return nil, err
	}
	b[d.bit/8] ^= 1 << (d.bit % 8)
	d.done.Add(1)
	rsp.Body = io.NopCloser(bytes.NewReader(b))
	return rsp, nil
}

// TestLedgerd lets Tessera check the log of a running ledgerd: with an auditor's
// key, or without one where the log is declared public.
func TestLedgerd(t *testing.T) {
	for _, public := range []bool{false, true} {
		var args []string
		if public {
			args = []string{"--public-log"}
		}
		server := startLedger(t, args...)
		text, err := os.ReadFile(filepath.Join(server.data, "trust.policy"))
		if err != nil {
			t.Fatal(err)
		}
		policy, err := ledger.ParsePolicy(text)
		if err != nil {
			t.Fatal(err)
		}
		ed, err := note.NewVerifier(policy.Keys().Ed25519.String())
		if err != nil {
			t.Fatal(err)
		}
		for _, role := range []string{"", "app", "auditor"} {
			f := fetcher(t, "http://"+server.addr+tlog.Prefix, nil)
			if role != "" {
				f.SetAuthorizationHeader("Bearer " + server.keys[role])
			}
			err := fsck.New(policy.Origin(), ed, f, bundleHashes, fsck.Opts{}).Check(t.Context())
			if (err == nil) != (public || role == "auditor") {
				t.Errorf("public is %t, the role %q: Tessera says %v", public, role, err)
			}
		}
	}
}
