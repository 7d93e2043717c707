package service

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// trackedOn gives the channels of a tracking purpose, the one on which a refusal
// is recorded first.
func trackedOn(purpose string) (channels []string) {
	for _, c := range []string{"email", "web", "app"} {
		if slices.Contains(decision.TrackingOn(c), purpose) {
			channels = append(channels, c)
		}
	}
	return channels
}

// TrackingChange is a person's choice of how far they may be tracked for one
// tracking purpose. Exactly one of Subject and ManageToken says whose.
type TrackingChange struct {
	Subject        Subject
	ManageToken    string `json:"-"` // its digest is in what makes two requests the same
	Purpose        string
	Mode           string
	Method         string // how the person chose; optional
	Claims         map[string]string
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// trackingChange is such a choice on its way into the log.
type trackingChange struct {
	c    TrackingChange
	by   objector
	mode ledger.Mode
	once once
}

// SetTrackingMode records how far a person may be tracked from now on. The choice
// lies on all of the person's records of the purpose; who has none gets one that
// says that they refused. More than anonymous needs a consent that allows it, and a
// manage token only lowers what holds. The same choice again writes nothing and
// answers with the entry that stands.
func (s *Service) SetTrackingMode(ctx context.Context, src Source, c TrackingChange) ([]Consent, *Entry, error) {
	p, err := s.prepareTracking(src, c)
	if err != nil {
		return nil, nil, err
	}
	var out *outcome
	err = s.doAs(ctx, src, p.mode == ledger.ModeNone, func(t *turn) (err error) {
		out, err = p.decide(t)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	consents, err := s.consents(out.Touched, c.Proof)
	if err != nil {
		return nil, nil, err
	}
	entries, err := s.entries(out.Entries, c.Proof)
	if err != nil {
		return nil, nil, err
	}
	return consents, &entries[0], nil
}

func (s *Service) prepareTracking(src Source, c TrackingChange) (*trackingChange, error) {
	if c.Subject.isZero() == (c.ManageToken == "") {
		return nil, refusal.Invalid("subject", "needs exactly one of subject, manage_token")
	}
	if !ledger.IsTracking(c.Purpose) {
		return nil, refusal.Invalid("purpose", "is none of tracking: %s", strings.Join(ledger.TrackingPurposes(), ", "))
	}
	p := &trackingChange{c: c}
	var ok bool
	if p.mode, ok = ledger.ParseMode(c.Mode); !ok {
		return nil, refusal.Invalid("mode", "must be none, anonymous, pseudonymous or personal")
	}
	var err error
	if p.by, err = prepareObjector(c.Subject, []string{c.Purpose}, "", c.Method, c.Claims, c.OccurredAt); err != nil {
		return nil, err
	}
	p.once, err = s.once(src, c.IdempotencyKey, []any{"SetTrackingMode", c, p.by.id, ledger.Lock(c.ManageToken)})
	return p, err
}

func (p *trackingChange) decide(t *turn) (*outcome, error) {
	before, _, err := p.once.recall(t)
	if before != nil || err != nil {
		return before, err
	}
	purpose, err := knownPurpose(t.log, "purpose", p.c.Purpose)
	if err != nil {
		return nil, err
	}
	who, err := p.person(t)
	if err != nil {
		return nil, err
	}
	if err := p.mayChoose(t, who, purpose); err != nil {
		return nil, err
	}
	own := who.of(purpose.ID)
	out, entries, err := p.entries(t, who, own, purpose)
	if err != nil {
		return nil, err
	}
	return out, t.finish(p.once, who.subject, out, entries)
}

// person gives whose choice it is; a stranger is somebody of whom nothing is held.
func (p *trackingChange) person(t *turn) (who *person, err error) {
	if p.c.ManageToken != "" {
		who, _, err = t.byManageToken(p.c.ManageToken)
	} else {
		who, err = t.person(p.by.id)
	}
	if who == nil {
		who = new(person)
	}
	return who, err
}

// mayChoose refuses a mode that nothing supports.
func (p *trackingChange) mayChoose(t *turn, who *person, purpose ledger.Purpose) error {
	allowed, holds := false, ledger.Personal
	listed, err := t.stopped(who, purpose.ID)
	if err != nil {
		return err
	}
	for _, channel := range trackedOn(purpose.ID) {
		v, mode, err := decision.Decide(deciding{t}, who.consents, decision.Question{Purpose: purpose.ID, Channel: channel, At: t.now}, listed)
		if err != nil {
			return err
		}
		allowed, holds = allowed || v.Consented, min(holds, mode)
	}
	switch {
	case p.mode > ledger.Anonymous && !allowed:
		return refusal.Precondition(decision.ReasonNoConsent, "there is no consent that allows more than anonymous tracking")
	case p.c.ManageToken != "" && p.mode > holds:
		return refusal.Precondition("manage_token", "a manage token only lowers tracking; at the moment it is %s", holds)
	}
	return nil
}

// stopped gives the names for which the person is on the suppression list of those
// that stop a purpose.
func (t *turn) stopped(who *person, purpose string) ([]string, error) {
	if who.subject == nil || !t.s.vault.AnySuppressed() {
		return nil, nil
	}
	names, err := suppressible(t.log, purpose)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	ids, err := t.vault.Identifiers(who.subject)
	if err != nil {
		return nil, err
	}
	return suppressed(t.vault, ids, names)
}

// entries gives what is to be written: nothing for a choice that stands.
func (p *trackingChange) entries(t *turn, who *person, own []ledger.Consent, purpose ledger.Purpose) (*outcome, []*ledger.Entry, error) {
	if len(own) > 0 && !slices.ContainsFunc(own, func(c ledger.Consent) bool { return c.Mode != p.mode }) {
		out, err := standingChoice(t, own)
		return out, nil, err
	}
	claims, err := t.withIP(p.by.claims, p.by.addr, []string{purpose.ID})
	if err != nil {
		return nil, nil, err
	}
	if err := checkSealed(claims, max(1, len(own))); err != nil {
		return nil, nil, err
	}
	next, err := t.next()
	if err != nil {
		return nil, nil, err
	}
	var entries []*ledger.Entry
	var ids []ledger.ConsentID
	if len(own) == 0 {
		refused, err := p.refuse(t, who, purpose, ledger.ConsentID(next), claims)
		if err != nil {
			return nil, nil, err
		}
		entries, ids = append(entries, refused), append(ids, ledger.ConsentID(next))
		next++
	}
	for _, c := range own {
		if err := t.addClaims(c.ID, claims); err != nil {
			return nil, nil, err
		}
		ids = append(ids, c.ID)
	}
	base := ledger.Entry{Kind: ledger.TrackingChanged, Occurred: p.by.occurred, Purpose: purpose.ID, Mode: p.c.Mode,
		Method: p.c.Method, Commits: commitments(claims)}
	out := &outcome{Entries: []ledger.Index{next}}
	for _, id := range ids {
		out.Touched = append(out.Touched, touch{id, next})
	}
	return out, append(entries, splitAbout(base, ids)...), nil
}

// standingChoice gives the newest choice that lies on a person's records.
func standingChoice(t *turn, own []ledger.Consent) (*outcome, error) {
	newest := ledger.Index(-1)
	for _, c := range own {
		err := t.log.Mentions(c.ID, t.log.Next(), func(i ledger.Index, kind ledger.Kind) bool {
			if kind == ledger.TrackingChanged {
				newest = max(newest, i)
			}
			return kind != ledger.TrackingChanged
		})
		if err != nil {
			return nil, err
		}
	}
	out := &outcome{Entries: []ledger.Index{newest}}
	for _, c := range own {
		out.Touched = append(out.Touched, touch{c.ID, newest})
	}
	return out, nil
}

// refuse opens the record on which the choice of somebody without one lies.
func (p *trackingChange) refuse(t *turn, who *person, purpose ledger.Purpose, id ledger.ConsentID, claims []claim) (*ledger.Entry, error) {
	method := p.c.Method
	if method == "" && p.c.ManageToken != "" {
		method = "link"
	}
	if method == "" {
		return nil, refusal.Invalid("method", "is needed: nothing is held about this person and the purpose, and a refusal says how it was made")
	}
	return p.by.refuse(t, who, purpose, method, id, claims)
}

// refuse opens a record of a tracking purpose for somebody who has none, with claims
// that another entry commits to under its key. It is there to keep tracking off, so
// it is no record of a consent that was refused by way of a form, and needs neither
// notice nor claims beyond who it is. Whoever was a stranger is known in who then.
func (o *objector) refuse(t *turn, who *person, purpose ledger.Purpose, method string, id ledger.ConsentID, claims []claim) (*ledger.Entry, error) {
	s := &scope{subject: who.subject}
	ids, err := o.identifiers(t, s)
	if err != nil {
		return nil, err
	}
	who.subject = s.subject
	var named []claim
	for _, id := range ids {
		named = append(named, newClaim(id.Kind, id.Value))
	}
	if o.typed != o.id.Value {
		named = append(named, newClaim("typed", o.typed))
	}
	policy, err := t.ipPolicy([]string{purpose.ID})
	if err != nil {
		return nil, err
	}
	key := vault.NewConsentKey()
	if err := t.vault.AddConsent(who.subject, id, key); err != nil {
		return nil, err
	}
	if err := t.seal(key, slices.Concat(named, claims)); err != nil {
		return nil, err
	}
	return &ledger.Entry{Kind: ledger.ConsentRefused, Occurred: o.occurred, Purpose: purpose.ID, Channel: trackedOn(purpose.ID)[0],
		Method: method, IPPolicy: policy, Commits: commitments(named)}, nil
}
