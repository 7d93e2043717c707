package ledger

import (
	"fmt"
	"slices"
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
}

// CheckRefers checks that an entry's `refers` lines name what waits for it:
// evidence.shredded erasures in the phase before, hold.lifted the open hold of
// exactly its consents. It belongs after [Step]. A violation is a *[RuleError];
// any other error comes from r.
func CheckRefers(e *Entry, r Referred) error {
	switch e.Kind {
	case EvidenceShredded:
		want, what := ContentsWait, "that waits for its keys to be shredded"
		if e.Contents.IsZero() {
			want, what = ExistenceWaits, "whose keys are shredded and whose existence is not"
		}
		for _, i := range e.Refers {
			if phase, err := r.Erasure(i); err != nil {
				return err
			} else if phase != want {
				return &RuleError{"refers", e.Index, -1, fmt.Sprintf("entry %d is no erasure %s", i, what)}
			}
		}
	case HoldLifted:
		about, err := r.Held(e.Refers[0])
		if err != nil {
			return err
		} else if !slices.Equal(about, e.About) {
			return &RuleError{"refers", e.Index, -1, fmt.Sprintf("entry %d is no open hold of exactly these consents", e.Refers[0])}
		}
	}
	return nil
}
