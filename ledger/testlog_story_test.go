package ledger

import (
	"testing"
	"time"
)

// story is a small log that holds every kind and leads consents into every
// state and overlay that this version's kinds reach.
func (l *logForTest) story() {
	ref := l.prelude()
	// One request for two purposes, confirmed with one click.
	e := l.requested(1, "newsletter", ref)
	a := ConsentID(l.add(e))
	second := l.requested(1, "email.open_tracking", ref)
	second.Expires = e.Expires
	b := ConsentID(l.add(second))
	sent := l.changed(ConfirmationSent, a, b)
	sent.Occurred, sent.Commits = l.now.Truncate(time.Second), l.commits("message")
	l.add(sent)
	l.reveal(ConsentConfirmed, 1, a, b)
	l.change(ConsentUsed, a, b)
	// One of the two is withdrawn, then used all the same.
	withdrawn := l.changed(ConsentWithdrawn, b)
	withdrawn.Method, withdrawn.Occurred = "one_click", l.now.Add(time.Hour).Truncate(time.Second)
	l.add(withdrawn)
	used := l.changed(ConsentUsed, a, b)
	used.Commits = l.commits("reference")
	l.add(used)
	// A request that stays open, one that is rejected, one that is objected to.
	c := l.request(2, ref)
	d := l.request(3, ref)
	l.reveal(ConfirmationRejected, 3, d)
	f := l.request(4, ref)
	l.reveal(ConsentConfirmed, 4, f)
	l.change(ObjectionRecorded, f)
	// A stranger objects to everything.
	g := ConsentID(l.add(&Entry{Kind: ObjectionRecorded, Source: "shop-frontend", Purpose: AllMarketing, Channel: AnyChannel,
		Method: "email_reply", Commits: l.commits("email", "reference")}))
	l.change(RestrictionSet, a)
	l.change(ConsentUsed, a)
	l.change(RestrictionLifted, a)
	kept := l.changed(RestrictionSet, c)
	kept.Ground = "art18_1_c"
	l.add(kept)
	l.commitState()
	// Two people are erased in one list of two parts.
	part := l.changed(SubjectErased, a, b)
	part.Part, part.Parts, part.Time = 1, 2, l.now
	first := l.add(part)
	next := l.changed(SubjectErased, d, g)
	next.Part, next.Parts, next.Time = 2, 2, part.Time
	l.add(next)
	l.shredded(first, first+1)
	l.add(&Entry{Kind: PurposeDefined, Source: "admin", Purpose: "newsletter", Version: 2, Marketing: "yes", DoubleOptIn: "yes", Lifetime: 604800,
		LockDays: 30, LapsedDays: 7, UnusedDays: 730, UnusedMeasure: "expire", EvidenceDays: 1096})
	l.notice("newsletter-de", 2, "newsletter")
	l.source("legal-desk", "legal")
	l.laterStory(ref, c, first)
	l.otherStory(ref)
	l.rightsStory(ref)
	exported := l.changed(BundleExported, a, c) // one of the two was erased
	exported.Commits = l.commits("reason", "recipient")
	l.add(exported)
	l.add(l.stamped())
	l.rotate("second ")
	l.commitState()
}

// laterStory is what time brings: consents end by themselves, addresses change,
// people are locked, held and erased for good. erased is an erasure in two parts
// whose contents are destroyed, open a request that nobody has confirmed.
func (l *logForTest) laterStory(ref NoticeRef, open ConsentID, erased Index) {
	confirmed := func(request int) ConsentID {
		id := l.request(request, ref)
		l.reveal(ConsentConfirmed, request, id)
		return id
	}
	unused, moved, left := confirmed(5), confirmed(6), confirmed(7)
	l.now = l.now.AddDate(2, 0, 0)
	l.rekeyed(erased, erased+1)
	l.expire(2, open)
	l.change(RetentionApplied, unused)
	l.change(ConsentExpired, unused)
	rectified := l.changed(SubjectRectified, moved)
	rectified.Occurred, rectified.Commits = l.now.Truncate(time.Second), l.commits("email", "reason")
	l.add(rectified)
	l.change(ConsentRevoked, moved)
	// One is locked, used all the same, held, released and erased.
	l.change(SubjectLocked, left)
	l.change(ConsentUsed, left)
	held := l.changed(HoldSet, moved, left)
	held.Commits = l.commits("reason")
	hold := l.add(held)
	l.lift(hold, moved, left)
	gone := l.changed(SubjectErased, left)
	gone.Source, gone.Reason = SourceLedger, "retention"
	l.shredded(l.add(gone))
	l.suppress(SuppressionAdded, AllMarketing)
	l.suppress(SuppressionAdded, "newsletter")
	l.suppress(SuppressionRemoved, "newsletter")
}

// otherStory is about consent that no click gave, other grounds, and what else
// happens to a double opt-in on its way.
func (l *logForTest) otherStory(ref NoticeRef) {
	wording, privacy, mail := l.otherPurposes()
	// One mail bounces, the next is opened by a machine and clicked by a person.
	e := l.requested(8, "newsletter", ref)
	e.Explicit, e.Age, e.Commits = "yes", "old_enough", l.commits("email", "form_snapshot", "ip")
	clicked := ConsentID(l.add(e))
	sent := l.changed(ConfirmationSent, clicked)
	sent.Notice, sent.Commits = mail, l.commits("message", "mta_response")
	l.add(sent)
	l.change(ConfirmationFailed, clicked)
	l.add(l.resent(9, 8, clicked))
	again := l.changed(ConfirmationSent, clicked)
	again.Mail, again.Commits = "kept", l.commits("message")
	l.add(again)
	opened := l.changed(ConfirmationOpened, clicked)
	opened.Commits = l.commits("scanner", "user_agent")
	l.add(opened)
	confirmed := l.changed(ConsentConfirmed, clicked)
	confirmed.Token, confirmed.Click, confirmed.Commits = tokenForTest(9), "button", l.commits("user_agent")
	l.add(confirmed)
	l.change(ConfirmationAttached, clicked)
	l.change(ConsentInvalidated, clicked)
	// On paper, renewed, from old stock, refused.
	paper := l.opened(ConsentGiven, "health", wording)
	paper.Explicit, paper.Age, paper.Commits = "yes", "child", l.commits("document", "name", "phone")
	given := ConsentID(l.add(paper))
	renewed := l.changed(ConsentRenewed, ConsentID(l.add(l.opened(ConsentImported, "newsletter", NoticeRef{}))))
	renewed.Notice, renewed.Commits = wording, l.commits("form_snapshot", "ip")
	l.add(renewed)
	l.add(l.opened(ConsentImported, "newsletter", ref))
	l.add(l.opened(ConsentRefused, "email.open_tracking", NoticeRef{}))
	tracked := ConsentID(l.add(l.opened(ConsentGiven, "email.open_tracking", ref)))
	l.change(TrackingChanged, tracked)
	// Two other grounds.
	customer := l.opened(BasisAsserted, "offers", privacy)
	customer.Basis, customer.Conditions = "existing_customer", Conditions()
	l.add(customer)
	l.add(l.opened(BasisAsserted, "orders", NoticeRef{}))
	disclosed := l.changed(EvidenceDisclosed, given)
	disclosed.Commits = l.commits("reason", "recipient")
	l.add(disclosed)
}

// otherPurposes defines purposes with terms of every sort, and notices of every
// use: a wording, a privacy notice and a mail.
func (l *logForTest) otherPurposes() (wording, privacy, mail NoticeRef) {
	add := func(e *Entry) {
		e.Kind, e.Source, e.Lifetime = PurposeDefined, "admin", 86400
		if e.Version == 0 {
			e.Version = 1
		}
		l.add(e)
	}
	add(&Entry{Purpose: "offers", Marketing: "yes", DoubleOptIn: "no", IPPolicy: "full",
		Bases: []string{"consent", "existing_customer", "legitimate_interest"}})
	add(&Entry{Purpose: "orders", Marketing: "no", DoubleOptIn: "no", IPPolicy: "none", Bases: []string{"contract", "legal_obligation", "legitimate_interest"},
		Commits: l.commits("document")}) // the balancing of interests
	add(&Entry{Purpose: "health", Marketing: "yes", DoubleOptIn: "yes", Parent: "offers", Explicit: "yes", MinimumAge: 16, MinimumGrade: "B",
		ValidityDays: 730, UnusedDays: 365, UnusedMeasure: "block", UnusedWarnDays: 300, Bases: []string{"consent"}})
	add(&Entry{Purpose: "email.open_tracking", Version: 2, Marketing: "yes", DoubleOptIn: "no", TrackingMode: "anonymous"})
	all := []string{"health", "newsletter", "offers", "orders"}
	tied := l.noticed("shop-de", 1, all...)
	tied.Use, tied.Checkbox, tied.ConditionalOn, tied.Facts = "wording", "unticked", "service", l.document(`{"controller":"Shop GmbH"}`)
	p := l.noticed("privacy-de", 1, all...)
	p.Use, p.Facts = "privacy", tied.Facts
	m := l.noticed("mail-de", 1, all...)
	m.Use, m.ConditionalOn = "mail", "none"
	return l.publish(tied), l.publish(p), l.publish(m)
}

// opened gives an opening entry of the app other than a request; the caller may
// change it before adding it.
func (l *logForTest) opened(kind Kind, purpose string, ref NoticeRef) *Entry {
	e := &Entry{Kind: kind, Source: "shop-frontend", Purpose: purpose, Channel: "email", Notice: ref, IPPolicy: "none", Commits: l.commits("email")}
	switch kind {
	case ConsentGiven, ConsentRefused:
		e.Method = "paper"
	case ConsentImported:
		e.Method, e.Grade = "import", "D"
	case BasisAsserted:
		e.Basis = "contract"
	}
	return e
}

// storyForTest is the story's log.
func storyForTest(t testing.TB) *logForTest {
	l := newLogForTest(t)
	l.story()
	if l.replay == nil {
		t.Fatal("the story breaks a rule")
	}
	return l
}
