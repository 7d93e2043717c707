package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

type importCmd struct {
	People   int64         `help:"How many people are imported in all, the same share in every round." default:"200000"`
	Batch    int           `help:"Items in one batch." default:"1000"`
	Clients  []int         `help:"Numbers of clients, one round each." default:"1,4,16"`
	Duration time.Duration `help:"How long each round of what stands beside it posts." default:"5s"`
}

func (*importCmd) Help() string {
	return `Imports old stock into a new ledger by BatchImportConsents, in JSON and in protobuf, and measures the bytes that an item
takes on disk; then an empty handler, and single durable appends (RequestConsent of one new person each). The latencies
are those of a call. Every answer is judged.

Example:

    go run ./internal/load import --people 50000 --clients 1,4`
}

var wires = []string{"json", "proto"}

// Run imports, measures the disk, then what stands beside it.
func (c *importCmd) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "consent-ledger-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := create(ctx, dir); err != nil {
		return err
	}
	rows, err := c.imports(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Printf("batches of %d\n", c.Batch)
	t, stop, err := startServer(ctx, dir)
	if err != nil {
		return err
	}
	defer stop()
	table := newTable("items/s", "append")
	var people, none atomic.Int64
	people.Store(c.People)
	for i, clients := range c.Clients {
		one := round(ctx, clients, c.Duration, t.append(t.url, "json", false, &people))
		table.row("append json", clients, one, one.rate)
		for j, wire := range wires {
			empty := round(ctx, clients, c.Duration, t.importBatch(t.empty, wire, c.Batch, &none, math.MaxInt64, nil))
			table.row("empty import "+wire, clients, empty, one.rate)
			table.row("import "+wire, clients, rows[i*len(wires)+j], one.rate)
		}
	}
	return ctx.Err()
}

// imports measures one round per number of clients and encoding, and what all of
// them left on the disk of the stopped ledger.
func (c *importCmd) imports(ctx context.Context, dir string) (rows []*result, err error) {
	before, err := diskBytes(data(dir))
	if err != nil {
		return nil, err
	}
	t, stop, err := startServer(ctx, dir)
	if err != nil {
		return nil, err
	}
	bar := newProgress("importing", c.People)
	var failed error
	var next atomic.Int64
	share := c.People / int64(len(c.Clients)*len(wires))
	for _, clients := range c.Clients {
		for _, wire := range wires {
			last := next.Load() + share
			r := round(ctx, clients, math.MaxInt64, t.importBatch(t.url, wire, c.Batch, &next, last, bar))
			rows, failed = append(rows, r), errors.Join(failed, r.first)
			next.Store(last)
		}
	}
	bar.finish()
	stop()
	if err := errors.Join(failed, ctx.Err()); err != nil {
		return nil, err
	}
	after, err := diskBytes(data(dir))
	if err != nil {
		return nil, err
	}
	fmt.Printf("%d people imported: %d bytes each on disk", next.Load(), (after-before)/next.Load())
	for _, part := range []string{"log", "vault"} {
		n, err := diskBytes(filepath.Join(data(dir), part))
		if err != nil {
			return nil, err
		}
		fmt.Printf(", %s %.1f MB", part, float64(n)/1e6)
	}
	fmt.Println()
	return rows, nil
}

// importBatch imports the next people up to the last. An answer is judged if
// there is a bar that counts it.
func (t *target) importBatch(url, wire string, size int, next *atomic.Int64, last int64, bar *progress) call {
	return func(ctx context.Context, client *http.Client) (int, error) {
		begin := next.Add(int64(size)) - int64(size)
		n := int(min(int64(size), last-begin))
		if n <= 0 {
			return 0, nil
		}
		m := new(appv1.BatchImportConsentsRequest)
		for i := range n {
			m.Items = append(m.Items, item(begin+int64(i)+1))
		}
		answer, err := post(ctx, client, url, t.key, wire, "BatchImportConsents", m)
		if bar == nil || err != nil {
			return n, err
		}
		bar.add(n)
		// The state stands as it is in JSON and in protobuf.
		if got := bytes.Count(answer, []byte("imported")); got != n {
			err = fmt.Errorf("%d of %d items are imported", got, n)
		}
		return n, err
	}
}

// item is what another system knows of one person.
func item(n int64) *appv1.ImportItem {
	r := request(n)
	return &appv1.ImportItem{Subject: &appv1.Subject{Email: r.Subject.Email}, Purpose: r.Purposes[0], Channel: r.Channel,
		Notice: r.Notice, Method: r.Method, Grade: "C", Claims: r.Claims,
		OccurredAt: timestamppb.New(time.Date(2024, 5, 17, 9, 30, int(n%60), 0, time.UTC)), IdempotencyKey: fmt.Sprint("row-", n)}
}
