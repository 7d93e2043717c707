package secondreader

import (
	"maps"
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// declarable are the claims that may be declared sooner or later.
var declarable = []string{"x.case", "x.desk", "x.form"}

// rightsEntry draws an entry about rights, recipients, processors and corrections: one that mentions any number of consents, or none.
func (h *history) rightsEntry(e *ledger.Entry, second time.Time) {
	e.Source = "desk"
	if h.random.IntN(3) == 0 {
		e.Commits = h.commits()
	}
	switch e.Kind {
	case ledger.ClaimDeclared:
		e.Source, e.Claim = "admin", pick(h, append(declarable, "x.ticket")...)
		return
	case ledger.ProcessorEngaged:
		e.Source, e.Processor, e.Country = "admin", pick(h, "mailer", "mailer", "printer"), pick(h, "", "DE", "US")
		e.Covers = pick(h, nil, []string{"newsletter"}, []string{"newsletter", "offers"}, []string{"newsletter", "nowhere"})
		return
	case ledger.ProcessorEnded:
		e.Source, e.Processor = "admin", pick(h, "mailer", "mailer", "printer")
		return
	case ledger.RecipientNotified:
		e.Refers, e.Processor = []ledger.Index{ledger.Index(h.random.IntN(len(h.texts)))}, pick(h, "", "", "mailer", "printer", "nobody")
		return
	case ledger.RecipientAcknowledged:
		e.Refers = []ledger.Index{pick(h, append(h.notifications, 4)...)}
		for _, i := range h.notifications {
			if open, _ := h.replay.Notification(i); open && h.often() {
				e.Refers[0] = i
			}
		}
		return
	}
	chosen := map[ledger.ConsentID]bool{}
	for range h.random.IntN(3) {
		chosen[ledger.ConsentID(pick(h, append(h.consents, 3)...))] = true
	}
	e.About = slices.Sorted(maps.Keys(chosen))
	if h.random.IntN(3) == 0 {
		e.Occurred = second.AddDate(0, 0, -h.random.IntN(40))
	}
	switch e.Kind {
	case ledger.EntryCorrected:
		e.Source, e.Occurred, e.Refers = pick(h, "admin", "desk"), time.Time{}, []ledger.Index{ledger.Index(h.random.IntN(len(h.texts)))}
	case ledger.RequestReceived:
		e.Source, e.Article, e.Due = pick(h, "shop", "desk"), pick(h, ledger.Articles()...), h.due(second, 1)
		if !e.Occurred.IsZero() && h.often() {
			e.Due = h.due(e.Occurred, 1)
		}
	default:
		h.followRequest(e)
	}
}

// due gives the moment at which something is due so many months on, and now and then another.
func (h *history) due(received time.Time, months int) time.Time {
	due := ledger.AnswerDue(received, months)
	if h.random.IntN(12) == 0 {
		due = due.Add(pick(h, -time.Second, time.Second, 24*time.Hour, -28*24*time.Hour))
	}
	return due
}

// followRequest draws what becomes of a request, mostly of one that waits.
func (h *history) followRequest(e *ledger.Entry) {
	e.Refers = []ledger.Index{pick(h, append(h.rights, 4)...)}
	for _, i := range h.rights {
		if _, open, _ := h.replay.RightsRequest(i); open && h.often() {
			e.Refers[0] = i
		}
	}
	switch e.Kind {
	case ledger.RequestExtended:
		e.Due = h.due(h.now, 1+h.random.IntN(3))
		if open, ok, _ := h.replay.RightsRequest(e.Refers[0]); ok && h.often() {
			e.Due = h.due(open.Received, 1+h.random.IntN(3))
		}
	case ledger.RequestRefused:
		e.Refusal = pick(h, ledger.Refusals()...)
	}
}

// tracked gives a consent to tracking, if there is one and mostly, instead of any others.
func (h *history) tracked(ids []ledger.Index) []ledger.Index {
	for _, i := range h.consents {
		if c, _, _ := h.replay.Consent(ledger.ConsentID(i)); c.Purpose == "email.open_tracking" && h.often() {
			ids = []ledger.Index{i}
		}
	}
	return ids
}
