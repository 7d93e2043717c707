package admin

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// RunRetention says what retention will do, or does it.
func (h *handler) RunRetention(ctx context.Context, req *adminv1.RunRetentionRequest) (*adminv1.RunRetentionResponse, error) {
	run, err := retentionRun(req)
	if err != nil {
		return nil, err
	}
	report, err := h.service.RunRetention(calls.Unlimited(ctx), run)
	if err != nil {
		return nil, err
	}
	rsp := &adminv1.RunRetentionResponse{
		At:      convert.ShowTime(report.At),
		Items:   make([]*adminv1.RetentionItem, len(report.Items)),
		Kept:    int64(report.Kept),
		Applied: report.Applied,
	}
	for i, item := range report.Items {
		rsp.Items[i] = &adminv1.RetentionItem{
			Rule:     item.Rule,
			Measure:  item.Measure,
			Purpose:  item.Purpose,
			Consents: int64(item.Consents),
			FirstDue: convert.ShowTime(item.FirstDue),
		}
	}
	return rsp, nil
}

func retentionRun(req *adminv1.RunRetentionRequest) (service.RetentionRun, error) {
	var run service.RetentionRun
	switch req.GetMode() {
	case "dry_run":
		run.DryRun = true
	case "now":
	default:
		return run, refusal.Invalid("mode", "must be said: dry_run or now")
	}
	if d := req.GetAhead(); d != nil && !d.IsValid() {
		return run, refusal.Invalid("ahead", "is not a duration")
	}
	run.Ahead = req.GetAhead().AsDuration()
	return run, nil
}

// GetErasureStatus says how far erasures are.
func (h *handler) GetErasureStatus(ctx context.Context, _ *adminv1.GetErasureStatusRequest) (*adminv1.GetErasureStatusResponse, error) {
	s, err := h.service.ErasureStatus(ctx)
	if err != nil {
		return nil, err
	}
	return &adminv1.GetErasureStatusResponse{
		Generation:       int64(s.Generation),
		Medium:           s.Medium,
		Guarantee:        s.Guarantee,
		Pending:          int64(s.Pending),
		Locked:           int64(s.Locked),
		NextUnlock:       convert.ShowTime(s.NextUnlock),
		ExistencePending: int64(s.ExistencePending),
		ExistenceDue:     convert.ShowTime(s.ExistenceDue),
		IndexEpoch:       int64(s.IndexEpoch),
		Rekeying:         s.Rekeying,
		RekeyDone:        int64(s.RekeyDone),
		RekeyTotal:       int64(s.RekeyTotal),
		IndexReplacedAt:  convert.ShowTime(s.IndexReplacedAt),
		BackupTarget:     s.BackupTarget,
		BackupGeneration: int64(s.BackupGeneration),
		BackupAt:         convert.ShowTime(s.BackupAt),
		BackupNote:       s.BackupNote,
		LastRetention:    convert.ShowTime(s.LastRetention),
	}, nil
}

// RekeyIndex starts replacing the key of the blind index.
func (h *handler) RekeyIndex(ctx context.Context, _ *adminv1.RekeyIndexRequest) (*adminv1.RekeyIndexResponse, error) {
	if err := h.service.RekeyIndex(ctx); err != nil {
		return nil, err
	}
	return &adminv1.RekeyIndexResponse{}, nil
}

// BackupKeys writes a key backup.
func (h *handler) BackupKeys(ctx context.Context, _ *adminv1.BackupKeysRequest) (*adminv1.BackupKeysResponse, error) {
	generation, people, err := h.service.BackupKeys(calls.Unlimited(ctx))
	if err != nil {
		return nil, err
	}
	return &adminv1.BackupKeysResponse{Generation: int64(generation), People: int64(people)}, nil
}
