// Command load measures the ledger: it starts a server of its own in a process
// of its own and posts to it from here, or calls the service straight.
//
//	go run ./internal/load bench --clients 1,16,64,256 --duration 5s
//	go run ./internal/load bench --scenario check --people 1000000 --dir /tmp/people
//	go run ./internal/load fill --entries 1000000 --dir /tmp/million
//	go run ./internal/load scale --entries 10000000 --dir /tmp/scale
//	go run ./internal/load erase --people 1000000 --dir /tmp/erase
//	go run ./internal/load bench --scenario tiles --dir /tmp/million
//	go run ./internal/load publish
//	go run ./internal/load bundle --dir /tmp/million
//	go run ./internal/load memory --dir /tmp/million-people
//	go run ./internal/load hostile
//	go run ./internal/load timing
//	go run ./internal/load kill
//	go run ./internal/load signal
//	go run ./internal/load power
//	go run ./internal/load soak --duration 3m
//
// Start with [benchCmd.Run]. Rates are printed beside those of an empty handler
// behind the same listener, keys and codec, measured in turns within the same run,
// so that every figure is also a ratio.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Bench   benchCmd   `cmd:"" help:"Measure the ledger over HTTP beside an empty handler, and beside PostgreSQL."`
	Fill    fillCmd    `cmd:"" help:"Fill a new ledger through the recorder, measure its size, export it."`
	Scale   scaleCmd   `cmd:"" help:"Fill a ledger with millions of entries, and measure what may grow with them."`
	Erase   eraseCmd   `cmd:"" help:"Measure erasures among many people, and what others notice of them."`
	Publish publishCmd `cmd:"" help:"Measure how long entries wait for witnesses."`
	Bundle  bundleCmd  `cmd:"" help:"Measure what a proof bundle costs: bytes, export, verification."`
	Timing  timingCmd  `cmd:"" help:"Measure what the time of answers tells that the answers do not."`
	Hostile hostileCmd `cmd:"" help:"Attack a server in every way that is known, and print how it stood it."`
	Kill    killCmd    `cmd:"" help:"Kill ledgerd under load, and hold its log against what was acknowledged."`
	Signal  signalCmd  `cmd:"" help:"The same with SIGTERM: rolling restarts."`
	Power   powerCmd   `cmd:"" help:"Cut the power under load, by copying the disk, and start every copy."`
	Soak    soakCmd    `cmd:"" help:"Use ledgerd at half of its capacity for long, and find out that nothing grows."`
	Memory  memoryCmd  `cmd:"" help:"Print how much memory ledgerd takes with many people."`
	Serve   serveCmd   `cmd:"" hidden:"" help:"The server side of the others."`
	Witness witnessCmd `cmd:"" hidden:"" help:"A witness of publish."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("load"), kong.BindTo(ctx, (*context.Context)(nil)))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
