package app

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// WithdrawConsent ends consents, or records an objection.
func (h *handler) WithdrawConsent(ctx context.Context, req *appv1.WithdrawConsentRequest) (*appv1.WithdrawConsentResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	if req.Subject != nil && subject(req.Subject) == (service.Subject{}) {
		// Beside another way of saying whose, it would pass for "not set".
		return nil, refusal.Invalid("subject", "needs exactly one of email, phone, external_id")
	}
	w := service.Withdrawal{
		Subject:        subject(req.GetSubject()),
		ManageToken:    req.GetManageToken(),
		ConsentIDs:     consentIDs(req.GetConsentIds()),
		Purposes:       req.GetPurposes(),
		Channel:        req.GetChannel(),
		Method:         req.GetMethod(),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if w.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if w.Proof, err = convert.Proof(req.GetProof(), true); err != nil {
		return nil, err
	}
	ended, err := h.service.WithdrawConsent(ctx, src, w)
	if err != nil {
		return nil, h.limitUnknown(ctx, "manage_token", err)
	}
	return &appv1.WithdrawConsentResponse{Withdrawn: showConsents(ended)}, nil
}

// SetRestriction restricts the processing of a person's data.
func (h *handler) SetRestriction(ctx context.Context, req *appv1.SetRestrictionRequest) (*appv1.SetRestrictionResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	r := service.Restriction{Subject: subject(req.GetSubject()), Ground: req.GetGround(), IdempotencyKey: req.GetIdempotencyKey()}
	if r.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if r.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	consents, err := h.service.SetRestriction(ctx, src, r)
	if err != nil {
		return nil, err
	}
	return &appv1.SetRestrictionResponse{Consents: showConsents(consents)}, nil
}

// LiftRestriction ends a restriction.
func (h *handler) LiftRestriction(ctx context.Context, req *appv1.LiftRestrictionRequest) (*appv1.LiftRestrictionResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	r := service.Restriction{Subject: subject(req.GetSubject()), IdempotencyKey: req.GetIdempotencyKey()}
	if r.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if r.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	consents, err := h.service.LiftRestriction(ctx, src, r)
	if err != nil {
		return nil, err
	}
	return &appv1.LiftRestrictionResponse{Consents: showConsents(consents)}, nil
}

// EraseSubject forgets a person.
func (h *handler) EraseSubject(ctx context.Context, req *appv1.EraseSubjectRequest) (*appv1.EraseSubjectResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	proof, err := convert.Proof(req.GetProof(), true)
	if err != nil {
		return nil, err
	}
	done, err := h.service.EraseSubject(ctx, src, service.Erasure{
		Subject:        subject(req.GetSubject()),
		Reason:         req.GetReason(),
		Mode:           req.GetMode(),
		IdempotencyKey: req.GetIdempotencyKey(),
		Proof:          proof,
	})
	if err != nil {
		return nil, err
	}
	return &appv1.EraseSubjectResponse{
		ConsentsErased:      int64(done.Consents),
		ContentsDestroyedAt: timestamppb.New(done.ContentsDestroyedAt),
		Entry:               convert.Entry(done.Entry),
		Shredded:            convert.Entry(done.Shredded),
	}, nil
}
