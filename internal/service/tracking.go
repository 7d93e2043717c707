package service

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// How far a person may be tracked (§ 25 TDDDG) is up to, in this order:
//
//	the person's own choice, if there is one: the mode of their newest record of the
//	  tracking purpose that has one; a newer consent that allows is no choice, and
//	  takes an earlier one off;
//	nothing, if no consent allows it and the newest signal of the person's browser
//	  said no;
//	the purpose's default;
//	what consent allows: everything, or nothing without.
//
// Without a consent that allows it is never more than anonymous, and a choice of
// more than that, which rested on such a consent, has ended with it.

// trackingPurposes are the tracking purposes of each channel that has any.
var trackingPurposes = map[string][]string{
	"email": {"email.open_tracking", "email.click_tracking"},
	"web":   {"web.tracking"},
	"app":   {"web.tracking"},
}

// trackedOn gives the channels of a tracking purpose, the one on which a refusal
// is recorded first.
func trackedOn(purpose string) (channels []string) {
	for _, c := range []string{"email", "web", "app"} {
		if slices.Contains(trackingPurposes[c], purpose) {
			channels = append(channels, c)
		}
	}
	return channels
}

// modeOf gives the mode that holds, of the facts about a tracking purpose about
// which judge has said v, and the record that has the person's choice (ID 0: none).
func (d *facts) modeOf(v verdict) (ledger.Mode, ledger.Consent) {
	var chosen ledger.Consent
	objection := d.objection()
	for _, r := range d.records {
		if r.Purpose != d.purpose.ID || r.ID < chosen.ID {
			continue
		}
		allows := false
		if v.allowed && d.concerns(r) && d.admits(r) {
			own, _ := d.judgeRecord(r, objection)
			allows = own.allowed
		}
		if r.Mode != ledger.NoMode || allows {
			chosen = r.Consent
		}
	}
	usual := d.purpose.TrackingMode
	switch {
	case chosen.Mode != ledger.NoMode && (v.allowed || chosen.Mode <= ledger.Anonymous):
		return chosen.Mode, chosen
	case v.allowed && usual == ledger.NoMode:
		return ledger.Personal, ledger.Consent{}
	case v.allowed:
		return usual, ledger.Consent{}
	case d.signalled():
		return ledger.ModeNone, ledger.Consent{}
	}
	return max(ledger.ModeNone, min(usual, ledger.Anonymous)), ledger.Consent{}
}

// signalled reports whether the newest signal about a tracking purpose said no. A
// signal lies on all records of the purpose that the person had when it came.
func (d *facts) signalled() bool {
	return slices.ContainsFunc(d.records, func(r record) bool { return r.Purpose == d.purpose.ID && r.Evidence&ledger.EvSignalNo != 0 })
}

// judgeTracking is judge for a tracking purpose: tracking that leads to a person is
// allowed if consent allows it and the mode does. Where the person chose less the
// reason is refused, where only the default is less it is no_consent.
func judgeTracking(d facts) (verdict, ledger.Mode) {
	v := judge(d)
	mode, chosen := d.modeOf(v)
	if !v.allowed || mode > ledger.Anonymous {
		return v, mode
	}
	if chosen.ID != 0 {
		return verdict{reason: ledger.Refused.String(), record: chosen}, mode
	}
	return verdict{reason: reasonNoConsent}, mode
}

// lowestMode gives the lowest mode of the tracking purposes of a channel, NoMode if
// none is defined.
func lowestMode(h ledger.History, channel string, mode func(ledger.Purpose) (ledger.Mode, error)) (lowest ledger.Mode, err error) {
	for _, name := range trackingPurposes[channel] {
		p, ok, err := h.Purpose(name)
		if err != nil {
			return lowest, err
		} else if !ok {
			continue
		}
		m, err := mode(p)
		if err != nil {
			return lowest, err
		}
		if lowest == ledger.NoMode || m < lowest {
			lowest = m
		}
	}
	return lowest, nil
}

// closedMode is the mode of somebody of whom nothing is known for certain.
func closedMode(h ledger.History, channel string) string {
	// The registry of a log is in memory; only its reader's interface has errors.
	mode, _ := lowestMode(h, channel, func(ledger.Purpose) (ledger.Mode, error) { return ledger.ModeNone, nil })
	return mode.String()
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
	err = s.do(ctx, src, func(t *turn) (err error) {
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
	for _, channel := range trackedOn(purpose.ID) {
		d := facts{purpose: purpose, channel: channel, at: t.now, records: recordsOf(who.consents)}
		if err := d.complete(deciding{t}, t.log); err != nil {
			return err
		}
		var err error
		if d.suppressed, err = t.stopped(d, who); err != nil {
			return err
		}
		v := judge(d)
		mode, _ := d.modeOf(v)
		allowed, holds = allowed || v.allowed, min(holds, mode)
	}
	switch {
	case p.mode > ledger.Anonymous && !allowed:
		return refusal.Precondition(reasonNoConsent, "there is no consent that allows more than anonymous tracking")
	case p.c.ManageToken != "" && p.mode > holds:
		return refusal.Precondition("manage_token", "a manage token only lowers tracking; at the moment it is %s", holds)
	}
	return nil
}

// stopped reports whether the suppression list stops the purpose that the facts are about.
func (t *turn) stopped(d facts, who *person) (bool, error) {
	if who.subject == nil || !t.s.vault.AnySuppressed() {
		return false, nil
	}
	names, err := suppressible(t.log, d.purpose.ID)
	if err != nil || len(names) == 0 {
		return false, err
	}
	ids, err := t.vault.Identifiers(who.subject)
	if err != nil {
		return false, err
	}
	listed, err := suppressed(t.vault, ids, names)
	return len(listed) > 0, err
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
	if err := t.vault.AddClaims(seal(key, slices.Concat(named, claims))...); err != nil {
		return nil, err
	}
	return &ledger.Entry{Kind: ledger.ConsentRefused, Occurred: o.occurred, Purpose: purpose.ID, Channel: trackedOn(purpose.ID)[0],
		Method: method, IPPolicy: policy, Commits: commitments(named)}, nil
}
