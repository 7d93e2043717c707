package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"google.golang.org/protobuf/proto"

	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// mixed is what a mailing system does: it asks before it writes to somebody, and records
// in the proportions of onePerson's stories; now and then somebody wants to be erased.
func (b *bench) mixed(wire string, clients int) []*tableRow {
	rows := b.pair("mixed "+wire, func(what, url string, judge bool) *tableRow {
		return b.calls(what, url, wire, clients, b.newMailing(url, wire, judge).call)
	})
	rows[1].durable = true
	return rows
}

// story is what is remembered of one person.
type story struct {
	person, consent int64
	token           string
}

// mailing is a mailing system. Its clients hand people to each other, so that
// nobody is confirmed twice or mailed after they were erased.
type mailing struct {
	*bench
	url, wire     string
	asked, joined chan story

	check                         call
	confirmed                     func(string) ([]byte, error)
	used, withdrawn, erased, asks func(int64) ([]byte, error)
}

func (b *bench) newMailing(url, wire string, judge bool) *mailing {
	m := &mailing{bench: b, url: url, wire: wire, asked: make(chan story, 1<<16), joined: make(chan story, 1<<16)}
	m.check = b.check(url, wire, func() int64 { return 1 + rand.Int64N(b.known) }, judge)
	m.asks = bodies(wire, somebody, func(n int64) proto.Message { return message(n) })
	m.confirmed = bodies(wire, someToken, confirmation)
	m.used = bodies(wire, somebody, func(id int64) proto.Message { return &appv1.RecordUsesRequest{ConsentIds: []int64{id}} })
	m.withdrawn = bodies(wire, somebody, func(id int64) proto.Message {
		return &appv1.WithdrawConsentRequest{ConsentIds: []int64{id}, Method: "one_click"}
	})
	m.erased = bodies(wire, somebody, func(n int64) proto.Message {
		return &appv1.EraseSubjectRequest{Subject: &appv1.Subject{Email: email(n)}, Reason: "art17", Mode: "shred_now", Proof: "none"}
	})
	return m
}

// call does one thing of the mix. Where nobody is left to do it with it asks somebody
// new.
func (m *mailing) call(ctx context.Context, c *client) (int, error) {
	n := rand.IntN(1000)
	if n < 400 {
		return m.check(ctx, c)
	}
	from := m.joined
	if n < 571 {
		from = m.asked
	} else if n >= 772 {
		return 1, m.ask(c)
	}
	select {
	case s := <-from:
		return 1, m.goOn(c, n, s)
	default:
		return 1, m.ask(c)
	}
}

// goOn tells more of a person's story.
func (m *mailing) goOn(c *client, n int, s story) error {
	var method, part string
	var body []byte
	var err error
	switch {
	case n < 571:
		method, part = "ConfirmConsent", "confirmed"
		body, err = m.confirmed(s.token)
	case n < 742:
		method = "RecordUses"
		body, err = m.used(s.consent)
	case n < 771:
		method, part = "WithdrawConsent", "withdrawn"
		body, err = m.withdrawn(s.consent)
	default:
		method = "EraseSubject"
		body, err = m.erased(s.person)
	}
	if err != nil {
		return err
	}
	answer, err := c.post(m.url, m.key, m.wire, method, body)
	if err := expect(answer, err, part); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if n < 742 {
		m.keep(m.joined, s)
	}
	return nil
}

// ask requests the consent of somebody new.
func (m *mailing) ask(c *client) error {
	n := m.fresh.Add(1)
	body, err := m.asks(n)
	if err != nil {
		return err
	}
	answer, err := c.post(m.url, m.key, m.wire, "RequestConsent", body)
	if err != nil {
		return fmt.Errorf("RequestConsent: %w", err)
	}
	s := story{person: n}
	s.consent, s.token, err = told(m.wire, answer)
	m.keep(m.asked, s)
	return err
}

func (m *mailing) keep(in chan story, s story) {
	select {
	case in <- s:
	default: // enough are remembered
	}
}
