package admin

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// EngageProcessor records that a processor is engaged, and on which terms.
func (h *handler) EngageProcessor(ctx context.Context, req *adminv1.EngageProcessorRequest) (*adminv1.EngageProcessorResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	engagement, err := processorEngagement(req)
	if err != nil {
		return nil, err
	}
	processor, entry, err := h.service.EngageProcessor(ctx, src, engagement)
	if err != nil {
		return nil, err
	}
	return &adminv1.EngageProcessorResponse{Processor: showProcessor(processor), Entry: convert.Entry(entry)}, nil
}

func processorEngagement(req *adminv1.EngageProcessorRequest) (service.ProcessorEngagement, error) {
	e := service.ProcessorEngagement{
		ID:             req.GetId(),
		Insist:         req.GetInsist(),
		Title:          req.GetTitle(),
		Country:        req.GetCountry(),
		Purposes:       req.GetPurposes(),
		Agreement:      document(req.GetAgreement()),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if b := req.AgreementSha256; b != nil {
		if len(b) != len(ledger.Hash{}) {
			return e, refusal.Invalid("agreement_sha256", "has %d bytes, want %d", len(b), len(ledger.Hash{}))
		}
		e.AgreementSHA256 = (*ledger.Hash)(b)
	}
	var err error
	if e.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return e, err
	}
	e.Proof, err = convert.Proof(req.GetProof(), false)
	return e, err
}

// EndProcessor records that a processor is engaged no longer.
func (h *handler) EndProcessor(ctx context.Context, req *adminv1.EndProcessorRequest) (*adminv1.EndProcessorResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	end := service.ProcessorEnd{ID: req.GetId(), Claims: req.GetClaims(), IdempotencyKey: req.GetIdempotencyKey()}
	if end.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if end.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	processor, entry, err := h.service.EndProcessor(ctx, src, end)
	if err != nil {
		return nil, err
	}
	return &adminv1.EndProcessorResponse{Processor: showProcessor(processor), Entry: convert.Entry(entry)}, nil
}

// ListProcessors lists the processors that were ever engaged.
func (h *handler) ListProcessors(context.Context, *adminv1.ListProcessorsRequest) (*adminv1.ListProcessorsResponse, error) {
	list, err := h.service.ListProcessors()
	if err != nil {
		return nil, err
	}
	rsp := &adminv1.ListProcessorsResponse{Processors: make([]*adminv1.Processor, len(list))}
	for i, p := range list {
		rsp.Processors[i] = showProcessor(p)
	}
	return rsp, nil
}

func showProcessor(p *service.Processor) *adminv1.Processor {
	shown := &adminv1.Processor{
		Id:         p.ID,
		Title:      p.Title,
		Country:    p.Country,
		Purposes:   p.Covers,
		Index:      int64(p.Index),
		Since:      convert.ShowTime(p.Since),
		Ended:      convert.ShowTime(p.Ended),
		OccurredAt: convert.ShowTime(p.OccurredAt),
		Claims:     p.Claims,
	}
	if p.Agreement != (ledger.Hash{}) {
		shown.AgreementSha256 = p.Agreement[:]
	}
	return shown
}
