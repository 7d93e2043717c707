package ledger

import (
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// modelProcessor is one that was engaged, and whether it was ended since.
type modelProcessor struct {
	country string
	covers  []string
	ended   bool
}

// modelRights is a request of a person.
type modelRights struct {
	received      time.Time
	due           string // the day
	extended, met bool
}

// monthsOn gives the same day so many months on, or the last one before it that
// the month has.
func monthsOn(from time.Time, months int) string {
	for day := from.Day(); ; day-- {
		if on := time.Date(from.Year(), from.Month()+time.Month(months), day, 0, 0, 0, 0, time.UTC); on.Day() == day {
			return on.Format(time.DateOnly)
		}
	}
}

// over reports whether a day is over at a moment, to the second.
func over(day string, at time.Time) bool { return at.Truncate(time.Second).Format(time.DateOnly) > day }

// endOf reports whether the moment is the end of the day.
func endOf(day string, at time.Time) bool { return at.Format(time.RFC3339Nano) == day+"T23:59:59Z" }

// declared reports whether the claims that an entry commits to are.
func (m *model) declared(e *Entry) bool {
	return !slices.ContainsFunc(e.Commits, func(c Commitment) bool { return strings.HasPrefix(c.Claim, "x.") && !m.claims[c.Claim] })
}

// names gives the rule that the processor or the system that an entry names
// violates.
func (m *model) names(e *Entry) string {
	switch {
	case e.Processor != "" && m.processors[e.Processor] == nil:
		return "processor"
	case e.Kind == WithdrawalEffected && e.System != "shop-frontend" && m.processors[e.System] == nil:
		return "system"
	}
	return ""
}

// engage gives the rule that an entry about a processor violates, and records it.
func (m *model) engage(e *Entry) string {
	p := m.processors[e.Processor]
	switch {
	case e.Kind == ProcessorEnded && (p == nil || p.ended):
		return "processor"
	case e.Kind == ProcessorEnded:
		p.ended = true
		return ""
	}
	for _, purpose := range e.Covers {
		if m.purposes[purpose] == nil {
			return "purpose"
		}
	}
	m.processors[e.Processor] = &modelProcessor{country: e.Country, covers: e.Covers}
	return ""
}

// declare gives the rule that the declaration of a claim violates, and records it.
func (m *model) declare(e *Entry) string {
	if m.claims[e.Claim] {
		return "claim"
	}
	m.claims[e.Claim] = true
	return ""
}

// notify gives the rule that a notification or its acknowledgement violates, and
// records it.
func (m *model) notify(index int, e *Entry) string {
	if rule := m.names(e); rule != "" {
		return rule
	}
	of := int(e.Refers[0])
	if e.Kind == RecipientNotified {
		m.notified[index] = true
	} else if !m.notified[of] {
		return "refers"
	} else {
		m.notified[of] = false
	}
	return ""
}

// ask gives the rule that a step of a request violates and the irregular facts that
// it makes, and records it.
func (m *model) ask(index int, e *Entry) (rule string, irregular []string) {
	rule, irregular = m.mention(index, 0, 0, e)
	if rule != "" || e.Kind == EntryCorrected {
		return rule, irregular
	}
	at := e.Occurred
	if at.IsZero() {
		at = e.Time
	}
	if e.Kind == RequestReceived {
		due := monthsOn(at, 1)
		if !endOf(due, e.Due) {
			return "due", nil
		}
		m.rights[index] = &modelRights{received: at, due: due}
		return "", irregular
	}
	q := m.rights[int(e.Refers[0])]
	if q == nil || q.met {
		return "refers", nil
	}
	late := over(q.due, at)
	if e.Kind == RequestExtended {
		until := e.Due.Format(time.DateOnly)
		if q.extended || until <= q.due || until > monthsOn(q.received, 3) {
			return "due", nil
		}
		q.due, q.extended = until, true
	} else {
		q.met = true
	}
	if late {
		irregular = append(irregular, string(e.Kind)+".late")
	}
	return "", irregular
}

// compareRights demands that model and replay hold the same requests,
// notifications, processors and claims.
func (m *model) compareRights(rt *rapid.T, r *Replay) {
	open, overdue := 0, 0
	for i := range int(r.Chain().Size()) {
		got, waits, err := r.RightsRequest(Index(i))
		want := m.rights[i]
		if err != nil || waits != (want != nil && !want.met) {
			rt.Fatalf("that entry %d is a request that waits is %v, the model says %+v (%v)", i, waits, want, err)
		}
		if waits {
			open++
			if r.Chain().Last().After(got.Due) {
				overdue++
			}
			if got.Index != Index(i) || !got.Received.Equal(want.received.Truncate(time.Second)) || !endOf(want.due, got.Due) || got.Extended != want.extended {
				rt.Fatalf("the request of entry %d is %+v, the model says %+v", i, got, want)
			}
		}
		if waits, err := r.Notification(Index(i)); err != nil || waits != m.notified[i] {
			rt.Fatalf("that entry %d waits to be acknowledged is %v, the model says %v (%v)", i, waits, m.notified[i], err)
		}
	}
	if a, b := r.OpenRights(); a != open || b != overdue {
		rt.Fatalf("%d requests are open and %d overdue, want %d and %d", a, b, open, overdue)
	}
	for _, id := range []string{"mailer", "printer", "nobody"} {
		got, ok, err := r.Processor(id)
		want := m.processors[id]
		if err != nil || ok != (want != nil) ||
			ok && (got.ID != id || got.Country != want.country || !slices.Equal(got.Covers, want.covers) || got.Ended.IsZero() == want.ended) {
			rt.Fatalf("the processor %s is %+v, %v, the model says %+v (%v)", id, got, ok, want, err)
		}
	}
	for _, claim := range []string{"x.case", "x.ticket", "email"} {
		if ok, err := r.Claim(claim); err != nil || ok != m.claims[claim] {
			rt.Fatalf("that %s is declared is %v, the model says %v (%v)", claim, ok, m.claims[claim], err)
		}
	}
}
