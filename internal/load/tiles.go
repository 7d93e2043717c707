package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/ledger"
)

type tilesCmd struct {
	rounds
	Dir string `help:"A directory that fill has filled." required:""`
}

func (*tilesCmd) Help() string {
	return `Serves the log of a filled directory without a key, lets the verifier fetch and check all of it, over HTTP and then from
the export, and measures how fast its files are served: full tiles and entry bundles drawn at random from the whole log.
The ratio is to GET /healthz in the same run.

Example:

    go run ./internal/load fill --entries 100000 --dir /tmp/hundred-thousand
    go run ./internal/load tiles --dir /tmp/hundred-thousand`
}

// Run verifies the log and measures its files.
func (c *tilesCmd) Run(ctx context.Context) error {
	t, stop, err := startServer(ctx, c.Dir)
	if err != nil {
		return err
	}
	defer stop()
	text, err := os.ReadFile(filepath.Join(data(c.Dir), "trust.policy"))
	if err != nil {
		return err
	}
	policy, err := ledger.ParsePolicy(text)
	if err != nil {
		return err
	}
	var size ledger.Size
	for _, where := range []string{t.url + "/log", filepath.Join(c.Dir, "export")} {
		if size, err = verifyAll(ctx, where, policy); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	fmt.Printf("%-18s %7s %9s %9s %10s %10s %10s %7s %10s\n", "file", "clients", "per s", "MB/s", "p50", "p99", "p99.9", "errors", "× healthz")
	full := int64(size) / ledger.TileWidth
	for _, clients := range c.Clients {
		if full == 0 || ctx.Err() != nil {
			break
		}
		health := c.files(ctx, t, clients, "healthz", "", func() string { return "/healthz" }, 0)
		c.files(ctx, t, clients, "checkpoint", "", func() string { return "/log/checkpoint" }, health)
		tile := func() string { return "/log/" + ledger.TilePath(0, rand.Int64N(full), ledger.TileWidth) }
		c.files(ctx, t, clients, "tile", "", tile, health)
		bundle := func() string { return "/log/" + ledger.EntriesPath(rand.Int64N(full), ledger.TileWidth) }
		c.files(ctx, t, clients, "bundle", "", bundle, health)
		c.files(ctx, t, clients, "bundle compressed", "gzip", bundle, health)
	}
	return ctx.Err()
}

// verifyAll lets the verifier check all of a log and says how long that took.
func verifyAll(ctx context.Context, where string, policy *ledger.Policy) (ledger.Size, error) {
	begin := time.Now()
	report, err := logfiles.Source{Where: where}.Verify(ctx, ledger.VerifyOptions{Policy: policy})
	if err != nil {
		return 0, err
	}
	took := time.Since(begin)
	fmt.Printf("verify log %s: %d entries in %.2f s, %.0f per s\n", where, report.Size, took.Seconds(), float64(report.Size)/took.Seconds())
	return report.Size, nil
}

// files measures one kind of file, prints a row and gives the rate. Only full
// answers count.
func (c *tilesCmd) files(ctx context.Context, t *target, clients int, what, encoding string, path func() string, health float64) float64 {
	var bytes atomic.Int64
	r := round(ctx, clients, c.Duration, func(ctx context.Context, client *http.Client) (int, error) {
		n, err := get(ctx, client, t.url+path(), encoding)
		bytes.Add(n)
		return 1, err
	})
	if health == 0 {
		health = r.rate
	}
	megabytes := float64(bytes.Load()) / 1e6 / c.Duration.Seconds()
	fmt.Printf("%-18s %7d %9.0f %9.0f %10v %10v %10v %7d %10.2f\n", what, clients, r.rate, megabytes, r.at(.5), r.at(.99), r.at(.999), r.errors, r.rate/health)
	if r.first != nil {
		fmt.Printf("first error: %v\n", r.first)
	}
	return r.rate
}

// get reads a file to its end and gives its bytes on the line.
func get(ctx context.Context, client *http.Client, url, encoding string) (int64, error) {
	// A round that is over waits for the answers that are on their way.
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	if encoding != "" {
		req.Header.Set("Accept-Encoding", encoding)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	if err == nil && resp.Header.Get("Content-Encoding") != encoding {
		err = fmt.Errorf("%s: encoded as %q", url, resp.Header.Get("Content-Encoding"))
	}
	return n, err
}
