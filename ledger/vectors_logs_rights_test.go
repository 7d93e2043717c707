package ledger

import "time"

// rightsCase begins a log with a consent and a request under Art. 15 GDPR about it,
// at index 10, and goes on.
func rightsCase(more func(l *logForTest, id ConsentID, request Index, received time.Time)) func(*logForTest) {
	return func(l *logForTest) {
		id, received := l.confirmed(), l.now
		more(l, id, l.asked(id), received)
	}
}

// oneOther is what a report says of a log whose one irregular fact is a mail that
// was sent too late; the logs below have it where nothing else shall be irregular.
const oneOther = `"irregular":{"confirmation.sent.confirmed":1}`

// rightsLogs are about what people ask for, who is told, and what is corrected.
var rightsLogs = []logVector{
	{name: "request-open", build: rightsCase(func(l *logForTest, _ ConsentID, _ Index, _ time.Time) { l.asked() }),
		verdict: Verified, mention: `"rights_requests_open":2,"rights_requests_overdue":0`, reason: "one of a person, one of a stranger"},
	{name: "request-due-at-last", build: rightsCase(func(l *logForTest, _ ConsentID, _ Index, received time.Time) {
		l.now = AnswerDue(received, 1)
		l.source("another", "app")
	}), verdict: Verified, mention: `"rights_requests_open":1,"rights_requests_overdue":0`, reason: "until the end of the day"},
	{name: "request-overdue", build: rightsCase(func(l *logForTest, _ ConsentID, _ Index, received time.Time) {
		l.now = AnswerDue(received, 1).Add(time.Microsecond)
		l.source("another", "app")
	}), verdict: Verified, mention: `"rights_requests_open":1,"rights_requests_overdue":1`, reason: "one microsecond after it"},
	{name: "request-answered", build: rightsCase(func(l *logForTest, id ConsentID, request Index, received time.Time) {
		l.now = AnswerDue(received, 1)
		l.add(l.step(RequestAnswered, request, id))
		l.change(ConfirmationSent, id)
	}), verdict: Verified, mention: oneOther, reason: "at the last moment"},
	{name: "request-answered-late", build: rightsCase(func(l *logForTest, id ConsentID, request Index, received time.Time) {
		l.now = AnswerDue(received, 1).Add(time.Second)
		l.add(l.step(RequestAnswered, request, id))
	}), verdict: Verified, mention: `"irregular":{"request.answered.late":1}`, reason: "one second after it"},
	{name: "request-refused-late", build: rightsCase(func(l *logForTest, _ ConsentID, request Index, received time.Time) {
		l.now = AnswerDue(received, 1).Add(time.Second)
		l.add(l.step(RequestRefused, request))
	}), verdict: Verified, mention: `"irregular":{"request.refused.late":1}`, reason: "a refusal has the same month (Art. 12(4) GDPR)"},
	{name: "request-answered-before-it-was-recorded", build: rightsCase(func(l *logForTest, id ConsentID, request Index, received time.Time) {
		l.now = AnswerDue(received, 1).Add(24 * time.Hour)
		e := l.step(RequestAnswered, request, id)
		e.Occurred = AnswerDue(received, 1)
		l.add(e)
		l.change(ConfirmationSent, id)
	}), verdict: Verified, mention: oneOther, reason: "when it happened counts, not when it was recorded"},
	{name: "request-answered-within-the-last-second", build: rightsCase(func(l *logForTest, id ConsentID, request Index, received time.Time) {
		l.now = AnswerDue(received, 1).Add(999999 * time.Microsecond)
		l.add(l.step(RequestAnswered, request, id))
		l.change(ConfirmationSent, id)
	}), verdict: Verified, mention: oneOther, reason: "times are cut to the second"},
	{name: "request-received-before-it-was-recorded", build: func(l *logForTest) {
		e := l.changed(RequestReceived, l.confirmed())
		e.Occurred = l.now.AddDate(0, -1, -3).Truncate(time.Second)
		e.Due = AnswerDue(e.Occurred, 1)
		l.add(e)
	}, verdict: Verified, mention: `"rights_requests_overdue":1`, reason: "a letter that lay about"},
	{name: "request-due-by-time", build: func(l *logForTest) {
		e := l.changed(RequestReceived, l.confirmed())
		e.Occurred = l.now.AddDate(0, 0, -3).Truncate(time.Second)
		l.add(e)
	}, err: "entry 10: rule due: ", reason: "the month begins when it reached the controller"},
	{name: "request-due-a-second-early", build: func(l *logForTest) {
		e := l.changed(RequestReceived, l.confirmed())
		e.Due = e.Due.Add(-time.Second)
		l.add(e)
	}, err: "entry 10: rule due: ", reason: "the day ends at 23:59:59"},
	{name: "request-due-a-day-late", build: func(l *logForTest) {
		e := l.changed(RequestReceived, l.confirmed())
		e.Due = e.Due.AddDate(0, 0, 1)
		l.add(e)
	}, err: "entry 10: rule due: ", reason: "nobody gives themselves more time"},
	{name: "request-due-by-month-end", build: func(l *logForTest) {
		id := l.confirmed()
		for _, day := range []time.Time{time.Date(2027, 1, 31, 9, 0, 0, 0, time.UTC), time.Date(2028, 1, 31, 23, 59, 59, 0, time.UTC),
			time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC), time.Date(2028, 12, 31, 0, 0, 0, 0, time.UTC)} {
			l.now = day
			e := l.changed(RequestReceived, id)
			e.Due = map[int]time.Time{1: time.Date(day.Year(), 2, 28+day.Year()%2027, 23, 59, 59, 0, time.UTC),
				2: time.Date(2028, 3, 29, 23, 59, 59, 0, time.UTC), 12: time.Date(2029, 1, 31, 23, 59, 59, 0, time.UTC)}[int(day.Month())]
			l.add(e)
		}
	}, verdict: Verified, mention: `"rights_requests_open":4`, reason: "months that lack the day, a leap year, the end of a year"},
	{name: "request-due-march-3", build: func(l *logForTest) {
		id := l.confirmed()
		l.now = time.Date(2027, 1, 31, 9, 0, 0, 0, time.UTC)
		e := l.changed(RequestReceived, id)
		e.Due = time.Date(2027, 3, 3, 23, 59, 59, 0, time.UTC)
		l.add(e)
	}, err: "entry 10: rule due: ", reason: "a month that lacks the day ends with its last"},
	{name: "request-of-the-erased", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(SubjectErased, id)
		l.add(l.step(RequestAnswered, l.asked(id), id))
		l.change(IdentityVerified, id)
	}, verdict: Verified, mention: `"irregular":{"identity.verified.erased":1,"request.answered.erased":1,"request.received.erased":1}`,
		reason: "nobody knows any more who that is"},

	{name: "request-extended", build: rightsCase(func(l *logForTest, id ConsentID, request Index, received time.Time) {
		l.now = AnswerDue(received, 1)
		l.add(l.extended(request, received, id))
		l.now = AnswerDue(received, 3)
		l.add(l.step(RequestAnswered, request, id))
		l.change(ConfirmationSent, id)
	}), verdict: Verified, mention: oneOther, reason: "three months in all"},
	{name: "request-extended-late", build: rightsCase(func(l *logForTest, id ConsentID, request Index, received time.Time) {
		l.now = AnswerDue(received, 1).Add(time.Second)
		l.add(l.extended(request, received, id))
		l.now = AnswerDue(received, 3).Add(time.Second)
		l.add(l.step(RequestAnswered, request, id))
	}), verdict: Verified, mention: `"irregular":{"request.answered.late":1,"request.extended.late":1}`,
		reason: "the person is told within the first month (Art. 12(3) GDPR)"},
	{name: "request-extended-by-a-second", build: rightsCase(func(l *logForTest, id ConsentID, request Index, received time.Time) {
		e := l.extended(request, received, id)
		e.Due = AnswerDue(received, 1).Add(time.Second)
		l.now = e.Due.Add(time.Second)
		e.Time = received.Add(time.Minute)
		l.add(e)
		l.source("another", "app")
	}), verdict: Verified, mention: `"rights_requests_overdue":1`, reason: "as long as one likes, up to two months more"},
	{name: "request-extended-too-far", build: rightsCase(func(l *logForTest, id ConsentID, request Index, received time.Time) {
		e := l.extended(request, received, id)
		e.Due = e.Due.Add(time.Second)
		l.add(e)
	}), err: "entry 11: rule due: ", reason: "two further months, no second more"},
	{name: "request-extended-by-nothing", build: rightsCase(func(l *logForTest, id ConsentID, request Index, received time.Time) {
		e := l.extended(request, received, id)
		e.Due = AnswerDue(received, 1)
		l.add(e)
	}), err: "entry 11: rule due: ", reason: "it is not later than before"},
	{name: "request-extended-twice", build: rightsCase(func(l *logForTest, id ConsentID, request Index, received time.Time) {
		e := l.extended(request, received, id)
		e.Due = AnswerDue(received, 2)
		l.add(e)
		l.add(l.extended(request, received, id))
	}), err: "entry 12: rule due: ", reason: "once"},
	{name: "request-extended-after-the-answer", build: rightsCase(func(l *logForTest, id ConsentID, request Index, received time.Time) {
		l.add(l.step(RequestAnswered, request, id))
		l.add(l.extended(request, received, id))
	}), err: "entry 12: rule refers: entry 10 is no request that waits", reason: "it waits no more"},
	{name: "request-answered-twice", build: rightsCase(func(l *logForTest, id ConsentID, request Index, _ time.Time) {
		l.add(l.step(RequestAnswered, request, id))
		l.add(l.step(RequestAnswered, request, id))
	}), err: "entry 12: rule refers: entry 10 is no request that waits", reason: "it waits no more"},
	{name: "request-refused-after-the-answer", build: rightsCase(func(l *logForTest, id ConsentID, request Index, _ time.Time) {
		l.add(l.step(RequestAnswered, request, id))
		l.add(l.step(RequestRefused, request, id))
	}), err: "entry 12: rule refers: entry 10 is no request that waits", reason: "it waits no more"},
	{name: "request-answered-that-was-none", build: rightsCase(func(l *logForTest, id ConsentID, _ Index, _ time.Time) {
		l.add(l.step(RequestAnswered, Index(id), id))
	}), err: "entry 11: rule refers: entry 7 is no request that waits", reason: "a request for consent is another thing"},
	{name: "request-answered-about-others", build: rightsCase(func(l *logForTest, _ ConsentID, request Index, _ time.Time) {
		l.add(l.step(RequestAnswered, request, l.request(2, l.prelude2())))
	}), verdict: Verified, mention: `"rights_requests_open":0`, reason: "a request finds more than its first look"},
	{name: "request-by-admin", build: func(l *logForTest) {
		e := l.changed(RequestReceived, l.confirmed())
		e.Source = "admin"
		l.add(e)
	}, err: "entry 10: rule role: a source of role admin may not write request.received", reason: "it is for the legal team, or for an app"},
	{name: "request-answered-by-app", build: rightsCase(func(l *logForTest, id ConsentID, request Index, _ time.Time) {
		e := l.step(RequestAnswered, request, id)
		e.Source = "shop-frontend"
		l.add(e)
	}), err: "entry 11: rule role: a source of role app may not write request.answered", reason: "an app key does the legal team's work"},
	{name: "request-about-nobody-known", build: rightsCase(func(l *logForTest, _ ConsentID, request Index, _ time.Time) {
		l.add(l.step(RequestAnswered, request, 99))
	}), err: "entry 11: consent 99: rule consent: no entry opened it", reason: "there is no entry 99"},
	{name: "request-in-parts", build: func(l *logForTest) {
		a := l.confirmed()
		b := l.request(2, l.prelude2())
		split := func(kind Kind, refers ...Index) (first Index) {
			at, received := l.now, l.now
			for part, id := range []ConsentID{a, b} {
				e := l.changed(kind, id)
				e.Part, e.Parts, e.Time, e.Refers = part+1, 2, at, refers
				if kind == RequestReceived || kind == RequestExtended {
					e.Due = AnswerDue(received, 1+2*len(refers))
				}
				if i := l.add(e); part == 0 {
					first = i
				}
			}
			return first
		}
		request := split(RequestReceived)
		split(RequestExtended, request)
		split(RequestAnswered, request)
		split(RequestReceived)
	}, verdict: Verified, mention: `"rights_requests_open":1`, reason: "a person of whom more is kept than fits one entry"},
	{name: "request-in-parts-by-its-second", build: func(l *logForTest) {
		a := l.confirmed()
		b := l.request(2, l.prelude2())
		at := l.now
		for part, id := range []ConsentID{a, b} {
			e := l.changed(RequestReceived, id)
			e.Part, e.Parts, e.Time, e.Due = part+1, 2, at, AnswerDue(at, 1)
			l.add(e)
		}
		l.add(l.step(RequestAnswered, 13, b))
	}, err: "entry 14: rule refers: entry 13 is no request that waits", reason: "it is the first part that is referred to"},

	{name: "recipient-told", build: rightsCase(func(l *logForTest, id ConsentID, request Index, _ time.Time) {
		erased := l.change(SubjectErased, id)
		first := l.add(l.step(RecipientNotified, erased))
		second := l.add(l.step(RecipientNotified, erased))
		l.add(l.step(RecipientAcknowledged, second))
		l.add(l.step(RecipientAcknowledged, first))
		l.add(l.step(RecipientNotified, request))
	}), verdict: Verified, mention: `"recipient.acknowledged":2,"recipient.notified":3`, reason: "each for itself, in any order, of any entry"},
	{name: "recipient-acknowledges-twice", build: rightsCase(func(l *logForTest, _ ConsentID, request Index, _ time.Time) {
		told := l.add(l.step(RecipientNotified, request))
		l.add(l.step(RecipientAcknowledged, told))
		l.add(l.step(RecipientAcknowledged, told))
	}), err: "entry 13: rule refers: entry 11 is no notification that waits", reason: "it waits no more"},
	{name: "recipient-acknowledges-nothing", build: rightsCase(func(l *logForTest, _ ConsentID, request Index, _ time.Time) {
		l.add(l.step(RecipientNotified, request))
		l.add(l.step(RecipientAcknowledged, request))
	}), err: "entry 12: rule refers: entry 10 is no notification that waits", reason: "entry 10 is a request"},
	{name: "recipient-told-by-app", build: rightsCase(func(l *logForTest, _ ConsentID, request Index, _ time.Time) {
		e := l.step(RecipientNotified, request)
		e.Source = "shop-frontend"
		l.add(e)
	}), err: "entry 11: rule role: a source of role app may not write recipient.notified", reason: "an app key does the legal team's work"},
	{name: "corrected", build: rightsCase(func(l *logForTest, id ConsentID, request Index, _ time.Time) {
		e := l.step(EntryCorrected, 0, id)
		e.Refers = append(e.Refers, request)
		l.add(e)
		e = l.step(EntryCorrected, 11)
		e.Source = "admin"
		l.add(e)
		l.add(l.step(RequestAnswered, request, id))
	}), verdict: Verified, mention: `"entry.corrected":2`, reason: "what is corrected stays as it is, and so does what follows from it"},
	{name: "corrected-by-app", build: rightsCase(func(l *logForTest, _ ConsentID, request Index, _ time.Time) {
		e := l.step(EntryCorrected, request)
		e.Source = "shop-frontend"
		l.add(e)
	}), err: "entry 11: rule role: a source of role app may not write entry.corrected", reason: "an app withdraws or invalidates"},
}
