package service

import (
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// toDecisions decides an objection to automated decisions, Art. 22 GDPR, and asks
// for the review that Art. 22(3) gives the person: a request of their own, whose
// clock runs. A contract and a legal obligation are no way around a human, so what
// rests on them ends with the rest.
func (o *objector) toDecisions(t *turn, s *scope, who *person, out *outcome) ([]*ledger.Entry, error) {
	o.article = objectionDecision
	for _, c := range who.consents {
		in, err := s.covers(t.log, c)
		if err != nil {
			return nil, err
		}
		if in && c.State.Live() {
			s.live = append(s.live, c)
		} else if in {
			s.rest = append(s.rest, c)
		}
	}
	entries, err := o.endAndStand(t, s, out)
	if err != nil {
		return nil, err
	}
	review, err := o.review(t, out)
	if err != nil {
		return nil, err
	}
	next, err := t.next()
	if err != nil {
		return nil, err
	}
	for i := range review {
		out.Entries = append(out.Entries, next+ledger.Index(len(entries)+i))
	}
	return append(entries, review...), nil
}

// review gives the entries of the request for a review of what the objection
// concerns; none, and the request that waits in the outcome, if all of it is under
// one already.
func (o *objector) review(t *turn, out *outcome) ([]*ledger.Entry, error) {
	var unasked []ledger.ConsentID
	var waits ledger.Index
	for _, touched := range out.Touched {
		request, err := t.reviewOf(touched.Consent)
		if err != nil {
			return nil, err
		}
		if waits = max(waits, request); request == 0 {
			unasked = append(unasked, touched.Consent)
		}
	}
	if len(unasked) == 0 {
		out.Entries = []ledger.Index{waits}
		return nil, nil
	}
	at := o.occurred
	if at.After(t.now.Add(ledger.MaxClockAhead)) {
		// A clock that is ahead stops no objection; the month begins now.
		at = time.Time{}
	}
	slices.Sort(unasked)
	return splitAbout(received(objectionDecision, at, t.now), unasked), nil
}

// reviewOf gives the newest request under Art. 22 that mentions a consent and waits
// for its answer; 0 if there is none.
func (t *turn) reviewOf(id ledger.ConsentID) (request ledger.Index, err error) {
	var failed error
	err = t.log.Mentions(id, endOfLog, func(i ledger.Index, kind ledger.Kind) bool {
		if kind == ledger.RequestReceived {
			request, failed = t.openReview(i)
		}
		return failed == nil && request == 0
	})
	if failed != nil {
		err = failed
	}
	return request, err
}

// openReview gives the number of the request of which an entry is a part if it is
// one under Art. 22 that waits for its answer, else 0.
func (t *turn) openReview(i ledger.Index) (ledger.Index, error) {
	e, err := t.entry(i)
	if err != nil || e.Article != objectionDecision {
		return 0, err
	}
	if e.Part > 1 {
		i -= ledger.Index(e.Part - 1)
	}
	_, open, err := t.log.RightsRequest(i)
	if err != nil || !open {
		return 0, err
	}
	return i, nil
}
