package ledger

import "time"

// resend gives a request, whose newest lock is of the token former, another one.
func (l *logForTest) resend(token, former int, ids ...ConsentID) Index {
	return l.add(l.resent(token, former, ids...))
}

// twice begins a log with a request for two consents, under the token 1.
func (l *logForTest) twice() (a, b ConsentID) {
	ref := l.prelude()
	e := l.requested(1, "newsletter", ref)
	a = ConsentID(l.add(e))
	second := l.requested(1, "email.open_tracking", ref)
	second.Expires = e.Expires
	return a, ConsentID(l.add(second))
}

// resendCase resends a request for entry 7, changed, as entry 8.
func resendCase(change func(l *logForTest, e *Entry)) func(*logForTest) {
	return func(l *logForTest) {
		e := l.resent(2, 1, l.request(1, l.prelude()))
		change(l, e)
		l.add(e)
	}
}

// resendLogs are about requests with more than one lock.
var resendLogs = []logVector{
	{name: "resent-newest-confirms", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.resend(2, 1, id)
		l.resend(3, 2, id)
		l.reveal(ConsentConfirmed, 3, id)
	}, verdict: Verified, mention: `"confirmed":1`, reason: "a chain of three locks"},
	{name: "resent-oldest-confirms", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.resend(2, 1, id)
		l.resend(3, 2, id)
		l.reveal(ConsentConfirmed, 1, id)
	}, verdict: Verified, mention: `"confirmed":1`, reason: "the first mail is found after all"},
	{name: "resent-middle-rejects", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.resend(2, 1, id)
		l.resend(3, 2, id)
		l.reveal(ConfirmationRejected, 2, id)
	}, verdict: Verified, mention: `"lapsed":1`, reason: "any of the tokens says no"},
	{name: "resent-confirmed-twice", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.resend(2, 1, id)
		l.reveal(ConsentConfirmed, 1, id)
		l.reveal(ConsentConfirmed, 2, id)
	}, err: "entry 10: consent 7: rule transition: consent.confirmed may not follow confirmed", reason: "there is nothing left to confirm"},
	{name: "resent-both-confirm", build: func(l *logForTest) {
		a, b := l.twice()
		l.resend(2, 1, a, b)
		l.reveal(ConsentConfirmed, 1, a)
		l.reveal(ConsentConfirmed, 2, b)
	}, verdict: Verified, mention: `"confirmed":2`, reason: "one token for one consent, the other for the other"},
	{name: "resent-token-twice", build: func(l *logForTest) {
		a, b := l.twice()
		l.resend(2, 1, a, b)
		l.reveal(ConsentConfirmed, 1, a)
		l.reveal(ConsentConfirmed, 1, b)
	}, err: "entry 11: rule token: no open request", reason: "each token is good once"},
	{name: "resent-about-some", build: func(l *logForTest) {
		a, b := l.twice()
		l.resend(2, 1, b)
		l.reveal(ConsentConfirmed, 2, a, b)
	}, verdict: Verified, mention: `"confirmed":2`, reason: "the lock is the request's, whichever consents the mail was about"},
	{name: "resent-same-token", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(ConfirmationResent, id)
		l.change(ConfirmationResent, id)
		l.reveal(ConsentConfirmed, 1, id)
	}, verdict: Verified, mention: `"confirmed":1`, reason: "without a lock it is the same mail again"},
	{name: "resent-after-withdrawal", build: func(l *logForTest) {
		a, b := l.twice()
		l.change(ConsentWithdrawn, a)
		l.resend(2, 1, b)
		l.reveal(ConsentConfirmed, 2, a, b)
	}, err: "entry 11: consent 7: rule transition: consent.confirmed may not follow withdrawn", reason: "a token of a request made before a withdrawal grants nothing"},
	{name: "resent-old-lock-expired", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		id := ConsentID(l.add(e))
		l.resend(2, 1, id)
		l.now = e.Expires.Add(time.Microsecond)
		l.reveal(ConsentConfirmed, 1, id)
	}, err: "entry 9: rule token_expired: ", reason: "the successor does not prolong it"},
	{name: "resent-new-lock-lives-longer", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		id := ConsentID(l.add(e))
		l.resend(2, 1, id)
		l.now = e.Expires.Add(time.Microsecond)
		l.reveal(ConsentConfirmed, 2, id)
	}, verdict: Verified, mention: `"confirmed":1`, reason: "when the first token has expired, the second is still good"},
	{name: "resent-old-lock-is-no-expiry", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.resend(2, 1, id)
		l.now = l.now.AddDate(1, 0, 0)
		l.expire(1, id)
	}, err: "entry 9: rule not_expired: the request has a newer lock", reason: "the request ends with its newest lock"},
	{name: "resent-newest-expires", build: func(l *logForTest) {
		a, b := l.twice()
		l.resend(2, 1, a, b)
		l.reveal(ConsentConfirmed, 1, a)
		l.now = l.now.AddDate(1, 0, 0)
		l.expire(2, b)
	}, verdict: Verified, mention: `"confirmed":1,"lapsed":1`, reason: "what no token confirmed ends with the newest lock"},
	{name: "resent-newest-expires-early", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		id := ConsentID(l.add(e))
		l.resend(2, 1, id)
		l.now = e.Expires.Add(time.Microsecond)
		l.expire(2, id)
	}, err: "entry 9: rule not_expired: the token is good until", reason: "the newest lock's own date counts"},
	{name: "resent-after-the-end", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.resend(2, 1, id)
		l.now = l.now.AddDate(1, 0, 0)
		l.expire(2, id)
		l.reveal(ConsentConfirmed, 1, id)
	}, err: "entry 10: rule token_expired: ", reason: "the older lock has expired before"},
	{name: "former-unknown", build: resendCase(func(_ *logForTest, e *Entry) { e.Former = Lock(tokenForTest(3)) }),
		err: "entry 8: rule former: it is not the newest lock", reason: "no request has that lock"},
	{name: "former-superseded", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.resend(2, 1, id)
		l.resend(3, 1, id)
	}, err: "entry 9: rule former: it is not the newest lock", reason: "locks are a chain, no tree"},
	{name: "former-closed", build: func(l *logForTest) {
		a, b := l.twice()
		l.reveal(ConsentConfirmed, 1, a)
		l.resend(2, 1, b)
	}, err: "entry 10: rule former: it is not the newest lock", reason: "the request is over"},
	{name: "former-of-another-request", build: func(l *logForTest) {
		ref := l.prelude()
		l.request(1, ref)
		l.resend(3, 1, l.request(2, ref))
	}, err: "entry 9: consent 8: rule former: it does not wait for this lock", reason: "one person's mail for another's consent"},
	{name: "former-of-some-others", build: func(l *logForTest) {
		ref := l.prelude()
		l.resend(3, 1, l.request(1, ref), l.request(2, ref))
	}, err: "entry 9: consent 8: rule former: it does not wait for this lock", reason: "all the consents are of the request"},
	{name: "former-after-confirmation", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.resend(2, 1, id)
		l.reveal(ConsentConfirmed, 1, id)
		l.resend(3, 2, id)
	}, err: "entry 10: consent 7: rule former: it does not wait for this lock", reason: "nothing is left to confirm"},
	{name: "former-after-withdrawal", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(ConsentWithdrawn, id)
		l.resend(2, 1, id)
	}, err: "entry 9: consent 7: rule former: it does not wait for this lock", reason: "nobody asks again who has withdrawn"},
	{name: "former-expired", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		id := ConsentID(l.add(e))
		l.now = e.Expires.Add(time.Microsecond)
		l.resend(2, 1, id)
	}, err: "entry 8: rule token_expired: the request expired at", reason: "a request that is over is not prolonged"},
	{name: "former-at-the-last-moment", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		id := ConsentID(l.add(e))
		l.now = e.Expires
		l.resend(2, 1, id)
	}, verdict: Verified, reason: "it is open up to and including expires"},
	{name: "former-split", build: func(l *logForTest) {
		a, b := l.twice()
		at := l.now
		for part, id := range []ConsentID{a, b} {
			e := l.resent(2, 1, id)
			e.Part, e.Parts, e.Time, e.Expires = part+1, 2, at, at.Add(8*24*time.Hour).Truncate(time.Second)
			l.add(e)
		}
	}, err: "entry 10: rule former: it is not the newest lock", reason: "an entry with a lock is never split"},
	{name: "resent-expires-before-former", build: resendCase(func(l *logForTest, e *Entry) {
		open, _, _ := l.replay.OpenRequest(e.Former)
		e.Expires = open.Expires.Add(-time.Second)
	}), err: "entry 8: rule expires: ", reason: "dates never decrease along the chain"},
	{name: "resent-expires-as-it-begins", build: func(l *logForTest) {
		e := l.requested(1, "newsletter", l.prelude())
		again := l.resent(2, 1, ConsentID(l.add(e)))
		l.now, again.Expires = e.Expires, e.Expires
		l.add(again)
	}, err: "entry 8: rule expires: ", reason: "at the former's last moment, a token that was never good"},
	{name: "resent-expires-with-former", build: resendCase(func(l *logForTest, e *Entry) {
		open, _, _ := l.replay.OpenRequest(e.Former)
		e.Expires = open.Expires
	}), verdict: Verified, reason: "but may stay"},
	{name: "resent-lock-of-itself", build: resendCase(func(_ *logForTest, e *Entry) { e.Lock = e.Former }),
		err: "entry 8: rule lock_used: ", reason: "a lock does not succeed itself"},
	{name: "resent-lock-of-another", build: func(l *logForTest) {
		ref := l.prelude()
		a := l.request(1, ref)
		l.request(2, ref)
		l.resend(2, 1, a)
	}, err: "entry 9: rule lock_used: ", reason: "one token for two requests"},
	{name: "resent-lock-of-the-chain", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.resend(2, 1, id)
		l.resend(1, 2, id)
	}, err: "entry 9: rule lock_used: ", reason: "a chain is no circle"},
	{name: "resent-lock-expired", build: func(l *logForTest) {
		ref := l.prelude()
		l.request(1, ref)
		l.now = l.now.Add(8 * 24 * time.Hour)
		id := l.request(2, ref)
		l.resend(1, 2, id)
		l.reveal(ConsentConfirmed, 1, id)
	}, verdict: Verified, mention: `"confirmed":1`, reason: "an expired request's lock counts as never used"},
	{name: "lock-used-of-a-resend", build: func(l *logForTest) {
		ref := l.prelude()
		id := l.request(1, ref)
		l.resend(2, 1, id)
		l.request(2, ref)
	}, err: "entry 9: rule lock_used: ", reason: "nobody joins a request by a lock of a resend"},
	{name: "lock-used-of-a-former", build: func(l *logForTest) {
		a, _ := l.twice()
		l.resend(2, 1, a)
		l.request(1, NoticeRef{"newsletter-de", 1, l.document("Ja, ich möchte [email.open_tracking newsletter] erhalten (newsletter-de, Fassung 1).\n")})
	}, err: "entry 10: rule lock_used: ", reason: "nor by the one that it succeeds"},
	{name: "resent-under-a-lock", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(SubjectLocked, id)
		l.resend(2, 1, id)
		l.change(SubjectErased, id)
		l.resend(3, 2, id)
	}, verdict: Verified, mention: `"irregular":{"confirmation.resent.erased":1,"confirmation.resent.locked":1}`,
		reason: "mentions are irregular; neither token will confirm"},
	{name: "resent-by-admin", build: resendCase(func(_ *logForTest, e *Entry) { e.Source = "admin" }),
		err: "entry 8: rule role: a source of role admin may not write confirmation.resent", reason: "apps send mails"},
}

func init() { invalidWithError(resendLogs, definitionLogs, openingLogs, followingLogs) }

// invalidWithError makes the vectors INVALID that have an error and no verdict of
// their own.
func invalidWithError(lists ...[]logVector) {
	for _, list := range lists {
		for i := range list {
			if list[i].err != "" && list[i].verdict == Verified {
				list[i].verdict = Invalid
			}
		}
	}
}
