package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/internal/service"
)

type benchCmd struct {
	Scenario []string      `help:"What is done: append, confirm, check, mixed, import, tiles." enum:"append,confirm,check,mixed,import,tiles" default:"append,check"`
	Wire     []string      `help:"How: json and proto over HTTP/1.1, grpc over h2c." enum:"json,proto,grpc" default:"json"`
	Clients  []int         `help:"Numbers of clients, one after the other; each has a connection of its own." default:"1,16,64,256"`
	Duration time.Duration `help:"How long each row is measured, in all of its turns." default:"5s"`
	Turns    int           `help:"In how many turns; the rows of a group take turns." default:"5"`
	Rate     float64       `help:"Calls per second that become due whether or not earlier ones are answered; latencies count from then. As fast as the clients are answered if left out."`
	Proof    string        `help:"full: appends also with an inclusion proof and a checkpoint in the answer." enum:"none,full" default:"none"`
	Beside   string        `help:"postgresql: appends also into a PostgreSQL of its own, with a hash chain and without." enum:"none,postgresql" default:"none"`
	Dir      string        `help:"Where the ledger is kept, and found again next time. A temporary directory, removed at the end, if left out."`
	People   int64         `help:"How many people a new ledger knows before." default:"10000"`
	Batch    int           `help:"Questions or items in one batch." default:"1000"`
	Profile  string        `help:"Where a CPU profile of the server over the whole run is written."`
	Window   int           `help:"Questions or items that a stream has under way." default:"100"`
}

func (*benchCmd) Help() string {
	return `Prints rates, latencies and CPU times over HTTP, in turns within one run beside an empty handler: the same listener, keys,
limits and codec, which decodes the same messages and answers as the ledger did the first time, with messages of the same size.
Every answer of the ledger is judged. The scenarios:

    append    RequestConsent of a new person with three claims, durable in log and vault
    confirm   ConfirmConsent of requests made before
    check     "may I send?" about people drawn at random: one by one, in batches, streamed
    mixed     what a mailing system does: of 1,000 calls 400 checks, 228 requests, 171 confirmations, 171 uses, 29 withdrawals, 1 erasure
    import    BatchImportConsents and ImportConsents of one address and one claim per item, beside single appends
    tiles     files of the public log; all of it is verified before, too

With --rate a call that finds all clients waiting begins late and its wait counts; batches and streams are left out. Batches come from
at most 16 clients, streams from at most 48, which is what the server gives to one key. PostgreSQL is Debian's package (apt-get install
postgresql), with a cluster of its own in a temporary directory and reached by a socket there, fsync and synchronous_commit on; it is
driven by its own pgbench, without HTTP.

Examples:

    go run ./internal/load bench --clients 64 --wire json,proto,grpc --proof full --beside postgresql
    go run ./internal/load bench --scenario check --people 1000000 --dir /tmp/people
    go run ./internal/load bench --scenario mixed --clients 64 --rate 1000`
}

// bench is a run.
type bench struct {
	*benchCmd
	*target
	machine  *machine
	postgres *postgres    // nil unless it stands beside
	known    int64        // people whose stories onePerson has told
	fresh    atomic.Int64 // the newest person that nobody knew
}

// Run starts the server and measures.
func (c *benchCmd) Run(ctx context.Context) (err error) {
	if c.Turns < 1 {
		return errors.New("--turns must be at least 1")
	}
	dir := c.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "consent-ledger-load-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	b := &bench{benchCmd: c}
	b.fresh.Store(time.Now().UnixMicro()) // of no earlier run in this directory
	if b.known, err = c.people(ctx, dir); err != nil {
		return err
	}
	if c.Beside == "postgresql" {
		if b.postgres, err = startPostgreSQL(ctx); err != nil {
			return err
		}
		defer b.postgres.stop()
	}
	t, stop, err := startServer(ctx, dir, "--profile", c.Profile)
	if err != nil {
		return err
	}
	defer stop()
	b.target = t
	if b.machine, err = newMachine(dir); err != nil {
		return err
	}
	defer b.machine.close()
	fmt.Printf("%d people known before; each row %v in %d turns\n", b.known, c.Duration, c.Turns)
	printHeader()
	for _, scenario := range c.Scenario {
		for _, wire := range c.Wire {
			for _, clients := range c.Clients {
				rows, err := b.rows(ctx, dir, scenario, wire, clients)
				if err == nil {
					err = b.measureInTurns(ctx, rows)
				}
				if err != nil {
					return err
				}
			}
			if scenario == "tiles" {
				break // a file is the same on every wire
			}
		}
	}
	fmt.Println("this machine between the turns:", b.machine)
	if b.postgres != nil {
		return b.postgres.check(ctx)
	}
	return nil
}

// filled is the file that says how many people a directory holds. It is written
// when all of them are there.
const filled = "people"

// people gives how many people the directory holds, and makes them known if it is
// new.
func (c *benchCmd) people(ctx context.Context, dir string) (int64, error) {
	name := filepath.Join(dir, filled)
	text, err := os.ReadFile(name)
	if err == nil {
		return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if err := create(ctx, dir); err != nil {
		return 0, err
	}
	start := time.Now()
	err = opened(service.Options{Dir: data(dir)}, func(s *service.Service) error {
		return tellStories(ctx, s, 256, c.People, false)
	})
	if err != nil {
		return 0, err
	}
	fmt.Printf("%d people made known in %v\n", c.People, time.Since(start).Round(time.Second))
	return c.People, os.WriteFile(name, fmt.Appendln(nil, c.People), 0o644)
}

// rows gives the group of a scenario.
func (b *bench) rows(ctx context.Context, dir, scenario, wire string, clients int) ([]*tableRow, error) {
	switch scenario {
	case "append":
		return b.appends(wire, clients), nil
	case "confirm":
		return b.confirms(wire, clients), nil
	case "check":
		return b.checks(wire, clients), nil
	case "mixed":
		return b.mixed(wire, clients), nil
	case "import":
		return b.imports(wire, clients), nil
	}
	return b.tiles(ctx, dir, clients)
}

// calls is a row of single calls over HTTP.
func (b *bench) calls(what, url, wire string, clients int, do call) *tableRow {
	return b.row(what, clients, func(ctx context.Context, r *result, duration time.Duration) error {
		list := make([]*client, clients)
		for i := range list {
			list[i] = new(client)
			defer list[i].close()
			if err := list[i].connect(url, wire); err != nil {
				return err
			}
		}
		r.drive(ctx, list, b.Rate, duration, do)
		return nil
	})
}

// row is a row whose turns ask the server, so that the CPU time that it takes is
// known.
func (b *bench) row(what string, clients int, turn func(context.Context, *result, time.Duration) error) *tableRow {
	return &tableRow{what: what, clients: clients, turn: func(ctx context.Context, r *result, duration time.Duration) error {
		server, self := cpuTime(b.pid), ownCPU()
		err := turn(ctx, r, duration)
		r.server += cpuTime(b.pid) - server
		r.self += ownCPU() - self
		return err
	}}
}

// pair is a row of the ledger and one of the empty handler that stands beside it.
func (b *bench) pair(what string, make func(what, url string, judge bool) *tableRow) []*tableRow {
	empty, real := make("empty "+what, b.empty, false), make(what, b.url, true)
	real.beside = append(real.beside, empty)
	return []*tableRow{empty, real}
}
