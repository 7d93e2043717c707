package service

import (
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// recipients finds of which entries a processor is still to be told to whom data
// were passed: Art. 19 GDPR for what was rectified, erased or restricted, Art.
// 28(3)(a), (g) for what ended. Of each consent the newest of these entries counts.
//
// A processor was told when a recipient.notified about the entry names it, or, of an
// end, when the end is recorded to have taken effect there.
//
// Limits. Only processors are known here; recipients that a claim names are not.
type recipients struct {
	snap    *store.Snapshot
	engaged map[string]bool
	todo    map[ledger.Index]time.Time // the entries, and when what they say happened

	uses   *uses
	events map[ledger.Index]*event // what was read before, as far as it fits
}

// event is an entry of which recipients are to be told.
type event struct {
	first ledger.Index // of several parts
	at    time.Time
	ends  bool
	told  map[string]bool
}

func newRecipients(snap *store.Snapshot, engaged []ledger.Processor, uses *uses) *recipients {
	r := &recipients{snap: snap, engaged: map[string]bool{}, todo: map[ledger.Index]time.Time{}, uses: uses, events: map[ledger.Index]*event{}}
	for _, p := range engaged {
		r.engaged[p.ID] = true
	}
	return r
}

// look looks at one consent and the entries that mention it, ascending.
func (r *recipients) look(c ledger.Consent, mentions []store.Mention) error {
	if !slices.ContainsFunc(mentions, func(m store.Mention) bool { return m.Kind == ledger.ConsentUsed }) {
		return nil
	}
	newest, err := r.moved(c)
	if err != nil {
		return err
	}
	var uses, effected []ledger.Index
	for _, m := range slices.Backward(mentions) {
		switch i := m.Index; {
		case m.Kind == ledger.SubjectRectified && i > newest:
			newest = i
		case m.Kind == ledger.WithdrawalEffected && i > newest:
			effected = append(effected, i)
		case m.Kind == ledger.ConsentUsed && i < newest:
			uses = append(uses, i)
		}
	}
	if len(uses) == 0 {
		return nil
	}
	return r.check(newest, uses, effected)
}

// moved gives the newest entry that erased, restricted or first ended a consent, -1
// if it is none of these.
func (r *recipients) moved(c ledger.Consent) (ledger.Index, error) {
	restricted, ended := c.Overlays.Has(ledger.Restricted), hasEnded(c.State)
	if c.Overlays.Has(ledger.Erased) {
		return c.Last, nil // nothing changes it any more
	} else if !restricted && !ended {
		return -1, nil
	}
	restriction, end := ledger.Index(-1), ledger.Index(-1)
	for i := c.Last; i >= 0; {
		e, err := published{r.snap}.Entry(i)
		if err != nil {
			return -1, err
		}
		if e.Kind == ledger.RestrictionSet && restricted {
			restriction = max(restriction, i)
		}
		if endsConsent(e.Kind) {
			end = i
		}
		i = decision.Previous(e, c.ID)
	}
	return max(restriction, end), nil
}

// check looks whether everybody to whom data were passed before an entry was told
// of it.
func (r *recipients) check(i ledger.Index, uses []ledger.Index, effected []ledger.Index) error {
	e, err := r.event(i)
	if err != nil {
		return err
	} else if _, known := r.todo[e.first]; known {
		return nil
	}
	heard := map[string]bool{}
	for _, i := range effected {
		_, e, err := readEntry(r.snap, i)
		if err != nil {
			return err
		}
		heard[e.System] = true
	}
	for _, use := range uses {
		u, err := r.uses.read(use)
		if err != nil {
			return err
		}
		if r.engaged[u.processor] && !e.told[u.processor] && !(e.ends && heard[u.processor]) {
			r.todo[e.first] = e.at
			return nil
		}
	}
	return nil
}

// event reads an entry of which recipients are to be told, and who was.
func (r *recipients) event(i ledger.Index) (*event, error) {
	if known, ok := r.events[i]; ok {
		return known, nil
	}
	_, e, err := readEntry(r.snap, i)
	if err != nil {
		return nil, err
	}
	known := &event{first: i - ledger.Index(max(e.Part-1, 0)), at: happened(e), ends: endsConsent(e.Kind), told: map[string]bool{}}
	for part := range ledger.Index(max(e.Parts, 1)) { // whichever was named, all were told of
		err := r.snap.Referring(known.first+part, func(i ledger.Index, kind ledger.Kind) error {
			if kind != ledger.RecipientNotified {
				return nil
			}
			_, e, err := readEntry(r.snap, i)
			if err == nil {
				known.told[e.Processor] = true
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(r.events) == knownEntries {
		clear(r.events)
	}
	r.events[i] = known
	return known, nil
}

// uses reads what consent.used entries say, each once as far as they fit: an entry
// names up to some hundred consents.
type uses struct {
	snap  *store.Snapshot
	known map[ledger.Index]use
}

type use struct {
	at        decision.Stamp
	processor string // to whom data were passed, or ""
}

// knownEntries is how many entries of a sort a look remembers.
const knownEntries = 1 << 14

func newUses(snap *store.Snapshot) *uses { return &uses{snap, map[ledger.Index]use{}} }

func (u *uses) read(i ledger.Index) (use, error) {
	if known, ok := u.known[i]; ok {
		return known, nil
	}
	_, e, err := readEntry(u.snap, i)
	if err != nil {
		return use{}, err
	}
	if len(u.known) == knownEntries {
		clear(u.known)
	}
	u.known[i] = use{decision.StampOf(e), e.Processor}
	return u.known[i], nil
}

// last gives when a consent was used last, zero times if it never was.
func (u *uses) last(id ledger.ConsentID) (decision.Stamp, error) {
	i, ok, err := u.snap.LastUse(id)
	if err != nil || !ok {
		return decision.Stamp{}, err
	}
	used, err := u.read(i)
	return used.at, err
}

// newest is last of a consent whose mentions, ascending, are at hand.
func (u *uses) newest(mentions []store.Mention) (decision.Stamp, error) {
	for _, m := range slices.Backward(mentions) {
		if m.Kind == ledger.ConsentUsed {
			used, err := u.read(m.Index)
			return used.at, err
		}
	}
	return decision.Stamp{}, nil
}
