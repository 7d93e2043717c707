package ledger

import "time"

// rightsKind fills in the lines of a kind that is about rights, processors and
// corrections; of a request it is one of Art. 15 that came just now.
func (l *logForTest) rightsKind(e *Entry) {
	switch e.Kind {
	case GuardianAuthorised:
		e.Method = "paper"
	case SignalReceived:
		e.Signal, e.Says = "gpc", "no"
	case WithdrawalEffected:
		e.System = "mail-house"
	case IdentityVerified:
		e.Source, e.Means = "legal-desk", "login"
	case RequestReceived:
		e.Source, e.Article, e.Due = "legal-desk", "art15", AnswerDue(l.now, 1)
	case RequestExtended, RequestAnswered, RequestRefused, EntryCorrected, RecipientNotified, RecipientAcknowledged:
		e.Source = "legal-desk"
		if e.Kind == RequestRefused {
			e.Refusal = "excessive"
		}
	}
}

// asked records a request under Art. 15 GDPR that came just now.
func (l *logForTest) asked(ids ...ConsentID) Index { return l.change(RequestReceived, ids...) }

// step gives the entry by which a request under Art. 15 to 22 GDPR, or a
// notification, goes on, or one that corrects others; the caller may change it.
func (l *logForTest) step(kind Kind, of Index, ids ...ConsentID) *Entry {
	e := l.changed(kind, ids...)
	e.Refers = []Index{of}
	return e
}

// extended gives the entry that gives a request as much time as there can be.
func (l *logForTest) extended(request Index, received time.Time, ids ...ConsentID) *Entry {
	e := l.step(RequestExtended, request, ids...)
	e.Due = AnswerDue(received, 3)
	return e
}

// engaged gives the entry that engages a processor; the caller may change it.
func (l *logForTest) engaged(id string, covers ...string) *Entry {
	return &Entry{Kind: ProcessorEngaged, Source: "admin", Processor: id, Country: "DE", Covers: covers, Commits: l.commits("document", "title")}
}

func (l *logForTest) end(processor string) Index {
	return l.add(&Entry{Kind: ProcessorEnded, Source: "admin", Processor: processor, Occurred: l.now.Truncate(time.Second)})
}

// declare declares a claim.
func (l *logForTest) declare(claim string) Index {
	return l.add(&Entry{Kind: ClaimDeclared, Source: "admin", Claim: claim, Commits: l.commits("title")})
}

// rightsStory is what people may ask for, what is told to whom, who else has the
// data, and what was recorded wrongly.
func (l *logForTest) rightsStory(ref NoticeRef) {
	l.declare("x.ticket")
	hours := l.defined("survey", 2)
	hours.EffectHours = 48
	l.add(hours)
	l.add(l.engaged("mail-house", "newsletter", "survey"))
	again := l.engaged("mail-house")
	again.Country, again.Commits = "", nil
	l.add(again)
	// A child's consent, by a guardian; data are passed on; a browser objects.
	e := l.opened(ConsentGiven, "newsletter", ref)
	e.Age = "child"
	child := ConsentID(l.add(e))
	tracked := ConsentID(l.add(l.opened(ConsentGiven, "email.open_tracking", ref)))
	authorised := l.changed(GuardianAuthorised, child, tracked)
	authorised.Commits = l.commits("document", "guardian", "x.ticket")
	l.add(authorised)
	used := l.changed(ConsentUsed, child)
	used.Processor = "mail-house"
	l.add(used)
	signal := l.changed(SignalReceived, tracked)
	signal.Commits = l.commits("signal")
	l.add(signal)
	// Withdrawn, effective elsewhere, the recipient told, who answers.
	l.change(ConsentWithdrawn, child)
	effected := l.changed(WithdrawalEffected, child)
	effected.Occurred = l.now.Truncate(time.Second)
	l.add(effected)
	told := l.step(RecipientNotified, l.last[child])
	told.Processor, told.Commits = "mail-house", l.commits("reference")
	notified := l.add(told)
	other := l.step(RecipientNotified, l.last[child])
	other.Commits = l.commits("recipient")
	l.add(other)
	l.add(l.step(RecipientAcknowledged, notified))
	l.end("mail-house")
	// One asks for a copy, one to be let alone by machines, a stranger for nothing
	// that there is, and one waits.
	l.change(IdentityVerified, child, tracked)
	received := l.now
	request := l.asked(child, tracked)
	l.add(l.extended(request, received, child, tracked))
	art22 := l.changed(ObjectionRecorded, tracked)
	art22.Article = "art22"
	l.add(art22)
	human := l.changed(RequestReceived, tracked)
	human.Source, human.Article = "shop-frontend", "art22"
	refused := l.add(human)
	stranger := l.changed(RequestReceived)
	stranger.Commits = l.commits("reference")
	l.add(stranger)
	l.now = l.now.AddDate(0, 0, 33) // the refusal is late, the answer is not
	l.add(l.step(RequestRefused, refused, tracked))
	answered := l.step(RequestAnswered, request, child, tracked)
	answered.Commits = l.commits("message")
	l.add(answered)
	l.asked(tracked)
	disclosed := l.changed(EvidenceDisclosed, tracked)
	disclosed.Occasion, disclosed.Shown = "access_report", nil
	l.add(disclosed)
	corrected := l.step(EntryCorrected, notified, child)
	corrected.Refers, corrected.Commits = append(corrected.Refers, request), l.commits("reason")
	l.add(corrected)
}
