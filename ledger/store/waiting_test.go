package store_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// asked gives a request under Art. 15 GDPR that came when the logs of testledger began.
func asked(about ...ledger.ConsentID) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.RequestReceived, Source: "desk", Article: "art15", About: about, Occurred: testledger.Began,
		Due: ledger.AnswerDue(testledger.Began, 1)}
}

// follow gives the entry by which a request or a notification goes on.
func follow(kind ledger.Kind, of ledger.Index) *ledger.Entry {
	e := &ledger.Entry{Kind: kind, Source: "desk", Refers: []ledger.Index{of}}
	switch kind {
	case ledger.RequestExtended:
		e.Due = ledger.AnswerDue(testledger.Began, 3)
	case ledger.RequestRefused:
		e.Refusal = "unfounded"
	}
	return e
}

func engaged(id string, covers ...string) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.ProcessorEngaged, Source: "admin", Processor: id, Country: "DE", Covers: covers}
}

func ended(id string) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.ProcessorEnded, Source: "admin", Processor: id}
}

func declared(claim string) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.ClaimDeclared, Source: "admin", Claim: claim}
}

// rightsBetween gives what grow's history has of requests, recipients, processors and
// claims: at the indexes 4, 6 and 9 of every sixteen, in some rounds.
func rightsBetween(i, round ledger.Index, id ledger.ConsentID) *ledger.Entry {
	switch slot := i % 16; {
	case slot == 4 && round%6 == 4:
		return follow(ledger.RecipientNotified, i-1)
	case slot == 4 && round%2 == 0:
		return asked(id)
	case slot == 6 && round%6 == 0:
		return follow(ledger.RequestExtended, i-2)
	case slot == 6 && round%12 == 2:
		return follow(ledger.RequestAnswered, i-2)
	case slot == 6 && round%12 == 4:
		return follow(ledger.RecipientAcknowledged, i-2)
	case slot == 9 && round%6 == 3:
		return declared(fmt.Sprintf("x.c%d", i))
	case slot == 9 && round%6 == 5:
		return engaged("mailer", "newsletter")
	case slot == 9 && round%12 == 7:
		return ended("mailer")
	}
	return nil
}

// waits is what a log says of what waits for an answer.
type waits interface {
	RightsRequest(ledger.Index) (ledger.RightsRequest, bool, error)
	OpenRights(func(ledger.RightsRequest) error) error
	Notification(ledger.Index) (bool, error)
}

// waiting checks what waits in a log: of requests whether they are extended, and
// notifications.
func waiting(t testing.TB, log waits, requests map[ledger.Index]bool, notifications ...ledger.Index) {
	t.Helper()
	listed := map[ledger.Index]bool{}
	err := log.OpenRights(func(q ledger.RightsRequest) error {
		if _, twice := listed[q.Index]; twice {
			t.Errorf("%T: entry %d is listed twice", log, q.Index)
		}
		listed[q.Index] = q.Extended
		return nil
	})
	if err != nil || !maps.Equal(listed, requests) {
		t.Errorf("%T: the requests %v wait, want %v (%v)", log, listed, requests, err)
	}
	for i := range ledger.Index(40) {
		q, open, err := log.RightsRequest(i)
		extended, want := requests[i]
		due := ledger.AnswerDue(testledger.Began, 1)
		if extended {
			due = ledger.AnswerDue(testledger.Began, 3)
		}
		if err != nil || open != want || open && (q != ledger.RightsRequest{Index: i, Received: testledger.Began, Due: due, Extended: extended}) {
			t.Errorf("%T: the request of entry %d is %+v, %v (%v)", log, i, q, open, err)
		}
		if open, err := log.Notification(i); err != nil || open != slices.Contains(notifications, i) {
			t.Errorf("%T: that entry %d waits to be acknowledged is %v (%v)", log, i, open, err)
		}
	}
	if p, ok := log.(*store.Snapshot); ok {
		if list, err := p.OpenNotifications(); err != nil || !slices.Equal(list, notifications) {
			t.Errorf("the notifications %v wait, want %v (%v)", list, notifications, err)
		}
	}
}

// waiting checks what waits in the published log, and in a group that is empty.
func (l *derivedLog) waiting(requests map[ledger.Index]bool, notifications ...ledger.Index) {
	l.Helper()
	p, g := l.s.Snapshot(), begin(l, l.s)
	defer p.Release()
	defer g.Discard()
	waiting(l, p, requests, notifications...)
	waiting(l, g, requests, notifications...)
}

func TestRightsRequests(t *testing.T) {
	l := newDerivedLog(t)
	l.waiting(nil)
	a, b := add(t, l.s, asked(l.ids[0])), add(t, l.s, asked())
	l.waiting(map[ledger.Index]bool{a: false, b: false})
	for _, kind := range []ledger.Kind{ledger.RequestExtended, ledger.RequestAnswered, ledger.RequestRefused} {
		l.refuse("refers", follow(kind, 3))
		l.refuse("refers", follow(kind, ledger.Index(l.ids[0])))
	}
	add(t, l.s, follow(ledger.RequestExtended, a))
	l.refuse("due", follow(ledger.RequestExtended, a))
	l.reopen()
	l.waiting(map[ledger.Index]bool{a: true, b: false})
	l.refuse("due", follow(ledger.RequestExtended, a))
	// In one group: extended and answered, asked and refused, asked and extended.
	before := l.s.Snapshot()
	defer before.Release()
	g := begin(t, l.s)
	list, err := g.Append(g.Last(), follow(ledger.RequestExtended, b), asked(l.ids[1]), follow(ledger.RequestRefused, g.Next()+1), follow(ledger.RequestAnswered, b),
		asked(l.ids[1], l.ids[2]))
	if err != nil {
		t.Fatal(err)
	}
	c := list[4].Entry.Index
	waiting(t, g, map[ledger.Index]bool{a: true, c: false})
	waiting(t, before, map[ledger.Index]bool{a: true, b: false})
	for _, of := range []ledger.Index{b, list[1].Entry.Index} {
		_, err := g.Append(g.Last(), follow(ledger.RequestAnswered, of))
		rule(t, err, "refers")
	}
	// What is refused leaves no trace, and what is given up neither.
	_, err = g.Append(g.Last(), follow(ledger.RequestExtended, c), follow(ledger.RequestAnswered, a), follow(ledger.RequestAnswered, b))
	rule(t, err, "refers")
	waiting(t, g, map[ledger.Index]bool{a: true, c: false})
	if _, err := g.Append(g.Last(), follow(ledger.RequestExtended, c)); err != nil {
		t.Fatal(err)
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	l.waiting(map[ledger.Index]bool{a: true, c: true})
	waiting(t, before, map[ledger.Index]bool{a: true, b: false})
	g = begin(t, l.s)
	if _, err := g.Append(g.Last(), follow(ledger.RequestAnswered, a), asked()); err != nil {
		t.Fatal(err)
	}
	g.Discard()
	l.reopen()
	l.waiting(map[ledger.Index]bool{a: true, c: true})
	add(t, l.s, follow(ledger.RequestRefused, a))
	add(t, l.s, follow(ledger.RequestAnswered, c))
	l.waiting(nil)
	l.refuse("refers", follow(ledger.RequestAnswered, c))
	l.reopen()
	l.waiting(nil)
	l.refuse("refers", follow(ledger.RequestAnswered, c))
}

// TestRightsRequestInParts: a request in several parts waits once, under its first,
// and is answered once.
func TestRightsRequestInParts(t *testing.T) {
	l := newDerivedLog(t)
	parts := func(make func(about ...ledger.ConsentID) *ledger.Entry) ledger.Index {
		first, second := make(l.ids[0]), make(l.ids[1])
		first.Part, first.Parts, second.Part, second.Parts = 1, 2, 2, 2
		return add(t, l.s, first, second)
	}
	a := parts(asked)
	l.waiting(map[ledger.Index]bool{a: false})
	l.refuse("refers", follow(ledger.RequestAnswered, a+1))
	parts(func(about ...ledger.ConsentID) *ledger.Entry {
		e := follow(ledger.RequestExtended, a)
		e.About = about
		return e
	})
	l.waiting(map[ledger.Index]bool{a: true})
	parts(func(about ...ledger.ConsentID) *ledger.Entry {
		e := follow(ledger.RequestAnswered, a)
		e.About = about
		return e
	})
	l.waiting(nil)
}

func TestNotifications(t *testing.T) {
	l := newDerivedLog(t)
	a := add(t, l.s, follow(ledger.RecipientNotified, ledger.Index(l.ids[0])))
	b := add(t, l.s, follow(ledger.RecipientNotified, ledger.Index(l.ids[0])))
	l.waiting(nil, a, b)
	l.refuse("refers", follow(ledger.RecipientAcknowledged, ledger.Index(l.ids[0])))
	l.reopen()
	before := l.s.Snapshot()
	defer before.Release()
	g := begin(t, l.s)
	list, err := g.Append(g.Last(), follow(ledger.RecipientAcknowledged, a), follow(ledger.RecipientNotified, a), follow(ledger.RecipientNotified, a),
		follow(ledger.RecipientAcknowledged, g.Next()+1))
	if err != nil {
		t.Fatal(err)
	}
	c := list[2].Entry.Index
	waiting(t, g, nil, b, c)
	waiting(t, before, nil, a, b)
	for _, of := range []ledger.Index{a, list[1].Entry.Index} {
		_, err := g.Append(g.Last(), follow(ledger.RecipientAcknowledged, of))
		rule(t, err, "refers")
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	l.waiting(nil, b, c)
	waiting(t, before, nil, a, b)
	l.reopen()
	l.refuse("refers", follow(ledger.RecipientAcknowledged, a))
	add(t, l.s, follow(ledger.RecipientAcknowledged, b))
	add(t, l.s, follow(ledger.RecipientAcknowledged, c))
	l.waiting(nil)
}

// TestOpenRightsStops gives the caller's error back, from a group and a snapshot.
func TestOpenRightsStops(t *testing.T) {
	l := newDerivedLog(t)
	add(t, l.s, asked())
	add(t, l.s, asked())
	p, g := l.s.Snapshot(), begin(t, l.s)
	defer p.Release()
	defer g.Discard()
	if _, err := g.Append(g.Last(), asked()); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	for _, log := range []waits{p, g} {
		n := 0
		if err := log.OpenRights(func(ledger.RightsRequest) error { n++; return stop }); n != 1 || !errors.Is(err, stop) {
			t.Errorf("%T: %d requests, then %v", log, n, err)
		}
	}
}

// registered is what a log says of processors and claims.
type registered interface {
	Processor(string) (ledger.Processor, bool, error)
	Claim(string) (bool, error)
}

// processors checks who is or was engaged, as text, and which claims are declared.
func processors(t testing.TB, log registered, want map[string]string, claims ...string) {
	t.Helper()
	text := func(p ledger.Processor) string {
		return fmt.Sprint(p.Index, " ", p.Country, p.Covers, " ", p.Since.Sub(testledger.Began), " ", !p.Ended.IsZero())
	}
	for _, id := range []string{"mailer", "printer", "nobody"} {
		p, ok, err := log.Processor(id)
		if err != nil || ok != (want[id] != "") || ok && (p.ID != id || text(p) != want[id]) {
			t.Errorf("%T: %s is %s, %v, want %q (%v)", log, id, text(p), ok, want[id], err)
		}
	}
	for _, claim := range []string{"x.a", "x.b", "x.c", "email"} {
		if ok, err := log.Claim(claim); err != nil || ok != slices.Contains(claims, claim) {
			t.Errorf("%T: %s is declared: %v (%v)", log, claim, ok, err)
		}
	}
	p, ok := log.(*store.Snapshot)
	if !ok {
		return
	}
	listed, names := map[string]string{}, []string(nil)
	p.Processors(func(p ledger.Processor) { listed[p.ID] = text(p) })
	p.Claims(func(name string, i ledger.Index) {
		text, err := p.Entry(i)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := ledger.ParseEntry(text); err != nil || e.Kind != ledger.ClaimDeclared || e.Claim != name {
			t.Errorf("%s was declared by entry %d, a %s of %q (%v)", name, i, e.Kind, e.Claim, err)
		}
		names = append(names, name)
	})
	if !maps.Equal(listed, want) || !slices.Equal(names, claims) {
		t.Errorf("listed are %v and %v, want %v and %v", listed, names, want, claims)
	}
}

func TestProcessorsAndClaims(t *testing.T) {
	l := newDerivedLog(t)
	check := func(want map[string]string, claims ...string) {
		t.Helper()
		p, g := l.s.Snapshot(), begin(t, l.s)
		defer p.Release()
		defer g.Discard()
		processors(t, p, want, claims...)
		processors(t, g, want, claims...)
	}
	at := func(i ledger.Index, rest string) string { return fmt.Sprint(i, " DE", rest) }
	const began = "[newsletter] 4ms false" // testledger writes an entry a millisecond
	check(map[string]string{})
	l.refuse("processor", ended("mailer"))
	ticket := testledger.Requested(ledger.Index(size(l.s)) + 5)
	ticket.Commits = append(ticket.Commits, ledger.Commitment{Claim: "x.b"})
	l.refuse("claim", ticket)
	a := add(t, l.s, engaged("mailer", "newsletter"))
	add(t, l.s, declared("x.b"))
	l.refuse("claim", declared("x.b"))
	l.refuse("purpose", engaged("mailer", "nowhere"))
	check(map[string]string{"mailer": at(a, began)}, "x.b")
	l.reopen()
	check(map[string]string{"mailer": at(a, began)}, "x.b")
	before := l.s.Snapshot()
	defer before.Release()
	// Refused as a whole: nothing is left of the first of them.
	g := begin(t, l.s)
	_, err := g.Append(g.Last(), ended("mailer"), declared("x.a"), ended("mailer"))
	rule(t, err, "processor")
	processors(t, g, map[string]string{"mailer": at(a, began)}, "x.b")
	// A day later one ends and begins anew, another has new terms.
	list, err := g.Append(testledger.Began.Add(24*time.Hour), engaged("printer"), ended("mailer"), engaged("mailer"), declared("x.c"), declared("x.a"), ended("printer"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"printer": at(list[0].Entry.Index, "[] 24h0m0s true"), "mailer": at(list[2].Entry.Index, "[] 24h0m0s false")}
	processors(t, g, want, "x.a", "x.b", "x.c")
	processors(t, before, map[string]string{"mailer": at(a, began)}, "x.b")
	_, err = g.Append(g.Last(), ended("printer"))
	rule(t, err, "processor")
	if i, ok := g.ClaimDeclared("x.c"); !ok || i != list[3].Entry.Index {
		t.Errorf("x.c was declared by entry %d, %v", i, ok)
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	check(want, "x.a", "x.b", "x.c")
	processors(t, before, map[string]string{"mailer": at(a, began)}, "x.b")
	l.reopen()
	check(want, "x.a", "x.b", "x.c")
	l.refuse("processor", ended("printer"))
	// New terms without an end in between are no new beginning.
	g = begin(t, l.s)
	list, err = g.Append(g.Last().Add(time.Hour), engaged("mailer", "newsletter"))
	if err == nil {
		err = g.Commit(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	want["mailer"] = at(list[0].Entry.Index, "[newsletter] 24h0m0s false")
	check(want, "x.a", "x.b", "x.c")
	l.reopen()
	check(want, "x.a", "x.b", "x.c")
}
