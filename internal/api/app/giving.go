package app

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// GiveConsent records consent that needs no confirmation link.
func (h *handler) GiveConsent(ctx context.Context, req *appv1.GiveConsentRequest) (*appv1.GiveConsentResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	g := service.Giving{
		Subject:        convert.Subject(req.GetSubject()),
		Purposes:       req.GetPurposes(),
		Channel:        req.GetChannel(),
		Notice:         req.GetNotice(),
		Method:         req.GetMethod(),
		Claims:         req.GetClaims(),
		Attachments:    convert.Attachments(req.GetAttachments()),
		Explicit:       req.GetExplicit(),
		Age:            req.GetAge(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if g.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if g.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	done, err := h.service.GiveConsent(ctx, src, g)
	if err != nil {
		return nil, err
	}
	return &appv1.GiveConsentResponse{Consents: convert.Consents(done.Consents), ManageToken: done.ManageToken}, nil
}

// RefuseConsent records that the person was asked and said no.
func (h *handler) RefuseConsent(ctx context.Context, req *appv1.RefuseConsentRequest) (*appv1.RefuseConsentResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	r := service.Refusal{
		Subject:        convert.Subject(req.GetSubject()),
		Purposes:       req.GetPurposes(),
		Channel:        req.GetChannel(),
		Notice:         req.GetNotice(),
		Method:         req.GetMethod(),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if r.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if r.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	consents, err := h.service.RefuseConsent(ctx, src, r)
	if err != nil {
		return nil, err
	}
	return &appv1.RefuseConsentResponse{Consents: convert.Consents(consents)}, nil
}

// RenewConsent records that the person said yes again.
func (h *handler) RenewConsent(ctx context.Context, req *appv1.RenewConsentRequest) (*appv1.RenewConsentResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	r := service.Renewal{
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		Notice:         req.GetNotice(),
		Method:         req.GetMethod(),
		Claims:         req.GetClaims(),
		Attachments:    convert.Attachments(req.GetAttachments()),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if r.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if r.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	consents, err := h.service.RenewConsent(ctx, src, r)
	if err != nil {
		return nil, err
	}
	return &appv1.RenewConsentResponse{Consents: convert.Consents(consents)}, nil
}
