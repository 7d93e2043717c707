package app

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// ResendConfirmation gives a request a fresh link.
func (h *handler) ResendConfirmation(ctx context.Context, req *appv1.ResendConfirmationRequest) (*appv1.ResendConfirmationResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	r := service.Resend{ConsentIDs: convert.ConsentIDs(req.GetConsentIds()), IdempotencyKey: req.GetIdempotencyKey()}
	if r.Lock, err = lock(req.Lock); err != nil {
		return nil, err
	}
	if r.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if r.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	done, err := h.service.ResendConfirmation(ctx, src, r)
	if err != nil {
		return nil, err
	}
	rsp := &appv1.ResendConfirmationResponse{
		Entry:     convert.Entry(&done.Entry),
		ExpiresAt: convert.ShowTime(done.ExpiresAt),
	}
	if done.Token != "" {
		rsp.Token = &done.Token
	}
	return rsp, nil
}

// RecordConfirmationSent records that the confirmation mail went out.
func (h *handler) RecordConfirmationSent(ctx context.Context, req *appv1.RecordConfirmationSentRequest) (*appv1.RecordConfirmationSentResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	mail, err := sentMail(req)
	if err != nil {
		return nil, err
	}
	entry, irregular, err := h.service.RecordConfirmationSent(ctx, src, mail)
	if err != nil {
		return nil, err
	}
	return &appv1.RecordConfirmationSentResponse{Entry: convert.Entry(entry), Irregular: convert.Irregular(irregular)}, nil
}

func sentMail(req *appv1.RecordConfirmationSentRequest) (service.SentMail, error) {
	mail := service.SentMail{
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		Message:        req.Message,
		MediaType:      req.GetMediaType(),
		Template:       req.GetTemplate(),
		MTAResponse:    req.GetMtaResponse(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	var err error
	if mail.SHA256, err = hash("message_sha256", req.GetMessageSha256()); err != nil {
		return mail, err
	}
	if req.Message != nil && len(req.Message) == 0 {
		return mail, refusal.Invalid("message", "is empty; leave it out")
	}
	if err := notEmpty("mta_response", req.MtaResponse); err != nil {
		return mail, err
	}
	if mail.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return mail, err
	}
	mail.Proof, err = convert.Proof(req.GetProof(), false)
	return mail, err
}

// AttachMessage hands over a confirmation mail after the click.
func (h *handler) AttachMessage(ctx context.Context, req *appv1.AttachMessageRequest) (*appv1.AttachMessageResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	mail := service.MailAttachment{
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		Message:        req.GetMessage(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if mail.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	entry, err := h.service.AttachMessage(ctx, src, mail)
	if err != nil {
		return nil, err
	}
	return &appv1.AttachMessageResponse{Entry: convert.Entry(entry)}, nil
}

// RecordConfirmationFailed records that the confirmation mail did not arrive.
func (h *handler) RecordConfirmationFailed(ctx context.Context, req *appv1.RecordConfirmationFailedRequest) (*appv1.RecordConfirmationFailedResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	mail, err := failedMail(req)
	if err != nil {
		return nil, err
	}
	entry, irregular, err := h.service.RecordConfirmationFailed(ctx, src, mail)
	if err != nil {
		return nil, err
	}
	return &appv1.RecordConfirmationFailedResponse{Entry: convert.Entry(entry), Irregular: convert.Irregular(irregular)}, nil
}

func failedMail(req *appv1.RecordConfirmationFailedRequest) (service.FailedMail, error) {
	mail := service.FailedMail{
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		MTAResponse:    req.GetMtaResponse(),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	switch req.GetFailure() {
	case "permanent":
		mail.Permanent = true
	case "temporary":
	default:
		return mail, refusal.Invalid("failure", "must be said: permanent or temporary")
	}
	err := notEmpty("mta_response", req.MtaResponse)
	if err != nil {
		return mail, err
	}
	if mail.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return mail, err
	}
	mail.Proof, err = convert.Proof(req.GetProof(), false)
	return mail, err
}
