package audit

import (
	"context"

	"connectrpc.com/connect"

	apierrors "github.com/consentledger/consentledger/internal/api/errors"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
)

const (
	// maxBatch is the most entries that one BatchListEntries answers.
	maxBatch = 1000
	// streamChunk is how many entries a stream reads at once. Between chunks it
	// holds nothing of the log, so that a slow client costs no more than one.
	streamChunk = 256
)

// ListEntries streams entries up to the newest at the time of the call.
func (s *Service) ListEntries(ctx context.Context, req *auditv1.ListEntriesRequest, stream *connect.ServerStream[auditv1.ListEntriesResponse]) error {
	start, limit := req.GetStart(), req.GetLimit()
	if err := checkRange(start, limit); err != nil {
		return apierrors.Connect(err, s.logger)
	}
	_, newest := s.log.Checkpoint()
	end := int64(newest)
	if limit > 0 && limit < end-start {
		end = start + limit
	}
	for next := start; next < end; {
		if err := ctx.Err(); err != nil {
			return apierrors.Connect(err, s.logger)
		}
		page, err := s.log.EntryPage(ledger.Index(next), int(min(streamChunk, end-next)))
		if err != nil {
			return apierrors.Connect(err, s.logger)
		}
		for _, raw := range page {
			// An error of Send is about the connection and is passed on as it is.
			if err := stream.Send(&auditv1.ListEntriesResponse{Index: next, Raw: raw}); err != nil {
				return err
			}
			next++
		}
	}
	return nil
}

// BatchListEntries answers a page of entries.
func (s *Service) BatchListEntries(_ context.Context, req *auditv1.BatchListEntriesRequest) (*auditv1.BatchListEntriesResponse, error) {
	page, err := s.page(req.GetStart(), req.GetLimit())
	if err != nil {
		return nil, apierrors.Connect(err, s.logger)
	}
	rsp := &auditv1.BatchListEntriesResponse{Entries: make([]*auditv1.LogEntry, len(page))}
	for i, raw := range page {
		rsp.Entries[i] = &auditv1.LogEntry{Index: req.GetStart() + int64(i), Raw: raw}
	}
	return rsp, nil
}

func (s *Service) page(start, limit int64) ([][]byte, error) {
	if err := checkRange(start, limit); err != nil {
		return nil, err
	}
	if limit > maxBatch {
		return nil, refusal.Invalid("limit", "is more than %d", maxBatch)
	}
	if limit == 0 {
		limit = maxBatch
	}
	return s.log.EntryPage(ledger.Index(start), int(limit))
}

func checkRange(start, limit int64) error {
	if start < 0 {
		return refusal.Invalid("start", "is below 0")
	}
	if limit < 0 {
		return refusal.Invalid("limit", "is below 0")
	}
	return nil
}
