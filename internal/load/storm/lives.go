package storm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// person lives one of six lives.
func (s *Storm) person(ctx context.Context, c, n int) error {
	p := person{Storm: s, email: Email(c, n), wire: Wires[c%len(Wires)]}
	life := rand.IntN(16)
	if life == 0 { // objects without ever having asked
		return p.withdraw(ctx, ledger.ObjectionRecorded, "objected")
	}
	token, err := p.request(ctx)
	if err != nil || life < 4 { // never clicks
		return err
	}
	if err := p.confirm(ctx, token); err != nil {
		return err
	}
	if err := p.check(ctx, "confirmed"); err != nil || life < 9 { // stays
		return err
	}
	if life == 9 { // is forgotten
		return p.erase(ctx)
	}
	if err := p.withdraw(ctx, ledger.ConsentWithdrawn, "withdrawn"); err != nil {
		return err
	}
	return p.check(ctx, "withdrawn")
}

// person is somebody on whose behalf a client calls.
type person struct {
	*Storm
	email, wire string
}

// note keeps what a client was told.
func (p *person) note(kind ledger.Kind, state string, consents []*appv1.Consent, again ...repeatable) error {
	told, err := Acknowledged(kind, consents)
	if err != nil {
		return err
	}
	if told.state != state {
		return fmt.Errorf("%s: the state is %s, want %s", kind, told.state, state)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, told)
	p.kinds[kind]++
	p.states[told.consent] = state
	p.again = append(p.again, again...)
	return nil
}

// same checks that a repeated call is answered with the same entry.
func same(first []*appv1.Consent, again []*appv1.Consent, err error) error {
	if err != nil {
		return err
	}
	if len(again) != 1 || again[0].ConsentId != first[0].ConsentId || again[0].Entry.Index != first[0].Entry.Index ||
		string(again[0].Entry.LeafHash) != string(first[0].Entry.LeafHash) {
		return fmt.Errorf("consent %d, entry %d: a repeated request has another answer", first[0].ConsentId, first[0].Entry.Index)
	}
	return nil
}

func (p *person) request(ctx context.Context) (token string, err error) {
	send := func(ctx context.Context) (*appv1.RequestConsentResponse, error) {
		return p.Client(p.wire).RequestConsent(ctx, Request(p.email, "request of "+p.email))
	}
	resp, err := until(ctx, p.Storm, send)
	if err != nil {
		return "", err
	}
	return resp.GetToken(), p.note(ledger.ConsentRequested, "requested", resp.Consents, repeatable{p.email, func(ctx context.Context) error {
		again, err := send(ctx)
		if err == nil && again.GetToken() != resp.GetToken() {
			err = errors.New("a repeated request has another token")
		}
		return same(resp.Consents, again.GetConsents(), err)
	}})
}

func (p *person) confirm(ctx context.Context, token string) error {
	resp, err := until(ctx, p.Storm, func(ctx context.Context) (*appv1.ConfirmConsentResponse, error) {
		return p.Client(p.wire).ConfirmConsent(ctx, &appv1.ConfirmConsentRequest{Token: token, Claims: map[string]string{"ip": address}})
	})
	if err != nil {
		return err
	}
	return p.note(ledger.ConsentConfirmed, "confirmed", resp.Consents)
}

func (p *person) withdraw(ctx context.Context, kind ledger.Kind, state string) error {
	send := func(ctx context.Context) (*appv1.WithdrawConsentResponse, error) {
		return p.Client(p.wire).WithdrawConsent(ctx, &appv1.WithdrawConsentRequest{Subject: Subject(p.email), Method: "one_click",
			Claims: map[string]string{"reason": "too many"}, IdempotencyKey: "withdrawal of " + p.email, Proof: "none"})
	}
	resp, err := until(ctx, p.Storm, send)
	if err != nil {
		return err
	}
	return p.note(kind, state, resp.Withdrawn, repeatable{p.email, func(ctx context.Context) error {
		again, err := send(ctx)
		return same(resp.Withdrawn, again.GetWithdrawn(), err)
	}})
}

// erase has a person forgotten. Whoever repeats an erasure that was carried out is told
// that there is nobody.
func (p *person) erase(ctx context.Context) error {
	_, err := until(ctx, p.Storm, func(ctx context.Context) (*appv1.EraseSubjectResponse, error) {
		return p.Client(p.wire).EraseSubject(ctx, &appv1.EraseSubjectRequest{Subject: Subject(p.email), Reason: "art17", Mode: "shred_now"})
	})
	if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
		return err
	}
	p.mu.Lock()
	p.kinds[ledger.SubjectErased]++
	p.erased[p.email] = true
	p.mu.Unlock()
	return p.check(ctx, "unknown_subject")
}

func (p *person) check(ctx context.Context, reason string) error {
	resp, err := until(ctx, p.Storm, func(ctx context.Context) (*appv1.CheckConsentResponse, error) {
		return p.Client(p.wire).CheckConsent(ctx, &appv1.CheckConsentRequest{Subject: Subject(p.email), Purpose: "newsletter", Channel: "email"})
	})
	if err == nil && (resp.Reason != reason || resp.Allowed != (reason == "confirmed")) {
		err = fmt.Errorf("a check answers %v (%s), want %s", resp.Allowed, resp.Reason, reason)
	}
	return err
}
