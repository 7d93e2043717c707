package main

import (
	"context"

	"github.com/consentledger/consentledger/internal/load/storm"
)

type signalCmd struct {
	ledgerPrograms
	Restarts int `help:"How often the server is ended and started again." default:"40"`
	Clients  int `help:"How many clients post meanwhile." default:"64"`
}

func (*signalCmd) Help() string {
	return `Ends ledgerd with SIGTERM under load and starts it again, as a rolling restart does; beside every fourth the next server
is started before the one before it has ended. Each must end in order, with exit code 0, within 30 seconds. The log is held
against what the clients were told as in kill.

Example:

    go run ./internal/load signal --restarts 40 --clients 64`
}

// Run restarts, and prints figures.
func (c *signalCmd) Run(ctx context.Context) error {
	return inStorm(ctx, c.ledgerPrograms, func(s *stormy) error {
		return s.endings(ctx, storm.Ending{Times: c.Restarts, Clients: c.Clients, Term: true})
	})
}
