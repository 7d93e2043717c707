// Command load measures the ledger: it starts a server of its own in a process
// of its own, on a fresh directory, and posts to it from here.
//
//	go run ./internal/load bench --clients 1,16,64,256 --duration 5s
//	go run ./internal/load fill --entries 1000000 --dir /tmp/million
//	go run ./internal/load erase --people 1000000 --dir /tmp/erase
//
// bench prints, in turns within one run, the rate and the latencies of durable
// appends (RequestConsent with three claims), of checks, and of an empty handler
// behind the same listener, keys and codec, so that every figure is also a
// ratio. fill sends the mix of a mailing system straight through the recorder,
// measures bytes on disk, and leaves an export for `verify log`. erase makes many
// people known and erases one, then a thousand at once, while others go on.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/alecthomas/kong"
)

type cli struct {
	Bench benchCmd `cmd:"" help:"Measure appends and checks over HTTP beside an empty handler."`
	Fill  fillCmd  `cmd:"" help:"Fill a new ledger through the recorder, measure its size, export it."`
	Erase eraseCmd `cmd:"" help:"Measure erasures among many people, and what others notice of them."`
	Serve serveCmd `cmd:"" hidden:"" help:"The server side of bench."`
}

type benchCmd struct {
	Clients  []int         `help:"Numbers of clients, one round each." default:"1,16,64,256"`
	Duration time.Duration `help:"How long each round posts." default:"5s"`
	Wire     string        `help:"How messages are encoded." enum:"json,proto" default:"json"`
	Proof    bool          `help:"Ask for a receipt in every answer."`
}

type fillCmd struct {
	Dir     string `help:"A new directory for the ledger and its export." required:""`
	Entries int64  `help:"How many entries." default:"1000000"`
	Callers int    `help:"How many callers post at once." default:"256"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("load"), kong.BindTo(ctx, (*context.Context)(nil)))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
