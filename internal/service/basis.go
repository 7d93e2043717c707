package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Assertion says that a purpose rests on another ground than consent for one
// person on one channel.
type Assertion struct {
	Subject Subject
	Purpose string
	Channel string
	// Basis is contract, legal_obligation, legitimate_interest (Art. 6(1)(b), (c),
	// (f) GDPR), for which a document balances the interests, here or once with the
	// purpose, or existing_customer (§ 7(3) UWG), which has four Conditions.
	Basis          string
	Conditions     []string
	Notice         string // the text that informed the person; "" when there was none
	Claims         map[string]string
	Attachments    []Attachment `json:"-"`
	OccurredAt     time.Time    // since when the ground holds
	IdempotencyKey string       `json:"-"`
	Proof          bool         `json:"-"`
}

// AssertBasis records a ground. It is refused where the purpose does not allow the
// ground or the law does not carry it on the channel, and while the address is on
// the suppression list or an objection in scope stands: against marketing, from
// which to withdraw is to object, or against what rests on legitimate interest.
// Neither stops what is no marketing and rests on a contract or a legal obligation.
func (s *Service) AssertBasis(ctx context.Context, src Source, a Assertion) (*Consent, error) {
	basis, err := a.check()
	if err != nil {
		return nil, err
	}
	var notice ledger.NoticeRef
	if a.Notice != "" {
		if notice, err = parseNotice(a.Notice); err != nil {
			return nil, err
		}
	}
	d, err := s.prepareStatement(a.Subject, []string{a.Purpose}, a.Claims, a.Attachments, ledger.Entry{Kind: ledger.BasisAsserted,
		Channel: a.Channel, Notice: notice, Basis: a.Basis, Conditions: slices.Sorted(slices.Values(a.Conditions)), Occurred: a.OccurredAt})
	if err != nil {
		return nil, ofOnePurpose(err)
	}
	if d.once, err = s.once(src, a.IdempotencyKey, []any{"AssertBasis", a, d.identity()}); err != nil {
		return nil, err
	}
	var out *outcome
	err = s.openRecords(ctx, src, d.opening, func(t *turn) (err error) {
		out, err = d.assert(t, basis)
		return ofOnePurpose(err)
	})
	if err != nil {
		return nil, err
	}
	consents, err := s.consents(out.Touched, a.Proof)
	if err != nil {
		return nil, err
	}
	return &consents[0], nil
}

// check checks ground and conditions.
func (a *Assertion) check() (ledger.Basis, error) {
	basis, ok := ledger.ParseBasis(a.Basis)
	if !ok || basis == ledger.ByConsent {
		return basis, refusal.Invalid("basis", "must be contract, legal_obligation, legitimate_interest or existing_customer")
	}
	for i, c := range a.Conditions {
		if !ledger.IsCondition(c) {
			return basis, refusal.Invalid(path("conditions", i), "is not a condition: %s", strings.Join(ledger.Conditions(), ", "))
		}
		if slices.Contains(a.Conditions[:i], c) {
			return basis, refusal.Invalid(path("conditions", i), "stands twice in the list")
		}
	}
	if basis != ledger.ExistingCustomer {
		if len(a.Conditions) > 0 {
			return basis, refusal.Invalid("conditions", "belong to existing_customer only")
		}
		return basis, nil
	}
	missing := slices.DeleteFunc(ledger.Conditions(), func(c string) bool { return slices.Contains(a.Conditions, c) })
	if len(missing) > 0 {
		return basis, refusal.Precondition("conditions", "§ 7(3) UWG demands all four; missing: %s", strings.Join(missing, ", "))
	}
	return basis, nil
}

// assert decides about a ground.
func (d *statement) assert(t *turn, basis ledger.Basis) (*outcome, error) {
	out, _, err := d.once.recall(t)
	if out != nil || err != nil {
		return out, err
	}
	known, err := t.person(d.id)
	if err != nil {
		return nil, err
	}
	who, ids, err := d.look(t)
	if err != nil {
		return nil, err
	}
	if err := t.notSuppressed(ids, d.purposes); err != nil {
		return nil, err
	}
	if d.purposes[0].Marketing || basis == ledger.LegitimateInterest {
		if err := d.notStopped(t, known, basis); err != nil {
			return nil, err
		}
	}
	out, entries, err := d.keep(t, who, ids)
	if err != nil {
		return nil, err
	}
	_, err = t.write(entries...)
	return out, err
}

// notStopped refuses a ground while an objection in scope stands: one on record, or
// a restriction of what rests on legitimate interest that waits for its answer.
// Whoever withdrew from marketing has said as much (§ 7(3) no. 3 UWG). What is
// locked counts, too, and is answered as a suppression, because nobody but the
// legal role may know of it.
func (d *statement) notStopped(t *turn, known *person, basis ledger.Basis) error {
	above, err := decision.StopsOf(t.log, d.purposes[0])
	if err != nil {
		return err
	}
	stopped := func(c ledger.Consent) bool {
		if c.Channel != d.base.Channel && c.Channel != ledger.AnyChannel || !slices.Contains(above, c.Purpose) {
			return false
		}
		waits := basis == ledger.LegitimateInterest && c.Basis == basis && c.Overlays.Has(ledger.Restricted)
		return c.State == ledger.Objected || c.State == ledger.Withdrawn && d.purposes[0].Marketing || waits
	}
	if known != nil {
		if i := slices.IndexFunc(known.consents, stopped); i >= 0 {
			return refusal.Precondition("objected", "the person objected or withdrew, entry %d; only the person's own consent is allowed again", known.consents[i].Last)
		}
	}
	locked, err := t.locked(d.id)
	if err == nil && slices.ContainsFunc(locked, stopped) {
		err = refusal.Precondition("suppressed", "the person must not be written to; only the person's own consent is allowed again")
	}
	return err
}

// ofOnePurpose names the field of a request that has one purpose only.
func ofOnePurpose(err error) error {
	var no *refusal.Error
	if !errors.As(err, &no) {
		return err
	}
	one := *no
	if strings.HasPrefix(one.At, "purposes") {
		one.At = "purpose"
	}
	one.Reason = strings.ReplaceAll(one.Reason, "purposes[0]", "purpose")
	return &one
}
