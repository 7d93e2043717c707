package service

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// Objection is a person's no to what is done without their consent (Art. 21 GDPR),
// or to decisions that are taken automatically (Art. 22 GDPR).
type Objection struct {
	Subject Subject
	// Article is art21_1, on grounds of the person's own situation, against what
	// rests on legitimate interest; art21_2, against direct marketing; or art22.
	Article string
	// Purposes narrows it to these and those below them; empty means every
	// marketing purpose, or everything that rests on legitimate interest. With art22
	// they must be named.
	Purposes       []string
	Channel        string // "" for every channel
	Method         string // how the person objected; optional
	Claims         map[string]string
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Objected answers an Objection.
type Objected struct {
	Consents []Consent
	// RequestID is the request for a human's review (Art. 22(3) GDPR) that waits for
	// its answer; 0 under another article.
	RequestID ledger.Index
}

// The articles on which an objection can rest.
const (
	objectionInterest  = "art21_1"
	objectionMarketing = "art21_2"
	objectionDecision  = "art22"
)

// RecordObjection records an objection; a stranger's, too. One to marketing ends
// whatever is live in scope, whatever it rests on, and stands against everything
// older for each purpose named, or for all marketing. One on grounds of the
// person's situation restricts what rests on legitimate interest until it is
// answered; where nothing does, it stands against the purposes named. What is no
// marketing and rests on a contract or a legal obligation stays. One to automated
// decisions ends whatever is live for the purposes named, whatever it rests on,
// stands against them, and asks for a human's review. A repeated one writes nothing
// and answers with the entries that stand, and the request that waits.
func (s *Service) RecordObjection(ctx context.Context, src Source, o Objection) (*Objected, error) {
	switch {
	case !slices.Contains([]string{objectionInterest, objectionMarketing, objectionDecision}, o.Article):
		return nil, refusal.Invalid("article", "must be %s, %s or %s", objectionInterest, objectionMarketing, objectionDecision)
	case o.Article == objectionDecision && len(o.Purposes) == 0:
		return nil, refusal.Invalid("purposes", "needs at least one purpose for which decisions are taken automatically")
	}
	by, err := prepareObjector(o.Subject, o.Purposes, o.Channel, o.Method, o.Claims, o.OccurredAt)
	if err != nil {
		return nil, err
	}
	if o.Subject.isZero() {
		return nil, refusal.Invalid("subject", "needs exactly one of email, phone, external_id")
	}
	once, err := s.once(src, o.IdempotencyKey, []any{"RecordObjection", o, by.id})
	if err != nil {
		return nil, err
	}
	var out *outcome
	err = s.doUrgent(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		out = new(outcome)
		scope, entries, err := by.object(t, o.Article, out)
		if err != nil {
			return err
		}
		return t.finish(once, scope.subject, out, entries)
	})
	if err != nil {
		return nil, err
	}
	answer := new(Objected)
	if len(out.Entries) > 0 {
		answer.RequestID = out.Entries[0]
	}
	answer.Consents, err = s.consents(out.Touched, o.Proof, out.wrote...)
	return answer, err
}

// objector is what withdrawals and objections have in common: who says it, how
// far it reaches and how it was said.
type objector struct {
	reach
	id       Identifier // zero when the person is not named by an identifier
	typed    string     // the identifier as it came
	article  string     // art22, or ""
	method   string
	claims   []claim
	addr     netip.Addr
	occurred time.Time
}

func prepareObjector(subject Subject, purposes []string, channel, method string, claims map[string]string, at time.Time) (o objector, err error) {
	o = objector{reach: reach{purposes, channel}, method: method}
	if !subject.isZero() {
		if o.id, err = subject.normalise("subject"); err != nil {
			return o, err
		}
		o.typed = subject.typed()
	}
	if err := checkPurposes(purposes, false); err != nil {
		return o, err
	}
	if channel != "" && !ledger.IsChannel(channel) {
		return o, refusal.Invalid("channel", "is not a channel")
	}
	if method != "" && !ledger.IsMethod(method) {
		return o, refusal.Invalid("method", "is not a method")
	}
	if o.occurred, err = occurred(at); err != nil {
		return o, err
	}
	o.claims, o.addr, err = splitClaims(claims)
	return o, err
}

// object decides an objection.
func (o *objector) object(t *turn, article string, out *outcome) (*scope, []*ledger.Entry, error) {
	purposes, err := t.purposes(o.purposes)
	if err != nil {
		return nil, nil, err
	}
	for i, p := range purposes {
		if article == objectionMarketing && !p.Marketing {
			return nil, nil, refusal.Precondition("marketing", "purposes[%d] is no marketing; Art. 21(2) GDPR is about nothing else", i)
		}
	}
	s := &scope{reach: o.reach}
	who, err := t.person(o.id)
	if err != nil {
		return nil, nil, err
	}
	if who == nil {
		who = new(person)
	}
	s.subject = who.subject
	var entries []*ledger.Entry
	switch article {
	case objectionInterest:
		entries, err = o.toInterest(t, s, who, out)
	case objectionMarketing:
		if err = s.addAll(t.log, who); err == nil {
			entries, err = o.endAndStand(t, s, out)
		}
	default:
		entries, err = o.toDecisions(t, s, who, out)
	}
	return s, entries, err
}

// endAndStand ends what is live in a scope, and lets the objection stand against
// what is older for each of its purposes.
func (o *objector) endAndStand(t *turn, s *scope, out *outcome) ([]*ledger.Entry, error) {
	claims, err := t.withIP(o.claims, o.addr, append(purposesOf(s.live), s.names()...))
	if err != nil {
		return nil, err
	}
	base := ledger.Entry{Kind: ledger.ObjectionRecorded, Occurred: o.occurred, Method: o.method, Article: o.article}
	entries, err := t.moveByRequest(base, s.live, claims, out)
	if err != nil {
		return nil, err
	}
	var open []reach
	for _, r := range s.each() {
		newest := ledger.ConsentID(0) // of what was live
		for _, c := range s.live {
			in, err := r.covers(t.log, c)
			if err != nil {
				return nil, err
			} else if in {
				newest = c.ID // ascending
			}
		}
		stands := slices.IndexFunc(s.rest, func(c ledger.Consent) bool { return r.objected(c) && c.ID > newest })
		if stands < 0 {
			open = append(open, r)
		} else {
			out.stands(s.rest[stands : stands+1])
		}
	}
	opened, err := o.open(t, s, open, claims, len(entries), out)
	return append(entries, opened...), err
}

// toInterest decides an objection to what rests on legitimate interest.
func (o *objector) toInterest(t *turn, s *scope, who *person, out *outcome) ([]*ledger.Entry, error) {
	all := len(o.purposes) == 0
	for _, c := range who.consents {
		in := all && (o.channel == "" || c.Channel == o.channel)
		if !all {
			var err error
			if in, err = o.covers(t.log, c); err != nil {
				return nil, err
			}
		}
		if in && c.Basis == ledger.LegitimateInterest && c.State.Allows() {
			s.live = append(s.live, c)
		} else if in {
			s.rest = append(s.rest, c)
		}
	}
	if all && len(s.live) == 0 {
		return nil, refusal.Invalid("purposes", "needs at least one purpose: nothing that is held about this person rests on legitimate interest")
	}
	claims, err := t.withIP(o.claims, o.addr, append(purposesOf(s.live), o.purposes...))
	if err != nil {
		return nil, err
	}
	var restrict []ledger.Consent
	for _, c := range s.live {
		if c.Overlays.Has(ledger.Restricted) {
			out.stands([]ledger.Consent{c})
		} else {
			restrict = append(restrict, c)
		}
	}
	base := ledger.Entry{Kind: ledger.RestrictionSet, Ground: decision.GroundObjection, Occurred: o.occurred}
	entries, err := t.moveByRequest(base, restrict, claims, out)
	if err != nil || all {
		return entries, err
	}
	var open []reach
	for _, r := range s.each() {
		restricted, err := s.ended(t.log, r)
		if err != nil {
			return nil, err
		}
		stands := slices.IndexFunc(s.rest, r.objected)
		switch {
		case restricted:
		case stands >= 0:
			out.stands(s.rest[stands : stands+1])
		default:
			open = append(open, r)
		}
	}
	opened, err := o.open(t, s, open, claims, len(entries), out)
	return append(entries, opened...), err
}

// names gives what an objection of this reach stands against.
func (r reach) names() (purposes []string) {
	for _, one := range r.each() {
		purpose, _ := one.opens()
		purposes = append(purposes, purpose)
	}
	return purposes
}

// open gives an entry that opens an objection for each reach. They follow on
// the decision's first entries, of which there are before.
func (o *objector) open(t *turn, s *scope, reaches []reach, claims []claim, before int, out *outcome) ([]*ledger.Entry, error) {
	if len(reaches) == 0 {
		return nil, nil
	}
	ids, err := o.identifiers(t, s)
	if err != nil {
		return nil, err
	}
	claims = slices.Clone(claims)
	for _, id := range ids {
		claims = append(claims, newClaim(id.Kind, id.Value))
	}
	if o.typed != o.id.Value {
		claims = append(claims, newClaim("typed", o.typed))
	}
	if err := checkSealed(claims, len(reaches)); err != nil {
		return nil, err
	}
	first, err := t.next()
	if err != nil {
		return nil, err
	}
	var entries []*ledger.Entry
	for _, r := range reaches {
		id := ledger.ConsentID(first) + ledger.ConsentID(before+len(entries))
		key := vault.NewConsentKey()
		if err := t.vault.AddConsent(s.subject, id, key); err != nil {
			return nil, err
		}
		if err := t.seal(key, claims); err != nil {
			return nil, err
		}
		purpose, channel := r.opens()
		entries = append(entries, &ledger.Entry{Kind: ledger.ObjectionRecorded, Occurred: o.occurred, Purpose: purpose,
			Channel: channel, Method: o.method, Article: o.article, Commits: commitments(claims)})
		out.Touched = append(out.Touched, touch{id, ledger.Index(id)})
	}
	return entries, nil
}

// identifiers gives whom an objection is about, and makes a stranger known.
func (o *objector) identifiers(t *turn, s *scope) (ids []vault.Identifier, err error) {
	if s.subject != nil {
		return t.vault.Identifiers(s.subject)
	}
	s.subject, ids, err = t.subject(o.id)
	return ids, err
}
