package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// demands records somebody's request for a right.
func (f *fixture) demands(r RightsRequest) *OpenedRequest {
	f.t.Helper()
	opened, err := f.s.OpenRequest(ctx, legal, r)
	if err != nil {
		f.t.Fatal(err)
	}
	return opened
}

// waiting is the requests that wait, in short.
func (f *fixture) waiting() string {
	f.t.Helper()
	list, err := f.s.ListRequests(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	var lines []string
	for _, r := range list {
		line := fmt.Sprintf("%s of %v since %s due %s", r.Article, r.ConsentIDs, r.Received.Format(time.DateOnly), r.Due.Format(time.RFC3339))
		for word, so := range map[string]bool{" extended": r.Extended, " overdue": r.Overdue} {
			if so {
				line += word
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// done checks the answer to a step: what is irregular about it.
func (f *fixture) done(irregular string) func(*RequestDone, error) *RequestDone {
	return func(d *RequestDone, err error) *RequestDone {
		f.t.Helper()
		if err != nil {
			f.t.Fatal(err)
		}
		names := ""
		for _, i := range d.Irregular {
			if names += i.Name; i.Consent != -1 || i.State != "" {
				f.t.Errorf("irregular %+v", i)
			}
		}
		if names != irregular {
			f.t.Errorf("irregular %q, want %q", names, irregular)
		}
		return d
	}
}

func because(text string) map[string]string { return map[string]string{"reason": text} }

// A request runs from its receipt to the end of the same day a month on, can be
// given two months more once, and is recorded as late when it is late.
func TestRequestsClock(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const a = "a@example.com"
	ids := ids(f.confirmed(a, newsletter, account).Consents)
	before := f.size()
	first := f.demands(RightsRequest{Subject: email(a), Article: "art15", ReceivedAt: on("2027-02-28T22:30:00.7Z"), Proof: true,
		Claims: map[string]string{"reference": "ticket 7", "ip": "203.0.113.7"}})
	f.wrote(before, "source.declared request.received")
	due := on("2027-03-28T23:59:59Z")
	e := f.entry(first.RequestID)
	if !first.Due.Equal(due) || first.Consents != 2 || first.Entry.Index != first.RequestID || first.Entry.Receipt == "" ||
		!e.Due.Equal(due) || e.Article != "art15" || !e.Occurred.Equal(on("2027-02-28T22:30:00Z")) || !slices.Equal(e.About, ids) {
		t.Errorf("opened %+v: %+v", first, e)
	}
	for _, id := range ids {
		if got, want := f.opened(e, id), (map[string]string{"reference": "ticket 7", "ip": "203.0.113.0/24"}); !maps.Equal(got, want) {
			t.Errorf("commits to %v, want %v", got, want)
		}
	}
	cal.set(on("2027-03-31T12:00:00Z"))
	second := f.demands(RightsRequest{Subject: email(a), Article: "art17"})
	f.demands(RightsRequest{Subject: email(a), Article: "art20", ReceivedAt: on("2027-03-30T12:00:00Z")})
	all := fmt.Sprint(ids)
	want := "art15 of " + all + " since 2027-02-28 due 2027-03-28T23:59:59Z overdue\n" +
		"art17 of " + all + " since 2027-03-31 due 2027-04-30T23:59:59Z\n" +
		"art20 of " + all + " since 2027-03-30 due 2027-04-30T23:59:59Z"
	if got := f.waiting(); got != want {
		t.Errorf("waiting:\n%s\nwant\n%s", got, want)
	}

	// Told in time, though recorded late; and then late after all.
	told := f.done("")(f.s.ExtendRequest(ctx, legal, RequestStep{RequestID: first.RequestID, Claims: because("many"),
		OccurredAt: on("2027-03-28T23:59:59Z")}))
	if !told.Due.Equal(on("2027-05-28T23:59:59Z")) {
		t.Errorf("extended to %v", told.Due)
	}
	_, err := f.s.ExtendRequest(ctx, legal, RequestStep{RequestID: first.RequestID, Claims: because("more"), Until: told.Due.Add(time.Hour)})
	refused(t, err, refusal.FailedPrecondition, "due")
	f.done("")(f.s.ExtendRequest(ctx, legal, RequestStep{RequestID: second.RequestID, Claims: because("complex"), Until: on("2027-05-02T00:00:00.9Z")}))
	want = "art20 of " + all + " since 2027-03-30 due 2027-04-30T23:59:59Z\n" +
		"art17 of " + all + " since 2027-03-31 due 2027-05-02T00:00:00Z extended\n" +
		"art15 of " + all + " since 2027-02-28 due 2027-05-28T23:59:59Z extended"
	if got := f.waiting(); got != want {
		t.Errorf("waiting:\n%s\nwant\n%s", got, want)
	}
	cal.set(on("2027-05-02T00:00:00.5Z")) // within the second until which it was due
	if got := f.waiting(); strings.Count(got, "overdue") != 1 {
		t.Errorf("waiting:\n%s", got)
	}
	answered := f.done("")(f.s.AnswerRequest(ctx, legal, RequestStep{RequestID: second.RequestID, Proof: true,
		Attachments: []Attachment{{Claim: "document", MediaType: "text/plain", Bytes: []byte("Dear A")}}}))
	if e := f.entry(answered.Entry.Index); e.Kind != ledger.RequestAnswered || !slices.Equal(e.Refers, []ledger.Index{second.RequestID}) ||
		!slices.Equal(e.About, ids) || answered.Entry.Receipt == "" || !answered.Due.IsZero() {
		t.Errorf("answered %+v: %+v", answered, e)
	}
	cal.set(on("2027-05-29T00:00:00Z"))
	f.done("request.refused.late")(f.s.RefuseRequest(ctx, legal, RequestStep{RequestID: first.RequestID, Refusal: "excessive", Claims: because("the tenth")}))
	third := f.entriesFrom(ledger.Size(second.RequestID) + 1)[0].Index
	f.done("request.extended.late")(f.s.ExtendRequest(ctx, legal, RequestStep{RequestID: third, Claims: because("forgotten")}))
	f.done("")(f.s.AnswerRequest(ctx, legal, RequestStep{RequestID: third, OccurredAt: on("2027-05-28T00:00:00Z")}))
	if got := f.waiting(); got != "" {
		t.Errorf("waiting: %s", got)
	}
	for _, gone := range []ledger.Index{first.RequestID, third, 0, -1, ledger.Index(f.size())} {
		_, err = f.s.AnswerRequest(ctx, legal, RequestStep{RequestID: gone})
		refused(t, err, refusal.NotFoundCode, "request_id")
	}
	if rep := f.verify(); rep.Irregular["request.refused.late"] != 1 || rep.Irregular["request.extended.late"] != 1 || rep.RightsOpen != 0 {
		t.Errorf("the verifier counts %v, open %d", rep.Irregular, rep.RightsOpen)
	}
}

// An extension at the last moment of three months is one, a second later is none.
func TestExtensionsLimits(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	f.confirmed("a@example.com")
	r := f.demands(RightsRequest{Subject: email("a@example.com"), Article: "art18", ReceivedAt: on("2027-01-31T08:00:00Z")})
	if !r.Due.Equal(on("2027-02-28T23:59:59Z")) {
		t.Errorf("due %v", r.Due)
	}
	for until, rule := range map[string]string{"2027-02-28T23:59:59Z": "due", "2027-05-01T00:00:00Z": "due"} {
		_, err := f.s.ExtendRequest(ctx, legal, RequestStep{RequestID: r.RequestID, Until: on(until), Claims: because("x")})
		refused(t, err, refusal.FailedPrecondition, rule)
	}
	f.done("request.extended.late")(f.s.ExtendRequest(ctx, legal, RequestStep{RequestID: r.RequestID, Until: on("2027-04-30T23:59:59Z"), Claims: because("x")}))
	if rep := f.verify(); rep.RightsOpen != 1 || rep.RightsOverdue != 0 {
		t.Errorf("the verifier counts %d open, %d overdue", rep.RightsOpen, rep.RightsOverdue)
	}
}

// A stranger's request has its clock as any other, and nothing of it is kept but
// what is not personal.
func TestRequestOfStranger(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	f.confirmed("b@example.com")
	stranger := email("nobody@example.com")
	for _, r := range []RightsRequest{
		{Claims: because("I am N. N.")},
		{Claims: map[string]string{"reference": "ticket 8", "ip": "203.0.113.7"}},
		{Claims: map[string]string{"reference": "ticket 8", "name": "N. N."}},
		{Attachments: []Attachment{{Claim: "document", MediaType: "text/plain", Bytes: []byte("letter")}}},
		{Attachments: []Attachment{{Claim: "reference", MediaType: "text/plain", Bytes: []byte("letter")}}},
	} {
		r.Subject, r.Article = stranger, "art15"
		_, err := f.s.OpenRequest(ctx, legal, r)
		refused(t, err, refusal.FailedPrecondition, "stranger")
	}
	before := f.size()
	r := f.demands(RightsRequest{Subject: stranger, Article: "art15", Claims: map[string]string{"reference": "ticket 8"}})
	f.wrote(before, "source.declared request.received")
	if e := f.entry(r.RequestID); r.Consents != 0 || len(e.About) != 0 || len(e.Commits) != 1 {
		t.Errorf("opened %+v: %+v", r, e)
	}
	f.known(stranger) // it made nobody known
	if got := f.waiting(); got != "art15 of [] since 2027-03-01 due 2027-04-01T23:59:59Z" {
		t.Errorf("waiting: %s", got)
	}
	for _, step := range []func(RequestStep) error{
		func(s RequestStep) error { _, err := f.s.ExtendRequest(ctx, legal, s); return err },
		func(s RequestStep) error {
			s.Refusal = "unidentified"
			_, err := f.s.RefuseRequest(ctx, legal, s)
			return err
		},
	} {
		refused(t, step(RequestStep{RequestID: r.RequestID}), refusal.InvalidArgument, "claims.reference")
		refused(t, step(RequestStep{RequestID: r.RequestID, Claims: because("nothing held")}), refusal.FailedPrecondition, "stranger")
	}
	f.done("")(f.s.ExtendRequest(ctx, legal, RequestStep{RequestID: r.RequestID, Claims: map[string]string{"reference": "ticket 8a"}}))
	f.done("")(f.s.RefuseRequest(ctx, legal, RequestStep{RequestID: r.RequestID, Refusal: "unidentified", Claims: map[string]string{"reference": "ticket 8b"}}))
	f.wrote(before, "source.declared request.received request.extended request.refused")
	if got := f.checked(); got.Claims != 1+3+f.titles() {
		t.Errorf("checked %+v", got)
	}
	f.close()
	if n := f.attachmentRows(); n != 0 {
		t.Errorf("%d rows of attachments", n)
	}
	f.open()
}

// attachmentRows counts the rows of attachments in the vault of a closed ledger.
func (f *fixture) attachmentRows() int {
	f.t.Helper()
	return countRows(f.t, f.opt.Dir+"/vault", func(key []byte) bool { return key[0] == 'b' })
}

// titles is how many claims the registry of a fixture has: the titles of its
// purposes.
func (f *fixture) titles() (n int) {
	for _, e := range f.entriesFrom(0) {
		if e.Kind == ledger.PurposeDefined {
			n += len(e.Commits)
		}
	}
	return n
}

// Who is erased while a request waits leaves a request about nobody: it is still
// answered, and nothing personal is kept of the answer.
func TestRequestOfWhoWasErasedMeanwhile(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	const a = "a@example.com"
	f.confirmed(a)
	opening := RightsRequest{Subject: email(a), Article: "art17", Claims: because("forget me"), IdempotencyKey: "letter",
		Attachments: []Attachment{{Claim: "document", MediaType: "text/plain", Bytes: []byte("Forget me.")}}}
	r := f.demands(opening)
	f.erase(a)
	if got := f.waiting(); got != "art17 of [] since 2027-03-01 due 2027-04-01T23:59:59Z" {
		t.Errorf("waiting: %s", got)
	}
	_, err := f.s.OpenRequest(ctx, legal, opening)
	refused(t, err, refusal.NotFoundCode, "idempotency_key")
	_, err = f.s.AnswerRequest(ctx, legal, RequestStep{RequestID: r.RequestID, Claims: map[string]string{"recipient": a}})
	refused(t, err, refusal.FailedPrecondition, "stranger")
	step := RequestStep{RequestID: r.RequestID, Claims: map[string]string{"reference": "ticket 9"}, IdempotencyKey: "answer"}
	first := f.done("")(f.s.AnswerRequest(ctx, legal, step))
	if e := f.entry(first.Entry.Index); len(e.About) != 0 {
		t.Errorf("answered %+v", e)
	}
	if again := f.done("")(f.s.AnswerRequest(ctx, legal, step)); again.Entry.Leaf != first.Entry.Leaf {
		t.Errorf("again %+v, first %+v", again, first)
	}
}

// A request is about everybody who is or was known under the identifier, and each
// of them takes their own copy of what was handed in along when they are erased.
func TestRequestOfSeveralPeople(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	former := ids(f.confirmed(a, newsletter, account).Consents)
	if _, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "objection", Mode: lockThenShred}); err != nil {
		t.Fatal(err)
	}
	present := ids(f.confirmed(a, offers).Consents)
	letter := []byte("To whom it may concern")
	r := f.demands(RightsRequest{Subject: email(a), Article: "art15", Claims: because("what do you hold?"),
		Attachments: []Attachment{{Claim: "document", FileName: "letter.txt", MediaType: "text/plain", Bytes: letter}}})
	if e := f.entry(r.RequestID); r.Consents != 3 || !slices.Equal(e.About, append(slices.Clone(former), present...)) {
		t.Errorf("opened %+v: %+v", r, e)
	}
	if got := f.checked(); got.Attachments != 3 {
		t.Errorf("checked %+v", got)
	}
	f.erase(a)
	if got := f.checked(); got.Attachments != 2 {
		t.Errorf("checked after an erasure %+v", got)
	}
	shown, err := f.s.DiscloseClaims(ctx, legal, Disclosing{ConsentID: former[0], Claims: []string{"document"}, Reason: "review", Recipient: "counsel"})
	if err != nil || string(shown.Disclosures[0].Bytes) != string(letter) {
		t.Errorf("disclosed %+v, %v", shown, err)
	}
	// A retry keeps nothing more, whoever is known by then.
	again := RightsRequest{Subject: email(a), Article: "art15", IdempotencyKey: "again",
		Attachments: []Attachment{{Claim: "document", MediaType: "text/plain", Bytes: letter}}}
	once := f.demands(again)
	f.confirmed(a)
	if twice := f.demands(again); twice.RequestID != once.RequestID || twice.Consents != 2 {
		t.Errorf("a retry answers %+v, the first %+v", twice, once)
	}
	f.close()
	if n := f.attachmentRows(); n != 2 {
		t.Errorf("%d rows of attachments, want 2", n)
	}
	f.open()
	// The rest of the request is about those who are left.
	d := f.done("")(f.s.AnswerRequest(ctx, legal, RequestStep{RequestID: r.RequestID, Claims: because("all of it")}))
	if e := f.entry(d.Entry.Index); !slices.Equal(e.About, former) || f.opened(e, former[1])["reason"] != "all of it" {
		t.Errorf("answered %+v", e)
	}
	// An app is told of nobody who is locked.
	_, err = f.s.OpenRequest(ctx, admin, RightsRequest{Subject: email(a), Article: "art15"})
	refused(t, err, refusal.FailedPrecondition, "role")
}

// Attachments are bounded by what is kept of them, for all people together.
func TestAttachmentsForManyPeople(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const people = 7
	for i := range people {
		f.confirmed(fmt.Sprintf("person%d@example.com", i))
	}
	entries, _ := f.use(Uses{Reference: "mailing", ConsentIDs: func() (ids []ledger.ConsentID) {
		for _, e := range f.entriesFrom(0) {
			if e.Kind == ledger.ConsentRequested {
				ids = append(ids, ledger.ConsentID(e.Index))
			}
		}
		return ids
	}()})
	before := f.size()
	c := Correction{Index: entries[0].Index, Claims: because("was never sent"),
		Attachments: []Attachment{{Claim: "document", MediaType: "text/plain", Bytes: make([]byte, MaxAttachment)}}}
	_, err := f.s.CorrectEntry(ctx, legal, c)
	refused(t, err, refusal.InvalidArgument, "attachments")
	f.wrote(before, "")
	c.Attachments[0].Bytes = make([]byte, maxCopies/people)
	if _, err := f.s.CorrectEntry(ctx, legal, c); err != nil {
		t.Error(err)
	}
	if got := f.checked(); got.Attachments != people {
		t.Errorf("checked %+v", got)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	a := email("a@example.com")
	f.confirmed(a.Email)
	r := f.demands(RightsRequest{Subject: a, Article: "art16"})
	before := f.size()
	for at, r := range map[string]RightsRequest{
		"subject":                   {Article: "art15"},
		"subject.email":             {Subject: email("a"), Article: "art15"},
		"article":                   {Subject: a, Article: "art14"},
		"claims.ip":                 {Subject: a, Article: "art15", Claims: map[string]string{"ip": "1"}},
		"claims":                    {Subject: a, Article: "art15", Claims: map[string]string{"email": "b@example.com"}},
		"attachments[0].media_type": {Subject: a, Article: "art15", Attachments: []Attachment{{Claim: "document", Bytes: []byte("x")}}},
		"received_at":               {Subject: a, Article: "art15", ReceivedAt: on(noon).Add(6 * time.Minute)},
	} {
		_, err := f.s.OpenRequest(ctx, legal, r)
		refused(t, err, refusal.InvalidArgument, at)
	}
	_, err := f.s.OpenRequest(ctx, legal, RightsRequest{Subject: a, Article: "art15", ReceivedAt: earliest.Add(-time.Second)})
	refused(t, err, refusal.InvalidArgument, "received_at")
	type call = func(context.Context, Source, RequestStep) (*RequestDone, error)
	extend, refuse, answer := f.s.ExtendRequest, f.s.RefuseRequest, f.s.AnswerRequest
	for _, test := range []struct {
		call call
		at   string
		step RequestStep
	}{
		{extend, "claims.reason", RequestStep{}},
		{extend, "refusal", RequestStep{Refusal: "other"}},
		{extend, "until", RequestStep{Until: time.Unix(0, 0), Claims: because("x")}},
		{extend, "occurred_at", RequestStep{OccurredAt: time.Unix(0, 0), Claims: because("x")}},
		{extend, "occurred_at", RequestStep{OccurredAt: on(noon).Add(6 * time.Minute), Claims: because("x")}},
		{refuse, "refusal", RequestStep{Claims: because("x")}},
		{refuse, "refusal", RequestStep{Refusal: "no time", Claims: because("x")}},
		{refuse, "claims.reason", RequestStep{Refusal: "unfounded"}},
		{refuse, "until", RequestStep{Refusal: "unfounded", Until: on(noon), Claims: because("x")}},
		{answer, "until", RequestStep{Until: on(noon)}},
		{answer, "refusal", RequestStep{Refusal: "other"}},
	} {
		test.step.RequestID = r.RequestID
		_, err := test.call(ctx, legal, test.step)
		refused(t, err, refusal.InvalidArgument, test.at)
	}
	f.wrote(before, "")
	_, err = f.s.AnswerRequest(ctx, shop, RequestStep{RequestID: r.RequestID})
	refused(t, err, refusal.FailedPrecondition, "role")
}
