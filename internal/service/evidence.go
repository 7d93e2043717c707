package service

import (
	"time"

	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// records is where the history of a consent is read: the published log, the log
// with the recorder's group over it, or the log as it was.
type records interface {
	requests
	LastUse(ledger.ConsentID) (ledger.Index, bool, error)
	Purpose(id string) (ledger.Purpose, bool, error)
	// PurposeAt gives the version that a log of this size has.
	PurposeAt(id string, size ledger.Size) (ledger.Purpose, bool, error)
}

// published reads histories from a snapshot.
type published struct{ *store.Snapshot }

func (p published) entry(i ledger.Index) (*ledger.Entry, error) {
	_, e, err := readEntry(p.Snapshot, i)
	return e, err
}

// deciding reads histories inside the recorder.
type deciding struct{ *turn }

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
	grant       stamp     // the newest grant
	ended       time.Time // what ended or lapsed it
	used        stamp     // the newest use
	changed     time.Time // the newest change but for the lock
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
		e, err := r.entry(i)
		if err != nil {
			return h, err
		}
		if h.note(e); grants(e.Kind) {
			moments = append(moments, i)
		}
		if i = previous(e, c.ID); i < 0 {
			h.opened = e
		}
	}
	use, used, err := lastUse(r, c.ID)
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

// previous gives the entry that changed a consent before e did, -1 where e did not
// change it, as the one that opened it.
func previous(e *ledger.Entry, id ledger.ConsentID) ledger.Index {
	for _, l := range e.Consents {
		if l.Consent == id {
			return l.After
		}
	}
	return -1
}

// lifeOf gives the newest grant of a consent, and its newest use if that is asked
// for. It reads as few entries as it can.
func lifeOf(r records, c ledger.Consent, use bool) (grant, used stamp, err error) {
	for i := c.Last; i >= 0; {
		e, err := r.entry(i)
		if err != nil {
			return grant, used, err
		}
		if grants(e.Kind) {
			grant = stampOf(e)
			break
		}
		i = previous(e, c.ID)
	}
	if use {
		_, used, err = lastUse(r, c.ID)
	}
	return grant, used, err
}

// lastUse gives the newest use of a consent; -1 if there is none.
func lastUse(r records, id ledger.ConsentID) (at ledger.Index, used stamp, err error) {
	at, ok, err := r.LastUse(id)
	if !ok || err != nil {
		return -1, used, err
	}
	e, err := r.entry(at)
	if err != nil {
		return -1, used, err
	}
	return at, stampOf(e), nil
}

// grants reports whether an entry of a kind grants the consents that it opens or
// changes.
func grants(kind ledger.Kind) bool {
	return kind == ledger.ConsentConfirmed || kind == ledger.ConsentGiven || kind == ledger.ConsentRenewed || kind == ledger.ConsentImported
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
	if grants(e.Kind) && h.grant == (stamp{}) {
		h.grant = stampOf(e)
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
	if c.Channel != "phone" || !p.Marketing && !h.advertised || h.grant == (stamp{}) {
		return time.Time{}
	}
	year, month, day := latest(h.grant.latest(), h.used.latest()).UTC().Date()
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
	last := latest(h.changed, h.used.latest())
	uwg := h.uwgUntil(c, p)
	switch {
	case p.EvidenceDays > 0:
		return latest(last.Add(days(p.EvidenceDays)), uwg)
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
		uwg = latest(uwg, h.uwgUntil(c, p))
		until = latest(until, h.evidenceUntil(c, p))
	}
	return uwg, until, nil
}
