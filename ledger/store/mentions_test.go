package store_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// mentioning is what a snapshot and a group can be asked about mentions.
type mentioning interface {
	Mentions(ledger.ConsentID, ledger.Index, func(ledger.Index, ledger.Kind) bool) error
	LastUse(ledger.ConsentID) (ledger.Index, bool, error)
}

// mentions lists up to limit mentions of a consent, as text.
func mentions(t testing.TB, log mentioning, id ledger.ConsentID, before ledger.Index, limit int) (list []string) {
	t.Helper()
	err := log.Mentions(id, before, func(i ledger.Index, kind ledger.Kind) bool {
		list = append(list, fmt.Sprint(i, " ", kind))
		return len(list) < limit
	})
	if err != nil {
		t.Error(err)
	}
	return list
}

// about gives an entry of the app that mentions consents.
func about(kind ledger.Kind, ids ...ledger.ConsentID) *ledger.Entry {
	e := &ledger.Entry{Kind: kind, Source: "shop", About: ids}
	switch kind {
	case ledger.ConfirmationFailed:
		e.Failure = "temporary"
	case ledger.SubjectRectified:
		e.Change = "added"
	case ledger.EvidenceDisclosed:
		e.Source, e.Occasion, e.Shown = "desk", "claims", []string{"email"}
	}
	return e
}

// walks checks that one walk over all rows gives what is asked of each consent.
func walks(t *testing.T, p *store.Snapshot) {
	t.Helper()
	w := p.WalkMentions()
	defer w.Close()
	for id := range ledger.ConsentID(p.Size()) + 2 {
		if id%5 == 4 {
			continue // not everybody is asked for
		}
		list, err := w.Of(id)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, m := range slices.Backward(list) {
			got = append(got, fmt.Sprint(m.Index, " ", m.Kind))
		}
		if want := mentions(t, p, id, math.MaxInt64, math.MaxInt); !slices.Equal(got, want) {
			t.Errorf("a walk finds consent %d mentioned by %v, want %v", id, got, want)
		}
	}
}

func TestMentions(t *testing.T) {
	l := newDerivedLog(t)
	a, b, c := l.ids[0], l.ids[1], l.ids[2]
	end := ledger.Index(math.MaxInt64)
	want := map[ledger.ConsentID][]string{}
	// check compares every answer that a beginning of the list can be, from both.
	check := func(logs ...mentioning) {
		t.Helper()
		for _, log := range logs {
			if p, ok := log.(*store.Snapshot); ok {
				walks(t, p)
			}
			for _, id := range append(l.ids, 0, 1, b+1, 1<<40) {
				newest := slices.Clone(want[id])
				slices.Reverse(newest)
				if got := mentions(t, log, id, end, math.MaxInt); !slices.Equal(got, newest) {
					t.Errorf("%T: consent %d is mentioned by %v, want %v", log, id, got, newest)
				}
				for limit := 1; limit <= len(newest); limit++ {
					if got := mentions(t, log, id, end, limit); !slices.Equal(got, newest[:limit]) {
						t.Errorf("%T: the newest %d mentions of consent %d are %v", log, limit, id, got)
					}
				}
				for before := range ledger.Index(40) {
					older := slices.DeleteFunc(slices.Clone(newest), func(s string) bool {
						var i ledger.Index
						fmt.Sscan(s, &i)
						return i >= before
					})
					if got := mentions(t, log, id, before, math.MaxInt); !slices.Equal(got, older) {
						t.Errorf("%T: before %d, consent %d is mentioned by %v, want %v", log, before, id, got, older)
					}
				}
			}
		}
	}
	noted := func(i ledger.Index, e *ledger.Entry) {
		for _, id := range e.About {
			want[id] = append(want[id], fmt.Sprint(i, " ", e.Kind))
		}
	}
	record := func(e *ledger.Entry) {
		t.Helper()
		noted(add(t, l.s, e), e)
	}
	both := func() {
		t.Helper()
		p, g := l.s.Snapshot(), begin(t, l.s)
		defer p.Release()
		defer g.Discard()
		check(p, g)
	}
	both()
	record(about(ledger.ConfirmationSent, a, b))
	record(about(ledger.ConfirmationFailed, a))
	record(about(ledger.ConsentUsed, a, b, c))
	record(about(ledger.ConfirmationSent, a))
	both()
	l.reopen()
	both()
	// In a group the newest come first, then those of the database.
	g := begin(t, l.s)
	for _, entries := range [][]*ledger.Entry{{about(ledger.EvidenceDisclosed, b)}, {about(ledger.ConfirmationOpened, a), about(ledger.ConfirmationAttached, a, b)}} {
		list, err := g.Append(g.Last(), entries...)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			noted(r.Entry.Index, r.Entry)
		}
	}
	check(g)
	// What is refused, and what is given up, leaves no trace.
	if _, err := g.Append(g.Last(), about(ledger.SubjectRectified, a), about(ledger.SubjectRectified, 1<<40)); err == nil {
		t.Error("a consent that nobody opened was mentioned")
	}
	check(g)
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	g = begin(t, l.s)
	if _, err := g.Append(g.Last(), about(ledger.ConsentUsed, c)); err != nil {
		t.Fatal(err)
	}
	g.Discard()
	both()
	l.reopen()
	both()
	// A snapshot does not see what came later.
	old := l.s.Snapshot()
	defer old.Release()
	seen := mentions(t, old, c, end, math.MaxInt)
	record(about(ledger.ConsentUsed, c))
	if got := mentions(t, old, c, end, math.MaxInt); !slices.Equal(got, seen) {
		t.Errorf("an old snapshot sees %v", got)
	}
	both()
}

// TestLastUseAmongMentions looks past what else mentions a consent.
func TestLastUseAmongMentions(t *testing.T) {
	l := newDerivedLog(t)
	id := l.ids[1]
	var use ledger.Index
	for round := range 40 {
		kind := []ledger.Kind{ledger.ConfirmationSent, ledger.ConsentUsed, ledger.SubjectRectified, ledger.ConfirmationOpened, ledger.ConfirmationFailed}[round*round%5]
		i := add(t, l.s, about(kind, l.ids[0], id))
		if kind == ledger.ConsentUsed {
			use = i
		}
		p := l.s.Snapshot()
		if got, ok, err := p.LastUse(id); err != nil || ok != (use != 0) || got != use {
			t.Errorf("after entry %d it was used last by %d, %v (%v), want %d", i, got, ok, err, use)
		}
		p.Release()
	}
}

// TestMentionsOfManyConsents has neighbours whose numbers share their last bytes,
// with more mentions than an iterator fetches at once.
func TestMentionsOfManyConsents(t *testing.T) {
	s := testledger.New(t)
	fill(t, s, 600)
	want := map[ledger.ConsentID][]string{}
	p := s.Snapshot()
	err := p.Entries(0, int(p.Size()), func(i ledger.Index, text []byte) error {
		e, err := ledger.ParseEntry(text)
		for _, id := range e.About {
			want[id] = append([]string{fmt.Sprint(i, " ", e.Kind)}, want[id]...)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for id := range ledger.ConsentID(p.Size()) {
		if got := mentions(t, p, id, math.MaxInt64, math.MaxInt); !slices.Equal(got, want[id]) {
			t.Errorf("consent %d is mentioned by %v, want %v", id, got, want[id])
		}
		most = max(most, len(want[id]))
	}
	p.Release()
	if most < 3 {
		t.Errorf("no consent is mentioned more than %d times", most)
	}
}

// TestPurposeAt asks for every purpose at every size of a log in which they
// change, also in the group that changes them.
func TestPurposeAt(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, testledger.Prelude)
	define := func(id string, version int64) *ledger.Entry {
		return &ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: id, Version: version, Marketing: "yes", DoubleOptIn: "no",
			Lifetime: 60, MinimumAge: version, Bases: []string{"consent", "existing_customer"}, MinimumGrade: "C"}
	}
	add(t, s, define("survey", 1), define("survey", 2))
	testledger.Fill(t, s, 5)
	add(t, s, define("newsletter", 2))
	add(t, s, define("survey", 3), define("newsletter", 3))
	for range 2 {
		p := s.Snapshot()
		// The entries say which version was in force, counted by hand.
		version := map[string]int64{}
		for size := ledger.Size(0); ; size++ {
			for _, id := range []string{"newsletter", "survey", "news"} {
				v, ok, err := p.PurposeAt(id, size)
				if err != nil || ok != (version[id] > 0) || v.Version != version[id] || ok && (ledger.Size(v.Index) >= size || v.ID != id) {
					t.Errorf("at size %d, %s is %+v, %v (%v), want version %d", size, id, v, ok, err, version[id])
				}
				if ok && id == "survey" && (v.MinimumAge != version[id] || v.MinimumGrade != 'C' || !v.Allows(ledger.ExistingCustomer) || v.Allows(ledger.Contract)) {
					t.Errorf("at size %d, %s has the terms %+v", size, id, v)
				}
			}
			if size == p.Size() {
				break
			}
			text, err := p.Entry(ledger.Index(size))
			if err != nil {
				t.Fatal(err)
			}
			e, err := ledger.ParseEntry(text)
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind == ledger.PurposeDefined {
				version[e.Purpose] = e.Version
			}
		}
		if version["survey"] != 3 || version["newsletter"] != 3 {
			t.Errorf("the log defines %v", version)
		}
		if v, ok, err := p.Purpose("survey"); err != nil || !ok || v.Version != 3 {
			t.Errorf("in force is %+v, %v (%v)", v, ok, err)
		}
		p.Release()
		closeStore(t, s)
		s = open(t, opt)
	}
	// An old snapshot keeps its versions.
	old := s.Snapshot()
	add(t, s, define("survey", 4))
	if v, _, _ := old.PurposeAt("survey", math.MaxInt64); v.Version != 3 {
		t.Errorf("an old snapshot has version %d", v.Version)
	}
	if v, _, _ := old.Purpose("survey"); v.Version != 3 {
		t.Errorf("an old snapshot has version %d in force", v.Version)
	}
	old.Release()
	testledger.Verify(t, s)
	closeStore(t, s)
}

// TestSizeAt has entries at equal times, and asks at, before and after each.
func TestSizeAt(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, testledger.Prelude)
	at := testledger.Began.Add(time.Hour)
	for _, later := range []time.Duration{0, 0, time.Microsecond, 0, time.Hour, 0, 0, 3 * time.Nanosecond} {
		at = at.Add(later)
		g := begin(t, s)
		if _, err := g.Append(at, testledger.Requested(g.Next())); err != nil {
			t.Fatal(err)
		}
		if err := g.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	p := s.Snapshot()
	defer p.Release()
	var times []time.Time
	err := p.Entries(0, int(p.Size()), func(_ ledger.Index, text []byte) error {
		e, err := ledger.ParseEntry(text)
		times = append(times, e.Time)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := []time.Time{{}, testledger.Began.AddDate(-100, 0, 0), at.AddDate(100, 0, 0)}
	for _, at := range times {
		for _, d := range []time.Duration{-time.Nanosecond, 0, time.Nanosecond, -time.Microsecond, time.Microsecond} {
			ask = append(ask, at.Add(d), at.Add(d).In(time.FixedZone("", 7200)))
		}
	}
	for _, at := range ask {
		var want ledger.Size
		for _, entry := range times {
			if !entry.After(at) {
				want++
			}
		}
		if got, err := p.SizeAt(at); err != nil || got != want {
			t.Errorf("at %v the log has %d entries, want %d (%v)", at, got, want, err)
		}
	}
	if first, _ := p.SizeAt(testledger.Began); first < 1 {
		t.Error("the moment of entry 0 comes before it")
	}
}

// resent gives the entry by which the request of a consent, whose newest lock is
// of the token former, gets one of another token.
func resent(token, former ledger.Index, expires time.Time, about ...ledger.ConsentID) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.ConfirmationResent, Source: "shop", About: about, Lock: ledger.Lock(testledger.Token(token)),
		Expires: expires, Former: ledger.Lock(testledger.Token(former))}
}

// TestSupersededLocks resends a request twice, in groups of their own and in one,
// and opens the log anew in between.
func TestSupersededLocks(t *testing.T) {
	l := newDerivedLog(t)
	century := testledger.Began.AddDate(100, 0, 0)
	id := l.ids[0]
	token := ledger.Index(id)
	want := func(token ledger.Index, superseded bool) {
		t.Helper()
		p, g := l.s.Snapshot(), begin(t, l.s)
		defer p.Release()
		defer g.Discard()
		for _, log := range []ledger.History{p, g} {
			open, ok, err := log.OpenRequest(ledger.Lock(testledger.Token(token)))
			if err != nil || !ok || open.Request != id || open.Superseded != superseded {
				t.Errorf("%T: the lock of token %d is %+v, %v (%v), want superseded %v", log, token, open, ok, err, superseded)
			}
		}
	}
	add(t, l.s, resent(1001, token, century, id))
	want(token, true)
	want(1001, false)
	l.refuse("former", resent(1002, token, century, id))
	l.refuse("former", resent(1002, 999, century, id))
	l.refuse("former", resent(1002, 1001, century, id, l.ids[1]))
	l.refuse("lock_used", resent(ledger.Index(l.ids[1]), 1001, century, id))
	l.refuse("lock_used", resent(token, 1001, century, id))
	l.refuse("expires", resent(1002, 1001, century.Add(-time.Second), id))
	l.reopen()
	want(token, true)
	want(1001, false)
	l.refuse("former", resent(1002, token, century, id))
	// Two in one group, the second given the first's lock.
	g := begin(t, l.s)
	if _, err := g.Append(g.Last(), resent(1002, 1001, century, id), resent(1003, 1002, century, id)); err != nil {
		t.Fatal(err)
	}
	_, err := g.Append(g.Last(), resent(1004, 1002, century, id))
	rule(t, err, "former")
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	for number, superseded := range map[ledger.Index]bool{token: true, 1001: true, 1002: true, 1003: false} {
		want(number, superseded)
	}
	// A group that is given up leaves the lock as the newest.
	g = begin(t, l.s)
	if _, err := g.Append(g.Last(), resent(1004, 1003, century, id)); err != nil {
		t.Fatal(err)
	}
	g.Discard()
	want(1003, false)
	// An old one confirms; the others are there for a second click, and confirm no
	// more.
	add(t, l.s, confirmed(1001, ledger.Link{Consent: id, After: token}))
	l.reopen()
	want(1001, true)
	want(1003, false)
	l.refuse("token", confirmed(1001, ledger.Link{Consent: id, After: ledger.Index(size(l.s)) - 1}))
	l.refuse("transition", confirmed(1002, ledger.Link{Consent: id, After: ledger.Index(size(l.s)) - 1}))
	// No lock whose token is known is taken again, by a resend either.
	l.refuse("lock_used", resent(1001, ledger.Index(l.ids[1]), century, l.ids[1]))
	l.refuse("lock_used", testledger.Requested(1001))
	short := testledger.Requested(2000)
	short.Expires = testledger.Began.Add(time.Hour)
	add(t, l.s, short)
	g = begin(t, l.s)
	_, err = g.Append(short.Expires.Add(time.Minute), resent(2000, ledger.Index(l.ids[1]), century, l.ids[1]))
	g.Discard()
	rule(t, err, "lock_used") // the rules would allow it; this log takes no lock twice
}

// TestExpiryOfSupersededLocks: what ends a request is the end of its newest lock.
func TestExpiryOfSupersededLocks(t *testing.T) {
	l := newDerivedLog(t)
	short := testledger.Requested(2000)
	short.Expires = testledger.Began.Add(time.Hour)
	id := ledger.ConsentID(add(t, l.s, short))
	add(t, l.s, resent(2001, 2000, short.Expires.Add(time.Hour), id))
	expired := func(token ledger.Index) *ledger.Entry {
		return &ledger.Entry{Kind: ledger.RequestExpired, Source: ledger.SourceLedger, Lock: ledger.Lock(testledger.Token(token)),
			Consents: []ledger.Link{{Consent: id, After: ledger.Index(id)}}}
	}
	try := func(at time.Duration, name string, e *ledger.Entry) {
		t.Helper()
		g := begin(t, l.s)
		defer g.Discard()
		_, err := g.Append(testledger.Began.Add(at), e)
		rule(t, err, name)
	}
	try(90*time.Minute, "not_expired", expired(2000))
	try(90*time.Minute, "not_expired", expired(2001))
	try(150*time.Minute, "not_expired", expired(2000))
	try(90*time.Minute, "token_expired", confirmed(2000, ledger.Link{Consent: id, After: ledger.Index(id)}))
	l.reopen()
	try(150*time.Minute, "token_expired", resent(2002, 2001, testledger.Began.AddDate(1, 0, 0), id))
	g := begin(t, l.s)
	if _, err := g.Append(testledger.Began.Add(150*time.Minute), expired(2001)); err != nil {
		t.Fatal(err)
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	l.refuse("former", resent(2002, 2001, testledger.Began.AddDate(1, 0, 0), id))
}

// TestFacts keeps the facts of a notice beside its text, and exports both.
func TestFacts(t *testing.T) {
	l := newDerivedLog(t)
	facts := []byte(`{"controller":"Shop GmbH, Musterstraße 1, Berlin"}`)
	sum, text := ledger.TextHash(facts), ledger.TextHash([]byte(testledger.NoticeText))
	publish := func(version int64) *ledger.Entry {
		return &ledger.Entry{Kind: ledger.NoticePublished, Source: "admin", Language: "de", Covers: []string{"newsletter"}, Use: "privacy", Checkbox: "unticked",
			ConditionalOn: "service", Facts: sum, Notice: ledger.NoticeRef{ID: "privacy-de", Version: version, SHA256: text}}
	}
	g := begin(t, l.s)
	g.PutNotice(sum, facts)
	list, err := g.Append(g.Last(), publish(1), publish(2))
	if err != nil {
		t.Fatal(err)
	}
	if irr := list[0].Effects.Irregular; len(irr) != 1 || irr[0].Name != "notice.published.tied" {
		t.Errorf("irregular is %v", irr)
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p := l.s.Snapshot()
		if got, err := p.NoticeText(sum); err != nil || string(got) != string(facts) {
			t.Errorf("the facts are %q (%v)", got, err)
		}
		n, ok, err := p.Notice("privacy-de", 2)
		if err != nil || !ok || n.Facts != sum || n.Use != "privacy" || n.Checkbox != "unticked" || n.ConditionalOn != "service" {
			t.Errorf("the notice is %+v, %v (%v)", n, ok, err)
		}
		dir := t.TempDir()
		if err := p.Export(dir); err != nil {
			t.Fatal(err)
		}
		testledger.VerifyDir(t, dir)
		p.Release()
		l.reopen()
	}
}

var _ mentioning = (*store.Group)(nil)
