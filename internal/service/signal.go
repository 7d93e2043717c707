package service

import (
	"context"
	"strings"
	"time"

	tcf "github.com/prebid/go-gdpr/vendorconsent/tcf2"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// PreferenceSignal is what software says for a person without being asked: a browser
// by Global Privacy Control, a consent tool by a TC string.
type PreferenceSignal struct {
	Subject Subject
	Signal  string // gpc or tcf
	// Value is, of gpc, that of the header Sec-GPC, which has the value 1 only and says
	// no (W3C, Global Privacy Control, § 3.2); of tcf a TC string of version 2 (IAB
	// Europe, Transparency and Consent Framework), which says no if its purpose 1 (store
	// and access information on a device, § 25 TDDDG) is not consented to, else yes.
	Value string
	// Purposes narrows it to these purposes of tracking; empty means all that are
	// defined.
	Purposes       []string
	Claims         map[string]string
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// SignalReceived answers a PreferenceSignal.
type SignalReceived struct {
	Says     string    // no or yes
	Consents []Consent // the person's records of the purposes
	Entry    Entry     // the one that says so; its Size is 0 if there is none
}

// receivingSignal is a signal on its way into the log.
type receivingSignal struct {
	x    PreferenceSignal
	by   objector
	says string
	once once
}

// RecordSignal records a signal about the tracking of a person. One that says no
// stops what is done by default: see the head of tracking.go. It stops nothing that
// the person consented to by a click, before or after, and one that says yes grants
// nothing. It lies on all of the person's records of the purposes; who has none of a
// purpose and says no gets one that says that they refused. Who has none and says
// yes says nothing new, and nothing is written. The same signal again writes nothing,
// either, and answers with the entry that stands.
func (s *Service) RecordSignal(ctx context.Context, src Source, x PreferenceSignal) (*SignalReceived, error) {
	p, err := s.prepareSignal(src, x)
	if err != nil {
		return nil, err
	}
	var out *outcome
	err = s.doAs(ctx, src, p.says == "no", func(t *turn) (err error) {
		out, err = p.decide(t)
		return err
	})
	if err != nil {
		return nil, err
	}
	answer := &SignalReceived{Says: p.says}
	if answer.Consents, err = s.consents(out.Touched, x.Proof); err != nil || len(out.Entries) == 0 {
		return answer, err
	}
	entries, err := s.entries(out.Entries[:1], x.Proof)
	if err != nil {
		return nil, err
	}
	answer.Entry = entries[0]
	return answer, nil
}

func (s *Service) prepareSignal(src Source, x PreferenceSignal) (*receivingSignal, error) {
	if x.Subject.isZero() {
		return nil, refusal.Invalid("subject", "needs exactly one of email, phone, external_id")
	}
	p := &receivingSignal{x: x}
	var err error
	if p.by, err = prepareObjector(x.Subject, x.Purposes, "", "", x.Claims, x.OccurredAt); err != nil {
		return nil, err
	}
	for i, name := range x.Purposes {
		if !ledger.IsTracking(name) {
			return nil, refusal.Invalid(path("purposes", i), "is none of tracking: %s", strings.Join(ledger.TrackingPurposes(), ", "))
		}
	}
	if p.says, err = x.says(); err != nil {
		return nil, err
	}
	p.by.claims = append(p.by.claims, newClaim("signal", x.Value))
	p.once, err = s.once(src, x.IdempotencyKey, []any{"RecordSignal", x, p.by.id})
	return p, err
}

// says reads what a signal says.
func (x *PreferenceSignal) says() (string, error) {
	switch x.Signal {
	case "gpc":
		if x.Value != "1" {
			return "", refusal.Invalid("value", "is not 1; Global Privacy Control has no other value")
		}
		return "no", nil
	case "tcf":
		allowed, ok := purposeOne(x.Value)
		if !ok {
			return "", refusal.Invalid("value", "is not a TC string of version 2")
		}
		return yesNo(allowed), nil
	}
	return "", refusal.Invalid("signal", "must be %s", strings.Join(ledger.PreferenceSignals(), " or "))
}

// purposeOne reports whether a TC string has purpose 1 consented to; ok is false if
// it is no TC string of version 2, whose first character is C. What is wrong with it is not told, because the
// parser quotes it.
func purposeOne(s string) (allowed, ok bool) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_." // segments in base64url
	if len(s) > ledger.MaxClaimValue || strings.Trim(s, alphabet) != "" || !tcf.IsConsentV2(s) {
		return false, false
	}
	// The parser reads the flags behind a list of vendors without asking whether the
	// string goes on; a fuzz test found it.
	defer func() {
		if recover() != nil {
			allowed, ok = false, false
		}
	}()
	c, err := tcf.ParseString(s)
	if err != nil {
		return false, false
	}
	return c.PurposeAllowed(1), true
}

func (p *receivingSignal) decide(t *turn) (*outcome, error) {
	before, _, err := p.once.recall(t)
	if before != nil || err != nil {
		return before, err
	}
	purposes, err := p.purposes(t)
	if err != nil {
		return nil, err
	}
	who, err := t.person(p.by.id)
	if err != nil {
		return nil, err
	}
	if who == nil {
		who = new(person) // a stranger
	}
	var names []string
	var none []ledger.Purpose // of which the person has no record
	for _, purpose := range purposes {
		names = append(names, purpose.ID)
		if len(who.of(purpose.ID)) == 0 && p.says == "no" {
			none = append(none, purpose)
		}
	}
	own := who.of(names...)
	if len(none) > 0 {
		return p.record(t, who, own, none, names)
	}
	out, err := p.standing(t, own)
	if err != nil {
		return nil, err
	} else if out == nil {
		return p.record(t, who, own, nil, names)
	}
	return out, t.finish(p.once, who.subject, out, nil)
}

// purposes gives those that the signal concerns.
func (p *receivingSignal) purposes(t *turn) ([]ledger.Purpose, error) {
	if len(p.x.Purposes) > 0 {
		return t.purposes(p.x.Purposes)
	}
	var list []ledger.Purpose
	for _, name := range ledger.TrackingPurposes() {
		purpose, ok, err := t.log.Purpose(name)
		if err != nil {
			return nil, err
		} else if ok {
			list = append(list, purpose)
		}
	}
	if len(list) == 0 {
		return nil, refusal.Precondition("tracking", "no purpose of tracking is defined, and a signal concerns nothing else")
	}
	return list, nil
}

// standing gives the outcome of a signal that says what the newest ones about all of
// the records say, each with that one; nil if it says something new.
func (p *receivingSignal) standing(t *turn, own []ledger.Consent) (*outcome, error) {
	out := new(outcome)
	for _, c := range own {
		before, err := newest(deciding{t}, []ledger.Consent{c}, ledger.SignalReceived, endOfLog, 1)
		if err != nil || len(before) == 0 {
			return nil, err
		}
		e := before[0]
		out.Touched = append(out.Touched, touch{c.ID, e.Index})
		if e.Part > 1 { // the first one commits to the value
			if e, err = t.entry(e.Index - ledger.Index(e.Part-1)); err != nil {
				return nil, err
			}
		}
		// No value is one of both gpc and tcf.
		if value, ok, err := t.open(e, own, "signal"); !ok || value != p.x.Value || err != nil {
			return nil, err
		}
		if len(out.Entries) == 0 || e.Index > out.Entries[0] {
			out.Entries = []ledger.Index{e.Index}
		}
	}
	return out, nil
}

// record records the signal about the person's own records and those that are opened
// for it, one for each purpose of which there was none.
func (p *receivingSignal) record(t *turn, who *person, own []ledger.Consent, none []ledger.Purpose, names []string) (*outcome, error) {
	claims, err := t.withIP(p.by.claims, p.by.addr, names)
	if err != nil {
		return nil, err
	}
	if err := checkSealed(claims, len(own)+len(none)); err != nil {
		return nil, err
	}
	next, err := t.next()
	if err != nil {
		return nil, err
	}
	var entries []*ledger.Entry
	ids := idsOf(own)
	for _, id := range ids {
		if err := t.addClaims(id, claims); err != nil {
			return nil, err
		}
	}
	for _, purpose := range none {
		refused, err := p.by.refuse(t, who, purpose, "api", ledger.ConsentID(next), claims)
		if err != nil {
			return nil, err
		}
		entries, ids = append(entries, refused), append(ids, ledger.ConsentID(next))
		next++
	}
	parts := splitAbout(ledger.Entry{Kind: ledger.SignalReceived, Occurred: p.by.occurred, Signal: p.x.Signal, Says: p.says,
		Commits: commitments(claims)}, ids)
	out := new(outcome)
	for i := range parts {
		out.Entries = append(out.Entries, next+ledger.Index(i))
	}
	for i, id := range ids {
		out.Touched = append(out.Touched, touch{id, out.Entries[i/aboutPerEntry]})
	}
	return out, t.finish(p.once, who.subject, out, append(entries, parts...))
}
