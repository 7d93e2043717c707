package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/consentledger/consentledger/internal/load/storm"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// measure prints everything about the ledger as it is.
func (c *scaleCmd) measure(ctx context.Context, programs storm.Programs) error {
	people, err := readNumber(filepath.Join(c.Dir, filled))
	if err != nil {
		return err
	}
	disk := map[string]int64{}
	for _, part := range []string{"log", "vault"} {
		if disk[part], err = diskBytes(filepath.Join(data(c.Dir), part)); err != nil {
			return err
		}
	}
	export := filepath.Join(c.Dir, "export")
	defer os.RemoveAll(export)
	err = opened(service.Options{Dir: data(c.Dir)}, func(s *service.Service) error {
		size := sizeOf(s)
		fmt.Printf("%d entries about %d people\n", size, people)
		row("on disk", "log %d + vault %d = %d bytes per entry", disk["log"]/size, disk["vault"]/size, (disk["log"]+disk["vault"])/size)
		if err := c.states(ctx, s); err != nil {
			return err
		}
		if err := c.reads(ctx, s, people); err != nil {
			return err
		}
		if err := c.appends(ctx, s); err != nil {
			return err
		}
		begin := time.Now()
		snap := s.Log().Snapshot()
		defer snap.Release()
		err := snap.Export(export)
		row("export", "%v", time.Since(begin).Round(time.Millisecond))
		return err
	})
	if err == nil {
		err = c.verify(ctx, programs, export)
	}
	if err == nil {
		err = c.starts(ctx, programs)
	}
	return err
}

func row(what, format string, args ...any) {
	fmt.Printf("  %-28s %s\n", what, fmt.Sprintf(format, args...))
}

// states commits the state of all consents three times: when they were not read
// yet, after nothing, and after a thousand have changed.
func (c *scaleCmd) states(ctx context.Context, s *service.Service) error {
	commit := func(what string) error {
		id, err := requestNew(ctx, s)
		if err != nil {
			return err
		}
		begin := time.Now()
		_, err = s.CommitState(ctx, id)
		row("commit of the state tree", "%v %s", time.Since(begin).Round(time.Millisecond), what)
		return err
	}
	if err := commit("with all consents to be read first"); err != nil {
		return err
	}
	if err := commit("after one request"); err != nil {
		return err
	}
	err := everybody(ctx, "requests", c.Clients, 1, 1000, func(int64) error {
		_, err := requestNew(ctx, s)
		return err
	})
	if err != nil {
		return err
	}
	return commit("after a thousand requests")
}

// newcomer counts the people who are new to every ledger.
var newcomer atomic.Int64

func init() { newcomer.Store(time.Now().UnixNano()) }

func requestNew(ctx context.Context, s *service.Service) (ledger.ConsentID, error) {
	r, err := s.RequestConsent(ctx, app, request(newcomer.Add(1)))
	if err != nil {
		return 0, err
	}
	return r.Consents[0].ID, nil
}

// reads prints how long a proof and a check take, one after the other, of entries
// and people at random.
func (c *scaleCmd) reads(ctx context.Context, s *service.Service, people int64) error {
	const times = 3000
	measure := func(what string, do func() error) error {
		r := newResult()
		m := measured{result: r}
		for range times {
			begin := time.Now()
			err := do()
			m.note(1, time.Since(begin), err)
		}
		m.done()
		r.finish()
		row(what, "p50 %v, p99 %v", r.at(.5), r.at(.99))
		return r.first
	}
	snap := s.Log().Snapshot()
	defer snap.Release()
	size := int64(snap.Size())
	for _, what := range []string{"inclusion proof, first time", "inclusion proof"} {
		err := measure(what, func() error {
			_, err := snap.InclusionProof(ledger.Index(rand.Int64N(size)), snap.Size())
			return err
		})
		if err != nil {
			return err
		}
	}
	return measure("check", func() error {
		n := 1 + rand.Int64N(people)
		d, err := s.CheckConsent(ctx, service.Question{Subject: request(n).Subject, Purpose: "newsletter", Channel: "email"})
		if err == nil && d.Reason != outcome(n) {
			err = fmt.Errorf("a wrong answer about person %d: %s", n, d.Reason)
		}
		return err
	})
}

// appends prints the rate of appends, in turns with those of an empty ledger.
func (c *scaleCmd) appends(ctx context.Context, s *service.Service) error {
	dir, err := os.MkdirTemp(c.Dir, "empty-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := create(ctx, dir); err != nil {
		return err
	}
	return opened(service.Options{Dir: data(dir)}, func(empty *service.Service) error {
		var count [2]int64
		var took, used [2]time.Duration
		for turn := range 8 {
			at := turn % 2
			n, cpu, begin := c.appending(ctx, []*service.Service{empty, s}[at])
			count[at], took[at], used[at] = count[at]+n, took[at]+time.Since(begin), used[at]+cpu
		}
		per := func(at int) (float64, float64) {
			return float64(count[at]) / took[at].Seconds(), float64(used[at].Microseconds()) / float64(count[at])
		}
		emptyRate, emptyCPU := per(0)
		rate, cpu := per(1)
		row("appends", "%.0f per s, %.0f µs of CPU each", rate, cpu)
		row("appends, empty ledger", "%.0f per s, %.0f µs of CPU each; ratio of rates %.2f, of CPU %.2f", emptyRate, emptyCPU, rate/emptyRate, emptyCPU/cpu)
		return ctx.Err()
	})
}

// appending has new people ask for as long as a round lasts.
func (c *scaleCmd) appending(ctx context.Context, s *service.Service) (n int64, cpu time.Duration, begin time.Time) {
	cpu, begin = -processorTime(), time.Now()
	var wg sync.WaitGroup
	var count atomic.Int64
	for range c.Clients {
		wg.Go(func() {
			for time.Since(begin) < c.Duration && ctx.Err() == nil {
				if _, err := requestNew(ctx, s); err == nil {
					count.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return count.Load(), cpu + processorTime(), begin
}

// processorTime is how much time of processors this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// verify has the export checked by a process of its own.
func (c *scaleCmd) verify(ctx context.Context, programs storm.Programs, export string) error {
	cmd := exec.CommandContext(ctx, programs.Verify, "log", export, "--policy", filepath.Join(data(c.Dir), "trust.policy"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	// What the kernel says afterwards begins with the memory of who started it.
	peak, ended := int64(0), make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			if kib, err := residentOf(cmd.Process.Pid); err == nil {
				peak = max(peak, kib["VmHWM"])
			}
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	err := cmd.Wait()
	took := time.Since(begin)
	close(ended)
	watching.Wait()
	if err != nil {
		return fmt.Errorf("verify log: %w\n%s", err, &out)
	}
	p := cmd.ProcessState
	row("verify log", "%v, %v of CPU, at most %d MiB", took.Round(time.Millisecond), (p.UserTime() + p.SystemTime()).Round(time.Millisecond), peak>>10)
	return nil
}

// starts prints how long ledgerd takes until it is ready: after it was stopped in
// order, and after it was killed while it recorded.
func (c *scaleCmd) starts(ctx context.Context, programs storm.Programs) error {
	key, err := os.ReadFile(keyOf(c.Dir))
	if err != nil {
		return err
	}
	start := func(what string) (*storm.Server, error) {
		begin := time.Now()
		server, err := storm.LaunchServe(programs.Ledgerd, data(c.Dir))
		if err != nil {
			return nil, err
		}
		if err := server.ReadyWithin(time.Hour); err != nil {
			return nil, err
		}
		took := time.Since(begin)
		kib, err := residentOf(server.Process.Pid)
		cpu, cpuErr := processorTimeOf(server.Process.Pid)
		if err := errors.Join(err, cpuErr); err != nil {
			server.Kill()
			return nil, err
		}
		row(what, "%v, %v of CPU, at most %d MiB", took.Round(time.Millisecond), cpu, kib["VmHWM"]>>10)
		return server, nil
	}
	server, err := start("start")
	if err != nil {
		return err
	}
	t := &target{url: server.URL, key: string(key)}
	// The logs that a kill leaves are as long as can be only after a while.
	posted := round(ctx, c.Clients, 5*c.Duration, t.append(t.url, "proto", false, &newcomer))
	server.Kill()
	if posted.first != nil {
		return posted.first
	}
	if server, err = start("start after kill -9"); err != nil {
		return err
	}
	return server.Stop()
}

// processorTimeOf is how much time of processors another process has used.
func processorTimeOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// After the name in parentheses come the 3rd field and more; utime is the 14th.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var user, system int64
	if len(fields) > 12 {
		_, err = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	}
	const tick = time.Second / 100
	return time.Duration(user+system) * tick, err
}
