package app

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

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
	return &appv1.RecordConfirmationSentResponse{Entry: convert.Entry(entry), Irregular: showIrregular(irregular)}, nil
}

func sentMail(req *appv1.RecordConfirmationSentRequest) (service.SentMail, error) {
	mail := service.SentMail{
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		Message:        req.Message,
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
