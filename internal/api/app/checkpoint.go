package app

import (
	"context"

	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// GetCheckpoint answers the newest checkpoint as a header for mails. It is the log's
// own, not the newest that witnesses cosigned: what the mail is about is in it.
func (h *handler) GetCheckpoint(context.Context, *appv1.GetCheckpointRequest) (*appv1.GetCheckpointResponse, error) {
	signed, size := h.service.Log().Checkpoint()
	line, err := ledger.CheckpointLine(signed)
	if err != nil {
		return nil, err
	}
	return &appv1.GetCheckpointResponse{HeaderName: ledger.CheckpointHeader, HeaderValue: line, Size: int64(size)}, nil
}
