package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/consentledger/consentledger/internal/api/convert"
	apierrors "github.com/consentledger/consentledger/internal/api/errors"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// maxChecks is how many questions one batch may ask.
const maxChecks = 1000

// CheckConsent answers "may I?".
func (h *handler) CheckConsent(ctx context.Context, req *appv1.CheckConsentRequest) (*appv1.CheckConsentResponse, error) {
	d, err := h.service.CheckConsent(ctx, service.Question{
		Subject: convert.Subject(req.GetSubject()), Purpose: req.GetPurpose(), Channel: req.GetChannel()})
	if err != nil {
		return nil, err
	}
	return &appv1.CheckConsentResponse{
		Allowed:   d.Allowed,
		Reason:    d.Reason,
		ConsentId: int64(d.Consent),
		State:     d.State,
		Notice:    d.Notice,
		AsOf:      &appv1.AsOf{Index: int64(d.Size) - 1, Size: int64(d.Size)},
	}, nil
}

// BatchCheckConsents answers many such questions. A malformed one spoils its own
// result only; whatever is no refusal ends the whole batch.
func (h *handler) BatchCheckConsents(ctx context.Context, req *appv1.BatchCheckConsentsRequest) (*appv1.BatchCheckConsentsResponse, error) {
	switch n := len(req.GetChecks()); {
	case n == 0:
		return nil, refusal.Invalid("checks", "needs at least one question")
	case n > maxChecks:
		return nil, refusal.Invalid("checks", "has %d questions, at most %d", n, maxChecks)
	}
	results := make([]*appv1.CheckResult, len(req.GetChecks()))
	for i, question := range req.GetChecks() {
		answer, err := h.CheckConsent(ctx, question)
		var r *refusal.Error
		switch {
		case err == nil:
			results[i] = &appv1.CheckResult{Response: answer}
		case errors.As(err, &r):
			results[i] = &appv1.CheckResult{Error: apierrors.Item(fmt.Sprintf("checks[%d]", i), r, nil)}
		default:
			return nil, err
		}
	}
	return &appv1.BatchCheckConsentsResponse{Results: results}, nil
}

// ListConsents lists what is held about a person.
func (h *handler) ListConsents(ctx context.Context, req *appv1.ListConsentsRequest) (*appv1.ListConsentsResponse, error) {
	consents, err := h.service.ListConsents(ctx, convert.Subject(req.GetSubject()))
	if err != nil {
		return nil, err
	}
	return &appv1.ListConsentsResponse{Consents: convert.Consents(consents)}, nil
}

// RecordUses records that consents were relied on.
func (h *handler) RecordUses(ctx context.Context, req *appv1.RecordUsesRequest) (*appv1.RecordUsesResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	uses := service.Uses{Reference: req.GetReference(), ConsentIDs: convert.ConsentIDs(req.GetConsentIds()), IdempotencyKey: req.GetIdempotencyKey()}
	if uses.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if uses.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	entries, irregular, err := h.service.RecordUses(ctx, src, uses)
	if err != nil {
		return nil, err
	}
	rsp := &appv1.RecordUsesResponse{Irregular: showIrregular(irregular)}
	for _, e := range entries {
		rsp.Entries = append(rsp.Entries, convert.Entry(&e))
	}
	return rsp, nil
}
