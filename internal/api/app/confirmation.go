package app

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// RequestConsent opens a double opt-in.
func (h *handler) RequestConsent(ctx context.Context, req *appv1.RequestConsentRequest) (*appv1.RequestConsentResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	asked, err := consentRequest(req)
	if err != nil {
		return nil, err
	}
	done, err := h.service.RequestConsent(ctx, src, asked)
	if err != nil {
		return nil, err
	}
	rsp := &appv1.RequestConsentResponse{
		Consents:    convert.Consents(done.Consents),
		ManageToken: done.ManageToken,
		ExpiresAt:   timestamppb.New(done.ExpiresAt),
	}
	if done.Token != "" {
		rsp.Token = &done.Token
	}
	return rsp, nil
}

func consentRequest(req *appv1.RequestConsentRequest) (service.ConsentRequest, error) {
	asked := service.ConsentRequest{
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
	var err error
	if asked.Lock, err = lock(req.Lock); err != nil {
		return asked, err
	}
	if asked.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return asked, err
	}
	asked.Proof, err = convert.Proof(req.GetProof(), false)
	return asked, err
}

// RecordConfirmationOpened records that the page behind the link was opened.
func (h *handler) RecordConfirmationOpened(ctx context.Context, req *appv1.RecordConfirmationOpenedRequest) (*appv1.RecordConfirmationOpenedResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	opening := service.Opening{
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		Token:          req.GetToken(),
		Claims:         req.GetClaims(),
		Signals:        req.GetSignals(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if opening.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if opening.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	entry, irregular, err := h.service.RecordConfirmationOpened(ctx, src, opening)
	if err != nil {
		return nil, err
	}
	return &appv1.RecordConfirmationOpenedResponse{Entry: convert.Entry(entry), Irregular: convert.Irregular(irregular)}, nil
}

// ConfirmConsent records the click on the confirmation link.
func (h *handler) ConfirmConsent(ctx context.Context, req *appv1.ConfirmConsentRequest) (*appv1.ConfirmConsentResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	click := service.Click{Token: req.GetToken(), Claims: req.GetClaims(), Click: req.GetClick(), Signals: req.GetSignals()}
	if click.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if click.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	done, err := h.service.ConfirmConsent(ctx, src, click)
	if err != nil {
		return nil, err
	}
	rsp := &appv1.ConfirmConsentResponse{Consents: convert.Consents(done.Consents), AlreadyConfirmed: done.AlreadyConfirmed}
	if done.SinceSent != nil {
		rsp.SinceSent = durationpb.New(*done.SinceSent)
	}
	return rsp, nil
}

// RejectConfirmation records the person's "that was not me".
func (h *handler) RejectConfirmation(ctx context.Context, req *appv1.RejectConfirmationRequest) (*appv1.RejectConfirmationResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	click := service.Click{Token: req.GetToken()}
	if click.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if click.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	consents, err := h.service.RejectConfirmation(ctx, src, click)
	if err != nil {
		return nil, err
	}
	return &appv1.RejectConfirmationResponse{Consents: convert.Consents(consents)}, nil
}
