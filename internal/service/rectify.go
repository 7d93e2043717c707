package service

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// Link makes a person known under an identifier of one kind more: a person has
// at most one e-mail address, one phone number and one external id. It never
// merges two people.
type Link struct {
	Subject        Subject
	Add            Subject
	OccurredAt     time.Time
	Claims         map[string]string
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Rectification corrects how a person is known (Art. 16 GDPR). Remove is
// forgotten, Add takes its place; either may be left out. A mailbox or a number
// that was confirmed is not transferred: consents on the channels of what is
// removed end, and what is added needs its own double opt-in.
type Rectification struct {
	Subject        Subject
	Remove, Add    Subject
	OccurredAt     time.Time
	Claims         map[string]string
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Rectified answers a Rectification.
type Rectified struct {
	Entry Entry     // subject.rectified, the first if there are several
	Ended []Consent // revoked
}

// channelsOf gives the channels that lead to an identifier of a kind.
func channelsOf(kind IdentifierKind) []string {
	switch kind {
	case Email:
		return []string{"email"}
	case Phone:
		return []string{"phone", "sms", "messenger", "fax"}
	}
	return nil
}

// LinkSubject makes a person known under one identifier more.
func (s *Service) LinkSubject(ctx context.Context, src Source, l Link) (*Entry, error) {
	if l.Add.isZero() {
		return nil, refusal.Invalid("add", "needs exactly one of email, phone, external_id")
	}
	done, err := s.rectify(ctx, src, Rectification{Subject: l.Subject, Add: l.Add, OccurredAt: l.OccurredAt,
		Claims: l.Claims, IdempotencyKey: l.IdempotencyKey, Proof: l.Proof}, false)
	if err != nil {
		return nil, err
	}
	return &done.Entry, nil
}

// rectifying is a rectification in the making.
type rectifying struct {
	r           Rectification
	id          Identifier
	remove, add Identifier // zero when left out
	claims      []claim
	addr        netip.Addr
	occurred    time.Time
	once        once
	verified    bool // who asks must have been verified
}

// RectifySubject corrects how a person is known, and answers when what is
// removed is destroyed. What the person did under the old identifier stays on
// record as it was, with the consents that it belongs to. It is refused unless the
// person's identity was verified; see [Service.VerifyIdentity].
func (s *Service) RectifySubject(ctx context.Context, src Source, r Rectification) (*Rectified, error) {
	return s.rectify(ctx, src, r, true)
}

func (s *Service) rectify(ctx context.Context, src Source, r Rectification, verified bool) (*Rectified, error) {
	p, err := s.prepareRectification(src, r)
	if err != nil {
		return nil, err
	}
	p.verified = verified
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		out, err = p.decide(t)
		return err
	})
	if err != nil {
		return nil, err
	}
	if p.remove != (Identifier{}) {
		if err := s.eraser.wait(ctx); err != nil {
			return nil, err
		}
	}
	ended, err := s.consents(out.Touched, r.Proof)
	if err != nil {
		return nil, err
	}
	entries, err := s.entries(out.Entries[:1], r.Proof)
	if err != nil {
		return nil, err
	}
	return &Rectified{entries[0], ended}, nil
}

func (s *Service) prepareRectification(src Source, r Rectification) (*rectifying, error) {
	p := &rectifying{r: r}
	var err error
	if p.id, err = r.Subject.normalise("subject"); err != nil {
		return nil, err
	}
	if r.Remove.isZero() && r.Add.isZero() {
		return nil, refusal.Invalid("add", "needs exactly one of email, phone, external_id, or remove does")
	}
	if !r.Remove.isZero() {
		if p.remove, err = r.Remove.normalise("remove"); err != nil {
			return nil, err
		}
	}
	if !r.Add.isZero() {
		if p.add, err = r.Add.normalise("add"); err != nil {
			return nil, err
		}
	}
	if !r.Remove.isZero() && !r.Add.isZero() && p.remove.Kind != p.add.Kind {
		return nil, refusal.Invalid("add", "is of another kind than remove; correct one at a time")
	}
	if p.remove == p.add {
		return nil, refusal.Invalid("add", "is what remove is")
	}
	if p.occurred, err = occurred(r.OccurredAt); err != nil {
		return nil, err
	}
	if p.claims, p.addr, err = splitClaims(r.Claims); err != nil {
		return nil, err
	}
	if p.add != (Identifier{}) {
		p.claims = append(p.claims, newClaim(string(p.add.Kind), p.add.Value))
	}
	p.once, err = s.once(src, r.IdempotencyKey, []any{"RectifySubject", r, p.id, p.remove, p.add})
	return p, err
}

func (p *rectifying) decide(t *turn) (*outcome, error) {
	before, _, err := p.once.recall(t)
	if before != nil || err != nil {
		return before, err
	}
	who, err := t.person(p.id)
	if err != nil {
		return nil, err
	} else if who == nil {
		return nil, refusal.NotFound("subject", "nothing is held about this person")
	}
	if p.verified {
		if err := t.checkVerified(who.all()); err != nil {
			return nil, err
		}
	}
	if err := p.checkIdentifiers(t, who); err != nil {
		return nil, err
	}
	first, err := t.next()
	if err != nil {
		return nil, err
	}
	entries, err := p.rectified(t, who)
	if err != nil {
		return nil, err
	}
	out := new(outcome)
	for i := range entries {
		out.Entries = append(out.Entries, first+ledger.Index(i))
	}
	for _, consents := range byRequest(p.ending(who)) {
		e := &ledger.Entry{Kind: ledger.ConsentRevoked, Occurred: p.occurred, Cause: "rectified"}
		for _, c := range consents {
			e.Consents = append(e.Consents, ledger.Link{Consent: c.ID, After: c.Last})
			out.Touched = append(out.Touched, touch{c.ID, first + ledger.Index(len(entries))})
		}
		entries = append(entries, e)
	}
	if p.add != (Identifier{}) {
		if err := t.vault.AddIdentifier(who.subject, p.add.inVault(), first); err != nil {
			return nil, err
		}
	}
	// In the ledger's own slot, because what is remembered under the person's key
	// cannot be read any more when the key is replaced.
	if err := p.once.remember(t, t.s.vault.LedgerSubject(), out); err != nil {
		return nil, err
	}
	if p.remove != (Identifier{}) {
		plan := vault.Change{Identifiers: []vault.Identifier{p.remove.inVault()}, Channels: channelsOf(p.remove.Kind)}
		if err := t.vault.Plan(who.subject, plan); err != nil {
			return nil, err
		}
	}
	_, err = t.write(entries...)
	return out, err
}

// checkIdentifiers refuses what is not the person's, what is somebody else's,
// and to leave a person without any.
func (p *rectifying) checkIdentifiers(t *turn, who *person) error {
	ids, err := t.vault.Identifiers(who.subject)
	if err != nil {
		return err
	}
	if p.remove != (Identifier{}) {
		if !slices.Contains(ids, p.remove.inVault()) {
			return refusal.NotFound("remove", "the person is not known under it")
		}
		if len(ids) == 1 && p.add == (Identifier{}) {
			return refusal.Precondition("last_identifier", "a person keeps at least one identifier; to forget the person, erase")
		}
	}
	if p.add == (Identifier{}) {
		return nil
	}
	if slices.Contains(ids, p.add.inVault()) {
		return refusal.Precondition("identifier_taken", "the person is known under it already")
	}
	sameKind := func(id vault.Identifier) bool { return id.Kind == string(p.add.Kind) }
	if p.remove == (Identifier{}) && slices.ContainsFunc(ids, sameKind) {
		return refusal.Precondition("identifier_kind", "the person has an identifier of this kind; to correct it, name it in remove")
	}
	_, ok, err := t.vault.FindSubject(p.add.inVault())
	if err == nil && ok {
		err = refusal.Precondition("identifier_taken", "somebody else is known under it; two people are never merged")
	}
	return err
}

// rectified gives subject.rectified about everything of the person, with the new
// identifier and the claims under the key of each consent. A correction concerns
// what is locked, too: it says why what is on record there names somebody by
// what nobody is known by any more.
func (p *rectifying) rectified(t *turn, who *person) ([]*ledger.Entry, error) {
	change, consents := "replaced", who.all()
	if p.remove == (Identifier{}) {
		change, consents = "added", who.consents
	} else if p.add == (Identifier{}) {
		change = "removed"
	}
	claims, err := t.withIP(p.claims, p.addr, purposesOf(consents))
	if err != nil {
		return nil, err
	}
	if err := checkSealed(claims, len(consents)); err != nil {
		return nil, err
	}
	ids := make([]ledger.ConsentID, 0, len(consents))
	for _, c := range consents {
		ids = append(ids, c.ID)
		if err := t.addClaims(c.ID, claims); err != nil {
			return nil, err
		}
	}
	return splitAbout(ledger.Entry{Kind: ledger.SubjectRectified, Occurred: p.occurred, Change: change,
		Commits: commitments(claims)}, ids), nil
}

// ending gives the live consents on the channels of what is removed.
func (p *rectifying) ending(who *person) (list []ledger.Consent) {
	for _, c := range who.consents {
		if c.State.Live() && slices.Contains(channelsOf(p.remove.Kind), c.Channel) {
			list = append(list, c)
		}
	}
	return list
}
