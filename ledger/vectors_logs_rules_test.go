package ledger

import "time"

// ruleLogs violate each of the rules.
var ruleLogs = []logVector{
	{name: "source-undeclared", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		e.Source = "nobody"
		l.add(e)
	}, err: "entry 7: rule source: the source is not declared", reason: "an entry by a key that was not declared"},
	{name: "source-declared-twice", build: func(l *logForTest) {
		l.prelude()
		l.source("shop-frontend", "admin")
	}, err: "entry 7: rule source: the source is declared already", reason: "a name is never used for another role"},
	{name: "role-app-defines-purpose", build: func(l *logForTest) {
		l.prelude()
		l.add(&Entry{Kind: PurposeDefined, Source: "shop-frontend", Purpose: "p", Version: 1, Marketing: "no", DoubleOptIn: "no", Lifetime: 1})
	}, err: "entry 7: rule role: a source of role app may not write purpose.defined", reason: "an app key does an admin's work"},
	{name: "role-ledger-requests", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		e.Source = SourceLedger
		l.add(e)
	}, err: "entry 7: rule role: a source of role ledger may not write consent.requested", reason: "the ledger itself asks nobody"},
	{name: "role-app-commits-state", build: func(l *logForTest) {
		l.prelude()
		root, _ := l.replay.StateRoot()
		l.add(&Entry{Kind: StateCommitted, Source: "shop-frontend", StateRoot: root})
	}, err: "entry 7: rule role: a source of role app may not write state.committed", reason: "only the ledger commits to states"},
	{name: "occurred-ahead", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		e.Occurred = l.now.Add(MaxClockAhead + time.Second).Truncate(time.Second)
		l.add(e)
	}, err: "entry 7: rule occurred: ", reason: "more than five minutes after the ledger's time"},
	{name: "occurred-ahead-use", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		e := l.changed(ConsentUsed, id)
		e.Occurred = l.now.Add(MaxClockAhead + time.Second).Truncate(time.Second)
		l.add(e)
	}, err: "entry 8: rule occurred: ", reason: "only withdrawals, objections and restrictions are accepted beyond it"},
	{name: "purpose-undefined", build: func(l *logForTest) { l.add(l.requested(1, "catalogue", l.prelude())) },
		err: "entry 7: rule purpose: the purpose is not defined", reason: "a request for a purpose that was not defined"},
	{name: "purpose-reserved", build: func(l *logForTest) { l.prelude(); l.purpose(AllMarketing, 1) },
		err: "entry 7: rule purpose: all-marketing is reserved", reason: "a reserved purpose is defined"},
	{name: "purpose-requested-reserved", build: func(l *logForTest) { l.add(l.requested(1, AllMarketing, l.prelude())) },
		err: "entry 7: rule purpose: the purpose is not defined", reason: "all-marketing can only be objected to"},
	{name: "purpose-covered-undefined", build: func(l *logForTest) { l.prelude(); l.notice("catalogue-de", 1, "catalogue") },
		err: "entry 7: rule purpose: covers a purpose that is not defined", reason: "a notice for a purpose that was not defined"},
	{name: "version-gap-purpose", build: func(l *logForTest) { l.prelude(); l.purpose("newsletter", 3) },
		err: "entry 7: rule version: version is 3, want 2", reason: "versions count up by one"},
	{name: "version-repeated-purpose", build: func(l *logForTest) { l.prelude(); l.purpose("newsletter", 1) },
		err: "entry 7: rule version: version is 1, want 2", reason: "versions count up by one"},
	{name: "version-gap-notice", build: func(l *logForTest) { l.prelude(); l.notice("newsletter-de", 3, "newsletter") },
		err: "entry 7: rule version: version is 3, want 2", reason: "versions count up by one"},
	{name: "channel-any", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		e.Channel = AnyChannel
		l.add(e)
	}, err: "entry 7: rule channel: any is reserved for objections", reason: "consent names one channel"},
	{name: "notice-unpublished", build: func(l *logForTest) {
		ref := l.prelude()
		ref.Version = 2
		l.add(l.requested(1, "newsletter", ref))
	}, err: "entry 7: rule notice: ", reason: "a version of a notice that was not published"},
	{name: "notice-hash-differs", build: func(l *logForTest) {
		ref := l.prelude()
		ref.SHA256[0] ^= 1
		l.add(l.requested(1, "newsletter", ref))
	}, err: "entry 7: rule notice: ", reason: "other words than those published"},
	{name: "notice-coverage", build: func(l *logForTest) { l.add(l.requested(1, "survey", l.prelude())) },
		err: "entry 7: rule notice_coverage: ", reason: "the words shown do not speak of the purpose"},
	{name: "expires-before-it-begins", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		e.Expires = l.now.Truncate(time.Second)
		l.add(e)
	}, err: "entry 7: rule expires: ", reason: "a token that was never good"},
	{name: "expires-as-it-begins", build: func(l *logForTest) {
		ref := l.prelude()
		l.now = l.now.Truncate(time.Second).Add(time.Second)
		e := l.requested(1, "newsletter", ref)
		e.Expires = l.now
		l.add(e)
	}, err: "entry 7: rule expires: ", reason: "expires is later than time, not equal"},
	{name: "lock-used", build: func(l *logForTest) {
		ref := l.prelude()
		e := l.requested(1, "newsletter", ref)
		l.add(e)
		l.request(2, ref)
		again := l.requested(1, "email.open_tracking", ref)
		again.Expires = e.Expires
		l.add(again)
	}, err: "entry 9: rule lock_used: ", reason: "one token for two requests"},
	{name: "lock-used-other-expiry", build: func(l *logForTest) {
		ref := l.prelude()
		l.request(1, ref)
		e := l.requested(1, "email.open_tracking", ref)
		e.Expires = e.Expires.Add(time.Hour)
		l.add(e)
	}, err: "entry 8: rule lock_used: ", reason: "consents of one request expire together"},
	{name: "lock-used-other-channel", build: func(l *logForTest) {
		ref := l.prelude()
		e := l.requested(1, "newsletter", ref)
		l.add(e)
		again := l.requested(1, "email.open_tracking", ref)
		again.Expires, again.Channel = e.Expires, "web"
		l.add(again)
	}, err: "entry 8: rule lock_used: ", reason: "consents of one request are on one channel"},
	{name: "request-of-33", build: func(l *logForTest) {
		ref := l.prelude()
		expires := l.requested(1, "newsletter", ref).Expires
		for range MaxPurposes + 1 {
			e := l.requested(1, "newsletter", ref)
			e.Expires = expires
			l.add(e)
		}
	}, err: "entry 39: rule request_size: ", reason: "a request opens at most 32 consents"},
	{name: "token-unknown", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.reveal(ConsentConfirmed, 2, id)
	}, err: "entry 8: rule token: no open request", reason: "a click that opens no lock"},
	{name: "token-twice", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.reveal(ConsentConfirmed, 1, id)
		l.reveal(ConfirmationRejected, 1, id)
	}, err: "entry 9: rule token: no open request", reason: "a token is good once"},
	{name: "token-of-another-request", build: func(l *logForTest) {
		ref := l.prelude()
		l.request(1, ref)
		id := l.request(2, ref)
		l.reveal(ConsentConfirmed, 1, id)
	}, err: "entry 9: consent 8: rule token: the token or lock belongs to another request", reason: "one person's click for another's consent"},
	{name: "token-after-rejection-reused-lock", build: func(l *logForTest) {
		ref := l.prelude()
		old := l.request(1, ref)
		l.now = l.now.Add(8 * 24 * time.Hour)
		l.request(1, ref)
		l.reveal(ConsentConfirmed, 1, old)
	}, err: "entry 9: consent 7: rule token: the token or lock belongs to another request", reason: "the lock's newer request is another"},
	{name: "token-expired", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		id := ConsentID(l.add(e))
		l.now = e.Expires.Add(time.Microsecond)
		l.reveal(ConsentConfirmed, 1, id)
	}, err: "entry 8: rule token_expired: ", reason: "one microsecond after expires"},
	{name: "consent-unknown", build: func(l *logForTest) {
		l.prelude()
		e := l.changed(ConsentWithdrawn, 5)
		e.Consents[0].After = 5
		l.add(e)
	}, err: "entry 7: consent 5: rule consent: no entry opened it", reason: "entry 5 is a notice"},
	{name: "consent-unknown-mentioned", build: func(l *logForTest) { l.prelude(); l.change(ConsentUsed, 99) },
		err: "entry 7: consent 99: rule consent: no entry opened it", reason: "there is no entry 99"},
	{name: "consent-itself", build: func(l *logForTest) {
		l.prelude()
		e := l.changed(ConsentWithdrawn, 7)
		e.Consents[0].After = 7
		l.add(e)
	}, err: "entry 7: consent 7: rule consent: no entry opened it", reason: "an entry cannot change itself"},
	{name: "after-skips-a-change", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(RestrictionSet, id)
		e := l.changed(ConsentWithdrawn, id)
		e.Consents[0].After = 7
		l.add(e)
	}, err: "entry 9: consent 7: rule after: was last changed by entry 8, not 7", reason: "a change would be hidden"},
	{name: "after-names-a-mention", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(ConfirmationSent, id)
		e := l.changed(ConsentWithdrawn, id)
		e.Consents[0].After = 8
		l.add(e)
	}, err: "entry 9: consent 7: rule after: was last changed by entry 7, not 8", reason: "a mention changes nothing"},
	{name: "transition-confirmed-after-withdrawal", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(ConsentWithdrawn, id)
		l.reveal(ConsentConfirmed, 1, id)
	}, err: "entry 9: consent 7: rule transition: consent.confirmed may not follow withdrawn", reason: "a click after the withdrawal grants nothing"},
	{name: "transition-withdrawn-twice", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(ConsentWithdrawn, id)
		l.change(ConsentWithdrawn, id)
	}, err: "entry 9: consent 7: rule transition: consent.withdrawn may not follow withdrawn", reason: "a repeated withdrawal writes nothing"},
	{name: "erased-changed", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(SubjectErased, id)
		l.change(ConsentWithdrawn, id)
	}, err: "entry 9: consent 7: rule erased: consent.withdrawn may not follow requested erased", reason: "nothing changes an erased consent"},
	{name: "erased-twice", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(SubjectErased, id)
		l.change(SubjectErased, id)
	}, err: "entry 9: consent 7: rule erased: ", reason: "nothing changes an erased consent"},
	{name: "overlay-set-twice", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(SubjectLocked, id)
		l.change(SubjectLocked, id)
	}, err: "entry 9: consent 7: rule overlay: subject.locked may not follow requested locked", reason: "it is locked already"},
	{name: "overlay-lifted-unset", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(RestrictionLifted, id)
	}, err: "entry 8: consent 7: rule overlay: restriction.lifted may not follow requested", reason: "it is not restricted"},
	{name: "state-root-differs", build: func(l *logForTest) {
		l.request(1, l.prelude())
		before, _ := l.replay.StateRoot()
		l.request(2, l.prelude2())
		l.add(&Entry{Kind: StateCommitted, Source: SourceLedger, StateRoot: before})
	}, err: "rule state_root: ", reason: "the state tree of another size"},
	{name: "refers-to-no-erasure", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(ConsentWithdrawn, id)
		l.shredded(8)
	}, err: "entry 9: rule refers: entry 8 is no erasure", reason: "entry 8 is a withdrawal"},
	{name: "refers-twice", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.shredded(l.change(SubjectErased, id))
		l.shredded(8)
	}, err: "entry 10: rule refers: entry 8 is no erasure that waits", reason: "its keys are shredded already"},
}

// prelude2 publishes the next version of the prelude's notice.
func (l *logForTest) prelude2() NoticeRef { return l.notice("newsletter-de", 2, "newsletter") }

func init() {
	for i := range ruleLogs {
		ruleLogs[i].verdict = Invalid
	}
}
