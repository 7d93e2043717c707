package admin

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/calls"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// Backup writes a data backup and a key backup.
func (h *handler) Backup(ctx context.Context, req *adminv1.BackupRequest) (*adminv1.BackupResponse, error) {
	b, err := h.service.Backup(calls.Unlimited(ctx), req.GetFull())
	if err != nil {
		return nil, err
	}
	return &adminv1.BackupResponse{File: b.File, Bytes: b.Bytes, From: int64(b.From), Size: int64(b.To), Rows: b.Rows,
		KeyGeneration: int64(b.Generation), People: int64(b.People)}, nil
}
