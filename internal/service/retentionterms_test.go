package service

import (
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Consents whose validity is over expire; what was asserted does not.
func TestValidityExpires(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const brief, both, blocks, warns = "brief-validity", "both", "blocks", "warns"
	all := []string{"consent", "contract"}
	f.define(PurposeDefinition{ID: brief, Bases: all, ValidityDays: 10})
	f.define(PurposeDefinition{ID: both, ValidityDays: 20, UnusedDays: 15, UnusedMeasure: "expire"})
	f.define(PurposeDefinition{ID: blocks, Bases: all, UnusedDays: 5, UnusedMeasure: "block"})
	f.define(PurposeDefinition{ID: warns, ValidityDays: 12, UnusedDays: 5, UnusedMeasure: "warn"})
	notice := f.covering(brief, both, blocks, warns)
	give := func(who, purpose string) []Consent {
		g := giving(email(who), "email", purpose)
		g.Notice = notice
		done, err := f.s.GiveConsent(ctx, shop, g)
		if err != nil {
			t.Fatal(err)
		}
		return done.Consents
	}
	give("given@example.com", brief)
	imported := importing(email("imported@example.com"), brief, "email")
	imported.OccurredAt = on("2027-02-25T12:00:00Z") // four of its ten days are over
	f.imports(imported, "")
	renewed := give("renewed@example.com", brief)
	f.asserted(email("asserted@example.com"), brief, "email", "contract")
	f.asserted(email("asserted@example.com"), blocks, "email", "contract")
	give("idle@example.com", both)
	used := give("used@example.com", both)
	give("blocked@example.com", blocks)
	give("warned@example.com", warns)
	f.tell(cal, []moment{
		{at: "2027-03-05T12:00:00Z", happens: func() {
			f.use(Uses{ConsentIDs: ids(used)})
			if _, err := f.s.RenewConsent(ctx, shop, Renewal{ConsentIDs: ids(renewed), Method: "paper"}); err != nil {
				t.Error(err)
			}
		}},
		{at: "2027-03-06T12:00:00Z", happens: func() {
			f.retain("")
			f.use(Uses{ConsentIDs: ids(used)})
		}},
	})
	// What only warns is said over and over, and stops nothing else.
	cal.set(on("2027-03-07T12:00:00Z"))
	f.decides(email("imported@example.com"), brief, "email", "imported")
	const warning = "unused warn warns 1"
	for _, m := range []struct{ at, does, entries string }{
		{"2027-03-07T12:00:00Z", warning, ""},
		{"2027-03-07T12:00:01Z", warning + ", validity expire brief-validity 1", appliedExpiry},
		{"2027-03-11T12:00:01Z", warning + ", validity expire brief-validity 1", appliedExpiry},
		{"2027-03-13T12:00:00Z", warning, ""},
		{"2027-03-13T12:00:01Z", warning + ", validity expire warns 1", appliedExpiry},
		{"2027-03-15T12:00:01Z", "validity expire brief-validity 1", appliedExpiry},
		{"2027-03-16T12:00:01Z", "unused expire both 1", appliedExpiry},
		{"2027-03-20T12:00:01Z", "", ""}, // used, so it is validity that ends it
		{"2027-03-21T12:00:01Z", "validity expire both 1", appliedExpiry},
	} {
		cal.set(on(m.at))
		before := f.size()
		f.wouldRetain(0, m.does)
		f.retain(m.does)
		f.wrote(before, m.entries)
		if m.entries == "" {
			continue
		}
		applied := f.entriesFrom(before)[0]
		if rule := strings.Fields(m.does[strings.LastIndex(m.does, ", ")+1:]); applied.Rule == "" || !strings.Contains(strings.Join(rule, " "), applied.Rule) {
			t.Errorf("%s: the entry says rule %s", m.at, applied.Rule)
		}
	}
	for who, reason := range map[string]string{"imported": "expired", "given": "expired", "renewed": "expired", "asserted": "contract"} {
		f.decides(email(who+"@example.com"), brief, "email", reason)
	}
	// Blocked consents wait for a use or a renewal, and nothing else becomes of them.
	f.decides(email("blocked@example.com"), blocks, "email", "dormant")
	f.decides(email("asserted@example.com"), blocks, "email", "contract")
	f.wouldRetain(365*24*time.Hour, "withdrawn lock both 2, withdrawn lock brief-validity 3, withdrawn lock warns 1")
	f.appliedEntries()
	f.checked()
}

// A request that was sent again lapses when its newest link does, and by that link.
func TestResentRequestExpires(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	f.define(PurposeDefinition{ID: newsletter, Marketing: true, DoubleOptIn: true, LapsedDays: 3})
	a := email("a@example.com")
	r := f.request(a.Email)
	cal.set(on("2027-03-05T12:00:00Z"))
	newest := ledger.Lock("a token that the mailer drew and keeps")
	if _, err := f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: ids(r.Consents), Lock: &newest}); err != nil {
		t.Fatal(err)
	}
	other := f.request("other@example.com")
	f.tell(cal, []moment{
		{at: "2027-03-09T12:00:00Z", happens: func() { f.decides(a, newsletter, "email", "pending"); f.retain("") }},
	})
	cal.set(on("2027-03-12T12:00:00Z"))
	f.decides(a, newsletter, "email", "pending")
	before := f.size()
	f.tell(cal, []moment{{at: "2027-03-12T12:00:00Z", does: "lapsed expire newsletter 2", entries: "request.expired request.expired"}})
	f.decides(a, newsletter, "email", "lapsed")
	if e := f.entriesFrom(before); e[0].Lock != newest || e[1].Lock != ledger.Lock(other.Token) {
		t.Errorf("expired by %+v", e)
	}
	f.tell(cal, []moment{{at: "2027-03-15T12:00:00Z", does: "lapsed shred newsletter 2", entries: appliedShred}})
	f.checked()
}

// What keeps tracking off is not shredded before the rest, and not after it either:
// without it the default would count again.
func TestTrackingRefusalsStay(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	f.define(PurposeDefinition{ID: opens, TrackingMode: "anonymous", LockDays: 2, EvidenceDays: 3})
	f.define(PurposeDefinition{ID: newsletter, Marketing: true, DoubleOptIn: true, LockDays: 2, EvidenceDays: 3})
	notice := f.covering(opens, newsletter)
	consents := func(who string) {
		g := giving(email(who), "email", opens)
		g.Notice = notice
		if _, err := f.s.GiveConsent(ctx, shop, g); err != nil {
			t.Fatal(err)
		}
	}
	const stranger, lowered, withdrawn, formal, signalled, asked = "stranger@example.com", "lowered@example.com", "withdrawn@example.com", "formal@example.com",
		"signalled@example.com", "asked@example.com"
	f.confirmed(stranger)
	f.setMode(TrackingChange{Subject: email(stranger), Purpose: opens, Mode: "none", Method: "web_form"}, "consent.refused tracking.changed")
	f.withdraw(Withdrawal{Subject: email(stranger)})
	consents(lowered)
	f.setMode(TrackingChange{Subject: email(lowered), Purpose: opens, Mode: "none"}, "tracking.changed")
	f.withdraw(Withdrawal{Subject: email(lowered), Purposes: []string{opens}})
	consents(withdrawn) // and chose nothing: the default holds with or without the record
	f.withdraw(Withdrawal{Subject: email(withdrawn), Purposes: []string{opens}})
	consents(signalled)
	f.signals(gpc(email(signalled)), "no", "signal.received")
	f.withdraw(Withdrawal{Subject: email(signalled), Purposes: []string{opens}})
	ask := asking(asked, opens)
	ask.Notice = notice
	f.ask(ask)
	f.signals(gpc(email(asked)), "no", "signal.received")
	if _, err := f.s.RefuseConsent(ctx, shop, Refusal{Subject: email(formal), Purposes: []string{newsletter}, Channel: "email", Method: "web_form"}); err != nil {
		t.Fatal(err)
	}
	modes := func() {
		t.Helper()
		f.tracks(email(stranger), "none")
		f.tracks(email(lowered), "none")
		f.tracks(email(withdrawn), "anonymous")
		f.tracks(email(signalled), "none")
		f.tracks(email(asked), "none")
	}
	modes()
	f.tell(cal, []moment{
		{at: "2027-03-03T12:00:00Z", does: "withdrawn lock email.open_tracking 1, withdrawn lock newsletter 2", entries: appliedLock},
		{at: "2027-03-04T12:00:00Z", does: "evidence shred email.open_tracking 1, evidence shred newsletter 2", entries: appliedShred},
		{at: "2027-03-08T12:00:00Z", does: "lapsed expire email.open_tracking 1", entries: "request.expired"},
	})
	modes()
	cal.set(on("2047-03-04T12:00:00Z"))
	f.opt.AcceptClock = true
	f.reopen()
	f.retain("")
	modes()
	// Erasure is another matter: then nothing is held that could be tracked.
	f.erase(stranger)
	f.tracks(email(stranger), "anonymous")
	f.checked()
}

// What ended otherwise is locked, too.
func TestOtherEndsAreLocked(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const a, b, c = "a@example.com", "b@example.com", "c@example.com"
	if _, err := f.s.RefuseConsent(ctx, shop, Refusal{Subject: email(a), Purposes: []string{newsletter}, Channel: "email", Method: "web_form"}); err != nil {
		t.Fatal(err)
	}
	invalid, revoked := f.confirmed(b), f.confirmed(c)
	cal.set(on("2027-03-02T12:00:00Z"))
	for kind, r := range map[ledger.Kind]*Requested{ledger.ConsentInvalidated: invalid, ledger.ConsentRevoked: revoked} {
		if _, err := f.s.EndConsents(ctx, legal, Ending{Kind: kind, Cause: "scanner", ConsentIDs: ids(r.Consents)}); err != nil {
			t.Fatal(err)
		}
	}
	f.tell(cal, []moment{
		{at: "2027-03-31T12:00:00Z", does: "withdrawn lock newsletter 1", entries: appliedLock},
		{at: "2027-04-01T12:00:00Z", does: "withdrawn lock newsletter 2", entries: appliedLock},
		{at: "2031-01-01T00:00:00Z", does: "evidence shred newsletter 3", entries: appliedShred},
	})
	f.checked()
}
