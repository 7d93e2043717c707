package ledger

import (
	"fmt"
	"slices"
	"time"
)

// ErasurePhase is how far the erasure that a subject.erased entry orders has
// come. The phases follow each other in this order, and none is passed over.
type ErasurePhase uint8

const (
	// NoErasure: the entry is no subject.erased, or its erasure is complete.
	NoErasure ErasurePhase = iota
	// ContentsWait: the keys to what it erases are not recorded as destroyed.
	ContentsWait
	// ExistenceWaits: nobody can read the contents any more, but who knows an
	// address may still find that it was here.
	ExistenceWaits
)

// Referred answers what the rules must know of the entries that another can
// refer to.
type Referred interface {
	Erasure(Index) (ErasurePhase, error)
	// Held gives the consents of a hold.set that is not lifted, else none.
	Held(Index) ([]ConsentID, error)
	// RightsRequest gives a request.received that is neither answered nor refused.
	RightsRequest(Index) (RightsRequest, bool, error)
	// Notification reports whether the entry is a recipient.notified that is not
	// acknowledged.
	Notification(Index) (bool, error)
}

// CheckRefers checks that an entry's `refers` lines name what waits for it:
// evidence.shredded erasures in the phase before, hold.lifted the open hold of
// exactly its consents, request.extended, request.answered and request.refused a
// request that waits for its answer, recipient.acknowledged a notification without
// one. It belongs after [Step], to whose effects it adds. A violation is a
// *[RuleError]; any other error comes from r.
func CheckRefers(e *Entry, r Referred, eff *Effects) error {
	switch e.Kind {
	case EvidenceShredded:
		return refersToErasures(e, r)
	case HoldLifted:
		about, err := r.Held(e.Refers[0])
		if err == nil && !slices.Equal(about, e.About) {
			err = refersWrongly(e, e.Refers[0], "open hold of exactly these consents")
		}
		return err
	case RecipientAcknowledged:
		open, err := r.Notification(e.Refers[0])
		if err == nil && !open {
			err = refersWrongly(e, e.Refers[0], "notification that waits to be acknowledged")
		}
		return err
	case RequestReceived, RequestExtended, RequestAnswered, RequestRefused:
		if e.Part > 1 {
			return nil // the first part speaks for all
		}
		return rightsRequest(e, r, eff)
	}
	return nil
}

func refersWrongly(e *Entry, i Index, what string) error {
	return &RuleError{"refers", e.Index, -1, fmt.Sprintf("entry %d is no %s", i, what)}
}

func refersToErasures(e *Entry, r Referred) error {
	want, what := ContentsWait, "erasure that waits for its keys to be shredded"
	if e.Contents.IsZero() {
		want, what = ExistenceWaits, "erasure whose keys are shredded and whose existence is not"
	}
	for _, i := range e.Refers {
		if phase, err := r.Erasure(i); err != nil {
			return err
		} else if phase != want {
			return refersWrongly(e, i, what)
		}
	}
	return nil
}

// rightsRequest follows a request under Art. 15 to 22 GDPR: it is to be answered
// within a month, which can be extended by two further months, once, before it is
// over (Art. 12(3), (4)). What comes too late is recorded as irregular.
func rightsRequest(e *Entry, r Referred, eff *Effects) error {
	at := e.Occurred
	if at.IsZero() {
		at = e.Time.Truncate(time.Second)
	}
	if e.Kind == RequestReceived {
		if due := AnswerDue(at, 1); !e.Due.Equal(due) {
			return &RuleError{"due", e.Index, -1, "a request is due a month after it was received, on " + due.Format(secondsLayout)}
		}
		eff.Rights = &RightsRequest{Index: e.Index, Received: at, Due: e.Due}
		return nil
	}
	open, ok, err := r.RightsRequest(e.Refers[0])
	if err != nil {
		return err
	} else if !ok {
		return refersWrongly(e, e.Refers[0], "request that waits for its answer")
	}
	if e.Kind == RequestExtended {
		if open.Extended || !e.Due.After(open.Due) || e.Due.After(AnswerDue(open.Received, 3)) {
			return &RuleError{"due", e.Index, -1, "a request is extended once, by at most two further months"}
		}
		eff.Rights = &RightsRequest{open.Index, open.Received, e.Due, true}
	}
	if at.After(open.Due) {
		eff.Irregular = append(eff.Irregular, Irregularity{Name: string(e.Kind) + ".late", Index: e.Index, Consent: -1})
	}
	return nil
}
