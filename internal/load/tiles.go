package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/ledger"
)

// tiles lets the verifier check the whole log over HTTP, and the export beside it if fill
// has made one, and gives the files of the log: full tiles and entry bundles drawn at
// random, beside GET /healthz.
func (b *bench) tiles(ctx context.Context, dir string, clients int) ([]*tableRow, error) {
	text, err := os.ReadFile(filepath.Join(data(dir), "trust.policy"))
	if err != nil {
		return nil, err
	}
	policy, err := ledger.ParsePolicy(text)
	if err != nil {
		return nil, err
	}
	size, err := verifyAll(ctx, b.url+"/log", policy)
	if err != nil {
		return nil, err
	}
	export := filepath.Join(dir, "export")
	if _, err := os.Stat(export); err == nil {
		_, err = verifyAll(ctx, export, policy)
		if err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	full := int64(size) / ledger.TileWidth
	if full == 0 {
		return nil, fmt.Errorf("the log has %d entries, and no full tile before %d", size, ledger.TileWidth)
	}
	tile := func() string { return "/log/" + ledger.TilePath(0, rand.Int64N(full), ledger.TileWidth) }
	bundle := func() string { return "/log/" + ledger.EntriesPath(rand.Int64N(full), ledger.TileWidth) }
	health := b.file("healthz", clients, "identity", func() string { return "/healthz" })
	rows := []*tableRow{health,
		b.file("checkpoint", clients, "identity", func() string { return "/log/checkpoint" }),
		b.file("tile", clients, "identity", tile),
		b.file("bundle", clients, "identity", bundle),
		b.file("bundle compressed", clients, "gzip", bundle),
	}
	for _, r := range rows[1:] {
		r.beside = []*tableRow{health}
	}
	return rows, nil
}

// verifyAll lets the verifier check all of a log and says how long that took.
func verifyAll(ctx context.Context, where string, policy *ledger.Policy) (ledger.Size, error) {
	begin := time.Now()
	report, err := logfiles.Source{Where: where}.Verify(ctx, ledger.VerifyOptions{Policy: policy})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	took := time.Since(begin)
	fmt.Printf("verify log %s: %d entries in %.2f s, %.0f per s\n", where, report.Size, took.Seconds(), float64(report.Size)/took.Seconds())
	return report.Size, nil
}

// file is a row of one kind of file. Only full answers count.
func (b *bench) file(what string, clients int, encoding string, path func() string) *tableRow {
	return b.calls(what, b.url, "http", clients, func(_ context.Context, c *client) (int, error) {
		resp, err := c.do(http.MethodGet, b.url, path(), b.key, "Accept-Encoding: "+encoding, nil)
		if err != nil {
			return 1, err
		}
		n, err := io.Copy(io.Discard, resp.Body)
		c.bytes += n
		if err == nil && resp.StatusCode != http.StatusOK {
			err = errors.New(resp.Status)
		}
		if got := resp.Header.Get("Content-Encoding"); err == nil && (encoding == "gzip") != (got == "gzip") {
			err = fmt.Errorf("encoded as %q", got)
		}
		return 1, err
	})
}
