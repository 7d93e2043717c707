package service

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Question asks "may I send?".
type Question struct {
	Subject Subject
	Purpose string
	Channel string
	// At asks also how it was at a moment, from the year 2000 to now; the zero time
	// only how it is.
	At time.Time
}

// reasonUnavailable is the reason of [Decision] where what is held cannot be read.
const reasonUnavailable = "unavailable"

// warningDormant warns that a consent was not used for long.
const warningDormant = "dormant"

// Decision answers it. Whatever is not certain is not allowed.
type Decision struct {
	Allowed bool
	// Reason is one of the vocabulary of CheckConsent: the state or the basis that
	// allows, or why not.
	Reason  string
	Consent ledger.ConsentID // the record that decided; 0 if none did
	State   string
	Notice  string
	Basis   string
	Grade   string // of consent; "" otherwise
	// TrackingMode is what may be measured: for a tracking purpose its own mode, for
	// another the lowest of the tracking purposes of the channel; "" if there are none.
	TrackingMode string
	// ExpiresAt is when the record that allows will end by the terms of its purpose if
	// nobody uses or renews it; the zero time if it does not, and if nothing allows.
	ExpiresAt time.Time
	Warnings  []string    // dormant: it was not used for long
	Size      ledger.Size // the size of the log that was asked
	// Then and Hindsight answer At as [decision.AsOf] does, and are nil without: by what
	// the log knew at that moment, and less what is known now about it.
	//
	// Limits. Who is erased or locked by now is a stranger, also about earlier times,
	// and so is a record of theirs that retention has locked. Asked about are the
	// records of whoever is known under the subject now.
	Then, Hindsight *bool
}

// CheckResult is the answer to one of several questions, or why there is none.
type CheckResult struct {
	Decision *Decision
	Err      error // a refusal, or that ctx has ended
}

// CheckConsent answers whether a person may be reached for a purpose on a
// channel, as the published log has it. It fails closed: when the vault cannot
// be read the reason is unavailable.
func (s *Service) CheckConsent(ctx context.Context, q Question) (*Decision, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	return s.check(ctx, snap, q)
}

// checksPerReader is how many questions are worth a goroutine of their own: one
// costs about as much as two questions do.
const checksPerReader = 16

// CheckMany answers several questions as one published log has it, each as
// [Service.CheckConsent] does.
func (s *Service) CheckMany(ctx context.Context, questions []Question) []CheckResult {
	snap := s.log.Snapshot()
	defer snap.Release()
	results := make([]CheckResult, len(questions))
	readers := max(1, min(runtime.GOMAXPROCS(0), len(questions)/checksPerReader))
	var next atomic.Int64
	read := func() {
		for i := int(next.Add(1)) - 1; i < len(questions); i = int(next.Add(1)) - 1 {
			results[i].Decision, results[i].Err = s.check(ctx, snap, questions[i])
		}
	}
	var wg sync.WaitGroup
	for range readers - 1 {
		wg.Go(read)
	}
	read()
	wg.Wait()
	return results
}

// check answers a question from a snapshot.
func (s *Service) check(ctx context.Context, snap *store.Snapshot, q Question) (*Decision, error) {
	id, err := q.Subject.normalise("subject")
	if err != nil {
		return nil, err
	}
	if !ledger.IsIdentifier(q.Purpose) {
		return nil, refusal.Invalid("purpose", "is not the id of a purpose")
	}
	if !ledger.IsChannel(q.Channel) {
		return nil, refusal.Invalid("channel", "is not a channel")
	}
	now := s.now()
	if !q.At.IsZero() && (q.At.Before(earliest) || q.At.After(now)) {
		return nil, refusal.Invalid("at", "must lie between the year 2000 and now")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d := &Decision{Size: snap.Size()}
	if err := s.decide(&asked{published: published{snap}}, q, id, now, d); err != nil {
		s.logger.Error("a check could not be answered", "error", err.Error())
		*d = Decision{Reason: reasonUnavailable, Size: snap.Size(), TrackingMode: closedMode(snap, q.Channel)}
		if !q.At.IsZero() {
			d.Then, d.Hindsight = new(bool), new(bool)
		}
	}
	return d, nil
}

// asked is the log as one question reads it. It remembers what is kept of the entries
// that opened the consents it has read.
type asked struct {
	published
	openings []opened
}

// opened is what is kept of the entry that opened a consent.
type opened struct {
	id ledger.ConsentID
	store.Opening
}

// Consent implements [ledger.History].
func (a *asked) Consent(id ledger.ConsentID) (ledger.Consent, bool, error) {
	c, o, ok, err := a.Opened(id)
	if ok {
		a.openings = append(a.openings, opened{id, o})
	}
	return c, ok, err
}

// opening gives what is kept of a consent that was read.
func (a *asked) opening(id ledger.ConsentID) store.Opening {
	return a.openings[slices.IndexFunc(a.openings, func(o opened) bool { return o.id == id })].Opening
}

func (s *Service) decide(log *asked, q Question, id Identifier, now time.Time, d *Decision) error {
	if !q.At.IsZero() {
		d.Then, d.Hindsight = new(bool), new(bool)
	}
	_, ok, err := log.Purpose(q.Purpose)
	if err != nil {
		return err
	}
	if !ok {
		d.Reason, d.TrackingMode = decision.ReasonUnknownPurpose, closedMode(log, q.Channel)
		return nil
	}
	who, listed, err := s.findForCheck(log, id, q)
	if err != nil {
		return err
	}
	var consents []ledger.Consent
	if who != nil {
		consents = who.consents
	}
	if !q.At.IsZero() {
		size, err := log.SizeAt(q.At)
		if err != nil {
			return err
		}
		a, err := decision.AsOf(log, size, consents, decision.Question{Purpose: q.Purpose, Channel: q.Channel, At: q.At})
		if err != nil {
			return err
		}
		d.Then, d.Hindsight = &a.Allowed, &a.Hindsight
	}
	v, mode, err := decision.Decide(log, consents, decision.Question{Purpose: q.Purpose, Channel: q.Channel, At: now}, listed)
	if err != nil {
		return err
	}
	d.Allowed, d.Reason, d.TrackingMode, d.ExpiresAt = v.Allowed, v.Reason, mode.String(), v.Expires
	if v.Dormant {
		d.Warnings = []string{warningDormant}
	}
	if v.Record.ID == 0 {
		return nil
	}
	return d.show(log, v.Record, now)
}

// show names the record that decided.
func (d *Decision) show(log *asked, c ledger.Consent, now time.Time) error {
	opening := log.opening(c.ID)
	d.Consent, d.State, d.Basis, d.Grade, d.Notice = c.ID, c.State.String(), c.Basis.String(), c.Grade().String(), opening.Notice
	// A lock that succeeds another does not expire before it.
	if d.Reason != decision.ReasonPending || !decision.IsOver(opening.Expires, now) {
		return nil
	}
	opened, err := log.Entry(ledger.Index(c.ID))
	if err != nil {
		return err
	}
	waits, err := newestLock(log, c, opened)
	if err == nil && decision.IsOver(waits.Expires, now) {
		// A request whose token has expired will not become a consent.
		d.Reason = ledger.Lapsed.String()
	}
	return err
}

// closedMode is the mode of somebody of whom nothing is known for certain.
func closedMode(h ledger.History, channel string) string {
	// The registry of a log is in memory; only its reader's interface has errors.
	mode, _ := decision.ClosedMode(h, channel)
	return mode.String()
}

// findForCheck looks a person up, and on the suppression list under every
// identifier that is known. It gives the purposes for which they stand on it, of
// those that matter.
func (s *Service) findForCheck(log *asked, id Identifier, q Question) (who *person, listed []string, err error) {
	var names []string
	if s.vault.AnySuppressed() {
		if names, err = suppressible(log, append([]string{q.Purpose}, decision.TrackingOn(q.Channel)...)...); err != nil {
			return nil, nil, err
		}
	}
	err = s.vault.View(func(w vault.View) (err error) {
		if who, err = findPerson(w, log, log.Size(), id); err != nil || len(names) == 0 {
			return err
		}
		ids := []vault.Identifier{id.inVault()}
		if who != nil {
			if ids, err = w.Identifiers(who.subject); err != nil {
				return err
			}
		}
		listed, err = suppressed(w, ids, names)
		return err
	})
	return who, listed, err
}

// ListConsents lists everything held about a person, oldest first; nothing for a
// stranger.
func (s *Service) ListConsents(ctx context.Context, subject Subject) ([]Consent, error) {
	id, err := subject.normalise("subject")
	if err != nil {
		return nil, err
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	who, err := s.find(snap, id)
	if err != nil {
		return nil, s.unreadable(err)
	} else if who == nil {
		return nil, nil
	}
	return s.list(ctx, snap, who.consents)
}

// unreadable hides the cause of what cannot be read about a person.
func (s *Service) unreadable(err error) error {
	if !errors.Is(err, vault.ErrDamaged) {
		return err
	}
	s.logger.Error("a list could not be answered", "error", err.Error())
	return refusal.Unavailable("what is held about this person cannot be read")
}

// list shows consents, each with the entry that changed it last.
func (s *Service) list(ctx context.Context, snap *store.Snapshot, consents []ledger.Consent) ([]Consent, error) {
	list := make([]Consent, 0, len(consents))
	for _, c := range consents {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entry, parsed, err := s.entry(snap, c.Last, false)
		if err != nil {
			return nil, err
		}
		shown, err := showConsent(snap, c.ID, parsed)
		if err != nil {
			return nil, err
		}
		shown.Entry = entry
		list = append(list, shown)
	}
	return list, nil
}

// now is the wall clock, for those who only read.
func (s *Service) now() time.Time { return s.clock.wall() }
