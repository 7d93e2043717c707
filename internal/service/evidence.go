package service

import (
	"time"

	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// records is where the history of a consent is read: the published log, or the
// log with the recorder's group over it.
type records interface {
	entry(ledger.Index) (*ledger.Entry, error)
	LastUse(ledger.ConsentID) (ledger.Index, bool, error)
	Purpose(id string) (ledger.Purpose, bool, error)
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
func (d deciding) Purpose(id string) (ledger.Purpose, bool, error)         { return d.log.Purpose(id) }

// history is when what happened to a consent, by the ledger's clock. What never
// happened is the zero time.
type history struct {
	opened      *ledger.Entry
	granted     time.Time // the newest grant
	ended       time.Time // what ended or lapsed it
	used        time.Time // the newest use
	changed     time.Time // the newest change but for the lock
	lockedUntil time.Time
}

// historyOf follows the links of a consent's entries from the newest to the one
// that opened it.
func historyOf(r records, c ledger.Consent) (h history, err error) {
	for i := c.Last; ; {
		e, err := r.entry(i)
		if err != nil {
			return h, err
		}
		h.note(e)
		if e.Index == ledger.Index(c.ID) {
			h.opened = e
			break
		}
		i = -1
		for _, l := range e.Consents {
			if l.Consent == c.ID {
				i = l.After
			}
		}
	}
	use, ok, err := r.LastUse(c.ID)
	if !ok || err != nil {
		return h, err
	}
	e, err := r.entry(use)
	if err == nil {
		h.used = e.Time
	}
	return h, err
}

// note takes the times of an entry unless a newer one gave them.
func (h *history) note(e *ledger.Entry) {
	set := func(at *time.Time, to time.Time) {
		if at.IsZero() {
			*at = to
		}
	}
	switch e.Kind {
	case ledger.SubjectLocked:
		set(&h.lockedUntil, e.Until)
		return
	case ledger.ConsentConfirmed:
		set(&h.granted, e.Time)
	case ledger.ConsentWithdrawn, ledger.ConsentExpired, ledger.ConsentRevoked, ledger.ObjectionRecorded,
		ledger.ConfirmationRejected, ledger.RequestExpired:
		set(&h.ended, e.Time)
	}
	set(&h.changed, e.Time)
}

// uwgYears is how long the proof of a consent to advertising by telephone is to
// be kept from the grant and from each use, § 7a(2) UWG.
const uwgYears = 5

// uwgUntil gives the end of the period of § 7a UWG, the zero time if the consent
// is none to advertising by telephone or was never granted.
func (h history) uwgUntil(c ledger.Consent, p ledger.Purpose) time.Time {
	if c.Channel != "phone" || !p.Marketing || h.granted.IsZero() {
		return time.Time{}
	}
	return latest(h.granted, h.used).AddDate(uwgYears, 0, 0)
}

// evidenceUntil gives until when the evidence of a consent may be kept for legal
// claims after the person is locked: the purpose's own period in days after
// whatever happened last, but never less than § 7a UWG demands; without one, § 7a
// UWG's period where it applies, otherwise the end of the third calendar year
// after whatever happened last (§§ 195, 199 BGB, by UTC).
func (h history) evidenceUntil(c ledger.Consent, p ledger.Purpose) time.Time {
	last := latest(h.changed, h.used)
	uwg := h.uwgUntil(c, p)
	switch {
	case p.EvidenceDays > 0:
		return latest(last.Add(days(p.EvidenceDays)), uwg)
	case !uwg.IsZero():
		return uwg
	}
	return time.Date(last.UTC().Year()+4, 1, 1, 0, 0, 0, 0, time.UTC)
}

func days(n int64) time.Duration { return time.Duration(n) * 24 * time.Hour }

// wholeSecond rounds up, because an entry names whole seconds and nothing may be
// shredded before its time.
func wholeSecond(t time.Time) time.Time { return t.UTC().Add(time.Second - 1).Truncate(time.Second) }

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

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
