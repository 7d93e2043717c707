package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// leafBytes is how long an entry is on average in the mix of a mailing system.
const leafBytes = 371

// machine is what the machine itself does while nothing is asked of it, measured before
// every turn: what no ledger on it can do better.
type machine struct {
	file   *os.File
	syncs  []time.Duration // of 4 KiB written and synced, one after the other
	hashes []float64       // SHA-256 of leaves per second, one core
}

// newMachine measures in this directory.
func newMachine(dir string) (*machine, error) {
	f, err := os.CreateTemp(dir, "consent-ledger-sync-")
	if err != nil {
		return nil, err
	}
	return &machine{file: f}, os.Remove(f.Name())
}

func (m *machine) close() { m.file.Close() }

func (m *machine) measure() error {
	block := make([]byte, 4096)
	for i := range 64 {
		begin := time.Now()
		if _, err := m.file.WriteAt(block, int64(i%16)*4096); err != nil {
			return err
		}
		if err := syscall.Fdatasync(int(m.file.Fd())); err != nil {
			return err
		}
		m.syncs = append(m.syncs, time.Since(begin))
	}
	slices.Sort(m.syncs)
	const leaves = 10_000
	begin := time.Now()
	for range leaves {
		sha256.Sum256(block[:leafBytes])
	}
	m.hashes = append(m.hashes, leaves/time.Since(begin).Seconds())
	slices.Sort(m.hashes)
	return nil
}

// sync is the median of what is synced.
func (m *machine) sync() time.Duration { return m.syncs[len(m.syncs)/2] }

func (m *machine) String() string {
	return fmt.Sprintf("one synced 4 KiB write p50 %v, p99 %v; SHA-256 of leaves of %d bytes %.1f million/s on one core",
		m.sync().Round(time.Microsecond), m.syncs[len(m.syncs)*99/100].Round(time.Microsecond), leafBytes, m.hashes[len(m.hashes)/2]/1e6)
}

// cpuTime gives the CPU time that a process has taken so far; 0 where there is no /proc.
func cpuTime(pid int) (total time.Duration) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name of the program, in parentheses, may hold anything.
	_, rest, _ := strings.Cut(string(text), ") ")
	if f := strings.Fields(rest); len(f) > 12 {
		for _, ticks := range f[11:13] { // utime and stime, of 10 ms each
			n, _ := strconv.ParseInt(ticks, 10, 64)
			total += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return total
}
