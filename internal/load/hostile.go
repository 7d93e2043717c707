package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/consentledger/consentledger/internal/hostile"
	"github.com/consentledger/consentledger/internal/load/storm"
)

type hostileCmd struct {
	Only    string  `help:"Only attacks whose names match this regular expression."`
	Scale   float64 `help:"How much there is of each attack: 1 is all, 0.02 what the tests do." default:"1"`
	Ledgerd string  `help:"The program that is attacked. Built from ./cmd/ledgerd if left out."`
}

func (*hostileCmd) Help() string {
	return `Starts ledgerd on this machine, without and with TLS, attacks it in every way of internal/hostile, one after the
other, and prints for each what was sent and answered, how another caller's calls went meanwhile (the middle and the
slowest), the most memory, goroutines and open files, and how much the server logged. An answer that it should not have
given, a call of the other caller that was not answered, more than 1 GiB of memory, goroutines that stay and anything of
what was sent in answers, log, metrics or profiles are errors, and the exit code is 1 then. It takes 12 minutes.

Example:

    go run ./internal/load hostile --only 'HTTP/2' --scale 0.1`
}

// Run attacks both servers.
func (c *hostileCmd) Run(ctx context.Context) error {
	only, err := regexp.Compile(c.Only)
	if err != nil || c.Scale <= 0 || c.Scale > 1 {
		return errors.Join(err, errors.New("--only must be a regular expression, --scale above 0 and at most 1"))
	}
	dir, err := os.MkdirTemp("", "consent-ledger-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if c.Ledgerd, err = ledgerdIn(ctx, dir, c.Ledgerd); err != nil {
		return err
	}
	fmt.Printf("%-46s %7s %8s %9s %9s %7s %7s %7s %8s  %s\n", "attack", "sent", "others", "p50", "slowest", "MiB", "gorout.", "files", "log KiB", "answers")
	return errors.Join(c.attack(ctx, filepath.Join(dir, "plain"), false, only), c.attack(ctx, filepath.Join(dir, "tls"), true, only))
}

// ledgerdIn builds ledgerd into a directory, unless there is one already.
func ledgerdIn(ctx context.Context, dir, program string) (string, error) {
	if program != "" {
		return program, nil
	}
	programs, err := storm.Build(ctx, dir)
	return programs.Ledgerd, err
}

// attack has one server suffer all that is asked for.
func (c *hostileCmd) attack(ctx context.Context, dir string, overTLS bool, only *regexp.Regexp) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	v, err := hostile.Start(ctx, c.Ledgerd, dir, overTLS)
	if err != nil {
		return err
	}
	fmt.Printf("%s:\n", filepath.Base(dir))
	failed := 0
	for _, attack := range hostile.Attacks() {
		if !only.MatchString(attack.Name) || ctx.Err() != nil {
			continue
		}
		r, err := v.Suffer(ctx, attack, c.Scale)
		fmt.Printf("%-46s %7d %8d %9v %9v %7d %7d %7d %8d  %v\n", attack.Name, r.Sent, r.Others.Answered, r.Others.P50.Round(10*time.Microsecond),
			r.Others.Max.Round(100*time.Microsecond), r.Peak.Resident>>20, r.Peak.Goroutines, r.Peak.Files, r.Log>>10, r)
		if err != nil {
			failed++
			fmt.Printf("error: %v\n", err)
		}
	}
	// An interrupted run is looked at, too.
	err = v.Stop(context.WithoutCancel(ctx))
	if failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d attacks were not stood", failed))
	}
	return errors.Join(err, ctx.Err())
}
