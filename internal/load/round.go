package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// call makes one call over a client of its own and gives how many things it did:
// checks, items, appends. Nothing done and no error means that nothing is left.
type call func(ctx context.Context, client *http.Client) (int, error)

// round lets the clients call as fast as they are answered, until the time is over
// or nothing is left to do.
func round(ctx context.Context, clients int, duration time.Duration, do call) *result {
	transport := &http.Transport{MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	r := newResult()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			m := measured{result: r}
			defer m.done()
			for ctx.Err() == nil {
				begin := time.Now()
				n, err := do(ctx, client)
				if n == 0 && err == nil {
					return
				}
				m.note(n, time.Since(begin), err)
			}
		})
	}
	wg.Wait()
	return r.finish()
}

// result is what one round measured.
type result struct {
	rate   float64         // things done per second
	sorted []time.Duration // of each call
	errors int64

	begin time.Time
	mu    sync.Mutex // guards what is below, and sorted and errors until finish
	items int
	first error
}

func newResult() *result { return &result{begin: time.Now()} }

// measured is one client's part of a result, handed over when it is done.
type measured struct {
	result *result
	items  int
	took   []time.Duration
}

func (m *measured) note(items int, took time.Duration, err error) {
	m.items += items
	m.took = append(m.took, took)
	if err == nil {
		return
	}
	m.result.mu.Lock()
	defer m.result.mu.Unlock()
	if m.result.errors++; m.result.first == nil {
		m.result.first = err
	}
}

func (m *measured) done() {
	m.result.mu.Lock()
	defer m.result.mu.Unlock()
	m.result.items += m.items
	m.result.sorted = append(m.result.sorted, m.took...)
}

func (r *result) finish() *result {
	r.rate = float64(r.items) / time.Since(r.begin).Seconds()
	slices.Sort(r.sorted)
	return r
}

func (r *result) at(q float64) time.Duration {
	if len(r.sorted) == 0 {
		return 0
	}
	return r.sorted[int(float64(len(r.sorted)-1)*q)].Round(time.Microsecond)
}

// table prints rows that stand beside each other; the last column is the ratio
// to a rate of the same run.
type table struct{ beside string }

func newTable(per, beside string) table {
	fmt.Printf("%d CPUs, server and load generator share them; one synced 4 KiB write: p50 %v\n", runtime.NumCPU(), syncLatency())
	fmt.Printf("%-22s %7s %10s %10s %10s %10s %7s %10s\n", "what", "clients", per, "p50", "p99", "p99.9", "errors", "× "+beside)
	return table{beside}
}

func (table) row(what string, clients int, r *result, beside float64) {
	fmt.Printf("%-22s %7d %10.0f %10v %10v %10v %7d %10.2f\n", what, clients, r.rate, r.at(.5), r.at(.99), r.at(.999), r.errors, r.rate/beside)
	if r.first != nil {
		fmt.Printf("first error: %v\n", r.first)
	}
}

// post makes one call of ConsentService and gives its answer's bytes.
func post(ctx context.Context, client *http.Client, url, key, wire, method string, msg proto.Message) ([]byte, error) {
	body, err := encode(wire, msg)
	if err != nil {
		return nil, err
	}
	// A round that is over waits for the answers that are on their way.
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, url+"/consent.app.v1.ConsentService/"+method, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/"+wire)
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return answer, err
}

// encode gives a message as "json" or "proto".
func encode(wire string, msg proto.Message) ([]byte, error) {
	if wire == "proto" {
		return proto.Marshal(msg)
	}
	return protojson.Marshal(msg)
}

// syncLatency measures what the disk costs, the floor under every append.
func syncLatency() time.Duration {
	f, err := os.CreateTemp("", "consent-ledger-sync-")
	if err != nil {
		return 0
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	buf := make([]byte, 4096)
	for i := range 200 {
		begin := time.Now()
		f.WriteAt(buf, int64(i%16)*4096)
		syscall.Fdatasync(int(f.Fd()))
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[len(took)/2].Round(time.Microsecond)
}
