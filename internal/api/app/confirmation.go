package app

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/refusal"
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
		Attachments:    attachments(req.GetAttachments()),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	var err error
	if req.Lock != nil {
		lock, err := hash("lock", req.Lock)
		if err != nil {
			return asked, err
		}
		if isText(req.Lock) {
			return asked, refusal.Invalid("lock", "is text, want the 32 bytes of a SHA-256")
		}
		asked.Lock = &lock
	}
	if asked.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return asked, err
	}
	asked.Proof, err = convert.Proof(req.GetProof(), false)
	return asked, err
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
	if req.MtaResponse != nil && req.GetMtaResponse() == "" {
		return mail, refusal.Invalid("mta_response", "is empty; leave it out")
	}
	if mail.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return mail, err
	}
	mail.Proof, err = convert.Proof(req.GetProof(), false)
	return mail, err
}

// ConfirmConsent records the click on the confirmation link.
func (h *handler) ConfirmConsent(ctx context.Context, req *appv1.ConfirmConsentRequest) (*appv1.ConfirmConsentResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	click := service.Click{Token: req.GetToken(), Claims: req.GetClaims()}
	if click.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if click.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	done, err := h.service.ConfirmConsent(ctx, src, click)
	if err != nil {
		return nil, h.limitUnknown(ctx, "token", err)
	}
	return &appv1.ConfirmConsentResponse{Consents: convert.Consents(done.Consents), AlreadyConfirmed: done.AlreadyConfirmed}, nil
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
		return nil, h.limitUnknown(ctx, "token", err)
	}
	return &appv1.RejectConfirmationResponse{Consents: convert.Consents(consents)}, nil
}
