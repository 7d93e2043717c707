package app

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// AssertBasis records another ground than consent.
func (h *handler) AssertBasis(ctx context.Context, req *appv1.AssertBasisRequest) (*appv1.AssertBasisResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	a := service.Assertion{
		Subject:        convert.Subject(req.GetSubject()),
		Purpose:        req.GetPurpose(),
		Channel:        req.GetChannel(),
		Basis:          req.GetBasis(),
		Conditions:     req.GetConditions(),
		Notice:         req.GetNotice(),
		Claims:         req.GetClaims(),
		Attachments:    convert.Attachments(req.GetAttachments()),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if a.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if a.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	consent, err := h.service.AssertBasis(ctx, src, a)
	if err != nil {
		return nil, err
	}
	return &appv1.AssertBasisResponse{Consent: convert.Consent(*consent)}, nil
}

// RecordObjection records that a person objects.
func (h *handler) RecordObjection(ctx context.Context, req *appv1.RecordObjectionRequest) (*appv1.RecordObjectionResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	o := service.Objection{
		Subject:        convert.Subject(req.GetSubject()),
		Article:        req.GetArticle(),
		Purposes:       req.GetPurposes(),
		Channel:        req.GetChannel(),
		Method:         req.GetMethod(),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if o.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if o.Proof, err = convert.Proof(req.GetProof(), true); err != nil {
		return nil, err
	}
	objected, err := h.service.RecordObjection(ctx, src, o)
	if err != nil {
		return nil, err
	}
	return &appv1.RecordObjectionResponse{Consents: convert.Consents(objected.Consents), RequestId: int64(objected.RequestID)}, nil
}
