package service

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// engageFor engages a processor for purposes, without its agreement.
func (f *fixture) engageFor(id string, covers ...string) {
	f.t.Helper()
	slices.Sort(covers)
	f.records(admin, ledger.Entry{Kind: ledger.ProcessorEngaged, Processor: id, Covers: covers})
}

func (f *fixture) disengage(id string) {
	f.t.Helper()
	f.records(admin, ledger.Entry{Kind: ledger.ProcessorEnded, Processor: id})
}

// passes records a use by which data went to a processor.
func (f *fixture) passes(processor string, ids ...ledger.ConsentID) {
	f.t.Helper()
	f.records(shop, ledger.Entry{Kind: ledger.ConsentUsed, Processor: processor, About: ids})
}

// takesEffect records that an end has reached a system.
func (f *fixture) takesEffect(system string, ids ...ledger.ConsentID) {
	f.t.Helper()
	f.records(shop, ledger.Entry{Kind: ledger.WithdrawalEffected, System: system, About: ids})
}

// tellsOf records that a processor was told of an entry.
func (f *fixture) tellsOf(i ledger.Index, processor string) ledger.Index {
	f.t.Helper()
	return f.records(legal, ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{i}, Processor: processor})
}

// The end of a consent must have taken effect everywhere within the time that its
// purpose gives it.
func TestWatchEffect(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	f.records(admin, ledger.Entry{Kind: ledger.PurposeDefined, Purpose: "mail", Version: 1, Marketing: "yes", DoubleOptIn: "no", Lifetime: 3600, EffectHours: 48})
	f.records(admin, ledger.Entry{Kind: ledger.PurposeDefined, Purpose: "mail.daily", Version: 1, Marketing: "yes", DoubleOptIn: "no", Lifetime: 3600, EffectHours: 24, Parent: "mail"})
	f.covering("mail", "mail.daily", newsletter)
	give := func(who, purpose string) ledger.ConsentID {
		list, err := f.s.GiveConsent(ctx, shop, Giving{Subject: email(who), Purposes: []string{purpose}, Channel: "email", Notice: "more-de@1", Method: "paper"})
		if err != nil {
			t.Fatal(err)
		}
		return list.Consents[0].ID
	}
	a, b, c, d := give("a@example.com", "mail"), give("b@example.com", "mail.daily"), give("c@example.com", newsletter), give("d@example.com", "mail")
	f.takesEffect(shop.Name, a, b) // before the end it says nothing
	for _, who := range []string{"a@example.com", "b@example.com", "c@example.com"} {
		f.withdraw(Withdrawal{Subject: email(who)})
	}
	f.withdraw(Withdrawal{Subject: email("d@example.com"), OccurredAt: on("2027-03-01T00:00:00Z")})
	const dueA, dueB, dueD = "2027-03-03T12:00:00Z", "2027-03-02T12:00:00Z", "2027-03-03T00:00:00Z"
	_ = c // its purpose gives no time
	cal.set(on(dueB))
	f.watches("")
	cal.set(after(dueB, time.Second))
	f.watches("withdrawal_not_effected %d by %s", b, dueB)
	cal.set(after(dueA, time.Second))
	f.watches("withdrawal_not_effected %d by %s %d by %s %d by %s", b, dueB, d, dueD, a, dueA)
	f.takesEffect("admin", a, d) // any system: no processor is engaged
	f.watches("withdrawal_not_effected %d by %s", b, dueB)

	// Whoever is engaged for the purpose, or the one above it, before the end.
	cal.set(on("2027-03-04T12:00:00Z"))
	f.engageFor("late", "mail")
	f.watches("withdrawal_not_effected %d by %s", b, dueB)
	f.takesEffect("admin", b)
	f.watches("")
	f.engageFor("daily", "mail.daily")
	f.engageFor("left", "mail")
	f.engageFor("elsewhere", newsletter)
	e, g := give("e@example.com", "mail"), give("g@example.com", "mail.daily")
	cal.set(on("2027-03-05T12:00:00Z"))
	f.engageFor("newer", "mail")
	f.withdraw(Withdrawal{Subject: email("e@example.com")})
	f.withdraw(Withdrawal{Subject: email("g@example.com")})
	cal.set(on("2027-03-06T12:00:00Z"))
	f.engageFor("too-late", "mail")
	f.disengage("left")
	cal.set(on("2027-03-09T12:00:00Z"))
	const dueE, dueG = "2027-03-07T12:00:00Z", "2027-03-06T12:00:00Z"
	missing := func(want string) { t.Helper(); f.watches("%s", want) }
	both := fmt.Sprintf("withdrawal_not_effected %d by %s %d by %s", g, dueG, e, dueE)
	missing(both)
	f.takesEffect("admin", e, g)
	f.takesEffect("late", e, g)
	missing(both)
	f.takesEffect("newer", e, g)
	missing(fmt.Sprintf("withdrawal_not_effected %d by %s", g, dueG))
	f.takesEffect("daily", g)
	missing("")
	// An objection has a record of its own, which must take effect, too.
	objects := f.object(Objection{Subject: email("e@example.com"), Article: "art21_2", Purposes: []string{"mail"}}, "objection.recorded")[0].ID
	cal.set(on("2027-03-20T12:00:00Z"))
	missing(fmt.Sprintf("withdrawal_not_effected %d by 2027-03-11T12:00:00Z", objects))
	for _, system := range []string{"late", "newer", "too-late"} {
		f.takesEffect(system, objects)
	}
	missing("")
	// What is invalidated after it was revoked ended when it was revoked.
	i := give("i@example.com", "mail")
	f.end(Ending{Kind: ledger.ConsentRevoked, ConsentIDs: []ledger.ConsentID{i}, Cause: "other"}, 1)
	for _, system := range []string{"late", "newer", "too-late"} {
		f.takesEffect(system, i)
	}
	f.end(Ending{Kind: ledger.ConsentInvalidated, ConsentIDs: []ledger.ConsentID{i}, Cause: "wording"}, 1)
	cal.set(on("2027-03-23T12:00:00Z"))
	missing("")
	// Terms that are replaced engage nobody anew.
	h := give("h@example.com", "mail")
	f.withdraw(Withdrawal{Subject: email("h@example.com")})
	cal.set(on("2027-03-26T12:00:00Z"))
	f.takesEffect("late", h)
	f.takesEffect("too-late", h)
	missing(fmt.Sprintf("withdrawal_not_effected %d by 2027-03-25T12:00:00Z", h))
	f.engageFor("newer", "mail", newsletter)
	missing(fmt.Sprintf("withdrawal_not_effected %d by 2027-03-25T12:00:00Z", h))
	f.takesEffect("newer", h)
	missing("")
	// Whoever is engaged without a purpose is so for any.
	f.engageFor("any")
	j := give("j@example.com", "mail")
	f.withdraw(Withdrawal{Subject: email("j@example.com")})
	cal.set(on("2027-03-29T12:00:00Z"))
	for _, system := range []string{"late", "newer", "too-late"} {
		f.takesEffect(system, j)
	}
	missing(fmt.Sprintf("withdrawal_not_effected %d by 2027-03-28T12:00:00Z", j))
	f.lock("j@example.com")
	missing("")
}

// A recipient who was told has thirty days to say that it is done.
func TestWatchSilentRecipients(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	f.engageFor("mailer-inc", newsletter)
	f.confirmed("a@example.com")
	done := f.erase("a@example.com")
	a := f.tellsOf(done.Entry.Index, "mailer-inc")
	b := f.records(legal, ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{done.Entry.Index}, Processor: "mailer-inc", Occurred: on("2027-02-28T12:00:00Z")})
	const dueA, dueB = "2027-03-31T12:00:00Z", "2027-03-30T12:00:00Z"
	cal.set(on(dueB))
	f.watches("")
	cal.set(after(dueA, time.Second))
	f.watches("recipient_silent %d by %s %d by %s", b, dueB, a, dueA)
	f.records(legal, ledger.Entry{Kind: ledger.RecipientAcknowledged, Refers: []ledger.Index{b}})
	f.watches("recipient_silent %d by %s", a, dueA)
	f.records(legal, ledger.Entry{Kind: ledger.RecipientAcknowledged, Refers: []ledger.Index{a}})
	f.watches("")
}

// Whoever got the data must be told what became of them.
func TestWatchUntoldRecipients(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	f.engageFor("mailer-inc", newsletter)
	f.engageFor("printer", newsletter)
	id := map[string]ledger.ConsentID{}
	for _, who := range []string{"erased", "rectified", "restricted", "ended", "unused", "later"} {
		id[who] = f.confirmed(who + "@example.com").Consents[0].ID
	}
	f.passes("mailer-inc", id["erased"], id["rectified"], id["restricted"], id["ended"])
	f.passes("printer", id["restricted"])
	f.use(Uses{ConsentIDs: []ledger.ConsentID{id["unused"]}})
	f.watches("")
	last := func() ledger.Index { return ledger.Index(f.size() - 1) }
	const at = "2027-03-05T12:00:00Z"
	cal.set(on(at))

	// Of an erasure, also when the keys are long gone, the entry is told once.
	done := f.erase("erased@example.com")
	f.watches("recipient_untold %d by %s", done.Entry.Index, at)
	f.erase("unused@example.com")
	f.watches("recipient_untold %d by %s", done.Entry.Index, at)
	f.tellsOf(done.Entry.Index, "printer")
	f.watches("recipient_untold %d by %s", done.Entry.Index, at)
	f.tellsOf(done.Entry.Index, "mailer-inc")
	f.watches("")

	// Of a rectification, the newest.
	rectified := ledger.Entry{Kind: ledger.SubjectRectified, Change: "added", About: []ledger.ConsentID{id["rectified"], id["later"]}}
	first := f.records(shop, rectified)
	f.watches("recipient_untold %d by %s", first, at)
	second := f.records(shop, rectified)
	f.watches("recipient_untold %d by %s", second, at)
	f.tellsOf(first, "mailer-inc")
	f.watches("recipient_untold %d by %s", second, at)
	f.tellsOf(second, "mailer-inc")
	f.watches("")
	f.passes("mailer-inc", id["later"]) // the data that went there are the right ones
	f.watches("")

	// Of a restriction, for as long as it lies there, each who got the data.
	f.restrict("restricted@example.com")
	set := last()
	f.tellsOf(set, "mailer-inc")
	f.watches("recipient_untold %d by %s", set, at)
	f.disengage("printer")
	f.watches("")
	f.engageFor("printer", newsletter)
	f.watches("recipient_untold %d by %s", set, at)
	f.records(legal, ledger.Entry{Kind: ledger.RestrictionLifted, Informed: on(noon), Consents: []ledger.Link{{Consent: id["restricted"], After: set}}})
	f.watches("")

	// Of an end, or that it took effect there.
	f.withdraw(Withdrawal{Subject: email("ended@example.com"), OccurredAt: on(noon)})
	f.watches("recipient_untold %d by %s", last(), noon)
	f.takesEffect("printer", id["ended"])
	f.watches("recipient_untold %d by %s", last()-1, noon)
	f.takesEffect("mailer-inc", id["ended"])
	f.watches("")
	f.object(Objection{Subject: email("ended@example.com"), Article: "art21_2", Purposes: []string{newsletter}}, "objection.recorded")
	f.watches("")
	// A lock changes nothing; an erasure is to be told although the end was.
	f.lock("ended@example.com")
	f.watches("")
	cal.set(on("2027-03-06T12:00:00Z"))
	f.passes("printer", id["later"])
	f.withdraw(Withdrawal{Subject: email("later@example.com")})
	ended := last()
	f.lock("later@example.com")
	f.watches("recipient_untold %d by 2027-03-06T12:00:00Z", ended)
}

// Of an entry in several parts the first is named, and once.
func TestWatchUntoldInParts(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	f.engageFor("mailer-inc", newsletter)
	all := f.requests("many@example.com", 1300)
	for _, id := range []ledger.ConsentID{all[0], all[700], all[1299]} {
		f.passes("mailer-inc", id)
	}
	before := f.size()
	f.erase("many@example.com")
	first := f.entriesFrom(before)[0]
	if first.Kind != ledger.SubjectErased || first.Parts < 2 {
		t.Fatalf("the erasure is %s, part %d of %d", first.Kind, first.Part, first.Parts)
	}
	f.watches("recipient_untold %d by %s", first.Index, noon)
	f.engageFor("printer", newsletter)
	f.tellsOf(first.Index+1, "printer")
	f.watches("recipient_untold %d by %s", first.Index, noon)
	f.tellsOf(first.Index+1, "mailer-inc")
	f.watches("")
}
