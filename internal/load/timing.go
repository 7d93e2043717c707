package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/consentledger/consentledger/internal/hostile"
)

type timingCmd struct {
	Samples int    `help:"How often each thing is asked." default:"5000"`
	Ledgerd string `help:"The program that is asked. Built from ./cmd/ledgerd if left out."`
}

func (*timingCmd) Help() string {
	return `Starts ledgerd on this machine and asks, over one connection of loopback and in an order drawn anew for each round, about
keys, people and tokens that it answers alike: unknown, revoked, erased, locked. What an attacker could learn from the time is
printed: the medians, how often one answer took longer than the other (0.5: they cannot be told apart) and how many
standard deviations that is from 0.5 (by chance within 4). Where the answers differ anyway, the row says so. Run it on a
quiet machine; over a network there is more noise, and nothing more to see. It takes 5 minutes, because unknown tokens are answered slowly on
purpose.`
}

// Run asks all questions.
func (c *timingCmd) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "consent-ledger-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if c.Ledgerd, err = ledgerdIn(ctx, dir, c.Ledgerd); err != nil {
		return err
	}
	v, err := hostile.Start(ctx, c.Ledgerd, dir, false)
	if err != nil {
		return err
	}
	// An interrupted run is ended in order, too.
	defer v.Stop(context.WithoutCancel(ctx))
	questions, err := v.Questions(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%-16s %-26s %-26s %8s %10s %10s %10s %6s %7s\n", "question", "case", "beside", "samples", "median", "beside", "more", "wins", "z")
	for _, q := range questions {
		list, err := v.Time(ctx, q, c.Samples)
		if err != nil {
			return err
		}
		for _, one := range list {
			note := ""
			if one.Case.Differs {
				note = "  answered differently anyway"
			}
			fmt.Printf("%-16s %-26s %-26s %8d %10v %10v %10v %6.3f %7.1f%s\n", one.Question, one.Case.Name, one.To.Name, one.Samples,
				one.Median.Round(100*time.Nanosecond), one.ToMedian.Round(100*time.Nanosecond), (one.Median - one.ToMedian).Round(10*time.Nanosecond),
				one.Wins, one.Z, note)
		}
	}
	return nil
}
