package service

import (
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

func (f *fixture) told(n Notification) *Notified {
	f.t.Helper()
	told, err := f.s.NotifyRecipient(ctx, legal, n)
	if err != nil {
		f.t.Fatal(err)
	}
	return told
}

func (f *fixture) acknowledged(id ledger.Index) ledger.Index {
	f.t.Helper()
	e, err := f.s.AcknowledgeRecipient(ctx, legal, Acknowledgement{NotificationID: id, Claims: map[string]string{"reference": "done"}})
	if err != nil {
		f.t.Fatal(err)
	}
	return e.Index
}

func (f *fixture) recipients(i ledger.Index, want ...RecipientOf) {
	f.t.Helper()
	list, err := f.s.ListRecipients(ctx, legal, i)
	if err != nil || !slices.Equal(list, want) {
		f.t.Errorf("recipients of entry %d: %+v, want %+v; %v", i, list, want, err)
	}
}

// processor engages one.
func (f *fixture) processor(id string) {
	f.t.Helper()
	p := mailhouse()
	p.ID = id
	f.engages(p)
}

// Who was given data is told of what happened to them and answers, also when the
// people are erased (Art. 19 GDPR).
func TestRecipients(t *testing.T) {
	t.Parallel()
	f := newService(t)
	for _, id := range []string{"mailhouse", "analyst", "printer"} {
		f.processor(id)
	}
	const a, b = "a@example.com", "b@example.com"
	mine, theirs := ids(f.confirmed(a, newsletter, account).Consents), ids(f.confirmed(b).Consents)
	use := func(processor string, ids ...ledger.ConsentID) ledger.Index {
		t.Helper()
		entries, _ := f.use(Uses{ConsentIDs: ids, Processor: processor, Reference: "mailing"})
		return entries[0].Index
	}
	use("mailhouse", mine...) // one use of two consents
	use("", mine...)
	last := use("mailhouse", mine[1], theirs[0])
	once := use("analyst", mine[0])
	use("printer", theirs...)
	set := f.restrict(a)[0].Entry.Index
	f.recipients(set, RecipientOf{"analyst", 1, once, -1, -1}, RecipientOf{"mailhouse", 2, last, -1, -1})

	before := f.size()
	told := f.told(Notification{Index: set, Processor: "mailhouse", OccurredAt: f.clock.now(), Proof: true})
	first := f.told(Notification{Index: set, Claims: map[string]string{"recipient": "Printers Ltd", "reference": "mail of today"}})
	second := f.told(Notification{Index: set, Claims: map[string]string{"recipient": "Papers Ltd"}})
	f.wrote(before, "source.declared recipient.notified recipient.notified recipient.notified")
	e := f.entry(first.NotificationID)
	if told.Entry.Receipt == "" || told.Entry.Index != told.NotificationID || !slices.Equal(e.Refers, []ledger.Index{set}) || e.Processor != "" ||
		f.ownClaim(e, "recipient") != "Printers Ltd" || f.ownClaim(e, "reference") != "mail of today" {
		t.Errorf("told %+v: %+v", told, e)
	}
	done := f.acknowledged(told.NotificationID)
	answered := f.acknowledged(first.NotificationID)
	f.recipients(set, RecipientOf{"", 0, -1, second.NotificationID, -1}, RecipientOf{"analyst", 1, once, -1, -1},
		RecipientOf{"mailhouse", 2, last, told.NotificationID, done})
	if got := f.ownClaim(f.entry(answered), "reference"); got != "done" {
		t.Errorf("acknowledged with %q", got)
	}
	for _, id := range []ledger.Index{told.NotificationID, set, 0, -1, ledger.Index(f.size())} {
		_, err := f.s.AcknowledgeRecipient(ctx, legal, Acknowledgement{NotificationID: id})
		refused(t, err, refusal.NotFoundCode, "notification_id")
	}
	// Told again, what was answered before does not count for it. A processor that is
	// engaged no longer may still have the data.
	if _, _, err := f.s.EndProcessor(ctx, admin, ProcessorEnd{ID: "mailhouse"}); err != nil {
		t.Fatal(err)
	}
	again := f.told(Notification{Index: set, Processor: "mailhouse"})
	f.recipients(set, RecipientOf{"", 0, -1, second.NotificationID, -1}, RecipientOf{"analyst", 1, once, -1, -1},
		RecipientOf{"mailhouse", 2, last, again.NotificationID, -1})

	// An erasure takes the people's own claims, and nothing of this.
	f.lift(a)
	erased := f.erase(a).Entry.Index
	f.reopen()
	f.recipients(erased, RecipientOf{"analyst", 1, once, -1, -1}, RecipientOf{"mailhouse", 2, last, -1, -1})
	gone := f.told(Notification{Index: erased, Processor: "analyst"})
	f.recipients(erased, RecipientOf{"analyst", 1, once, gone.NotificationID, f.acknowledged(gone.NotificationID)}, RecipientOf{"mailhouse", 2, last, -1, -1})
}

func TestBadRecipients(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.processor("mailhouse")
	c := ledger.Index(f.confirmed("a@example.com").Consents[0].ID)
	f.demands(RightsRequest{Subject: email("nobody@example.com"), Article: "art15"})
	before := f.size()
	for _, test := range []struct {
		at string
		n  Notification
	}{
		{"claims.recipient", Notification{Index: c}},
		{"claims.recipient", Notification{Index: c, Claims: map[string]string{"reference": "x"}}},
		{"processor", Notification{Index: c, Processor: "Mail House"}},
		{"claims", Notification{Index: c, Processor: "mailhouse", Claims: because("x")}},
		{"claims", Notification{Index: c, Processor: "mailhouse", Claims: map[string]string{"ip": "203.0.113.7"}}},
		{"index", Notification{Index: 0, Processor: "mailhouse"}},
		{"index", Notification{Index: ledger.Index(before) - 1, Processor: "mailhouse"}}, // a stranger's request
		{"occurred_at", Notification{Index: c, Processor: "mailhouse", OccurredAt: f.clock.now().Add(6 * time.Minute)}},
	} {
		_, err := f.s.NotifyRecipient(ctx, legal, test.n)
		refused(t, err, refusal.InvalidArgument, test.at)
	}
	_, err := f.s.NotifyRecipient(ctx, legal, Notification{Index: c, Processor: "unheard_of"})
	refused(t, err, refusal.FailedPrecondition, "processor")
	_, err = f.s.NotifyRecipient(ctx, shop, Notification{Index: c, Processor: "mailhouse"})
	refused(t, err, refusal.FailedPrecondition, "role")
	for _, i := range []ledger.Index{-1, ledger.Index(before)} {
		_, err = f.s.NotifyRecipient(ctx, legal, Notification{Index: i, Processor: "mailhouse"})
		refused(t, err, refusal.NotFoundCode, "index")
		_, err = f.s.ListRecipients(ctx, legal, i)
		refused(t, err, refusal.NotFoundCode, "index")
	}
	_, err = f.s.ListRecipients(ctx, legal, 0)
	refused(t, err, refusal.InvalidArgument, "index")
	_, err = f.s.AcknowledgeRecipient(ctx, legal, Acknowledgement{NotificationID: c, Claims: because("x")})
	refused(t, err, refusal.InvalidArgument, "claims")
	f.wrote(before, "")
	f.lock("a@example.com")
	_, err = f.s.ListRecipients(ctx, shop, c)
	refused(t, err, refusal.NotFoundCode, "index")
	f.recipients(c)
}
