package ledger

import "time"

// confirmed begins a log with one consent, confirmed, and a key of the legal team.
func (l *logForTest) confirmed() ConsentID {
	id := l.request(1, l.prelude())
	l.reveal(ConsentConfirmed, 1, id)
	l.source("legal-desk", "legal")
	return id
}

// restrict restricts a consent on a ground.
func (l *logForTest) restrict(ground string, id ConsentID) Index {
	e := l.changed(RestrictionSet, id)
	e.Ground = ground
	return l.add(e)
}

// untilDue erases two people in one list of two parts, destroys the contents, and
// goes on to the moment at which their existence is due. The log has one other
// irregular fact. It gives the first part.
func (l *logForTest) untilDue() Index {
	a := l.confirmed()
	l.change(ConfirmationSent, a)
	b := l.request(2, l.prelude2())
	at, first := l.now, Index(len(l.texts))
	for part, id := range []ConsentID{a, b} {
		e := l.changed(SubjectErased, id)
		e.Part, e.Parts, e.Time = part+1, 2, at
		l.add(e)
	}
	due := l.now.Add(72 * time.Hour).Truncate(time.Second)
	l.shredded(first, first+1)
	l.now = due
	return first
}

// erasureLogs are about how consents end: expiry, locks, holds, erasures and
// suppression.
var erasureLogs = []logVector{
	{name: "request-expired", build: func(l *logForTest) {
		ref := l.prelude()
		e := l.requested(1, "newsletter", ref)
		a := ConsentID(l.add(e))
		second := l.requested(1, "email.open_tracking", ref)
		second.Expires = e.Expires
		b := ConsentID(l.add(second))
		l.change(ConsentWithdrawn, a)
		l.now = e.Expires.Add(time.Microsecond)
		l.expire(1, b)
		again := l.requested(1, "newsletter", ref)
		l.reveal(ConfirmationRejected, 1, ConsentID(l.add(again)))
	}, verdict: Verified, mention: `"lapsed":2`, reason: "one microsecond after expires; the lock is free again"},
	{name: "request-expired-early", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		id := ConsentID(l.add(e))
		l.now = e.Expires
		l.expire(1, id)
	}, verdict: Invalid, err: "entry 8: rule not_expired: ", reason: "a token is good up to and including expires"},
	{name: "request-expired-unknown", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.now = l.now.AddDate(1, 0, 0)
		l.expire(2, id)
	}, verdict: Invalid, err: "entry 8: rule token: no open request", reason: "no request has this lock"},
	{name: "request-expired-twice", build: func(l *logForTest) {
		ref := l.prelude()
		e := l.requested(1, "newsletter", ref)
		a := ConsentID(l.add(e))
		second := l.requested(1, "email.open_tracking", ref)
		second.Expires = e.Expires
		b := ConsentID(l.add(second))
		l.now = l.now.AddDate(1, 0, 0)
		l.expire(1, a)
		l.expire(1, b)
	}, verdict: Invalid, err: "entry 10: rule token: no open request", reason: "the expiry of a request is recorded once"},
	{name: "request-expired-of-another", build: func(l *logForTest) {
		ref := l.prelude()
		a := l.request(1, ref)
		l.request(2, ref)
		l.now = l.now.AddDate(1, 0, 0)
		l.expire(2, a)
	}, verdict: Invalid, err: "entry 9: consent 7: rule token: the token or lock belongs to another request", reason: "the lock of another request"},
	{name: "request-expired-after-confirmation", build: func(l *logForTest) {
		id := l.confirmed()
		l.now = l.now.AddDate(1, 0, 0)
		l.expire(1, id)
	}, verdict: Invalid, err: "entry 10: rule token: no open request", reason: "a request that was confirmed does not expire"},
	{name: "token-after-expiry-was-recorded", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.now = l.now.AddDate(1, 0, 0)
		l.expire(1, id)
		l.reveal(ConsentConfirmed, 1, id)
	}, verdict: Invalid, err: "entry 9: rule token: no open request", reason: "the request is no longer open"},
	{name: "expired-twice", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(ConsentExpired, id)
		l.change(ConsentExpired, id)
	}, verdict: Invalid, err: "entry 11: consent 7: rule transition: consent.expired may not follow expired", reason: "only a new consent leaves expired"},
	{name: "expired-by-app", build: func(l *logForTest) {
		e := l.changed(ConsentExpired, l.confirmed())
		e.Source = "shop-frontend"
		l.add(e)
	}, verdict: Invalid, err: "entry 10: rule role: a source of role app may not write consent.expired", reason: "only the ledger's clock lets consents expire"},
	{name: "revoked-after-objection", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(ObjectionRecorded, id)
		l.change(ConsentRevoked, id)
	}, verdict: Invalid, err: "entry 11: consent 7: rule transition: consent.revoked may not follow objected", reason: "the person's word stands"},
	{name: "revoked-by-legal", build: func(l *logForTest) {
		e := l.changed(ConsentRevoked, l.confirmed())
		e.Source = "legal-desk"
		l.add(e)
	}, verdict: Verified, mention: `"revoked":1`, reason: "of the admin's and the legal team's keys, either may write it"},
	{name: "locked", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(SubjectLocked, id)
		l.change(ConsentUsed, id)
		l.change(ConfirmationSent, id)
		l.change(RetentionApplied, id)
		l.lift(l.change(HoldSet, id), id)
		l.restrict("art18_1_c", id)
		l.change(RestrictionLifted, id)
		l.change(ConsentWithdrawn, id)
		l.change(ConsentUsed, id)
		l.change(SubjectErased, id)
	}, verdict: Verified, mention: `"consent.used.locked":1`, reason: "what is still done with a locked consent"},
	{name: "locked-request", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(SubjectLocked, id)
		l.change(ConfirmationSent, id)
		l.reveal(ConfirmationRejected, 1, id)
	}, verdict: Verified, mention: `"confirmation.sent.locked":1`, reason: "whoever says no is heard, also under a lock"},
	{name: "locked-confirmed", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(SubjectLocked, id)
		l.reveal(ConsentConfirmed, 1, id)
	}, verdict: Invalid, err: "entry 9: consent 7: rule locked: consent.confirmed may not follow requested locked", reason: "nothing is granted under a lock"},
	{name: "locked-twice", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(SubjectLocked, id)
		l.change(SubjectLocked, id)
	}, verdict: Invalid, err: "entry 11: consent 7: rule overlay: subject.locked may not follow confirmed locked", reason: "it is locked already"},
	{name: "held-by-hold", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(HoldSet, id)
		l.change(SubjectErased, id)
	}, verdict: Invalid, err: "entry 11: consent 7: rule held: subject.erased may not follow confirmed", reason: "a hold stops erasure"},
	{name: "held-by-the-second-hold", build: func(l *logForTest) {
		id := l.confirmed()
		first := l.change(HoldSet, id)
		l.change(HoldSet, id)
		l.lift(first, id)
		l.change(SubjectErased, id)
	}, verdict: Invalid, err: "entry 13: consent 7: rule held: ", reason: "each hold stops erasure until it is lifted"},
	{name: "held-by-restriction-b", build: func(l *logForTest) {
		id := l.confirmed()
		l.restrict("art18_1_b", id)
		l.change(SubjectErased, id)
	}, verdict: Invalid, err: "entry 11: consent 7: rule held: ", reason: "the person opposes erasure"},
	{name: "held-by-restriction-c", build: func(l *logForTest) {
		id := l.confirmed()
		l.restrict("art18_1_c", id)
		l.change(SubjectErased, id)
	}, verdict: Invalid, err: "entry 11: consent 7: rule held: ", reason: "the person needs the data for legal claims"},
	{name: "erased-under-restriction", build: func(l *logForTest) {
		ref := l.prelude()
		for i, ground := range []string{"art18_1_a", "art18_1_d"} {
			id := l.request(i+1, ref)
			l.restrict(ground, id)
			l.change(SubjectErased, id)
		}
		id := l.request(3, ref)
		l.restrict("art18_1_b", id)
		l.change(RestrictionLifted, id)
		l.restrict("art18_1_a", id)
		l.change(SubjectErased, id)
	}, verdict: Verified, mention: `"requested restricted erased":3`, reason: "the other grounds do not stop erasure, nor does one that was lifted"},
	{name: "holds-127", build: func(l *logForTest) {
		id := l.confirmed()
		for range MaxHolds {
			l.change(HoldSet, id)
		}
	}, verdict: Verified, mention: `"hold.set":127`, reason: "as many holds as a consent takes"},
	{name: "holds-128", build: func(l *logForTest) {
		id := l.confirmed()
		for range MaxHolds + 1 {
			l.change(HoldSet, id)
		}
	}, verdict: Invalid, err: "entry 137: consent 7: rule holds: ", reason: "one hold too many"},
	{name: "hold-in-parts", build: func(l *logForTest) {
		ref := l.prelude()
		a, b := l.request(1, ref), l.request(2, ref)
		l.source("legal-desk", "legal")
		at := l.now
		var holds []Index
		for part, id := range []ConsentID{a, b} {
			e := l.changed(HoldSet, id)
			e.Part, e.Parts, e.Time = part+1, 2, at
			holds = append(holds, l.add(e))
		}
		l.lift(holds[1], b)
		l.lift(holds[0], a)
		l.change(SubjectErased, a, b)
	}, verdict: Verified, mention: `"hold.lifted":2`, reason: "each part is a hold of its own"},
	{name: "hold-by-app", build: func(l *logForTest) {
		e := l.changed(HoldSet, l.confirmed())
		e.Source = "shop-frontend"
		l.add(e)
	}, verdict: Invalid, err: "entry 10: rule role: a source of role app may not write hold.set", reason: "an app key does the legal team's work"},
	{name: "hold-lifted-twice", build: func(l *logForTest) {
		id := l.confirmed()
		hold := l.change(HoldSet, id)
		l.change(HoldSet, id)
		l.lift(hold, id)
		l.lift(hold, id)
	}, verdict: Invalid, err: "entry 13: rule refers: entry 10 is no open hold", reason: "the hold is lifted already; another still lies there"},
	{name: "hold-lifted-never-set", build: func(l *logForTest) {
		id := l.confirmed()
		l.lift(8, id)
	}, verdict: Invalid, err: "entry 10: consent 7: rule refers: no hold lies on it", reason: "entry 8 is a confirmation"},
	{name: "hold-lifted-from-some", build: func(l *logForTest) {
		ref := l.prelude()
		a, b := l.request(1, ref), l.request(2, ref)
		l.source("legal-desk", "legal")
		l.lift(l.change(HoldSet, a, b), a)
	}, verdict: Invalid, err: "entry 11: rule refers: entry 10 is no open hold of exactly these consents", reason: "a hold is lifted from all its consents at once"},
	{name: "refers-to-a-hold", build: func(l *logForTest) {
		id := l.confirmed()
		l.shredded(l.change(HoldSet, id))
	}, verdict: Invalid, err: "entry 11: rule refers: entry 10 is no erasure that waits", reason: "a hold is no erasure"},
	{name: "refers-existence-first", build: func(l *logForTest) {
		id := l.confirmed()
		l.rekeyed(l.change(SubjectErased, id))
	}, verdict: Invalid, err: "entry 11: rule refers: entry 10 is no erasure whose keys are shredded", reason: "contents first, then existence"},
	{name: "refers-existence-twice", build: func(l *logForTest) {
		erased := l.change(SubjectErased, l.confirmed())
		l.shredded(erased)
		l.rekeyed(erased)
		l.rekeyed(erased)
	}, verdict: Invalid, err: "entry 13: rule refers: entry 10 is no erasure whose keys are shredded", reason: "an erasure is complete once"},
	{name: "refers-existence-then-contents", build: func(l *logForTest) {
		erased := l.change(SubjectErased, l.confirmed())
		l.shredded(erased)
		l.rekeyed(erased)
		l.shredded(erased)
	}, verdict: Invalid, err: "entry 13: rule refers: entry 10 is no erasure that waits", reason: "an erasure is complete once"},
	{name: "existence-due", build: func(l *logForTest) { l.untilDue(); l.source("another", "app") },
		verdict: Verified, mention: `"irregular":{"confirmation.sent.confirmed":1}`, reason: "the last moment at which nothing is overdue"},
	{name: "existence-overdue", build: func(l *logForTest) {
		l.untilDue()
		l.now = l.now.Add(time.Microsecond)
		l.source("another", "app")
	}, verdict: Verified, mention: `"irregular":{"confirmation.sent.confirmed":1,"existence_overdue":2}`,
		reason: "one microsecond later; each part is an erasure of its own"},
	{name: "existence-late", build: func(l *logForTest) {
		first := l.untilDue()
		l.now = l.now.Add(time.Hour)
		l.rekeyed(first, first+1)
	}, verdict: Verified, mention: `"irregular":{"confirmation.sent.confirmed":1}`, reason: "only what is overdue at the end is counted"},
	{name: "suppressed-undefined", build: func(l *logForTest) { l.prelude(); l.suppress(SuppressionAdded, "catalogue") },
		verdict: Invalid, err: "entry 7: rule purpose: the purpose is not defined", reason: "a purpose that was not defined"},
	{name: "suppressed-by-admin", build: func(l *logForTest) {
		l.prelude()
		l.add(&Entry{Kind: SuppressionAdded, Source: "admin", Purpose: AllMarketing})
		l.suppress(SuppressionRemoved, AllMarketing)
		l.suppress(SuppressionRemoved, "survey")
	}, verdict: Verified, mention: `"suppression.removed":2`, reason: "how often an address is on the list is not the log's to know"},
}
