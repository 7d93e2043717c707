package app

import (
	"context"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/api/convert"
	apierrors "github.com/consentledger/consentledger/internal/api/errors"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// maxBatch is how many questions or items one batch may hold.
const maxBatch = 1000

// checks is the name of the list of questions, in paths.
const checks = "checks"

// CheckConsent answers "may I?".
func (h *handler) CheckConsent(ctx context.Context, req *appv1.CheckConsentRequest) (*appv1.CheckConsentResponse, error) {
	q, err := question(req)
	if err != nil {
		return nil, err
	}
	d, err := h.service.CheckConsent(ctx, q)
	if err != nil {
		return nil, err
	}
	return showDecision(d), nil
}

// CheckConsents answers such questions one by one, for as long as they come.
func (h *handler) CheckConsents(ctx context.Context, stream *connect.BidiStream[appv1.CheckConsentRequest, appv1.CheckResult]) error {
	return calls.Answer(ctx, stream, checks, h.check)
}

// BatchCheckConsents answers up to maxBatch such questions at once.
func (h *handler) BatchCheckConsents(ctx context.Context, req *appv1.BatchCheckConsentsRequest) (*appv1.BatchCheckConsentsResponse, error) {
	switch n := len(req.GetChecks()); {
	case n == 0:
		return nil, refusal.Invalid(checks, "needs at least one question")
	case n > maxBatch:
		return nil, refusal.Invalid(checks, "has %d questions, at most %d", n, maxBatch)
	}
	results, err := h.check(ctx, calls.Items(checks, req.GetChecks()))
	return &appv1.BatchCheckConsentsResponse{Results: results}, err
}

// check answers questions. A malformed one spoils its own result only.
func (h *handler) check(ctx context.Context, list []calls.Item[appv1.CheckConsentRequest]) ([]*appv1.CheckResult, error) {
	results := make([]*appv1.CheckResult, len(list))
	var questions []service.Question
	var at []int // where in list each question stands
	for i, item := range list {
		err := item.Err
		if err == nil {
			var q service.Question
			if q, err = question(item.Message); err == nil {
				questions, at = append(questions, q), append(at, i)
				continue
			}
		}
		results[i] = h.checkFailed(item.Path, err)
	}
	for n, r := range h.service.CheckMany(ctx, questions) {
		i := at[n]
		if r.Err != nil {
			results[i] = h.checkFailed(list[i].Path, r.Err)
		} else {
			results[i] = &appv1.CheckResult{Response: showDecision(r.Decision)}
		}
	}
	return results, ctx.Err()
}

func (h *handler) checkFailed(path string, err error) *appv1.CheckResult {
	return &appv1.CheckResult{Error: apierrors.Item(path, err, h.logger)}
}

func question(req *appv1.CheckConsentRequest) (service.Question, error) {
	at, err := convert.Time("at", req.GetAt())
	return service.Question{Subject: convert.Subject(req.GetSubject()), Purpose: req.GetPurpose(), Channel: req.GetChannel(), At: at}, err
}

func showDecision(d *service.Decision) *appv1.CheckConsentResponse {
	return &appv1.CheckConsentResponse{
		Allowed:            d.Allowed,
		Reason:             d.Reason,
		ConsentId:          int64(d.Consent),
		State:              d.State,
		Notice:             d.Notice,
		AsOf:               &appv1.AsOf{Index: int64(d.Size) - 1, Size: int64(d.Size)},
		Basis:              d.Basis,
		Grade:              d.Grade,
		TrackingMode:       d.TrackingMode,
		ExpiresAt:          convert.ShowTime(d.ExpiresAt),
		Warnings:           d.Warnings,
		AllowedThen:        d.Then,
		AllowedInHindsight: d.Hindsight,
	}
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
	uses := service.Uses{
		Reference:      req.GetReference(),
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		Processor:      req.GetProcessor(),
		Recipient:      req.GetRecipient(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
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
	return &appv1.RecordUsesResponse{Entries: convert.Entries(entries), Irregular: convert.Irregular(irregular)}, nil
}
