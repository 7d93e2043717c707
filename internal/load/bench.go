package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

func blocks(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

// target is the server under load.
type target struct {
	url, emptyURL, key string
}

// Run starts the server and measures.
func (b *benchCmd) Run(ctx context.Context) error {
	t, stop, err := startServer(ctx)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Printf("%d CPUs, server and load generator share them; %s over HTTP/1.1, %v a round\n", runtime.NumCPU(), b.Wire, b.Duration)
	fmt.Printf("one synced 4 KiB write: p50 %v\n", syncLatency())
	fmt.Printf("%-8s %7s %10s %10s %10s %10s %7s %8s\n", "what", "clients", "per s", "p50", "p99", "p99.9", "errors", "× empty")
	for _, clients := range b.Clients {
		empty := 0.0
		for _, what := range []string{"empty", "append", "check"} {
			r := b.round(ctx, t, what, clients)
			if what == "empty" {
				empty = r.rate
			}
			fmt.Printf("%-8s %7d %10.0f %10v %10v %10v %7d %8.2f\n", what, clients, r.rate, r.at(.5), r.at(.99), r.at(.999), r.errors, r.rate/empty)
			if r.first != nil {
				fmt.Printf("first error: %v\n", r.first)
			}
		}
	}
	return nil
}

// startServer runs this program again as the server.
func startServer(ctx context.Context) (*target, func(), error) {
	dir, err := os.MkdirTemp("", "consent-ledger-load-")
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, "serve", "--dir", dir)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, nil, err
	}
	stop := func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		os.RemoveAll(dir)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) != 3 {
		stop()
		return nil, nil, errors.New("the server did not start")
	}
	return &target{words[0], words[1], words[2]}, stop, nil
}

// result is what one round measured.
type result struct {
	rate   float64
	sorted []time.Duration
	errors int64
	first  error
}

func (r *result) at(q float64) time.Duration {
	if len(r.sorted) == 0 {
		return 0
	}
	return r.sorted[int(float64(len(r.sorted)-1)*q)].Round(time.Microsecond)
}

var people atomic.Int64

// round lets the clients post as fast as they are answered.
func (b *benchCmd) round(ctx context.Context, t *target, what string, clients int) *result {
	transport := &http.Transport{MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	ctx, cancel := context.WithTimeout(ctx, b.Duration)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	r := new(result)
	start := time.Now()
	for range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var took []time.Duration
			for ctx.Err() == nil {
				begin := time.Now()
				err := b.post(client, t, what)
				if took = append(took, time.Since(begin)); err != nil {
					mu.Lock()
					if r.errors++; r.first == nil {
						r.first = err
					}
					mu.Unlock()
				}
			}
			mu.Lock()
			r.sorted = append(r.sorted, took...)
			mu.Unlock()
		}()
	}
	wg.Wait()
	r.rate = float64(len(r.sorted)) / time.Since(start).Seconds()
	slices.Sort(r.sorted)
	return r
}

// post makes one call and reads its answer to the end.
func (b *benchCmd) post(client *http.Client, t *target, what string) error {
	base, method := t.url, "RequestConsent"
	var msg proto.Message
	switch what {
	case "empty":
		base, msg = t.emptyURL, b.message(people.Add(1))
	case "append":
		msg = b.message(people.Add(1))
	case "check":
		method = "CheckConsent"
		msg = &appv1.CheckConsentRequest{Subject: &appv1.Subject{Email: email(1 + people.Load()/2)}, Purpose: "newsletter", Channel: "email"}
	}
	body, kind, err := b.encode(msg)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, base+"/consent.app.v1.ConsentService/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Authorization", "Bearer "+t.key)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return err
}

func (b *benchCmd) encode(msg proto.Message) (body []byte, kind string, err error) {
	if b.Wire == "proto" {
		body, err = proto.Marshal(msg)
		return body, "application/proto", err
	}
	body, err = protojson.Marshal(msg)
	return body, "application/json", err
}

func email(n int64) string { return fmt.Sprintf("person-%d@mail.example", n) }

// message is a RequestConsent with an address and three claims.
func (b *benchCmd) message(n int64) *appv1.RequestConsentRequest {
	r := request(n)
	m := &appv1.RequestConsentRequest{Subject: &appv1.Subject{Email: email(n)}, Purposes: r.Purposes, Channel: r.Channel,
		Notice: r.Notice, Method: r.Method, Claims: r.Claims}
	if b.Proof {
		m.Proof = "log"
	}
	return m
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
