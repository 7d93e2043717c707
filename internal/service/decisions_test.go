package service

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// An objection to automated decisions ends what is live for the purposes whatever
// it rests on, stands against them, and asks for a human's review, once.
func TestObjectionToDecisions(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	f.confirmed(a.Email, newsletter, account)
	f.asserted(a, invoices, "email", "contract")
	f.asserted(a, invoices, "post", "legal_obligation")
	f.asserted(a, invoices, "email", "legitimate_interest")
	f.asserted(a, catalogue, "email", "contract")
	o := Objection{Subject: a, Article: "art22", Purposes: []string{invoices}, Method: "oral", Claims: map[string]string{"operator": "desk 4"}, IdempotencyKey: "call"}
	before := f.size()
	done, err := f.s.RecordObjection(ctx, shop, o)
	if err != nil {
		t.Fatal(err)
	}
	f.wrote(before, "objection.recorded objection.recorded objection.recorded objection.recorded request.received")
	f.isNow(a, "newsletter/email confirmed, account/email confirmed, invoices/email objected, invoices/post objected, invoices/email objected, "+
		"catalogue/email asserted, invoices/any objected")
	entries := f.entriesFrom(before)
	for _, e := range entries[:4] {
		if e.Article != "art22" || e.Method != "oral" {
			t.Errorf("objected with %+v", e)
		}
	}
	r := entries[4]
	if done.RequestID != r.Index || r.Article != "art22" || !slices.Equal(r.About, ids(done.Consents)) || len(done.Consents) != 4 ||
		!r.Due.Equal(ledger.AnswerDue(r.Time, 1)) || r.Source != shop.Name || len(r.Commits) != 0 {
		t.Errorf("asked with %+v, answered %+v", r, done)
	}
	again, err := f.s.RecordObjection(ctx, shop, o)
	if err != nil || again.RequestID != done.RequestID || shows(again.Consents) != shows(done.Consents) {
		t.Errorf("a retry answers %+v, %v", again, err)
	}
	o.IdempotencyKey = ""
	again, err = f.s.RecordObjection(ctx, other, o)
	if err != nil || again.RequestID != done.RequestID || len(again.Consents) != 1 || again.Consents[0].ID != done.Consents[3].ID {
		t.Errorf("a repeated one answers %+v, %v", again, err)
	}
	f.wrote(before, "objection.recorded objection.recorded objection.recorded objection.recorded request.received")

	// What is objected to besides is for a review of its own.
	before = f.size()
	o.Purposes = []string{invoices, catalogue}
	more, err := f.s.RecordObjection(ctx, shop, o)
	f.wrote(before, "objection.recorded objection.recorded request.received")
	if err != nil || more.RequestID != ledger.Index(before)+2 || len(f.entry(more.RequestID).About) != 2 {
		t.Errorf("a wider one answers %+v, %v", more, err)
	}
	// The person may still consent explicitly, and object again; once a request was
	// answered, the next objection asks anew.
	f.give(a, "email", invoices)
	f.done("")(f.s.AnswerRequest(ctx, legal, RequestStep{RequestID: done.RequestID, Claims: because("a human looked at it")}))
	before = f.size()
	o.Purposes = []string{invoices}
	anew, err := f.s.RecordObjection(ctx, shop, o)
	f.wrote(before, "objection.recorded objection.recorded request.received")
	if err != nil || anew.RequestID != ledger.Index(before)+2 {
		t.Errorf("after the answer: %+v, %v", anew, err)
	}
	list, err := f.s.ListRequests(ctx)
	if err != nil || len(list) != 2 || list[0].RequestID != more.RequestID || list[1].RequestID != anew.RequestID || list[1].Article != "art22" {
		t.Errorf("waiting %+v, %v", list, err)
	}
	// In whatever order the purposes are named.
	f.done("")(f.s.AnswerRequest(ctx, legal, RequestStep{RequestID: more.RequestID, Claims: because("looked at, too")}))
	f.done("")(f.s.AnswerRequest(ctx, legal, RequestStep{RequestID: anew.RequestID, Claims: because("and again")}))
	before = f.size()
	o.Purposes = []string{catalogue, invoices}
	if last, err := f.s.RecordObjection(ctx, shop, o); err != nil || len(f.entry(last.RequestID).About) != 2 {
		t.Errorf("what stands is looked at again: %+v, %v", last, err)
	}
	f.wrote(before, "request.received")
	// The other articles ask for nothing.
	if done, err := f.s.RecordObjection(ctx, shop, Objection{Subject: a, Article: "art21_2"}); err != nil || done.RequestID != 0 {
		t.Errorf("another article: %+v, %v", done, err)
	}
}

// A stranger may object to automated decisions, too; the month begins with what
// the source says unless that lies ahead.
func TestObjectionOfStrangerToDecisions(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	f.confirmed("b@example.com")
	object := func(who string, at time.Time) *ledger.Entry {
		t.Helper()
		before := f.size()
		done, err := f.s.RecordObjection(ctx, shop, Objection{Subject: email(who), Article: "art22", Purposes: []string{digest}, Channel: "email", OccurredAt: at})
		if err != nil {
			t.Fatal(err)
		}
		f.wrote(before, "objection.recorded request.received")
		f.isNow(email(who), "mailings-items/email objected")
		e := f.entry(done.RequestID)
		if !slices.Equal(e.About, ids(done.Consents)) {
			t.Errorf("asked with %+v", e)
		}
		return e
	}
	yesterday := f.clock.now().Add(-24 * time.Hour).UTC()
	if e := object("past@example.com", yesterday); !e.Due.Equal(ledger.AnswerDue(yesterday, 1)) || e.Occurred.IsZero() {
		t.Errorf("due %v", e.Due)
	}
	if e := object("ahead@example.com", yesterday.AddDate(1, 0, 0)); !e.Due.Equal(ledger.AnswerDue(e.Time, 1)) || !e.Occurred.IsZero() {
		t.Errorf("due %v", e.Due)
	}
	if rep := f.verify(); rep.Irregular["occurred_ahead"] != 1 || rep.RightsOpen != 2 {
		t.Errorf("the verifier counts %v, %d open", rep.Irregular, rep.RightsOpen)
	}
	// What was asked for and not confirmed ends, too.
	const c = "c@example.com"
	token := f.request(c, account).Token
	f.object(Objection{Subject: email(c), Article: "art22", Purposes: []string{account}}, "objection.recorded objection.recorded request.received")
	f.isNow(email(c), "account/email objected, account/any objected")
	_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: token})
	refused(t, err, refusal.FailedPrecondition, "withdrawn")
	_, err = f.s.RecordObjection(ctx, shop, Objection{Subject: email("b@example.com"), Article: "art22"})
	refused(t, err, refusal.InvalidArgument, "purposes")
	_, err = f.s.RecordObjection(ctx, shop, Objection{Subject: email("b@example.com"), Article: "art22", Purposes: []string{ledger.AllMarketing}})
	refused(t, err, refusal.InvalidArgument, "purposes[0]")
}

// Two objections at the same time ask for one review.
func TestRacingObjectionsToDecisions(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	f.asserted(a, invoices, "email", "contract")
	before := f.size()
	var done [2]*Objected
	var errs [2]error
	call := func(i int) func() {
		return func() {
			done[i], errs[i] = f.s.RecordObjection(ctx, shop, Objection{Subject: a, Article: "art22", Purposes: []string{invoices}})
		}
	}
	f.together(call(0), call(1))
	if errs[0] != nil || errs[1] != nil || done[0].RequestID != done[1].RequestID {
		t.Errorf("answers %s", fmt.Sprint(done, errs))
	}
	f.wrote(before, "objection.recorded objection.recorded request.received")
}
