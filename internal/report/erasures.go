package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Erasures says what was asked to be erased, what was, how long each step took and
// who was told. Requests count by when they were received, erasures by when they were
// recorded; what became of them is as of the end of the log.
type Erasures struct {
	Requests RequestCount `json:"art17_requests"`
	// RequestToErasure runs from the receipt of an Art. 17 request to the erasure of
	// the first record that it is about, by Art. 17 or otherwise.
	RequestToErasure *Durations `json:"request_to_erasure"`

	// An erasure is one subject.erased, all parts together; it can be about many
	// people.
	Erasures  int64            `json:"erasures"`
	Records   int64            `json:"records_erased"`
	ByReason  map[string]int64 `json:"erasures_by_reason"`
	Locked    int64            `json:"records_locked_first"` // of the records erased
	Contents  *Durations       `json:"erasure_to_contents_destroyed"`
	Existence *Durations       `json:"erasure_to_existence_destroyed"`
	// Waiting is as of the end of the log.
	Waiting Waiting `json:"waiting"`

	// RootGenerations counts the replacements of the root key in the period, by the
	// medium on which the new one lies; Newest is the newest generation.
	RootGenerations  map[string]int64 `json:"root_generations_by_medium"`
	NewestGeneration int64            `json:"newest_root_generation"`

	Recipients Recipients `json:"recipients"`

	requests map[ledger.Index]*erasureRequest
	asked    map[ledger.ConsentID]ledger.Index // records of requests that wait for their erasure
	pending  map[ledger.Index]*erasure         // by each part; until the existence is destroyed
	first    map[ledger.Index]ledger.Index     // the first part, of the others
	told     map[ledger.Index]*telling         // the erasures of the period, by their first part
	notices  map[ledger.Index]bool             // recipient.notified about one of these, unanswered
	passed   passedTo
	last     int64 // generation
}

// RequestCount says what became of requests for one right.
type RequestCount struct {
	Received  int64            `json:"received"`
	Answered  int64            `json:"answered"`
	Refused   int64            `json:"refused"`
	ByRefusal map[string]int64 `json:"refused_by_reason"`
	Extended  int64            `json:"extended"`
	Late      int64            `json:"answered_or_refused_late"`
	Open      int64            `json:"open"`
	Overdue   int64            `json:"overdue"` // among the open, at the end of the log
}

// Waiting counts erasures that are not complete.
type Waiting struct {
	Contents         int64 `json:"contents"`          // whose keys are not recorded as destroyed
	Existence        int64 `json:"existence"`         // of which the traces in the index are left
	ExistenceOverdue int64 `json:"existence_overdue"` // among them, past the moment that was promised
}

// Recipients says who was told of erasures, Art. 19 GDPR.
type Recipients struct {
	// Passed counts the erasures of records of which data had been passed to a
	// processor; Told those of which all these processors were told.
	Passed       int64            `json:"erasures_of_data_passed_on"`
	Told         int64            `json:"all_processors_told"`
	Notices      map[string]int64 `json:"notifications_by_processor"`
	Acknowledged int64            `json:"notifications_acknowledged"`
	Silent       int64            `json:"notifications_not_acknowledged"`
}

type erasureRequest struct {
	received, due time.Time
	closed        bool
	erased        bool
}

type erasure struct {
	at       time.Time // recorded
	due      time.Time // of the existence; zero while its contents wait
	counts   bool      // the first part, recorded within the period
	contents bool      // destroyed
}

// telling is who must be told of an erasure and who was.
type telling struct{ must, told []string }

func newErasures() *Erasures {
	return &Erasures{Requests: RequestCount{ByRefusal: map[string]int64{}}, RequestToErasure: new(Durations), ByReason: map[string]int64{},
		Contents: new(Durations), Existence: new(Durations), RootGenerations: map[string]int64{}, Recipients: Recipients{Notices: map[string]int64{}},
		requests: map[ledger.Index]*erasureRequest{}, asked: map[ledger.ConsentID]ledger.Index{}, pending: map[ledger.Index]*erasure{},
		first: map[ledger.Index]ledger.Index{}, told: map[ledger.Index]*telling{}, notices: map[ledger.Index]bool{}, passed: newPassedTo()}
}

func (r *Erasures) each(e *ledger.Entry, eff *ledger.Effects, _ ledger.History, within bool) error {
	switch e.Kind {
	case ledger.RequestReceived:
		if e.Article == "art17" && within {
			r.received(e, eff)
		}
	case ledger.RequestExtended, ledger.RequestAnswered, ledger.RequestRefused:
		if request := r.requests[e.Refers[0]]; request != nil && isFirst(e) {
			r.step(request, e, eff)
		}
	case ledger.ConsentUsed:
		r.passed.add(e)
	case ledger.SubjectErased:
		r.erased(e, eff, within)
	case ledger.EvidenceShredded:
		r.shredded(e, within)
	case ledger.RecipientNotified:
		r.notified(e)
	case ledger.RecipientAcknowledged:
		if r.notices[e.Refers[0]] {
			delete(r.notices, e.Refers[0])
			r.Recipients.Acknowledged++
		}
	}
	return nil
}

// received takes a request; of several parts the first has the clock.
func (r *Erasures) received(e *ledger.Entry, eff *ledger.Effects) {
	at := e.Index - ledger.Index(max(e.Part-1, 0))
	if eff.Rights != nil && eff.Rights.Index == e.Index {
		r.Requests.Received++
		r.requests[e.Index] = &erasureRequest{received: eff.Rights.Received, due: eff.Rights.Due}
	}
	for _, id := range e.About {
		r.asked[id] = at
	}
}

func (r *Erasures) step(q *erasureRequest, e *ledger.Entry, eff *ledger.Effects) {
	switch e.Kind {
	case ledger.RequestExtended:
		r.Requests.Extended++
		q.due = e.Due
		return
	case ledger.RequestAnswered:
		r.Requests.Answered++
	case ledger.RequestRefused:
		r.Requests.Refused++
		r.Requests.ByRefusal[e.Refusal]++
	}
	q.closed = true
	if slices.ContainsFunc(eff.Irregular, func(i ledger.Irregularity) bool { return i.Name == string(e.Kind)+".late" }) {
		r.Requests.Late++
	}
}

// erased takes a subject.erased, or one part of it.
func (r *Erasures) erased(e *ledger.Entry, eff *ledger.Effects, within bool) {
	first := e.Index - ledger.Index(max(e.Part-1, 0))
	if first != e.Index {
		r.first[e.Index] = first
	}
	r.pending[e.Index] = &erasure{at: e.Time, counts: within && isFirst(e)}
	if within && isFirst(e) {
		r.Erasures++
		r.ByReason[e.Reason]++
		r.told[first] = new(telling)
	}
	for _, c := range eff.Changed {
		if q := r.requests[r.asked[c.ID]]; q != nil && !q.erased {
			q.erased = true
			r.RequestToErasure.add(e.Time.Sub(q.received))
		}
		delete(r.asked, c.ID)
		processors := r.passed.take(c.ID)
		if !within {
			continue
		}
		r.Records++
		if c.Overlays.Has(ledger.Locked) {
			r.Locked++
		}
		if len(processors) > 0 {
			r.told[first].must = union(r.told[first].must, processors)
		}
	}
}

func (r *Erasures) shredded(e *ledger.Entry, within bool) {
	if within && e.Generation > r.last {
		r.RootGenerations[e.Medium]++
	}
	r.last = max(r.last, e.Generation)
	r.NewestGeneration = r.last
	for _, i := range e.Refers {
		waits := r.pending[i]
		switch {
		case waits == nil:
		case !e.Existence.IsZero():
			if delete(r.pending, i); waits.counts {
				r.Existence.add(e.Existence.Sub(waits.at))
			}
		default:
			if waits.contents, waits.due = true, e.ExistenceDue; waits.counts {
				r.Contents.add(e.Contents.Sub(waits.at))
			}
		}
	}
}

// notified takes a notification if it is about an erasure of the period.
func (r *Erasures) notified(e *ledger.Entry) {
	i := e.Refers[0]
	if first, ok := r.first[i]; ok {
		i = first
	}
	t := r.told[i]
	if t == nil {
		return
	}
	t.told = union(t.told, []string{e.Processor})
	r.Recipients.Notices[cmp.Or(e.Processor, none)]++
	r.notices[e.Index] = true
}

func (r *Erasures) finish(_ ledger.Size, last time.Time) {
	for _, q := range r.requests {
		if !q.closed {
			r.Requests.Open++
			if last.After(q.due) {
				r.Requests.Overdue++
			}
		}
	}
	for i, waits := range r.pending {
		if _, part := r.first[i]; part {
			continue
		}
		switch {
		case !waits.contents:
			r.Waiting.Contents++
		case last.After(waits.due):
			r.Waiting.ExistenceOverdue++
			fallthrough
		default:
			r.Waiting.Existence++
		}
	}
	for _, t := range r.told {
		if len(t.must) == 0 {
			continue
		}
		r.Recipients.Passed++
		if len(union(t.told, t.must)) == len(t.told) {
			r.Recipients.Told++
		}
	}
	r.Recipients.Silent = int64(len(r.notices))
}

func (r *Erasures) text(w *printer) {
	q := r.Requests
	w.Line("Requests under Art. 17 GDPR: %d received; %d answered, %d refused, %d extended, %d of them late; %d open, %d of them overdue.",
		q.Received, q.Answered, q.Refused, q.Extended, q.Late, q.Open, q.Overdue)
	w.Line("Erasures: %d, of %d records, %d of which had been locked before.", r.Erasures, r.Records, r.Locked)
	w.Line("Waiting at the end of the log: %d for their keys to be destroyed, %d for their traces in the index, %d of them overdue.",
		r.Waiting.Contents, r.Waiting.Existence, r.Waiting.ExistenceOverdue)
	w.Line("Root key: generation %d is the newest.", r.NewestGeneration)
	w.counts("Refusals by reason", q.ByRefusal)
	w.counts("Erasures by reason", r.ByReason)
	w.List("How long it took", []string{
		"from the request to the erasure            " + r.RequestToErasure.String(),
		"from the erasure to the contents destroyed " + r.Contents.String(),
		"from the erasure to no trace in the index  " + r.Existence.String(),
	})
	w.counts("Root keys replaced, by medium", r.RootGenerations)
	w.Line("")
	w.Line("Recipients (Art. 19 GDPR): of %d erasures data had been passed to processors; of %d all of them were told.", r.Recipients.Passed, r.Recipients.Told)
	w.Line("Notifications: %d acknowledged, %d not.", r.Recipients.Acknowledged, r.Recipients.Silent)
	w.counts("Notifications by processor", r.Recipients.Notices)
}

func (*Erasures) cannotShow() []string {
	return []string{
		"that a destroyed key existed nowhere else: the times of destruction are the operator's word, the medium says what it is worth",
		"what became of the data in systems that the ledger does not know, and of data passed on without a record of it",
	}
}
