package service

import (
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
	// Purposes narrows it; empty means every marketing purpose.
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

type preparedWithdrawal struct {
	w        Withdrawal
	id       Identifier // zero unless the subject is named
	claims   []claim
	occurred time.Time
	once     once
}

// WithdrawConsent ends every live consent in scope, at once. Consents named by
// their ids take open requests of the same person for the same purpose on the
// same channel with them. Somebody without
// one, a stranger too, gets an objection on record for each purpose named, or
// for all marketing. A repeated withdrawal writes nothing and answers with the
// entries that stand. (Art. 7(3) and 21(2) GDPR)
func (s *Service) WithdrawConsent(ctx context.Context, src Source, w Withdrawal) ([]Consent, error) {
	p, err := s.prepareWithdrawal(src, w)
	if err != nil {
		return nil, err
	}
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		out, err = p.decide(t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.consents(out.Touched, w.Proof)
}

func (s *Service) prepareWithdrawal(src Source, w Withdrawal) (*preparedWithdrawal, error) {
	p := &preparedWithdrawal{w: w}
	given := 0
	for _, set := range []bool{w.Subject != Subject{}, w.ManageToken != "", len(w.ConsentIDs) > 0} {
		if set {
			given++
		}
	}
	if given != 1 {
		return nil, refusal.Invalid("subject", "needs exactly one of subject, manage_token, consent_ids")
	}
	var err error
	if w.Subject != (Subject{}) {
		if p.id, err = w.Subject.normalise("subject"); err != nil {
			return nil, err
		}
	}
	if err := checkIDs(w.ConsentIDs, MaxConsentIDs); err != nil {
		return nil, err
	}
	if len(w.ConsentIDs) > 0 && (len(w.Purposes) > 0 || w.Channel != "") {
		return nil, refusal.Invalid("consent_ids", "name the scope already; leave purposes and channel out")
	}
	if err := checkPurposes(w.Purposes, false); err != nil {
		return nil, err
	}
	if w.Channel != "" && !ledger.IsChannel(w.Channel) {
		return nil, refusal.Invalid("channel", "is not a channel")
	}
	if w.Method != "" && !ledger.IsMethod(w.Method) {
		return nil, refusal.Invalid("method", "is not a method")
	}
	if p.occurred, err = occurred(w.OccurredAt); err != nil {
		return nil, err
	}
	if p.claims, err = callerClaims(w.Claims); err != nil {
		return nil, err
	}
	if err := checkSealed(p.claims, max(1, len(w.ConsentIDs))); err != nil {
		return nil, err
	}
	p.once, err = s.once(src, w.IdempotencyKey, []any{"WithdrawConsent", w, p.id, ledger.Lock(w.ManageToken)})
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
			return refusal.Invalid(fmt.Sprintf("consent_ids[%d]", i), "is not the id of a consent")
		}
		if seen[id] {
			return refusal.Invalid(fmt.Sprintf("consent_ids[%d]", i), "stands twice in the list")
		}
		seen[id] = true
	}
	return nil
}

func (p *preparedWithdrawal) decide(t *turn) (*outcome, error) {
	before, _, err := p.once.recall(t)
	if before != nil || err != nil {
		return before, err
	}
	for i, name := range p.w.Purposes {
		if _, err := knownPurpose(t.log, fmt.Sprintf("purposes[%d]", i), name); err != nil {
			return nil, err
		}
	}
	scope, err := p.scope(t)
	if err != nil {
		return nil, err
	}
	out := new(outcome)
	entries, err := p.withdraw(t, scope, out)
	if err != nil {
		return nil, err
	}
	objections, err := p.object(t, scope, len(entries), out)
	if err != nil {
		return nil, err
	}
	who := scope.subject
	if who == nil {
		who = t.s.vault.LedgerSubject() // consent_ids of several people
	}
	if err := p.once.remember(t, who, out); err != nil {
		return nil, err
	}
	entries = append(entries, objections...)
	if len(entries) == 0 {
		return out, t.vault.Keep()
	}
	_, err = t.write(entries...)
	return out, err
}

// scope is whom and what a withdrawal concerns.
type scope struct {
	subject *vault.Subject // nil for a stranger, and for consent ids
	live    []ledger.Consent
	stands  []ledger.Consent // withdrawn or objected already
	channel string           // "" for every channel
}

func (p *preparedWithdrawal) scope(t *turn) (*scope, error) {
	if len(p.w.ConsentIDs) > 0 {
		return p.byID(t)
	}
	s := &scope{channel: p.w.Channel}
	var who *person
	var err error
	if p.w.ManageToken != "" {
		who, s.channel, err = p.byManageToken(t)
	} else {
		who, err = t.person(p.id)
	}
	if err != nil || who == nil {
		return s, err
	}
	s.subject = who.subject
	for _, c := range who.consents {
		in, err := p.covers(t, s.channel, c)
		if err != nil {
			return nil, err
		}
		s.add(in, c)
	}
	return s, nil
}

func (s *scope) add(in bool, c ledger.Consent) {
	switch {
	case !in:
	case c.State.Live():
		s.live = append(s.live, c)
	case c.State == ledger.Withdrawn || c.State == ledger.Objected:
		s.stands = append(s.stands, c)
	}
}

func (p *preparedWithdrawal) byManageToken(t *turn) (*person, string, error) {
	unknown := refusal.NotFound("manage_token", "nothing is held under this link; to be sure, withdraw by address")
	subject, channel, ok, err := t.vault.ManageToken(p.w.ManageToken)
	if err != nil {
		return nil, "", err
	} else if !ok {
		return nil, "", unknown
	}
	who, err := visiblePerson(t.vault, t.log, t.log.Size(), subject)
	if err == nil && who == nil {
		err = unknown
	}
	if p.w.Channel != "" {
		channel = p.w.Channel
	}
	return who, channel, err
}

func (p *preparedWithdrawal) byID(t *turn) (*scope, error) {
	s := new(scope)
	subjects := map[ledger.ConsentID]*vault.Subject{}
	for i, id := range p.w.ConsentIDs {
		c, subject, err := t.consent(fmt.Sprintf("consent_ids[%d]", i), id)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			s.subject = subject
		} else if s.subject != nil && s.subject.Slot != subject.Slot {
			s.subject = nil
		}
		if s.add(true, c); !c.State.Live() && c.State != ledger.Withdrawn && c.State != ledger.Objected {
			s.live = append(s.live, c) // named by id, so it is meant
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

// covers reports whether a record is within the purposes and the channel.
func (p *preparedWithdrawal) covers(t *turn, channel string, c ledger.Consent) (bool, error) {
	if channel != "" && c.Channel != channel && c.Channel != ledger.AnyChannel {
		return false, nil
	}
	if len(p.w.Purposes) > 0 {
		return slices.Contains(p.w.Purposes, c.Purpose), nil
	}
	if c.Purpose == ledger.AllMarketing {
		return true, nil
	}
	purpose, ok, err := t.log.Purpose(c.Purpose)
	return ok && purpose.Marketing, err
}

// withdraw gives one entry per request whose consents are live.
func (p *preparedWithdrawal) withdraw(t *turn, s *scope, out *outcome) ([]*ledger.Entry, error) {
	if err := checkSealed(p.claims, len(s.live)); err != nil {
		return nil, err
	}
	next, err := t.next()
	if err != nil {
		return nil, err
	}
	var entries []*ledger.Entry
	for _, consents := range byRequest(s.live) {
		e := &ledger.Entry{Kind: ledger.ConsentWithdrawn, Occurred: p.occurred, Method: p.w.Method, Commits: commitments(p.claims)}
		for _, c := range consents {
			e.Consents = append(e.Consents, ledger.Link{Consent: c.ID, After: c.Last})
			out.Touched = append(out.Touched, touch{c.ID, next + ledger.Index(len(entries))})
			if err := t.addClaims(c.ID, p.claims); err != nil {
				return nil, err
			}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// byRequest groups consents by the request that opened them, ascending.
func byRequest(list []ledger.Consent) [][]ledger.Consent {
	sorted := slices.SortedFunc(slices.Values(list), func(a, b ledger.Consent) int { return int(a.ID - b.ID) })
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
	return t.vault.AddClaims(seal(key, claims)...)
}

// object gives an opening objection for every purpose in which nothing was live
// and nothing stands, and notes what stands.
func (p *preparedWithdrawal) object(t *turn, s *scope, before int, out *outcome) ([]*ledger.Entry, error) {
	has := func(list []ledger.Consent, purpose string) bool {
		return slices.ContainsFunc(list, func(c ledger.Consent) bool { return purpose == "" || c.Purpose == purpose })
	}
	note := func(purpose string) {
		for _, c := range s.stands {
			if purpose == "" || c.Purpose == purpose {
				out.Touched = append(out.Touched, touch{c.ID, c.Last})
			}
		}
	}
	if len(p.w.ConsentIDs) > 0 {
		note("")
		return nil, nil
	}
	wanted := p.w.Purposes
	if len(wanted) == 0 {
		wanted = []string{""}
	}
	var open []string
	for _, purpose := range wanted {
		switch {
		case has(s.live, purpose):
		case has(s.stands, purpose):
			note(purpose)
		case purpose == "":
			open = append(open, ledger.AllMarketing)
		default:
			open = append(open, purpose)
		}
	}
	if len(open) == 0 {
		return nil, nil
	}
	return p.openObjections(t, s, open, before, out)
}

func (p *preparedWithdrawal) openObjections(t *turn, s *scope, purposes []string, before int, out *outcome) ([]*ledger.Entry, error) {
	ids, err := p.identifiers(t, s)
	if err != nil {
		return nil, err
	}
	first, err := t.next()
	if err != nil {
		return nil, err
	}
	claims := slices.Clone(p.claims)
	for _, id := range ids {
		claims = append(claims, newClaim(id.Kind, id.Value))
	}
	channel := s.channel
	if channel == "" {
		channel = ledger.AnyChannel
	}
	var entries []*ledger.Entry
	for _, purpose := range purposes {
		id := ledger.ConsentID(first) + ledger.ConsentID(before+len(entries))
		key := vault.NewConsentKey()
		if err := t.vault.AddConsent(s.subject, id, key); err != nil {
			return nil, err
		}
		if err := t.vault.AddClaims(seal(key, claims)...); err != nil {
			return nil, err
		}
		entries = append(entries, &ledger.Entry{Kind: ledger.ObjectionRecorded, Occurred: p.occurred, Purpose: purpose,
			Channel: channel, Method: p.w.Method, Commits: commitments(claims)})
		out.Touched = append(out.Touched, touch{id, ledger.Index(id)})
	}
	return entries, nil
}

// identifiers gives whom an objection is about, and makes a stranger known.
func (p *preparedWithdrawal) identifiers(t *turn, s *scope) (ids []vault.Identifier, err error) {
	if s.subject != nil {
		return t.vault.Identifiers(s.subject)
	}
	s.subject, ids, err = t.subject(p.id)
	return ids, err
}
