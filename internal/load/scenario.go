package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// appends are requests of new people, beside PostgreSQL if it is there.
func (b *bench) appends(wire string, clients int) []*tableRow {
	rows := b.append(wire, clients, false)
	single := rows[1]
	if b.Proof == "full" {
		full := b.append(wire, clients, true)
		full[1].beside = append(full[1].beside, single)
		rows = append(rows, full...)
	}
	if b.postgres != nil {
		beside := b.postgres.rows(clients, b.Rate)
		single.beside = append(single.beside, beside...)
		rows = append(rows, beside...)
	}
	return rows
}

func (b *bench) append(wire string, clients int, proof bool) []*tableRow {
	what := "append " + wire
	if proof {
		what += ", full proof"
	}
	rows := b.pair(what, func(what, url string, _ bool) *tableRow {
		return b.calls(what, url, wire, clients, b.target.append(url, wire, proof, &b.fresh))
	})
	rows[1].durable = true
	return rows
}

// append records the request of one new person.
func (t *target) append(url, wire string, proof bool, people *atomic.Int64) call {
	part := "requested" // stands as it is in JSON and in protobuf, like all that is looked for below
	if proof {
		part = "c2sp.org/tlog-proof@v1"
	}
	body := bodies(wire, somebody, func(n int64) proto.Message {
		m := message(n)
		if proof {
			m.Proof = "log"
		}
		return m
	})
	return func(_ context.Context, c *client) (int, error) {
		sent, err := body(people.Add(1))
		if err != nil {
			return 1, err
		}
		answer, err := c.post(url, t.key, wire, "RequestConsent", sent)
		return 1, expect(answer, err, part)
	}
}

// expect judges an answer by a part of it.
func expect(answer []byte, err error, part string) error {
	if err == nil && !bytes.Contains(answer, []byte(part)) {
		err = fmt.Errorf("want %q in the answer: %q", part, answer)
	}
	return err
}

// confirms are confirmations of requests that are made before each turn, for as long as
// it takes: a turn ends when all of them are confirmed.
func (b *bench) confirms(wire string, clients int) []*tableRow {
	body := bodies(wire, someToken, confirmation)
	rows := b.pair("confirm "+wire, func(what, url string, real bool) *tableRow {
		var tokens []string
		var next atomic.Int64
		r := b.calls(what, url, wire, clients, func(_ context.Context, c *client) (int, error) {
			n := next.Add(1) - 1
			if !real {
				n = 0 // the empty handler takes one as often as one likes
			}
			if n >= int64(len(tokens)) {
				return 0, nil
			}
			sent, err := body(tokens[n])
			if err != nil {
				return 1, err
			}
			answer, err := c.post(url, b.key, wire, "ConfirmConsent", sent)
			return 1, expect(answer, err, "confirmed")
		})
		r.prepare = func(ctx context.Context) error {
			callers, most := max(64, clients), math.MaxInt
			if !real {
				callers, most = 1, 1
			}
			var err error
			tokens, err = b.requests(ctx, callers, b.Duration/time.Duration(b.Turns), most)
			next.Store(0)
			return err
		}
		return r
	})
	rows[1].durable = true
	return rows
}

func confirmation(token string) proto.Message {
	return &appv1.ConfirmConsentRequest{Token: token, Claims: map[string]string{"user_agent": userAgent}}
}

// checks are questions about people drawn at random, one by one; as fast as the clients
// are answered also in batches and over streams.
func (b *bench) checks(wire string, clients int) []*tableRow {
	who := func() int64 { return 1 + rand.Int64N(b.known) }
	rows := b.pair("check "+wire, func(what, url string, judge bool) *tableRow {
		return b.calls(what, url, wire, clients, b.check(url, wire, who, judge))
	})
	if b.Rate > 0 {
		return rows
	}
	one := question(wire)
	batches := b.pair("batch check "+wire, func(what, url string, judge bool) *tableRow {
		clients := min(clients, mostBatches)
		return b.calls(what, url, wire, clients, func(_ context.Context, c *client) (int, error) {
			list, pending := make([][]byte, b.Batch), 0
			for i := range list {
				n := who()
				if outcome(n) == "pending" {
					pending++
				}
				var err error
				if list[i], err = one(n); err != nil {
					return 0, err
				}
			}
			answer, err := c.post(url, b.key, wire, "BatchCheckConsents", batch(wire, "checks", list))
			if got := bytes.Count(answer, []byte("pending")); err == nil && judge && got != pending {
				err = fmt.Errorf("a wrong answer about %d people: %d are pending, want %d", len(list), got, pending)
			}
			return len(list), err
		})
	})
	streams := b.pair("stream check "+wire, func(what, url string, judge bool) *tableRow {
		return b.streams(what, url, min(clients, mostStreams), stream{method: "CheckConsents", wire: wire,
			next: func() (int64, []byte, error) { n := who(); body, err := one(n); return n, body, err },
			judge: func(n int64, answer []byte) error {
				if !judge {
					return nil
				}
				return expect(answer, nil, outcome(n))
			}})
	})
	batches[1].beside = append(batches[1].beside, rows[1])
	streams[1].beside = append(streams[1].beside, rows[1])
	return append(append(rows, batches...), streams...)
}

// mostBatches is how many clients send batches at once: they are a thousand calls each.
// mostStreams is how many streams the server gives to one key at once.
const (
	mostBatches = 16
	mostStreams = 48
)

// question gives how "may I send?" about one person is encoded.
func question(wire string) func(int64) ([]byte, error) {
	return bodies(wire, somebody, func(n int64) proto.Message {
		return &appv1.CheckConsentRequest{Subject: &appv1.Subject{Email: email(n)}, Purpose: "newsletter", Channel: "email"}
	})
}

// check asks about one person; judge says whether onePerson told their story, so
// that the answer is known.
func (t *target) check(url, wire string, who func() int64, judge bool) call {
	body := question(wire)
	return func(_ context.Context, c *client) (int, error) {
		n := who()
		sent, err := body(n)
		if err != nil {
			return 1, err
		}
		answer, err := c.post(url, t.key, wire, "CheckConsent", sent)
		if judge {
			err = expect(answer, err, outcome(n))
		}
		return 1, err
	}
}

// imports are items of other systems, in batches and over streams, beside single
// appends.
func (b *bench) imports(wire string, clients int) []*tableRow {
	rows := b.append(wire, clients, false)
	if b.Rate > 0 {
		return rows
	}
	one := bodies(wire, somebody, func(n int64) proto.Message { return item(n) })
	batches := b.pair("batch import "+wire, func(what, url string, _ bool) *tableRow {
		clients := min(clients, mostBatches)
		return b.calls(what, url, wire, clients, func(_ context.Context, c *client) (int, error) {
			list := make([][]byte, b.Batch)
			for i := range list {
				var err error
				if list[i], err = one(b.fresh.Add(1)); err != nil {
					return 0, err
				}
			}
			answer, err := c.post(url, b.key, wire, "BatchImportConsents", batch(wire, "items", list))
			if got := bytes.Count(answer, []byte("imported")); err == nil && got != len(list) {
				err = fmt.Errorf("%d of %d items are imported", got, len(list))
			}
			return len(list), err
		})
	})
	streams := b.pair("stream import "+wire, func(what, url string, _ bool) *tableRow {
		return b.streams(what, url, min(clients, mostStreams), stream{method: "ImportConsents", wire: wire,
			next:  func() (int64, []byte, error) { n := b.fresh.Add(1); body, err := one(n); return n, body, err },
			judge: func(_ int64, answer []byte) error { return expect(answer, nil, "imported") }})
	})
	batches[1].beside = append(batches[1].beside, rows[1])
	streams[1].beside = append(streams[1].beside, rows[1])
	return append(append(rows, batches...), streams...)
}

// item is what another system knows of one person: an address and one claim.
func item(n int64) *appv1.ImportItem {
	r := request(n)
	return &appv1.ImportItem{Subject: &appv1.Subject{Email: r.Subject.Email}, Purpose: r.Purposes[0], Channel: r.Channel,
		Notice: r.Notice, Method: r.Method, Grade: "C", Claims: map[string]string{"page_url": r.Claims["page_url"]},
		OccurredAt: timestamppb.New(time.Date(2024, 5, 17, 9, 30, int(n%60), 0, time.UTC)), IdempotencyKey: fmt.Sprint("row-", n)}
}

// requests makes requests of new people for so long, at most so many, and gives their
// tokens.
func (b *bench) requests(ctx context.Context, clients int, duration time.Duration, most int) ([]string, error) {
	var mu sync.Mutex
	var tokens []string
	body := bodies("proto", somebody, func(n int64) proto.Message { return message(n) })
	r := round(ctx, clients, duration, func(_ context.Context, c *client) (int, error) {
		mu.Lock()
		enough := len(tokens) >= most
		mu.Unlock()
		if enough {
			return 0, nil
		}
		sent, err := body(b.fresh.Add(1))
		if err != nil {
			return 1, err
		}
		answer, err := c.post(b.url, b.key, "proto", "RequestConsent", sent)
		if err != nil {
			return 1, err
		}
		_, token, err := told("proto", answer)
		mu.Lock()
		defer mu.Unlock()
		tokens = append(tokens, token)
		return 1, err
	})
	return tokens, r.first
}

// told reads the consent and the token in the answer to a request.
func told(wire string, answer []byte) (consent int64, token string, err error) {
	if wire == "json" {
		_, rest, _ := bytes.Cut(answer, []byte(`"consent_id":"`))
		id, rest, _ := bytes.Cut(rest, []byte(`"`))
		_, rest, _ = bytes.Cut(rest, []byte(`"token":"`))
		text, _, found := bytes.Cut(rest, []byte(`"`))
		if consent, err = strconv.ParseInt(string(id), 10, 64); err == nil && !found {
			err = fmt.Errorf("no token in %q", answer)
		}
		return consent, string(text), err
	}
	m := new(appv1.RequestConsentResponse)
	if err := proto.Unmarshal(answer, m); err != nil || len(m.Consents) != 1 {
		return 0, "", fmt.Errorf("an answer with %d consents: %w", len(m.Consents), err)
	}
	return m.Consents[0].ConsentId, m.GetToken(), nil
}
