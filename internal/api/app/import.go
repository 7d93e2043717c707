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

// items is the name of the list of things to import, in paths.
const items = "items"

// ImportConsents imports item by item.
func (h *handler) ImportConsents(ctx context.Context, stream *connect.BidiStream[appv1.ImportItem, appv1.ImportResult]) error {
	return calls.Answer(ctx, stream, items, h.importItems)
}

// BatchImportConsents imports up to maxBatch items at once.
func (h *handler) BatchImportConsents(ctx context.Context, req *appv1.BatchImportConsentsRequest) (*appv1.BatchImportConsentsResponse, error) {
	switch n := len(req.GetItems()); {
	case n == 0:
		return nil, refusal.Invalid(items, "needs at least one item")
	case n > maxBatch:
		return nil, refusal.Invalid(items, "has %d items, at most %d", n, maxBatch)
	}
	results, err := h.importItems(ctx, calls.Items(items, req.GetItems()))
	return &appv1.BatchImportConsentsResponse{Results: results}, err
}

// importItems imports what is in order, and says of each item what became of it.
func (h *handler) importItems(ctx context.Context, list []calls.Item[appv1.ImportItem]) ([]*appv1.ImportResult, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	results := make([]*appv1.ImportResult, len(list))
	var imports []service.Import
	var at []int // where in list each import stands
	for i, item := range list {
		x, err := importOf(item)
		if err != nil {
			results[i] = h.importFailed(item.Path, err)
			continue
		}
		imports, at = append(imports, x), append(at, i)
	}
	for n, r := range h.service.BatchImport(ctx, src, imports) {
		i := at[n]
		if r.Err != nil {
			results[i] = h.importFailed(list[i].Path, r.Err)
			continue
		}
		results[i] = &appv1.ImportResult{Skipped: r.Imported.Skipped}
		if r.Imported.Consent.ID != 0 {
			results[i].Consent = convert.Consent(r.Imported.Consent)
		}
	}
	return results, nil
}

func (h *handler) importFailed(path string, err error) *appv1.ImportResult {
	return &appv1.ImportResult{Error: apierrors.Item(path, err, h.logger)}
}

func importOf(item calls.Item[appv1.ImportItem]) (service.Import, error) {
	if item.Err != nil {
		return service.Import{}, item.Err
	}
	m := item.Message
	x := service.Import{
		Subject:        convert.Subject(m.GetSubject()),
		Purpose:        m.GetPurpose(),
		Channel:        m.GetChannel(),
		Notice:         m.GetNotice(),
		Method:         m.GetMethod(),
		Grade:          m.GetGrade(),
		Claims:         m.GetClaims(),
		Attachments:    convert.Attachments(m.GetAttachments()),
		Explicit:       m.GetExplicit(),
		Age:            m.GetAge(),
		IdempotencyKey: m.GetIdempotencyKey(),
	}
	var err error
	if x.OccurredAt, err = convert.OccurredAt(m.GetOccurredAt()); err != nil {
		return x, err
	}
	x.Proof, err = convert.Proof(m.GetProof(), false)
	return x, err
}
