package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/consentledger/consentledger/internal/witness"
	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

type publishCmd struct {
	Witnesses int             `help:"How many witnesses, each a process of its own; all of them must cosign." default:"2"`
	Intervals []time.Duration `help:"Publish intervals, one round each." default:"1s,50ms"`
	Clients   int             `help:"How many clients record meanwhile." default:"16"`
	Duration  time.Duration   `help:"How long each round records." default:"10s"`
}

func (*publishCmd) Help() string {
	return `Records on a new ledger, first without witnesses and then with, and measures how long each entry waited, from the moment
that its call was answered, until a checkpoint that all witnesses have cosigned contained it.

Example:

    go run ./internal/load publish --witnesses 3 --intervals 1s`
}

// Run measures one round per interval, each on a ledger of its own, beside one round
// without witnesses.
func (c *publishCmd) Run(ctx context.Context) error {
	printHeader()
	t, stop, err := startServer(ctx, "")
	if err != nil {
		return err
	}
	var people atomic.Int64
	alone := round(ctx, c.Clients, c.Duration, t.append(t.url, "proto", false, &people))
	stop()
	printRow("append, alone", c.Clients, alone, "")
	for _, interval := range c.Intervals {
		r, published, err := c.witnessed(ctx, interval)
		if err != nil {
			return err
		}
		printRow(fmt.Sprintf("append, every %v", interval), c.Clients, r, fmt.Sprintf("  %.2f × alone", r.rate/alone.rate))
		fmt.Printf("cosigned by %d witnesses after it was answered, every %v: p50 %v, p99 %v, longest %v, of %d entries\n", c.Witnesses, interval,
			published.at(.5), published.at(.99), published.at(1), len(published.sorted))
	}
	return ctx.Err()
}

// witnessed measures recording under a policy with witnesses, and how long entries
// wait for them.
func (c *publishCmd) witnessed(ctx context.Context, interval time.Duration) (recorded, published *result, err error) {
	dir, err := os.MkdirTemp("", "consent-ledger-load-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	if err := create(ctx, dir); err != nil {
		return nil, nil, err
	}
	policy, stopWitnesses, err := startWitnesses(ctx, dir, c.Witnesses)
	if err != nil {
		return nil, nil, err
	}
	defer stopWitnesses()
	t, stop, err := startServer(ctx, dir, "--witness-policy", policy, "--interval", interval.String())
	if err != nil {
		return nil, nil, err
	}
	defer stop()
	w := &waiting{result: newResult(), url: t.url, patience: 10*time.Second + 3*interval}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan error, 1)
	go func() { watched <- w.watch(ctx) }()
	var people atomic.Int64
	recorded = round(ctx, c.Clients, c.Duration, func(_ context.Context, client *client) (int, error) {
		body, err := proto.Marshal(message(people.Add(1)))
		if err != nil {
			return 1, err
		}
		answer, err := client.post(t.url, t.key, "proto", "RequestConsent", body)
		if err != nil {
			return 1, err
		}
		return 1, w.add(answer)
	})
	w.over.Store(true)
	err = errors.Join(recorded.first, <-watched)
	return recorded, w.result.finish(), err
}

// startWitnesses starts witnesses for the ledger of a directory and writes the
// policy that demands all of them.
func startWitnesses(ctx context.Context, dir string, n int) (policy string, stop func(), err error) {
	trust := filepath.Join(data(dir), "trust.policy")
	text, err := os.ReadFile(trust)
	if err != nil {
		return "", nil, err
	}
	stop = func() {}
	members, lines := "group hybrid all self-pq", ""
	for i := range n {
		name := fmt.Sprintf("witness-%d.example", i+1)
		words, end, err := startSelf(ctx, 1, "witness", "--dir", filepath.Join(dir, name), "--name", name, "--logs", trust)
		if err != nil {
			stop()
			return "", nil, err
		}
		before := stop
		stop = func() { end(); before() }
		own, err := os.ReadFile(filepath.Join(dir, name, "witness.policy"))
		if err != nil {
			stop()
			return "", nil, err
		}
		for line := range strings.Lines(string(own)) {
			if strings.HasPrefix(line, "witness ") {
				line = strings.TrimSuffix(line, "\n") + " " + words[0] + "\n"
			}
			lines += line
		}
		members += " " + name
	}
	policy = filepath.Join(dir, "witnessed.policy")
	text = []byte(strings.Replace(string(text), "group hybrid all self-pq", lines+members, 1))
	if err := os.WriteFile(policy, text, 0o600); err != nil {
		stop()
		return "", nil, err
	}
	return policy, stop, nil
}

// waiting are the entries that were answered and are not in a cosigned checkpoint yet.
type waiting struct {
	result   *result // how long they waited
	url      string
	patience time.Duration // how long none of them is published until watch gives up
	over     atomic.Bool   // nothing more is recorded

	mu      sync.Mutex
	entries []answered // guarded by mu: in any order
}

type answered struct {
	index int64
	at    time.Time
}

// add notes the entry of an answer.
func (w *waiting) add(answer []byte) error {
	at, m := time.Now(), new(appv1.RequestConsentResponse)
	if err := proto.Unmarshal(answer, m); err != nil || len(m.GetConsents()) != 1 {
		return fmt.Errorf("an answer with %d consents: %w", len(m.GetConsents()), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries = append(w.entries, answered{m.GetConsents()[0].GetEntry().GetIndex(), at})
	return nil
}

// watch reads the checkpoint that auditors are given, every two milliseconds, until
// all entries were in it.
func (w *waiting) watch(ctx context.Context) error {
	m := measured{result: w.result}
	defer m.done()
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	for moved := time.Now(); ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		size, err := checkpointSize(ctx, client, w.url+"/log/checkpoint")
		if err != nil {
			return err
		}
		now, left := time.Now(), 0
		w.mu.Lock()
		w.entries = slices.DeleteFunc(w.entries, func(a answered) bool {
			if a.index < size {
				m.note(1, max(0, now.Sub(a.at)), nil)
				moved = now
			}
			return a.index < size
		})
		left = len(w.entries)
		w.mu.Unlock()
		switch {
		case left == 0 && w.over.Load():
			return nil
		case left > 0 && now.Sub(moved) > w.patience:
			return fmt.Errorf("%d entries are not cosigned after %v", left, w.patience)
		}
	}
	return ctx.Err()
}

// checkpointSize gives the size of the newest cosigned checkpoint, 0 before the first.
func checkpointSize(ctx context.Context, client *http.Client, url string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusServiceUnavailable {
		return 0, err
	}
	n, err := ledger.ParseSignedNote(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", resp.Status, err)
	}
	checkpoint, err := ledger.ParseCheckpoint(n.Text)
	return int64(checkpoint.Size), err
}

type witnessCmd struct {
	Dir  string `required:""`
	Name string `required:""`
	Logs string `required:""`
}

// Run makes a witness and serves it until it is interrupted.
func (c *witnessCmd) Run(ctx context.Context) error {
	text, err := os.ReadFile(c.Logs)
	if err != nil {
		return err
	}
	logs, err := ledger.ParseLogs(text)
	if err != nil {
		return err
	}
	if _, err := witness.Create(c.Dir, c.Name, ""); err != nil {
		return err
	}
	w, err := witness.Open(witness.Options{Dir: c.Dir, Logs: logs, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, w.Close())
	}
	fmt.Println("http://" + l.Addr().String())
	return errors.Join(w.Serve(ctx, l, nil), w.Close())
}
