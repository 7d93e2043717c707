package service

import (
	"context"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// Giving is consent that needs no confirmation link: on paper, by telephone, in
// person, or a box in an app where the person is known.
type Giving struct {
	Subject        Subject
	Purposes       []string
	Channel        string
	Notice         string // `newsletter-de@3`: the words that were shown or read out
	Method         string
	Claims         map[string]string
	Attachments    []Attachment `json:"-"`
	Explicit       bool         // the person declared it explicitly, Art. 9(2)(a) GDPR
	Age            string       // old_enough, child, or "" when nothing is said
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Given answers a Giving.
type Given struct {
	Consents    []Consent
	ManageToken string
}

// GiveConsent records consent as it was given, one record per purpose, also where
// the purpose demands a double opt-in on the channel: checks answer that it is
// missing. It lifts no suppression, and is refused while one stands. What arrives
// late brings nothing back: consent given, by its own date, before the person
// withdrew from or objected to what the purpose belongs to is refused.
func (s *Service) GiveConsent(ctx context.Context, src Source, g Giving) (*Given, error) {
	if err := checkPersonal(g.Method); err != nil {
		return nil, err
	}
	if err := checkAge(g.Age); err != nil {
		return nil, err
	}
	notice, err := parseNotice(g.Notice)
	if err != nil {
		return nil, err
	}
	d, err := s.prepareStatement(g.Subject, g.Purposes, g.Claims, g.Attachments, ledger.Entry{Kind: ledger.ConsentGiven,
		Channel: g.Channel, Notice: notice, Method: g.Method, Explicit: onlyYes(g.Explicit), Age: g.Age, Occurred: g.OccurredAt})
	if err != nil {
		return nil, err
	}
	if d.once, err = s.once(src, g.IdempotencyKey, []any{"GiveConsent", g, d.identity()}); err != nil {
		return nil, err
	}
	var out *outcome
	var manage string
	err = s.openRecords(ctx, src, d.opening, func(t *turn) (err error) {
		out, manage, err = d.give(t)
		return err
	})
	if err != nil {
		return nil, err
	}
	consents, err := s.consents(out.Touched, g.Proof, out.wrote...)
	return &Given{consents, manage}, err
}

// checkPersonal refuses a method by which nobody says yes: a system, or the
// operator on its own.
func checkPersonal(method string) error {
	if !ledger.IsMethod(method) {
		return refusal.Invalid("method", "is not a method")
	}
	if method == "api" || method == "import" {
		return refusal.Precondition("method", "is none by which a person says yes; what another system says is imported")
	}
	return nil
}

// statement is records about one person in the making that no confirmation
// follows, one per purpose.
type statement struct {
	*opening
	base     ledger.Entry // of each record; its notice without hash
	names    []string     // of the purposes
	once     once
	purposes []ledger.Purpose // as the newest run of the decision found them
}

// prepareStatement checks what needs no state. base holds the caller's fields.
func (s *Service) prepareStatement(subject Subject, purposes []string, claims map[string]string, files []Attachment, base ledger.Entry) (*statement, error) {
	d := &statement{base: base, names: purposes}
	if err := checkPurposes(purposes, true); err != nil {
		return nil, err
	}
	if !ledger.IsChannel(base.Channel) {
		return nil, refusal.Invalid("channel", "is not a channel")
	}
	var err error
	if d.base.Occurred, err = occurred(base.Occurred); err != nil {
		return nil, err
	}
	d.opening, err = s.prepareOpening(subject, claims, files, len(purposes))
	return d, err
}

// look finds whom and what a statement is about.
func (d *statement) look(t *turn) (who *vault.Subject, ids []vault.Identifier, err error) {
	if d.purposes, err = t.purposes(d.names); err != nil {
		return nil, nil, err
	}
	return t.subject(d.id)
}

// entries gives one opening entry per purpose.
func (d *statement) entries(t *turn) ([]*ledger.Entry, error) {
	base := d.base
	if base.Notice.ID != "" {
		var err error
		if base.Notice, err = t.notice(base.Notice, d.purposes); err != nil {
			return nil, err
		}
	}
	entries := make([]*ledger.Entry, 0, len(d.names))
	for _, name := range d.names {
		e := base
		e.Purpose = name
		entries = append(entries, &e)
	}
	return entries, nil
}

// keep records what was stated. What comes after it can only be refused.
func (d *statement) keep(t *turn, who *vault.Subject, ids []vault.Identifier) (*outcome, []*ledger.Entry, error) {
	entries, err := d.entries(t)
	if err != nil {
		return nil, nil, err
	}
	out, err := d.record(t, who, ids, d.once, entries)
	return out, entries, err
}

// give decides about consent that was given.
func (d *statement) give(t *turn) (*outcome, string, error) {
	out, who, err := d.once.recall(t)
	if err != nil {
		return nil, "", err
	}
	var entries []*ledger.Entry
	if out == nil {
		var ids []vault.Identifier
		if who, ids, err = d.look(t); err != nil {
			return nil, "", err
		}
		if err := t.notSuppressed(ids, d.purposes); err != nil {
			return nil, "", err
		}
		if err := d.notEndedSince(t); err != nil {
			return nil, "", err
		}
		if out, entries, err = d.keep(t, who, ids); err != nil {
			return nil, "", err
		}
	}
	manage, err := t.vault.ManageTokenFor(who, d.base.Channel)
	if err == nil && len(entries) > 0 {
		out.wrote, err = t.write(entries...)
	}
	return out, manage, err
}

// notEndedSince refuses what the person ended after it had been given.
func (d *statement) notEndedSince(t *turn) error {
	if d.base.Occurred.IsZero() {
		return nil
	}
	known, err := t.person(d.id)
	if err != nil || known == nil {
		return err
	}
	for i, p := range d.purposes {
		stops, err := decision.StopsOf(t.log, p)
		if err != nil {
			return err
		}
		for _, c := range known.consents {
			if c.State != ledger.Withdrawn && c.State != ledger.Objected || c.Channel != d.base.Channel && c.Channel != ledger.AnyChannel ||
				!slices.Contains(stops, c.Purpose) {
				continue
			}
			ended, err := endedAt(deciding{t}, c)
			if err != nil {
				return err
			}
			if d.base.Occurred.Before(ended.Truncate(time.Second)) {
				return refusal.Precondition(c.State.String(), "the person ended purposes[%d] after this consent was given; a new one is needed", i)
			}
		}
	}
	return nil
}

// endedAt gives when the person withdrew a consent or objected to it, as the
// source dates it, but no later than it was recorded.
func endedAt(r records, c ledger.Consent) (time.Time, error) {
	for i := c.Last; ; {
		e, err := r.Entry(i)
		if err != nil {
			return time.Time{}, err
		}
		if e.Kind == ledger.ConsentWithdrawn || e.Kind == ledger.ObjectionRecorded {
			return decision.StampOf(e).Earliest(), nil
		}
		i = decision.Previous(e, c.ID)
	}
}
