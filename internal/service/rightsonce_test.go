package service

import (
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// withLegalKeys gives the methods of the legal role about rights in an order in
// which each can be called, twice: the other request is about other numbers.
func (f *fixture) withLegalKeys(person string) []keyed {
	f.t.Helper()
	c := ids(f.confirmed(person).Consents)
	var requests [3][2]ledger.Index // to extend, to answer, to refuse
	for i := range requests {
		for j := range requests[i] {
			requests[i][j] = f.demands(RightsRequest{Subject: email(person), Article: "art15"}).RequestID
		}
	}
	var told [2]ledger.Index
	for i := range told {
		told[i] = f.told(Notification{Index: ledger.Index(c[0]), Claims: map[string]string{"recipient": "Printers Ltd"}}).NotificationID
	}
	pick := func(another bool, of [2]ledger.Index) ledger.Index {
		if another {
			return of[1]
		}
		return of[0]
	}
	text := func(another bool) string {
		if another {
			return "another"
		}
		return "one"
	}
	letter := func(another bool) []Attachment {
		return []Attachment{{Claim: "document", MediaType: "text/plain", Bytes: []byte(text(another))}}
	}
	return []keyed{
		{"OpenRequest", func(src Source, key string, another bool) (string, error) {
			r, err := f.s.OpenRequest(ctx, src, RightsRequest{Subject: email(person), Article: "art15", Attachments: letter(another), IdempotencyKey: key})
			return answer(r, err), err
		}},
		{"ExtendRequest", func(src Source, key string, another bool) (string, error) {
			d, err := f.s.ExtendRequest(ctx, src, RequestStep{RequestID: pick(another, requests[0]), Claims: because("x"), IdempotencyKey: key})
			return answer(d, err), err
		}},
		{"AnswerRequest", func(src Source, key string, another bool) (string, error) {
			d, err := f.s.AnswerRequest(ctx, src, RequestStep{RequestID: pick(another, requests[1]), Attachments: letter(another), IdempotencyKey: key})
			return answer(d, err), err
		}},
		{"RefuseRequest", func(src Source, key string, another bool) (string, error) {
			d, err := f.s.RefuseRequest(ctx, src, RequestStep{RequestID: pick(another, requests[2]), Refusal: "excessive", Claims: because("x"), IdempotencyKey: key})
			return answer(d, err), err
		}},
		{"VerifyIdentity", func(src Source, key string, another bool) (string, error) {
			v, err := f.s.VerifyIdentity(ctx, src, IdentityCheck{Subject: email(person), Means: "question", Claims: because(text(another)), IdempotencyKey: key})
			return answer(v, err), err
		}},
		{"SetRestriction", func(src Source, key string, another bool) (string, error) {
			list, err := f.s.SetRestriction(ctx, src, Restriction{Subject: email(person), Ground: "art18_1_a", Claims: because(text(another)), IdempotencyKey: key})
			return answer(list, err), err
		}},
		{"LiftRestriction", func(src Source, key string, another bool) (string, error) {
			list, err := f.s.LiftRestriction(ctx, src, Restriction{Subject: email(person), InformedAt: on("2026-01-01T00:00:00Z"), Claims: because(text(another)), IdempotencyKey: key})
			return answer(list, err), err
		}},
		{"CorrectEntry", func(src Source, key string, another bool) (string, error) {
			e, err := f.s.CorrectEntry(ctx, src, Correction{Index: ledger.Index(c[0]), Claims: because("x"), Attachments: letter(another), IdempotencyKey: key})
			return answer(e, err), err
		}},
		{"NotifyRecipient", func(src Source, key string, another bool) (string, error) {
			n, err := f.s.NotifyRecipient(ctx, src, Notification{Index: ledger.Index(c[0]), Claims: map[string]string{"recipient": text(another)}, IdempotencyKey: key})
			return answer(n, err), err
		}},
		{"AcknowledgeRecipient", func(src Source, key string, another bool) (string, error) {
			e, err := f.s.AcknowledgeRecipient(ctx, src, Acknowledgement{NotificationID: pick(another, told), IdempotencyKey: key})
			return answer(e, err), err
		}},
	}
}

// What the legal role repeats is recorded once, also about who is locked since. Of
// who is erased since, only what names nobody is remembered.
func TestSameKeyTwiceOfLegal(t *testing.T) {
	t.Parallel()
	f := newService(t)
	again := func(methods []keyed, src Source, remembered func(string) bool) {
		t.Helper()
		before := f.size()
		for _, m := range methods {
			_, err := m.call(src, "key of "+m.name, false)
			if !remembered(m.name) {
				refused(t, err, refusal.NotFoundCode, "idempotency_key")
			} else if err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		}
		f.wrote(before, "")
	}
	source := func(name string) Source { return Source{name, "legal"} }
	locked, erased := f.withLegalKeys("a@example.com"), f.withLegalKeys("b@example.com")
	f.callTwice(locked, source("one"), source("two"))
	f.callTwice(erased, source("three"), source("four"))
	f.lock("a@example.com")
	f.erase("b@example.com")
	again(locked, source("one"), func(string) bool { return true })
	again(erased, source("three"), func(name string) bool { return strings.HasSuffix(name, "Recipient") })
}
