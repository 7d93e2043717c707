package service

import (
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// records is where the history of a consent is read: the published log, or the log
// with the recorder's group over it.
type records interface {
	requests
	LastUse(ledger.ConsentID) (ledger.Index, bool, error)
	Purpose(id string) (ledger.Purpose, bool, error)
	// PurposeAt gives the version that a log of this size has.
	PurposeAt(id string, size ledger.Size) (ledger.Purpose, bool, error)
}

// published reads histories from a snapshot.
type published struct{ *store.Snapshot }

// Entry gives a parsed entry.
func (p published) Entry(i ledger.Index) (*ledger.Entry, error) {
	_, e, err := readEntry(p.Snapshot, i)
	return e, err
}

// deciding reads histories inside the recorder.
type deciding struct{ *turn }

// Entry gives a parsed entry; see [turn.entry].
func (d deciding) Entry(i ledger.Index) (*ledger.Entry, error) { return d.entry(i) }

func (d deciding) LastUse(id ledger.ConsentID) (ledger.Index, bool, error) { return d.log.LastUse(id) }

func (d deciding) Mentions(id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error {
	return d.log.Mentions(id, before, yield)
}

func (d deciding) OpenRequest(lock ledger.Hash) (ledger.OpenRequest, bool, error) {
	return d.log.OpenRequest(lock)
}

func (d deciding) Purpose(id string) (ledger.Purpose, bool, error) { return d.log.Purpose(id) }

// PurposeAt asks the published log: whatever a history is about was published
// before, or entry has refused to read it.
func (d deciding) PurposeAt(id string, size ledger.Size) (ledger.Purpose, bool, error) {
	snap := d.s.log.Snapshot()
	defer snap.Release()
	return snap.PurposeAt(id, size)
}

// history is when what happened to a consent, by the ledger's clock unless it is a
// stamp. What never happened is the zero time.
type history struct {
	opened      *ledger.Entry
	grant       decision.Stamp // the newest grant
	ended       time.Time      // what ended or lapsed it
	used        decision.Stamp // the newest use
	changed     time.Time      // the newest change but for the lock
	lockedUntil time.Time
	// advertised: the purpose was marketing when the consent was opened, granted or
	// used, whatever it is now.
	advertised bool
}

// historyOf follows the links of a consent's entries from the newest to the one
// that opened it.
func historyOf(r records, c ledger.Consent) (h history, err error) {
	moments := []ledger.Index{ledger.Index(c.ID)}
	for i := c.Last; i >= 0; {
		e, err := r.Entry(i)
		if err != nil {
			return h, err
		}
		if h.note(e); decision.Grants(e.Kind) {
			moments = append(moments, i)
		}
		if i = decision.Previous(e, c.ID); i < 0 {
			h.opened = e
		}
	}
	use, used, err := decision.LastUse(r, c.ID)
	if err != nil {
		return h, err
	}
	h.used = used
	for _, i := range append(moments, use) {
		p, _, err := r.PurposeAt(c.Purpose, ledger.Size(i))
		if err != nil {
			return h, err
		}
		h.advertised = h.advertised || p.Marketing
	}
	return h, nil
}

// note takes the times of an entry unless a newer one gave them.
func (h *history) note(e *ledger.Entry) {
	set := func(at *time.Time, to time.Time) {
		if at.IsZero() {
			*at = to
		}
	}
	if e.Kind == ledger.SubjectLocked {
		set(&h.lockedUntil, e.Until)
		return
	}
	if ends(e.Kind) {
		set(&h.ended, e.Time)
	}
	if decision.Grants(e.Kind) && h.grant == (decision.Stamp{}) {
		h.grant = decision.StampOf(e)
	}
	set(&h.changed, e.Time)
}

// uwgYears is how long the proof of a consent to advertising by telephone is to
// be kept from the grant and from each use, § 7a(2) UWG.
const uwgYears = 5

// uwgUntil gives the end of the period of § 7a UWG, the zero time if the consent
// is none to advertising by telephone or was never granted. What is no marketing
// any more keeps the period that it had while it was.
//
// The period begins with the later of what the source says and when it was
// recorded, because nothing may be shredded too early, and ends at the end of the
// day (§§ 187(1), 188(2), (3) BGB), which is that of UTC.
func (h history) uwgUntil(c ledger.Consent, p ledger.Purpose) time.Time {
	if c.Channel != "phone" || !p.Marketing && !h.advertised || h.grant == (decision.Stamp{}) {
		return time.Time{}
	}
	year, month, day := decision.Later(h.grant.Latest(), h.used.Latest()).UTC().Date()
	end := time.Date(year+uwgYears, month, day, 0, 0, 0, 0, time.UTC)
	if end.Month() != month { // 29 February: the last day of the month
		end = end.AddDate(0, 0, -1)
	}
	return end.AddDate(0, 0, 1)
}

// evidenceUntil gives until when the evidence of a consent may be kept for legal
// claims after the person is locked: the purpose's own period in days after
// whatever happened last, but never less than § 7a UWG demands; without one, § 7a
// UWG's period where it applies, otherwise the end of the third calendar year
// after whatever happened last (§§ 195, 199 BGB, by UTC).
func (h history) evidenceUntil(c ledger.Consent, p ledger.Purpose) time.Time {
	last := decision.Later(h.changed, h.used.Latest())
	uwg := h.uwgUntil(c, p)
	switch {
	case p.EvidenceDays > 0:
		return decision.Later(last.Add(decision.Days(p.EvidenceDays)), uwg)
	case !uwg.IsZero():
		return uwg
	}
	return time.Date(last.UTC().Year()+4, 1, 1, 0, 0, 0, 0, time.UTC)
}

// wholeSecond rounds up, because an entry names whole seconds and nothing may be
// shredded before its time.
func wholeSecond(t time.Time) time.Time { return t.UTC().Add(time.Second - 1).Truncate(time.Second) }

// evidencePeriods gives the latest end of the periods of several consents: that
// of § 7a UWG (zero if none has one) and that of legal claims.
func evidencePeriods(r records, consents []ledger.Consent) (uwg, until time.Time, err error) {
	for _, c := range consents {
		p, _, err := r.Purpose(c.Purpose) // none for an objection to all marketing
		if err != nil {
			return uwg, until, err
		}
		h, err := historyOf(r, c)
		if err != nil {
			return uwg, until, err
		}
		uwg = decision.Later(uwg, h.uwgUntil(c, p))
		until = decision.Later(until, h.evidenceUntil(c, p))
	}
	return uwg, until, nil
}
