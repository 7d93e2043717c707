package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/load/storm"
	"github.com/consentledger/consentledger/internal/service"
)

type scaleCmd struct {
	Dir      string        `help:"Where the ledger is kept. A run that was ended goes on with what is there." required:""`
	Entries  int64         `help:"How many entries the ledger gets." default:"10000000"`
	At       []int64       `help:"With how many entries it is measured, besides." default:"1000000,10000000"`
	Callers  int           `help:"How many callers post at once while filling." default:"256"`
	Clients  int           `help:"How many callers post at once while appending is measured." default:"64"`
	Duration time.Duration `help:"How long each round of appending lasts; there are four, and four of an empty ledger in turns." default:"3s"`
}

func (*scaleCmd) Help() string {
	return `Sends the mix of a mailing system (requests, confirmations, uses, withdrawals, erasures) straight through the recorder, and measures what
may grow with the number of entries: bytes on the disk, appends beside those of an empty ledger, inclusion proofs, checks, commits of the
state tree, verify log, and the start after ledgerd was killed (SIGKILL) while it recorded. It can be ended and called again. Ten million
entries take about half an hour and, with the export for verify, 15 GB on the disk, fifty million three hours and 55 GB.

Example:

    go run ./internal/load scale --entries 300000 --at 100000 --dir /tmp/scale`
}

// Run fills and measures, up to each number of entries in turn.
func (c *scaleCmd) Run(ctx context.Context) error {
	return built(ctx, func(programs storm.Programs) error { return c.run(ctx, programs) })
}

func (c *scaleCmd) run(ctx context.Context, programs storm.Programs) error {
	if _, err := os.Stat(data(c.Dir)); errors.Is(err, fs.ErrNotExist) {
		if err := create(ctx, c.Dir); err != nil {
			return err
		}
	}
	steps := slices.DeleteFunc(append(slices.Clone(c.At), c.Entries), func(n int64) bool { return n > c.Entries })
	slices.Sort(steps)
	for _, entries := range slices.Compact(steps) {
		var size int64
		err := opened(service.Options{Dir: data(c.Dir)}, func(s *service.Service) (err error) {
			if size = sizeOf(s); size > entries && entries < c.Entries {
				return nil // measured before
			}
			size, err = c.fill(ctx, s, entries)
			return err
		})
		if err != nil || size < entries {
			return errors.Join(err, ctx.Err())
		}
		if size > entries+entries/10 && entries < c.Entries {
			continue
		}
		if err := c.measure(ctx, programs); err != nil {
			return err
		}
	}
	return nil
}

func sizeOf(s *service.Service) int64 {
	snap := s.Log().Snapshot()
	defer snap.Release()
	return int64(snap.Size())
}

// peopleAtOnce is after how many people it is noted how far filling is, and how
// many of the leavers among them, who are not counted, are erased together.
const peopleAtOnce, leaversAtOnce = 10_000, 2

// fill tells the stories of more and more people until the log has so many entries.
func (c *scaleCmd) fill(ctx context.Context, s *service.Service, entries int64) (size int64, err error) {
	told, err := readNumber(filepath.Join(c.Dir, filled))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	// An earlier run may have been ended while it told the next ones.
	tell := finishPerson
	for size = sizeOf(s); size < entries; size = sizeOf(s) {
		doing := fmt.Sprintf("%d of %d entries; people", size, entries)
		last := told + min(peopleAtOnce, (entries-size)*8/entriesOfEight+1)
		err := everybody(ctx, doing, c.Callers, told+1, last, func(n int64) error { return tell(ctx, s, n) })
		if err == nil {
			err = everybody(ctx, doing+" who leave", leaversAtOnce, 1, leaversAtOnce, func(n int64) error { return leave(ctx, s, told, n) })
		}
		if err == nil {
			told = last
			err = os.WriteFile(filepath.Join(c.Dir, filled), fmt.Appendln(nil, told), 0o644)
		}
		if err != nil {
			return size, err
		}
		tell = func(ctx context.Context, s *service.Service, n int64) error { return onePerson(ctx, s, n, true) }
	}
	return size, nil
}

// finishPerson tells what is missing of a person's story.
func finishPerson(ctx context.Context, s *service.Service, n int64) error {
	d, err := s.CheckConsent(ctx, service.Question{Subject: request(n).Subject, Purpose: "newsletter", Channel: "email"})
	switch {
	case err != nil || d.Reason == outcome(n):
		return err
	case d.Reason == "confirmed":
		_, err = s.WithdrawConsent(ctx, app, service.Withdrawal{Subject: request(n).Subject, Method: "one_click"})
		return err
	}
	return onePerson(ctx, s, n, true)
}

// leave has somebody ask for the newsletter and to be forgotten.
func leave(ctx context.Context, s *service.Service, told, n int64) error {
	r := request(n)
	r.Subject.Email = fmt.Sprintf("leaver-%d-%d@mail.example", told, n)
	if _, err := s.RequestConsent(ctx, app, r); err != nil {
		return err
	}
	_, err := s.EraseSubject(ctx, app, service.Erasure{Subject: r.Subject, Reason: "art17", Mode: "shred_now"})
	return err
}

func readNumber(name string) (int64, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}
