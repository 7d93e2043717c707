package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// Withdrawal ends consents. Exactly one of Subject, ManageToken and ConsentIDs
// says whose.
type Withdrawal struct {
	Subject     Subject
	ManageToken string `json:"-"` // its digest is in the person found
	ConsentIDs  []ledger.ConsentID
	// Purposes narrows it to these and those below them; empty means every
	// marketing purpose.
	Purposes []string
	// Channel narrows it; "" means every channel, or the manage token's own.
	Channel        string
	Method         string // how the person withdrew; optional
	Claims         map[string]string
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// MaxConsentIDs is how many consents one withdrawal may name.
const MaxConsentIDs = 1000

// Withdrawn answers a Withdrawal: what ended, or what stands already.
type Withdrawn struct {
	Consents []Consent
	// Remaining are consents of the same people for the same purposes on the same
	// channels whose state still allows: those of which a withdrawal by consent_ids
	// named only others, and what no withdrawal ends.
	Remaining []ledger.ConsentID
}

// withdrawing is a withdrawal in the making.
type withdrawing struct {
	w    Withdrawal
	by   objector
	once once
}

// WithdrawConsent ends every live consent in scope, at once: for the purposes
// named and those below them. Consents named by their ids take open requests of
// the same person for the same purpose on the same channel with them, and leave
// other consents, which Remaining names. Somebody without a consent in scope, a
// stranger too, gets an objection on record for each purpose named, or for all
// marketing. A repeated withdrawal writes nothing and answers with the entries
// that stand; one that reaches further than an objection that stands opens its
// own. What is no marketing and rests on a contract or a legal obligation stays,
// also when it is named. (Art. 7(3) and 21(2) GDPR)
//
// Limits: what a withdrawal that ended consents reached is not recorded, so a
// later one that reaches further and finds nothing live is a repeated one.
func (s *Service) WithdrawConsent(ctx context.Context, src Source, w Withdrawal) (*Withdrawn, error) {
	p, err := s.prepareWithdrawal(src, w)
	if err != nil {
		return nil, err
	}
	var out *outcome
	err = s.doUrgent(ctx, src, func(t *turn) (err error) {
		out, err = p.decide(t)
		return err
	})
	if err != nil {
		return nil, err
	}
	answer := new(Withdrawn)
	if answer.Consents, err = s.consents(out.Touched, w.Proof, out.wrote...); err != nil {
		return nil, err
	}
	answer.Remaining, err = s.remaining(out.Touched)
	return answer, err
}

func (s *Service) prepareWithdrawal(src Source, w Withdrawal) (*withdrawing, error) {
	p := &withdrawing{w: w}
	given := 0
	for _, set := range []bool{!w.Subject.isZero(), w.ManageToken != "", len(w.ConsentIDs) > 0} {
		if set {
			given++
		}
	}
	if given != 1 {
		return nil, refusal.Invalid("subject", "needs exactly one of subject, manage_token, consent_ids")
	}
	if err := checkIDs(w.ConsentIDs, MaxConsentIDs); err != nil {
		return nil, err
	}
	if len(w.ConsentIDs) > 0 && (len(w.Purposes) > 0 || w.Channel != "") {
		return nil, refusal.Invalid("consent_ids", "name the scope already; leave purposes and channel out")
	}
	var err error
	p.by, err = prepareObjector(w.Subject, w.Purposes, w.Channel, w.Method, w.Claims, w.OccurredAt)
	if err != nil {
		return nil, err
	}
	if err := checkSealed(p.by.claims, max(1, len(w.ConsentIDs))); err != nil {
		return nil, err
	}
	p.once, err = s.once(src, w.IdempotencyKey, []any{"WithdrawConsent", w, p.by.id, ledger.Lock(w.ManageToken)})
	return p, err
}

// path names one item of a list.
func path(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// checkIDs checks the form of a list of consent ids.
func checkIDs(ids []ledger.ConsentID, most int) error {
	if len(ids) > most {
		return refusal.Invalid("consent_ids", "has %d ids, at most %d", len(ids), most)
	}
	seen := make(map[ledger.ConsentID]bool, len(ids))
	for i, id := range ids {
		if id < 1 {
			return refusal.Invalid(path("consent_ids", i), "is not the id of a consent")
		}
		if seen[id] {
			return refusal.Invalid(path("consent_ids", i), "stands twice in the list")
		}
		seen[id] = true
	}
	return nil
}

func (p *withdrawing) decide(t *turn) (*outcome, error) {
	before, _, err := p.once.recall(t)
	if before != nil || err != nil {
		return before, err
	}
	if _, err := t.purposes(p.w.Purposes); err != nil {
		return nil, err
	}
	scope, err := p.scope(t)
	if err != nil {
		return nil, err
	}
	purposes := purposesOf(scope.live)
	if len(p.w.ConsentIDs) == 0 {
		purposes = append(purposes, scope.names()...)
	}
	claims, err := t.withIP(p.by.claims, p.by.addr, purposes)
	if err != nil {
		return nil, err
	}
	out := new(outcome)
	entries, err := t.moveByRequest(ledger.Entry{Kind: ledger.ConsentWithdrawn, Occurred: p.by.occurred, Method: p.w.Method}, scope.live, claims, out)
	if err != nil {
		return nil, err
	}
	objections, err := p.object(t, scope, claims, len(entries), out)
	if err != nil {
		return nil, err
	}
	return out, t.finish(p.once, scope.subject, out, append(entries, objections...))
}

// finish remembers the outcome and writes the entries, if there are any. who is
// nil when they are about several people.
func (t *turn) finish(once once, who *vault.Subject, out *outcome, entries []*ledger.Entry) error {
	if who == nil {
		who = t.s.vault.LedgerSubject()
	}
	if err := once.remember(t, who, out); err != nil {
		return err
	}
	if len(entries) == 0 {
		return t.vault.Keep()
	}
	var err error
	out.wrote, err = t.write(entries...)
	return err
}

func (p *withdrawing) scope(t *turn) (*scope, error) {
	if len(p.w.ConsentIDs) > 0 {
		return p.byID(t)
	}
	s := &scope{reach: p.by.reach}
	var who *person
	var err error
	if p.w.ManageToken != "" {
		var channel string
		who, channel, err = t.byManageToken(p.w.ManageToken)
		s.channel = cmp.Or(s.channel, channel)
	} else {
		who, err = t.person(p.by.id)
	}
	if err != nil || who == nil {
		return s, err
	}
	return s, s.addAll(t.log, who)
}

// byManageToken gives the person and the channel of a manage token.
func (t *turn) byManageToken(token string) (*person, string, error) {
	unknown := refusal.NotFound("manage_token", "nothing is held under this link; to be sure, withdraw by address")
	subject, channel, ok, err := t.vault.ManageToken(token)
	if err != nil {
		return nil, "", err
	} else if !ok {
		return nil, "", unknown
	}
	who, err := visiblePerson(t.vault, t.log, t.log.Size(), subject)
	if err == nil && who == nil {
		err = unknown
	}
	return who, channel, err
}

func (p *withdrawing) byID(t *turn) (*scope, error) {
	s := new(scope)
	subjects := map[ledger.ConsentID]*vault.Subject{}
	for i, id := range p.w.ConsentIDs {
		c, subject, err := t.consent(path("consent_ids", i), id)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			s.subject = subject
		} else if s.subject != nil && s.subject.Slot != subject.Slot {
			s.subject = nil
		}
		if c.State.Live() || c.State == ledger.Withdrawn || c.State == ledger.Objected {
			err = s.add(t.log, c)
		} else {
			s.live = append(s.live, c) // named by id, so it is meant
		}
		if err != nil {
			return nil, err
		}
		subjects[id] = subject
	}
	return s, s.addOpenRequests(t, subjects)
}

// addOpenRequests adds what else the people of consents that are about to end
// have requested for the same purpose on the same channel and not confirmed:
// tokens of requests made before a withdrawal grant nothing.
func (s *scope) addOpenRequests(t *turn, subjects map[ledger.ConsentID]*vault.Subject) error {
	for _, ends := range slices.Clone(s.live) {
		who, err := knownPerson(t.vault, t.log, t.log.Size(), subjects[ends.ID])
		if err != nil {
			return err
		}
		for _, c := range who.consents {
			named := func(other ledger.Consent) bool { return other.ID == c.ID }
			if c.State == ledger.Requested && c.Purpose == ends.Purpose && c.Channel == ends.Channel && !slices.ContainsFunc(s.live, named) {
				s.live = append(s.live, c)
			}
		}
	}
	return nil
}

// object opens an objection for everything that is withdrawn and neither was
// live nor is on record as ended, and notes what stands.
func (p *withdrawing) object(t *turn, s *scope, claims []claim, before int, out *outcome) ([]*ledger.Entry, error) {
	if len(p.w.ConsentIDs) > 0 {
		out.stands(s.rest)
		return nil, nil
	}
	var open []reach
	for _, r := range s.each() {
		ended, err := s.ended(t.log, r)
		if err != nil {
			return nil, err
		}
		if ended {
			continue
		}
		stands, err := s.standing(t.log, r)
		if err != nil {
			return nil, err
		}
		if out.stands(stands); len(stands) == 0 {
			open = append(open, r)
		}
	}
	return p.by.open(t, s, open, claims, before, out)
}

// ended reports whether something that is ended now is within a reach.
func (s *scope) ended(h ledger.History, r reach) (bool, error) {
	for _, c := range s.live {
		if in, err := r.covers(h, c); in || err != nil {
			return in, err
		}
	}
	return false, nil
}

// standing gives the records that answer a withdrawal which finds nothing live:
// what was withdrawn, what no withdrawal ends, and the objections that say at
// least as much.
func (s *scope) standing(h ledger.History, r reach) (list []ledger.Consent, err error) {
	for _, c := range s.rest {
		in, err := r.covers(h, c)
		if err != nil {
			return nil, err
		}
		if in && (c.State == ledger.Withdrawn || c.State.Live()) || r.objected(c) {
			list = append(list, c)
		}
	}
	return list, nil
}

// stands notes consents that stay as they are, each with the entry that stands.
func (o *outcome) stands(consents []ledger.Consent) {
	for _, c := range consents {
		o.Touched = append(o.Touched, touch{c.ID, c.Last})
	}
}

// remaining gives what of the same people still allows for the same purposes on
// the same channels as the consents that were touched.
func (s *Service) remaining(touched []touch) (ids []ledger.ConsentID, err error) {
	type scoped struct {
		slot             vault.Slot
		purpose, channel string
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	err = s.vault.View(func(w vault.View) error {
		asked := map[scoped]bool{}
		people := map[vault.Slot]*vault.Subject{}
		for _, x := range touched {
			c, _, err := snap.Consent(x.Consent)
			if err != nil {
				return err
			}
			subject, ok, err := w.SubjectOf(c.ID)
			if err != nil {
				return err
			} else if !ok {
				continue // erased since
			}
			people[subject.Slot] = subject
			asked[scoped{subject.Slot, c.Purpose, c.Channel}] = true
		}
		for slot, subject := range people {
			who, err := visiblePerson(w, snap, snap.Size(), subject)
			if err != nil {
				return err
			} else if who == nil {
				continue
			}
			for _, c := range who.consents {
				if c.State.Allows() && asked[scoped{slot, c.Purpose, c.Channel}] {
					ids = append(ids, c.ID)
				}
			}
		}
		return nil
	})
	slices.Sort(ids)
	return ids, s.unreadable(err)
}

// moveByRequest gives one entry per request that moves consents, with claims
// sealed for each, and notes them in the outcome. They are the decision's first
// entries.
func (t *turn) moveByRequest(base ledger.Entry, consents []ledger.Consent, claims []claim, out *outcome) (entries []*ledger.Entry, err error) {
	if err := checkSealed(claims, len(consents)); err != nil {
		return nil, err
	}
	next, err := t.next()
	if err != nil {
		return nil, err
	}
	base.Commits = commitments(claims)
	for _, some := range byRequest(consents) {
		e := base
		for _, c := range some {
			e.Consents = append(e.Consents, ledger.Link{Consent: c.ID, After: c.Last})
			out.Touched = append(out.Touched, touch{c.ID, next + ledger.Index(len(entries))})
			if err := t.addClaims(c.ID, claims); err != nil {
				return nil, err
			}
		}
		entries = append(entries, &e)
	}
	return entries, nil
}

// byRequest groups consents by the request that opened them, ascending.
func byRequest(list []ledger.Consent) [][]ledger.Consent {
	sorted := slices.SortedFunc(slices.Values(list), byID)
	var groups [][]ledger.Consent
	for _, c := range sorted {
		if n := len(groups); n > 0 && groups[n-1][0].Request == c.Request {
			groups[n-1] = append(groups[n-1], c)
		} else {
			groups = append(groups, []ledger.Consent{c})
		}
	}
	return groups
}

// addClaims seals claims under the key of a consent that exists.
func (t *turn) addClaims(id ledger.ConsentID, claims []claim) error {
	if len(claims) == 0 {
		return nil
	}
	key, ok, err := t.vault.KeyOf(id)
	if err != nil {
		return err
	} else if !ok {
		return refusal.NotFound("consent_ids", "there is no such consent")
	}
	return t.seal(key, claims)
}
