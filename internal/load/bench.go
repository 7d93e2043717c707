package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

type benchCmd struct {
	rounds
	Wire  string `help:"How messages are encoded." enum:"json,proto" default:"json"`
	Proof bool   `help:"Ask for a receipt in every answer."`
}

func (*benchCmd) Help() string {
	return `Prints, in turns within one run, the rate and the latencies of durable appends (RequestConsent of a new person with
three claims), of checks, and of an empty handler behind the same listener, keys and codec.

Example:

    go run ./internal/load bench --clients 16 --wire proto`
}

// Run starts the server and measures.
func (b *benchCmd) Run(ctx context.Context) error {
	t, stop, err := startServer(ctx, "")
	if err != nil {
		return err
	}
	defer stop()
	var people atomic.Int64
	table := newTable("per s", "empty")
	for _, clients := range b.Clients {
		empty := round(ctx, clients, b.Duration, t.append(t.empty, b.Wire, b.Proof, &people))
		table.row("empty "+b.Wire, clients, empty, empty.rate)
		table.row("append "+b.Wire, clients, round(ctx, clients, b.Duration, t.append(t.url, b.Wire, b.Proof, &people)), empty.rate)
		table.row("check "+b.Wire, clients, round(ctx, clients, b.Duration, t.check(t.url, b.Wire, func() int64 { return 1 + people.Load()/2 }, false)), empty.rate)
	}
	return ctx.Err()
}

// append records the request of one new person.
func (t *target) append(url, wire string, proof bool, people *atomic.Int64) call {
	return func(ctx context.Context, client *http.Client) (int, error) {
		m := message(people.Add(1))
		if proof {
			m.Proof = "log"
		}
		_, err := post(ctx, client, url, t.key, wire, "RequestConsent", m)
		return 1, err
	}
}

// question asks "may I send?" about one person.
func question(n int64) *appv1.CheckConsentRequest {
	return &appv1.CheckConsentRequest{Subject: &appv1.Subject{Email: email(n)}, Purpose: "newsletter", Channel: "email"}
}

// check asks about one person; judge says whether onePerson told their story, so
// that the answer is known.
func (t *target) check(url, wire string, who func() int64, judge bool) call {
	return func(ctx context.Context, client *http.Client) (int, error) {
		n := who()
		answer, err := post(ctx, client, url, t.key, wire, "CheckConsent", question(n))
		if err == nil && judge && !bytes.Contains(answer, []byte(outcome(n))) {
			err = fmt.Errorf("a wrong answer about person %d: %s", n, answer)
		}
		return 1, err
	}
}
