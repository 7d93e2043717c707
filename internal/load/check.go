package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

type checkCmd struct {
	Dir     string `help:"Where the people are kept, and found again next time. A temporary directory, removed at the end, if left out."`
	People  int64  `help:"How many people are known, in a new directory." default:"1000000"`
	Callers int    `help:"How many callers make them known at once." default:"256"`
	rounds
	Batch  int `help:"Questions in one batch." default:"1000"`
	Window int `help:"Questions that a stream has under way." default:"100"`
}

func (*checkCmd) Help() string {
	return `Makes many people known straight through the service (most confirm, some never click, some withdraw), then asks "may I
send?" about people drawn at random over HTTP: one by one in JSON over HTTP/1.1, in batches, and over streams in protobuf
over h2c. The latencies are those of a call; of a stream, those of a question. Every answer is judged.

Example:

    go run ./internal/load check --people 100000 --dir /tmp/people --clients 1,16`
}

// Run fills the directory if it is new, starts the server and measures.
func (c *checkCmd) Run(ctx context.Context) error {
	dir := c.Dir
	if dir == "" {
		made, err := os.MkdirTemp("", "consent-ledger-load-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(made)
		dir = made
	}
	people, err := c.people(ctx, dir)
	if err != nil {
		return err
	}
	t, stop, err := startServer(ctx, dir)
	if err != nil {
		return err
	}
	defer stop()
	who := func() int64 { return 1 + rand.Int64N(people) }
	fmt.Printf("%d people; batches of %d; streams with %d questions under way\n", people, c.Batch, c.Window)
	table := newTable("checks/s", "empty")
	for _, clients := range c.Clients {
		if ctx.Err() != nil {
			break
		}
		pair := func(what string, measure func(url string, judge bool) *result) {
			empty := measure(t.empty, false)
			table.row("empty "+what, clients, empty, empty.rate)
			table.row(what, clients, measure(t.url, true), empty.rate)
		}
		pair("single json", func(url string, judge bool) *result {
			return round(ctx, clients, c.Duration, t.check(url, "json", who, judge))
		})
		for _, wire := range []string{"json", "proto"} {
			pair("batch "+wire, func(url string, judge bool) *result {
				return round(ctx, clients, c.Duration, t.checkBatch(url, wire, c.Batch, who, judge))
			})
		}
		pair("stream proto", func(url string, judge bool) *result { return c.streams(ctx, t, url, clients, who, judge) })
	}
	return ctx.Err()
}

// filled is the file that says how many people a directory holds. It is written
// when all of them are there.
const filled = "people"

// people gives how many people the directory holds, and makes them known if it is
// new.
func (c *checkCmd) people(ctx context.Context, dir string) (int64, error) {
	name := filepath.Join(dir, filled)
	text, err := os.ReadFile(name)
	if err == nil {
		return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if err := create(ctx, dir); err != nil {
		return 0, err
	}
	start := time.Now()
	err = opened(service.Options{Dir: data(dir)}, func(s *service.Service) error {
		return tellStories(ctx, s, c.Callers, c.People, false)
	})
	if err != nil {
		return 0, err
	}
	fmt.Printf("%d people made known in %v\n", c.People, time.Since(start).Round(time.Second))
	return c.People, os.WriteFile(name, fmt.Appendln(nil, c.People), 0o644)
}

// checkBatch asks about several people at once.
func (t *target) checkBatch(url, wire string, size int, who func() int64, judge bool) call {
	return func(ctx context.Context, client *http.Client) (int, error) {
		m, pending := new(appv1.BatchCheckConsentsRequest), 0
		for range size {
			n := who()
			m.Checks = append(m.Checks, question(n))
			if outcome(n) == "pending" {
				pending++
			}
		}
		answer, err := post(ctx, client, url, t.key, wire, "BatchCheckConsents", m)
		// The reasons stand as they are in JSON and in protobuf.
		if got := bytes.Count(answer, []byte("pending")); err == nil && judge && got != pending {
			err = fmt.Errorf("a wrong answer about %d people: %d are pending, want %d", size, got, pending)
		}
		return size, err
	}
}

// streams asks over one stream per client, each over a connection of its own.
func (c *checkCmd) streams(ctx context.Context, t *target, url string, clients int, who func() int64, judge bool) *result {
	ctx, cancel := context.WithTimeout(ctx, c.Duration)
	defer cancel()
	r := newResult()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			m := measured{result: r}
			defer m.done()
			if err := c.stream(ctx, t, url, who, judge, &m); err != nil {
				m.note(0, 0, err)
			}
		})
	}
	wg.Wait()
	return r.finish()
}

// asked is a question that a stream has under way.
type asked struct {
	person int64
	begin  time.Time
}

// stream asks until the time is over and waits for the answers on their way.
func (c *checkCmd) stream(ctx context.Context, t *target, url string, who func() int64, judge bool, m *measured) error {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := appv1connect.NewConsentServiceClient(&http.Client{Transport: transport}, url)
	open, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	open, info := connect.NewClientContext(open)
	info.RequestHeader().Set("Authorization", "Bearer "+t.key)
	stream, err := client.CheckConsents(open)
	if err != nil {
		return err
	}
	underWay := make(chan asked, c.Window)
	sent := make(chan error, 1)
	go func() {
		defer close(underWay)
		for ctx.Err() == nil {
			n := who()
			underWay <- asked{n, time.Now()}
			if err := stream.Send(question(n)); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseRequest()
	}()
	var broken error
	for q := range underWay {
		if broken != nil {
			continue // the sender notices, too
		}
		answer, err := stream.Receive()
		if err != nil {
			broken = err
			stop()
			continue
		}
		if reason := answer.GetResponse().GetReason(); judge && reason != outcome(q.person) {
			err = fmt.Errorf("a wrong answer about person %d: %q %s", q.person, reason, answer.GetError())
		}
		m.note(1, time.Since(q.begin), err)
	}
	return errors.Join(broken, <-sent, stream.CloseResponse())
}
