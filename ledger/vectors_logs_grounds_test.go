package ledger

import (
	"slices"
	"time"
)

// tracked begins a log with a consent to tracking, at index 7.
func (l *logForTest) tracked() ConsentID {
	return ConsentID(l.add(l.opened(ConsentGiven, "email.open_tracking", l.prelude())))
}

// groundLogs are about claims, processors, systems, guardians, signals, what
// interests are balanced in, and restrictions.
var groundLogs = []logVector{
	{name: "claim-undeclared", build: func(l *logForTest) {
		e := l.changed(ConsentUsed, l.request(1, l.prelude()))
		e.Commits = l.commits("reference", "x.ticket")
		l.add(e)
	}, err: "entry 8: rule claim: commits to a claim that is not declared", reason: "nobody knows what the name stands for"},
	{name: "claim-declared-later", build: func(l *logForTest) {
		e := l.changed(ConsentUsed, l.request(1, l.prelude()))
		e.Commits = l.commits("x.ticket")
		l.add(e)
		l.declare("x.ticket")
	}, err: "entry 8: rule claim: commits to a claim that is not declared", reason: "before, not after"},
	{name: "claim-declares-itself", build: func(l *logForTest) {
		l.prelude()
		l.add(&Entry{Kind: ClaimDeclared, Source: "admin", Claim: "x.ticket", Commits: l.commits("x.ticket")})
	}, err: "entry 7: rule claim: commits to a claim that is not declared", reason: "before, not with it"},
	{name: "claim-declared-twice", build: func(l *logForTest) {
		l.prelude()
		l.declare("x.ticket")
		l.declare("x.ticket")
	}, err: "entry 8: rule claim: the claim is declared already", reason: "a name has one meaning"},
	{name: "claim-declared", build: func(l *logForTest) {
		ref := l.prelude()
		l.declare("x.ticket")
		l.declare("x.tick")
		e := l.changed(ConsentUsed, l.request(1, ref))
		e.Commits = l.commits("x.tick", "x.ticket")
		l.add(e)
	}, verdict: Verified, mention: `"claim.declared":2`, reason: "declared claims are committed to as reserved ones"},
	{name: "claim-declared-by-app", build: func(l *logForTest) {
		l.prelude()
		l.add(&Entry{Kind: ClaimDeclared, Source: "shop-frontend", Claim: "x.ticket"})
	}, err: "entry 7: rule role: a source of role app may not write claim.declared", reason: "an app key does an admin's work"},

	{name: "processor-covers-undefined", build: func(l *logForTest) {
		l.prelude()
		l.add(l.engaged("mail-house", "catalogue"))
	}, err: "entry 7: rule purpose: covers a purpose that is not defined", reason: "engaged for a purpose that was not defined"},
	{name: "processor-never-engaged", build: func(l *logForTest) {
		e := l.changed(ConsentUsed, l.confirmed())
		e.Processor = "mail-house"
		l.add(e)
	}, err: "entry 10: rule processor: the processor is not engaged", reason: "data went to somebody unknown"},
	{name: "processor-told-never-engaged", build: func(l *logForTest) {
		id := l.confirmed()
		e := l.step(RecipientNotified, Index(id))
		e.Processor = "mail-house"
		l.add(e)
	}, err: "entry 10: rule processor: the processor is not engaged", reason: "somebody unknown was told"},
	{name: "processor-ended-never-engaged", build: func(l *logForTest) {
		l.prelude()
		l.end("mail-house")
	}, err: "entry 7: rule processor: the processor is not engaged", reason: "nothing ends that did not begin"},
	{name: "processor-ended-twice", build: func(l *logForTest) {
		l.prelude()
		l.add(l.engaged("mail-house"))
		l.end("mail-house")
		l.end("mail-house")
	}, err: "entry 9: rule processor: the processor is not engaged", reason: "it has ended"},
	{name: "processor-engaged-again", build: func(l *logForTest) {
		l.prelude()
		l.add(l.engaged("mail-house"))
		l.add(l.engaged("mail-house", "newsletter"))
		l.end("mail-house")
		l.add(l.engaged("mail-house"))
		l.end("mail-house")
	}, verdict: Verified, mention: `"processor.ended":2,"processor.engaged":3`, reason: "new terms, an end, a new beginning"},
	{name: "processor-after-its-end", build: func(l *logForTest) {
		id := l.confirmed()
		l.add(l.engaged("mail-house"))
		l.end("mail-house")
		used := l.changed(ConsentUsed, id)
		used.Processor = "mail-house"
		l.add(used)
		l.change(ConsentWithdrawn, id)
		l.change(WithdrawalEffected, id)
		told := l.step(RecipientNotified, l.last[id])
		told.Processor = "mail-house"
		l.add(told)
	}, verdict: Verified, mention: `"recipient.notified":1`, reason: "whoever has data still must be told"},
	{name: "system-unknown", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(ConsentWithdrawn, id)
		l.change(WithdrawalEffected, id)
	}, err: "entry 11: rule system: ", reason: "nobody knows what the name stands for"},
	{name: "system-ledger", build: func(l *logForTest) {
		e := l.changed(WithdrawalEffected, l.confirmed())
		e.System = SourceLedger
		l.add(e)
	}, err: "entry 10: rule system: ", reason: "the ledger is no system that sends mail"},
	{name: "system-source", build: func(l *logForTest) {
		id := l.confirmed()
		e := l.changed(WithdrawalEffected, id)
		e.System = "shop-frontend"
		l.add(e)
		l.change(SubjectErased, id)
		e = l.changed(WithdrawalEffected, id)
		e.System = "legal-desk"
		l.add(e)
	}, verdict: Verified, mention: `"irregular":{"withdrawal.effected.erased":1}`, reason: "any source, in any state"},

	{name: "guardian-too-late", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(GuardianAuthorised, id)
		l.change(ConsentWithdrawn, id)
		l.change(GuardianAuthorised, id)
	}, verdict: Verified, mention: `"irregular":{"guardian.authorised.withdrawn":1}`, reason: "there is nothing to authorise any more"},
	{name: "guardian-under-a-lock", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(GuardianAuthorised, id)
		l.change(RestrictionSet, id)
		l.change(GuardianAuthorised, id)
		l.change(SubjectLocked, id)
		l.change(GuardianAuthorised, id)
	}, verdict: Verified, mention: `"irregular":{"guardian.authorised.locked":1}`, reason: "what is locked is no consent any more"},
	{name: "signal-of-no-tracking", build: func(l *logForTest) { l.change(SignalReceived, l.request(1, l.prelude())) },
		err: "entry 8: consent 7: rule tracking: ", reason: "a browser says nothing about newsletters"},
	{name: "signal-of-some-tracking", build: func(l *logForTest) {
		id := l.tracked()
		l.change(SignalReceived, id, ConsentID(l.add(l.opened(ConsentRefused, "survey", NoticeRef{}))))
	}, err: "entry 9: consent 8: rule tracking: ", reason: "each of the consents is of tracking"},
	{name: "signal-again", build: func(l *logForTest) {
		id := l.tracked()
		l.change(SignalReceived, id)
		yes := l.changed(SignalReceived, id)
		yes.Signal, yes.Says = "tcf", "yes"
		l.add(yes)
		l.change(ConsentUsed, id)
		l.change(ConsentWithdrawn, id)
		l.change(SignalReceived, id)
	}, verdict: Verified, mention: `"signal.received":3`, reason: "a signal moves nothing, in no state"},
	{name: "signal-after-erasure", build: func(l *logForTest) {
		id := l.tracked()
		l.change(SubjectErased, id)
		l.change(SignalReceived, id)
	}, verdict: Verified, mention: `"irregular":{"signal.received.erased":1}`, reason: "nobody knows any more whose it is"},

	{name: "balancing-missing", build: termsCase(BasisAsserted, "offers", func(_ *logForTest, e *Entry) { e.Basis, e.Channel = "legitimate_interest", "post" }),
		err: "entry 15: rule balancing: ", reason: "Art. 6(1)(f) GDPR is a weighing that was done"},
	{name: "balancing-before-explicit", build: func(l *logForTest) {
		l.terms()
		e := l.defined("shop", 1)
		e.Explicit, e.MinimumAge, e.IPPolicy = "yes", 16, "none"
		l.add(e)
		e = l.defined("shop", 2)
		e.Bases = []string{"legitimate_interest"}
		l.add(e)
		e = l.opened(BasisAsserted, "shop", NoticeRef{})
		e.Basis, e.Channel, e.IPPolicy = "legitimate_interest", "post", "full"
		l.add(e)
	}, err: "entry 17: rule balancing: ", reason: "of two rules that it breaks, the one that is checked first"},
	{name: "balancing-of-the-purpose-lost", build: func(l *logForTest) {
		l.terms()
		e := l.defined("orders", 2)
		e.Marketing, e.Bases = "no", []string{"legitimate_interest"}
		l.add(e)
		e = l.opened(BasisAsserted, "orders", NoticeRef{})
		e.Basis = "legitimate_interest"
		l.add(e)
	}, err: "entry 16: rule balancing: ", reason: "each definition says everything"},
	{name: "balancing-of-another-basis", build: termsCase(BasisAsserted, "orders", func(_ *logForTest, e *Entry) { e.Basis = "legal_obligation" }),
		verdict: Verified, mention: `"asserted":1`, reason: "only legitimate interests are weighed"},

	{name: "informed-after", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(RestrictionSet, id)
		e := l.changed(RestrictionLifted, id)
		e.Informed = l.now.Truncate(time.Second).Add(time.Second)
		l.add(e)
	}, err: "entry 11: rule informed: ", reason: "Art. 18(3) GDPR: before it is lifted"},
	{name: "informed-before-consent", build: func(l *logForTest) {
		id := l.confirmed()
		e := l.changed(RestrictionLifted, id)
		e.Informed = l.now.Truncate(time.Second).Add(time.Second)
		l.add(e)
	}, err: "entry 10: rule informed: ", reason: "of two rules that it breaks, the one that is checked first"},
	{name: "informed-at-that-moment", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(RestrictionSet, id)
		l.now = l.now.Truncate(time.Second).Add(time.Second)
		e := l.changed(RestrictionLifted, id)
		e.Informed = l.now
		l.add(e)
	}, verdict: Verified, mention: `"confirmed":1`, reason: "not later than the entry"},
	{name: "restricted-again", build: func(l *logForTest) {
		id := l.confirmed()
		l.restrict("art18_1_c", id)
		l.restrict("art18_1_a", id)
		l.change(SubjectErased, id)
	}, err: "entry 12: consent 7: rule held: ", reason: "a further ground takes nothing away from one that keeps the data"},
	{name: "restricted-again-and-lifted", build: func(l *logForTest) {
		id := l.confirmed()
		l.restrict("art18_1_a", id)
		l.restrict("art18_1_b", id)
		l.restrict("art18_1_d", id)
		l.change(RestrictionLifted, id)
		l.change(SubjectErased, id)
	}, verdict: Verified, mention: `"confirmed erased":1`, reason: "all grounds are lifted at once"},
	{name: "restricted-by-legal", build: func(l *logForTest) {
		id := l.confirmed()
		for _, kind := range []Kind{RestrictionSet, RestrictionLifted} {
			e := l.changed(kind, id)
			e.Source = "legal-desk"
			l.add(e)
		}
	}, verdict: Verified, mention: `"confirmed":1`, reason: "the legal team freezes and thaws"},
	{name: "confirmed-under-restriction", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(RestrictionSet, id)
		l.reveal(ConsentConfirmed, 1, id)
		l.change(ConsentUsed, id)
	}, verdict: Verified, mention: `"irregular":{"consent.used.restricted":1}`, reason: "a click is recorded, sending stays irregular"},
	{name: "disclosed-all", build: func(l *logForTest) {
		id := l.confirmed()
		l.declare("x.ticket")
		for _, occasion := range Occasions() {
			e := l.changed(EvidenceDisclosed, id)
			if e.Occasion = occasion; occasion == "access_report" {
				e.Shown = nil
			} else {
				e.Shown = append(slices.Sorted(slices.Values(claims)), "x.never_declared", "x.ticket")
			}
			l.add(e)
		}
	}, verdict: Verified, mention: `"evidence.disclosed":3`, reason: "what was shown is named, whether or not it is there"},
}

func init() { invalidWithError(rightsLogs, groundLogs) }
