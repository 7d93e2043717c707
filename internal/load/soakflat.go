package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// watched is a number of the server that must not grow for ever.
type watched struct {
	name, metric string
	unit         float64 // that is printed
	// May grow by this share of its median, or by this much, whichever is more, over
	// the time that is judged: caches fill, and collectors of garbage come late.
	share, least float64
}

const mib = 1 << 20

// watchedNumbers are judged. The heap is measured by the size at which the next garbage
// collection begins, twice what was alive at the last one: what is in use between
// them goes up and down. Tables are open and mapped as long as they are there, and the
// ledger grows, so they do not count.
var watchedNumbers = []watched{
	{"own memory MiB", ownMemory, mib, .10, 64 * mib},
	{"heap goal MiB", "go_memstats_next_gc_bytes", mib, .10, 48 * mib},
	{"goroutines", "go_goroutines", 1, .10, 40},
	{"other files", otherFiles, 1, .10, 40},
}

// Two numbers come from the kernel, as if they were metrics: the resident bytes that
// are no file's, and the open files that are no tables.
const ownMemory, otherFiles = "own_memory_bytes", "other_open_files"

// sample is what the numbers were at a time.
type sample struct {
	at     time.Duration // since the beginning
	values []float64     // in the order of watchedNumbers
}

// trend is how one number went over the time that is judged.
type trend struct {
	watched
	first, median, last float64
	slope               float64 // per second
	growth, allowed     float64 // over the time
}

// trends judges samples; there must be at least three. The slope is the median of those
// between any two samples (Theil and Sen), so that a third of them may be anywhere.
func trends(samples []sample) []trend {
	took := (samples[len(samples)-1].at - samples[0].at).Seconds()
	all := make([]trend, len(watchedNumbers))
	for i, w := range watchedNumbers {
		var values, slopes []float64
		for a, from := range samples {
			values = append(values, from.values[i])
			for _, to := range samples[a+1:] {
				slopes = append(slopes, (to.values[i]-from.values[i])/(to.at-from.at).Seconds())
			}
		}
		t := trend{watched: w, first: values[0], last: values[len(values)-1], median: middle(values), slope: middle(slopes)}
		t.growth, t.allowed = t.slope*took, max(w.share*t.median, w.least)
		all[i] = t
	}
	return all
}

// middle gives the median of numbers, which it sorts.
func middle(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// flat reports whether nothing grows by more than it may.
func flat(all []trend) error {
	for _, t := range all {
		if t.growth > t.allowed {
			return fmt.Errorf("not flat: %s grew by %.1f while the load was the same, %.1f are allowed", t.name, t.growth/t.unit, t.allowed/t.unit)
		}
	}
	return nil
}

func printTrends(all []trend) {
	fmt.Printf("%-16s %10s %10s %10s %12s %10s %10s\n", "", "first", "median", "last", "per hour", "growth", "allowed")
	for _, t := range all {
		fmt.Printf("%-16s %10.1f %10.1f %10.1f %12.1f %10.1f %10.1f\n", t.name, t.first/t.unit, t.median/t.unit, t.last/t.unit,
			t.slope*3600/t.unit, t.growth/t.unit, t.allowed/t.unit)
	}
}

// takeSample reads the numbers where the server shows its metrics, and in /proc.
func takeSample(ctx context.Context, metrics string, pid int) ([]float64, error) {
	kib, err := residentOf(pid)
	if err != nil {
		return nil, err
	}
	files, err := otherFilesOf(pid)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, metrics, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", metrics, resp.Status)
	}
	kernels := fmt.Sprintf("%s %d\n%s %d\n", ownMemory, kib["RssAnon"]<<10, otherFiles, files)
	return readSample(io.MultiReader(resp.Body, strings.NewReader(kernels)))
}

// otherFilesOf counts the open files of a process that are no tables.
func otherFilesOf(pid int) (n int, err error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		// One that was closed meanwhile counts.
		if name, _ := os.Readlink(filepath.Join(dir, e.Name())); filepath.Ext(name) != ".sst" {
			n++
		}
	}
	return n, err
}

// readSample takes the watched numbers out of the text format of Prometheus.
func readSample(text io.Reader) ([]float64, error) {
	values, found := make([]float64, len(watchedNumbers)), 0
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		i := slices.IndexFunc(watchedNumbers, func(w watched) bool { return w.metric == name })
		if i < 0 {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("metric %s: %w", name, err)
		}
		values[i] = v
		found++
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if found != len(watchedNumbers) {
		return nil, fmt.Errorf("the metrics hold %d of the %d numbers that are watched", found, len(watchedNumbers))
	}
	return values, nil
}
