package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/internal/load/storm"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

type memoryCmd struct {
	Dir      string        `help:"Where the ledger is kept, and found again next time." required:""`
	People   int64         `help:"How many people are known, in a new directory." default:"1000000"`
	Entries  int64         `help:"How many entries the log has then: the stories of the people, and what else they are mailed." default:"5000000"`
	Callers  int           `help:"How many callers make them known at once." default:"256"`
	Memory   []string      `help:"What ledgerd is given as --memory, one run each." default:"1GiB,512MiB,256MiB,128MiB"`
	Clients  int           `help:"How many clients ask and post." default:"64"`
	Duration time.Duration `help:"How long each round of them lasts." default:"60s"`
}

func (*memoryCmd) Help() string {
	return `Makes a large ledger straight through the service, then prints how much memory ledgerd takes that serves it: when it is
ready, while everybody is asked about, while more is recorded, and after a rest. Resident is what the kernel says
(VmRSS), of it own memory (RssAnon) and pages of mapped files, which the kernel takes back when it needs them (RssFile);
peak is VmHWM. A million people with five million entries take about half an hour to make and 8 GB on the disk.

Example:

    go run ./internal/load memory --people 20000 --entries 100000 --duration 10s --dir /tmp/memory`
}

// Run fills the directory if it is new and measures.
func (m *memoryCmd) Run(ctx context.Context) error {
	return built(ctx, func(programs storm.Programs) error { return m.run(ctx, programs) })
}

func (m *memoryCmd) run(ctx context.Context, programs storm.Programs) error {
	people, err := m.people(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%-10s %-10s %12s %12s %12s %12s %10s\n", "--memory", "when", "resident MiB", "own MiB", "mapped MiB", "peak MiB", "calls/s")
	for _, memory := range m.Memory {
		if err := m.measure(ctx, programs, memory, people); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// people gives how many people the directory holds, and fills it if it is new.
func (m *memoryCmd) people(ctx context.Context) (int64, error) {
	name := filepath.Join(m.Dir, filled)
	text, err := os.ReadFile(name)
	if err == nil {
		return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if err := create(ctx, m.Dir); err != nil {
		return 0, err
	}
	err = opened(service.Options{Dir: data(m.Dir)}, func(s *service.Service) error {
		if err := tellStories(ctx, s, m.Callers, m.People, true); err != nil {
			return err
		}
		snap := s.Log().Snapshot()
		more := m.Entries - int64(snap.Size())
		snap.Release()
		return everybody(ctx, "entries", m.Callers, 1, more, func(int64) error {
			list, err := s.ListConsents(ctx, request(1+rand.Int64N(m.People)).Subject)
			if err != nil {
				return err
			}
			_, _, err = s.RecordUses(ctx, app, service.Uses{ConsentIDs: consentIDs(list)})
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	return m.People, os.WriteFile(name, fmt.Appendln(nil, m.People), 0o644)
}

// measure prints the rows of one server.
func (m *memoryCmd) measure(ctx context.Context, programs storm.Programs, memory string, people int64) error {
	key, err := os.ReadFile(keyOf(m.Dir))
	if err != nil {
		return err
	}
	start := time.Now()
	server, err := storm.LaunchServe(programs.Ledgerd, data(m.Dir), "--memory", memory)
	if err != nil {
		return err
	}
	if err := server.ReadyWithin(10 * time.Minute); err != nil {
		return err
	}
	defer server.Kill()
	row := func(when string, rate float64) error {
		kib, err := residentOf(server.Process.Pid)
		if err != nil {
			return err
		}
		fmt.Printf("%-10s %-10s %12d %12d %12d %12d %10.0f\n", memory, when, kib["VmRSS"]>>10, kib["RssAnon"]>>10, kib["RssFile"]>>10, kib["VmHWM"]>>10, rate)
		return nil
	}
	t := &target{url: server.URL, key: string(key)}
	var posted atomic.Int64
	posted.Store(time.Now().UnixNano()) // nobody has these names
	if err := row(fmt.Sprintf("ready %.0fs", time.Since(start).Seconds()), 0); err != nil {
		return err
	}
	for _, work := range []struct {
		name string
		do   call
	}{
		{"asking", t.check(t.url, "proto", func() int64 { return 1 + rand.Int64N(people) }, false)},
		{"recording", t.append(t.url, "proto", false, &posted)},
	} {
		r := round(ctx, m.Clients, m.Duration, work.do)
		if err := r.first; err != nil {
			return err
		}
		if err := row(work.name, r.rate); err != nil {
			return err
		}
	}
	select {
	case <-time.After(m.Duration / 2):
	case <-ctx.Done():
	}
	return errors.Join(row("rest", 0), server.Stop())
}

// residentOf gives the numbers of /proc/PID/status that are in kB.
func residentOf(pid int) (map[string]int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	kib := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		if number, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB"); ok {
			if kib[name], err = strconv.ParseInt(number, 10, 64); err != nil {
				return nil, err
			}
		}
	}
	return kib, nil
}

func consentIDs(list []service.Consent) (ids []ledger.ConsentID) {
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}
