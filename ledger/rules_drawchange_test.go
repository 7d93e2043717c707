package ledger

import (
	"maps"
	"slices"
	"time"
)

// concerning draws an entry that changes or mentions consents.
func (d *drawing) concerning(kind Kind, token int) (*Entry, func() (string, []string)) {
	index, former := len(d.l.texts), 0
	ids := d.ids(kind, token)
	var hold Index
	if kind == HoldLifted {
		hold, ids = d.hold(ids)
	}
	if kind == ConfirmationResent && d.below(4, "with a lock") > 0 {
		former, ids = d.former(ids)
	}
	e := d.l.changed(kind, ids...)
	switch kind {
	case HoldLifted:
		e.Refers = []Index{hold}
	case RequestExpired:
		e.Lock = Lock(tokenForTest(token))
	case ConsentConfirmed, ConfirmationRejected:
		e.Token = tokenForTest(token)
	case RestrictionSet:
		e.Ground, e.Source = d.one("ground", Grounds()...), d.one("source", "shop-frontend", "legal-desk")
	case RestrictionLifted:
		if e.Source = d.one("source", "shop-frontend", "legal-desk"); d.seldom("informed later") {
			e.Informed = e.Informed.Add(time.Second)
		}
	case ConsentUsed:
		e.Processor = d.one("processor", "", "", "mailer", "printer")
	case WithdrawalEffected:
		e.System = d.one("system", "mailer", "shop-frontend", "printer", "mailer")
	case SignalReceived:
		e.Says = d.one("says", "no", "yes")
	case SubjectErased, SubjectLocked:
		e.Source = d.one("source", "shop-frontend", SourceLedger)
	case ConsentRevoked, SubjectRectified, ConsentInvalidated:
		if d.coin("legal") {
			e.Source = "legal-desk"
		}
	case TrackingChanged:
		e.Mode = d.one("mode", modes[:]...)
		if d.seldom("other purpose") {
			e.Purpose = "newsletter"
		}
	}
	d.detail(e)
	if former != 0 {
		d.newLock(e, token, former)
	}
	for i, link := range e.Consents {
		e.Consents[i].After = Index(link.Consent)
		if c := d.m.consents[int(link.Consent)]; c != nil && !d.seldom("after") {
			e.Consents[i].After = Index(c.last)
		}
	}
	if len(e.About) > 0 {
		return e, func() (string, []string) { return d.m.mention(index, token, former, e) }
	}
	return e, func() (string, []string) { return d.m.change(index, token, e), nil }
}

// detail draws what the evidence and the terms depend on.
func (d *drawing) detail(e *Entry) {
	switch e.Kind {
	case ConsentConfirmed:
		e.Click, e.Commits = d.one("click", append(Clicks(), "", "button")...), d.claims("ip")
		if d.coin("no ip") {
			e.Commits = d.claims()
		}
	case ConfirmationSent:
		e.Mail = d.one("mail", "", mailKept)
		if name := d.one("notice", "", "", "mail-de@1", "mail-de@1", "newsletter-de@1"); name != "" {
			e.Notice = d.notice(name)
		}
	case ConsentRenewed:
		e.Method = d.one("method", "link", "paper", "api", "preference_centre", "import", "one_click")
		e.IPPolicy, e.Commits = d.one("ip_policy", "none", "none", "none", "truncated", "none"), d.claims()
		if d.seldom("ip all the same") {
			e.Commits = d.claims("ip")
		}
		if name := d.one("notice", "", "", "newsletter-de@1", "", "shop-de@1", "privacy-de@1", ""); name != "" {
			e.Notice = d.notice(name)
		}
	}
}

// hold draws a hold to lift, mostly from its consents.
func (d *drawing) hold(ids []ConsentID) (Index, []ConsentID) {
	hold := Index(d.below(len(d.l.texts), "hold"))
	for _, i := range slices.Sorted(maps.Keys(d.m.holds)) {
		if hold = Index(i); !d.seldom("other consents") {
			ids = d.m.holds[i]
		}
	}
	return hold, ids
}

// former draws the token of a lock to succeed, mostly the newest of a request
// that waits, and gives the consents that wait for it.
func (d *drawing) former(ids []ConsentID) (int, []ConsentID) {
	former := 1 + d.below(randomTokens, "former")
	for token := 1; token <= randomTokens; token++ {
		lock := d.m.open(token)
		if lock == nil || lock.succeeded || d.l.now.After(lock.expires) || d.seldom("another former") {
			continue
		}
		former = token
		if d.seldom("other consents") {
			continue
		}
		var waiting []ConsentID
		for _, id := range d.m.of(lock.request) {
			if d.m.consents[id].state == "requested" {
				waiting = append(waiting, ConsentID(id))
			}
		}
		if waiting != nil {
			return former, waiting
		}
	}
	return former, ids
}

func (d *drawing) newLock(e *Entry, token, former int) {
	e.Lock, e.Former = Lock(tokenForTest(token)), Lock(tokenForTest(former))
	e.Expires = d.l.now.Add(time.Duration(1+d.below(5, "lifetime")) * time.Hour).Truncate(time.Second)
	if old := d.m.open(former); old != nil && !d.seldom("shorter") {
		e.Expires = old.expires.Add(time.Duration(d.below(10, "longer")) * time.Hour)
	}
}

// token draws the number of a token, mostly of one that the kind can use.
func (d *drawing) token(kind Kind) int {
	var good []int
	for token := 1; token <= randomTokens; token++ {
		lock, rule := d.m.closes(kind, token, d.l.now)
		switch {
		case kind == ConfirmationResent:
			if l := d.m.open(token); l == nil || d.l.now.After(l.expires) {
				good = append(good, token)
			}
		case lock != nil && rule == "":
			good = append(good, token)
		}
	}
	if len(good) > 0 && !d.seldom("other token") {
		return pick(d, "good token", good)
	}
	return 1 + d.below(randomTokens, "token")
}

// ids draws one to three consents, mostly such that the kind fits but for what
// few are under.
func (d *drawing) ids(kind Kind, token int) []ConsentID {
	var fit []ConsentID
	lock := d.m.open(token)
	for _, i := range slices.Sorted(maps.Keys(d.m.consents)) {
		c := d.m.consents[i]
		rule := d.m.allows(kind, ConsentID(i))
		fits := rule == "" || rule == "locked" || rule == "held"
		switch kind {
		case ConsentConfirmed, ConfirmationRejected, RequestExpired:
			fits = fits && lock != nil && c.request == lock.request
		case TrackingChanged, SignalReceived:
			fits = c.purpose == "email.open_tracking"
		case ConfirmationSent, ConfirmationResent, ConfirmationAttached:
			fits = c.state == "requested"
		}
		if fits {
			fit = append(fit, ConsentID(i))
		}
	}
	ids, index := map[ConsentID]bool{}, len(d.l.texts)
	for range 1 + d.below(3, "consents") {
		if len(fit) > 0 && !d.seldom("unfit") {
			ids[pick(d, "fit", fit)] = true
		} else {
			ids[ConsentID(min(15, index-1)+d.below(index-min(15, index-1), "id"))] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}
