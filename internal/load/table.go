package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// tableRow is one thing that is measured, in turns with the rows of its group.
type tableRow struct {
	what    string
	clients int
	beside  []*tableRow // what it is compared with
	durable bool        // it ends when it is on the disk

	prepare func(ctx context.Context) error // before each turn, not measured; nil if there is nothing to do
	turn    func(ctx context.Context, r *result, duration time.Duration) error

	result *result
}

// compare says how this row stands beside the others: its rate by theirs, what the rate
// would be by theirs if only CPU time counted, and its p99 by theirs.
func (r *tableRow) compare(m *machine) string {
	var b strings.Builder
	for i, o := range r.beside {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%.2f × %s (", r.result.rate/o.result.rate, o.what)
		if o.result.server > 0 {
			cpu := func(r *result) float64 { return float64(r.server+r.self) / float64(r.items) }
			fmt.Fprintf(&b, "CPU %.2f ×, ", cpu(o.result)/cpu(r.result))
		}
		fmt.Fprintf(&b, "p99 %.1f ×)", float64(r.result.at(.99))/float64(o.result.at(.99)))
		if r.durable && r.clients == 1 && i == 0 {
			fmt.Fprintf(&b, ", p50 %.1f × (5 syncs + 1 empty)", float64(r.result.at(.5))/float64(5*m.sync()+o.result.at(.5)))
		}
	}
	return b.String()
}

// measureInTurns measures the rows of a group one after the other, again and again, every
// other time backwards, so that what else the machine does meets all of them, and prints
// them.
func (b *bench) measureInTurns(ctx context.Context, rows []*tableRow) error {
	for _, r := range rows {
		r.result = newResult()
	}
	order := slices.Clone(rows)
	for range b.Turns {
		for _, r := range order {
			if r.prepare != nil {
				if err := r.prepare(ctx); err != nil {
					return fmt.Errorf("%s: %w", r.what, err)
				}
			}
			if err := b.machine.measure(); err != nil {
				return err
			}
			if err := r.turn(ctx, r.result, b.Duration/time.Duration(b.Turns)); err != nil {
				return fmt.Errorf("%s: %w", r.what, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		slices.Reverse(order)
	}
	for _, r := range rows {
		printRow(r.what, r.clients, r.result, r.compare(b.machine))
	}
	return nil
}

// printHeader prints what the columns are. Bytes are those of an answer, without headers;
// server and caller are the CPU time that each
// thing done took there, in microseconds: what else the machine does hardly moves it.
func printHeader() {
	fmt.Printf("%d CPUs; server and load generator share them\n", runtime.NumCPU())
	fmt.Printf("%-30s %7s %9s %9s %9s %9s %6s %7s %8s %8s  %s\n", "what", "clients", "per s", "p50", "p99", "p99.9", "errors", "bytes", "server", "caller", "beside")
}

func printRow(what string, clients int, r *result, beside string) {
	cpu := func(cpu time.Duration) string {
		if cpu == 0 {
			return "-" // not measured
		}
		return fmt.Sprintf("%.0fµs", cpu.Seconds()*1e6/float64(max(1, r.items)))
	}
	fmt.Printf("%-30s %7d %9.0f %9v %9v %9v %6d %7d %8s %8s  %s\n", what, clients, r.rate, r.at(.5), r.at(.99), r.at(.999), r.errors,
		r.bytes/int64(max(1, r.items)), cpu(r.server), cpu(r.self), beside)
	if r.first != nil {
		fmt.Printf("first error: %v\n", r.first)
	}
}

// ownCPU is the CPU time that this process has taken so far.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
