package service

import (
	"errors"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// rights plants canaries in what the legal role says of somebody's rights.
func (c *canaries) rights(t testing.TB, f *fixture, who Subject, id ledger.ConsentID, place string) {
	t.Helper()
	s := f.s
	key := func(what string) string { return c.text(place+" key of "+what) + "@example.com" }
	letter := func(what string) []Attachment {
		return []Attachment{{Claim: "document", FileName: c.text(place + " name of " + what), MediaType: "text/plain", Bytes: []byte(c.text(place + " " + what))}}
	}
	var all []error
	says := func(answer any, err error) {
		c.says(answer, err)
		all = append(all, err)
	}
	var requests []ledger.Index
	for _, what := range []string{"question", "second question"} {
		r, err := s.OpenRequest(ctx, legal, RightsRequest{Subject: who, Article: "art16", Claims: c.claims(place + " " + what),
			Attachments: letter(what), IdempotencyKey: key(what), Proof: true})
		says(r, err)
		if err == nil {
			requests = append(requests, r.RequestID)
		}
	}
	if len(requests) < 2 {
		t.Fatal(errors.Join(all...))
	}
	v, err := s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: who, Means: "document", Claims: c.claims(place + " identity"), IdempotencyKey: key("identity")})
	says(v, err)
	step := func(request ledger.Index, what string) RequestStep {
		return RequestStep{RequestID: request, Claims: c.claims(place + " " + what), Attachments: letter(what), IdempotencyKey: key(what), Proof: true}
	}
	extended, err := s.ExtendRequest(ctx, legal, step(requests[0], "extension"))
	says(extended, err)
	answered, err := s.AnswerRequest(ctx, legal, step(requests[0], "reply"))
	says(answered, err)
	refusal := step(requests[1], "refusal")
	refusal.Refusal = "unfounded"
	refused, err := s.RefuseRequest(ctx, legal, refusal)
	says(refused, err)
	corrected, err := s.CorrectEntry(ctx, legal, Correction{Index: ledger.Index(id), Claims: c.claims(place + " correction"), Attachments: letter("correction"),
		IdempotencyKey: key("correction")})
	says(corrected, err)
	told, err := s.NotifyRecipient(ctx, legal, Notification{Index: ledger.Index(id), IdempotencyKey: key("notification"),
		Claims: map[string]string{"recipient": c.text(place + " recipient told"), "reference": c.text(place + " reference of it")}})
	says(told, err)
	if err == nil {
		done, err := s.AcknowledgeRecipient(ctx, legal, Acknowledgement{NotificationID: told.NotificationID, IdempotencyKey: key("acknowledgement"),
			Claims: map[string]string{"reference": c.text(place + " acknowledged")}})
		says(done, err)
	}
	objected, err := s.RecordObjection(ctx, shop, Objection{Subject: who, Article: "art22", Purposes: []string{offers}, Claims: c.claims(place + " objection"),
		IdempotencyKey: key("objection"), Proof: true})
	says(objected, err)
	waiting, err := s.ListRequests(ctx)
	says(waiting, err)
	given, err := s.ListRecipients(ctx, legal, ledger.Index(id))
	says(given, err)
	if err := errors.Join(all...); err != nil {
		t.Fatal(err)
	}
}

// refuseRights plants canaries where calls about rights are refused.
func (c *canaries) refuseRights(t testing.TB, f *fixture) {
	t.Helper()
	s := f.s
	stranger := email(c.text("who asks") + "@example.com")
	for _, r := range []RightsRequest{
		{Subject: stranger, Article: "art15", Claims: because(c.text("a stranger's reason"))},
		{Subject: stranger, Article: c.text("no article")},
		{Subject: stranger, Article: "art15", Attachments: []Attachment{{Claim: "document", FileName: c.text("a stranger's file"),
			MediaType: "text/plain", Bytes: []byte(c.text("a stranger's letter"))}}},
	} {
		_, err := s.OpenRequest(ctx, legal, r)
		c.refusedSays(t, "a request for a right", err)
	}
	// Of a stranger's request nothing is kept of who it is.
	r, err := s.OpenRequest(ctx, legal, RightsRequest{Subject: stranger, Article: "art15", Claims: map[string]string{"reference": c.text("a ticket")}})
	c.says(r, err)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.RefuseRequest(ctx, legal, RequestStep{RequestID: r.RequestID, Refusal: c.text("no ground to refuse"), Claims: because("x")})
	c.refusedSays(t, "a refusal", err)
	_, err = s.AnswerRequest(ctx, legal, RequestStep{RequestID: r.RequestID, Claims: map[string]string{"name": c.text("a stranger's name")}})
	c.refusedSays(t, "an answer", err)
	_, err = s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: stranger, Means: "login"})
	c.refusedSays(t, "an identity", err)
	_, err = s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: stranger, Means: c.text("no means")})
	c.refusedSays(t, "an identity", err)
	_, err = s.CorrectEntry(ctx, legal, Correction{Index: 0, Claims: map[string]string{"reason": c.text("a correction's reason"), "name": c.text("its name")}})
	c.refusedSays(t, "a correction", err)
	_, err = s.NotifyRecipient(ctx, legal, Notification{Index: 0, Processor: c.text("no processor's id")})
	c.refusedSays(t, "a notification", err)
	_, err = s.RecordObjection(ctx, shop, Objection{Subject: stranger, Article: c.text("no article, 2")})
	c.refusedSays(t, "an objection", err)
	_, err = s.RectifySubject(ctx, legal, Rectification{Subject: stranger, Remove: stranger})
	c.refusedSays(t, "a correction of a stranger", err)
}
