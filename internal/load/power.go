package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/load/storm"
)

type powerCmd struct {
	ledgerPrograms
	Cuts        int      `help:"How often the power is cut, on each file system." default:"25"`
	Clients     int      `help:"How many clients post meanwhile." default:"64"`
	FileSystems []string `help:"On which file systems: ext4, xfs." enum:"ext4,xfs" default:"ext4,xfs"`
	LoseSyncs   bool     `help:"The control: ledgerd's syncs do nothing (strace). The run then fails unless something is found missing."`
}

func (*powerCmd) Help() string {
	return `Runs ledgerd on a file system in a file while clients post, and copies the file at one moment, again and again: the copy is
what the disk would hold if the power were cut then, because what no sync has brought there is only in memory. Each copy is
mounted and started with ledgerd. Everything that was acknowledged before the copying began must be there, the log must
verify, and ledgerd check must find the ledger sound; or the start refuses, and its reason is printed.

What is not tried: a disk that loses what it said it had written.

It needs root, mkfs.ext4, mkfs.xfs, and a kernel that mounts files. With --lose-syncs the same finds what is missing when
ledgerd's syncs do nothing, which shows that it would.

Example:

    sudo go run ./internal/load power --cuts 25`
}

// Run cuts the power, and prints figures.
func (c *powerCmd) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "consent-ledger-power-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	programs, err := c.ready(ctx, dir)
	if err != nil {
		return err
	}
	for _, kind := range c.FileSystems {
		if err := c.on(ctx, dir, kind, programs); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// losingSyncs gives a ledgerd whose syncs are answered without being done.
func losingSyncs(dir string, p storm.Programs) (storm.Programs, error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return p, fmt.Errorf("--lose-syncs needs strace: %w", err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s -D -f -qq -o /dev/null -e trace=fsync,fdatasync,msync -e inject=fsync,fdatasync,msync:retval=0 %s \"$@\"\n", strace, p.Ledgerd)
	losing := filepath.Join(dir, "ledgerd-without-syncs")
	return storm.Programs{Ledgerd: losing, Verify: p.Verify}, os.WriteFile(losing, []byte(script), 0o700)
}

// on cuts the power of one file system.
func (c *powerCmd) on(ctx context.Context, dir, kind string, programs storm.Programs) (err error) {
	d, err := newDisks(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	live := d.image("live")
	if err := d.makeImage(ctx, kind, live, 4<<30); err != nil {
		return err
	}
	if err := d.mount(ctx, kind, live, "live"); err != nil {
		return err
	}
	s, err := newStormy(ctx, programs, c.Serve, d.at("live"))
	if err != nil {
		return err
	}
	judge := s.programs
	if c.LoseSyncs {
		if s.programs, err = losingSyncs(dir, judge); err != nil {
			return err
		}
	}
	server, err := s.launch()
	if err != nil {
		return err
	}
	defer server.Kill() // before its file system is unmounted
	if err := server.Ready(); err != nil {
		return err
	}
	s.storm.At(server.URL)
	s.storm.Begin(ctx, c.Clients)
	cuts := cutting{stormy: s, judge: judge, disks: d, kind: kind, control: c.LoseSyncs}
	bar := newProgress("cuts on "+kind, int64(c.Cuts))
	defer bar.finish()
	for range c.Cuts {
		before := s.storm.Figures().Told
		time.Sleep(time.Duration(50+rand.IntN(1000)) * time.Millisecond)
		for s.storm.Figures().Told < before+c.Clients && s.storm.Failed() == nil && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond) // else there is nothing to be lost
		}
		if err := errors.Join(cuts.cut(ctx), s.storm.Failed(), ctx.Err()); err != nil {
			return err
		}
		bar.add(1)
	}
	s.storm.End()
	bar.finish()
	cuts.print()
	if c.LoseSyncs && cuts.sound == c.Cuts {
		return errors.New("ledgerd's syncs did nothing, and nothing was found missing: this shows nothing, try more cuts")
	}
	return errors.Join(s.storm.Failed(), server.Log.Check())
}

// cutting is the power being cut again and again, and what came of it.
type cutting struct {
	*stormy
	judge   storm.Programs
	disks   *disks
	kind    string
	control bool // what is missing is counted, and no error

	sound   int
	lost    int      // with something missing
	refused []string // why not started
	starts  []time.Duration
}

// cut copies the disk and judges the copy.
func (c *cutting) cut(ctx context.Context) error {
	known := c.storm.Known()
	copied, kept := c.disks.image("cut"), c.disks.image("kept")
	if err := c.disks.clone(c.disks.image("live"), copied); err != nil {
		return err
	}
	if err := c.disks.clone(copied, kept); err != nil { // starting the copy changes it
		return err
	}
	if err := c.disks.mount(ctx, c.kind, copied, "cut"); err != nil {
		return fmt.Errorf("the file system itself is broken: %w", err)
	}
	err := c.start(ctx, data(c.disks.at("cut")), known)
	if err = errors.Join(err, c.disks.unmount()); err == nil {
		return errors.Join(os.Remove(copied), os.Remove(kept))
	}
	evidence := filepath.Join(os.TempDir(), "consent-ledger-cut."+c.kind)
	if keeping := command(context.WithoutCancel(ctx), "cp", "--sparse=always", kept, evidence); keeping != nil {
		return errors.Join(err, keeping)
	}
	return fmt.Errorf("%w\nThe disk as it was is kept in %s", err, evidence)
}

// start starts the copy and holds it against what the clients knew before.
func (c *cutting) start(ctx context.Context, data string, known storm.Known) error {
	begin := time.Now()
	server, err := storm.LaunchServe(c.judge.Ledgerd, data, c.flags...)
	if err != nil {
		return err
	}
	defer server.Kill()
	if err := server.Ready(); err != nil {
		reason, ok := strings.CutPrefix(lastLine(server.Log.String()), "ledgerd: ")
		if !ok {
			return fmt.Errorf("the start failed without a reason: %w", err)
		}
		c.refused = append(c.refused, reason)
		return nil
	}
	c.starts = append(c.starts, time.Since(begin))
	if err = c.whole(ctx, data, server, known); err == nil {
		c.sound++
	} else if c.control {
		c.lost++
		return nil
	}
	return err
}

// whole judges a copy that started.
func (c *cutting) whole(ctx context.Context, data string, server *storm.Server, known storm.Known) error {
	c.reader.At(server.URL)
	if err := storm.NewComparison().HoldKnown(known, c.reader.Served(ctx)); err != nil {
		return err
	}
	if err := c.judge.VerifyLog(ctx, server.URL+"/log", c.auditor, filepath.Join(data, "trust.policy"), ""); err != nil {
		return err
	}
	if err := errors.Join(server.Stop(), server.Log.Check()); err != nil {
		return err
	}
	return c.judge.Check(ctx, data)
}

func (c *cutting) print() {
	f := c.storm.Figures()
	fmt.Printf("%s: %d cuts, %d answers said what was recorded, %d people were erased\n", c.kind, c.sound+c.lost+len(c.refused), f.Told, f.Erased)
	fmt.Printf("%d copies started and are sound, with nothing missing that was acknowledged before; start until ready: %s\n", c.sound, spread(c.starts))
	if c.lost > 0 {
		fmt.Printf("%d copies started with something missing\n", c.lost)
	}
	fmt.Printf("%d copies refused to start\n", len(c.refused))
	for _, reason := range c.refused {
		fmt.Println("  " + reason)
	}
}

func lastLine(text string) string {
	text = strings.TrimRight(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}
