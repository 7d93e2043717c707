package admin

import (
	"context"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// GetDocument answers the document of a purpose or a processor.
func (h *handler) GetDocument(_ context.Context, req *adminv1.GetDocumentRequest) (*adminv1.GetDocumentResponse, error) {
	if req.GetIndex() <= 0 {
		return nil, refusal.Invalid("index", "must be that of an entry that defines a purpose or engages a processor")
	}
	file, err := h.service.Document(ledger.Index(req.GetIndex()))
	if err != nil {
		return nil, err
	}
	return &adminv1.GetDocumentResponse{Document: &adminv1.Document{
		FileName:  file.FileName,
		MediaType: file.MediaType,
		Bytes:     file.Bytes,
	}}, nil
}

// document reads a file that belongs to a definition; nil when there is none.
func document(d *adminv1.Document) *service.Attachment {
	if d == nil {
		return nil
	}
	return &service.Attachment{Claim: "document", FileName: d.GetFileName(), MediaType: d.GetMediaType(), Bytes: d.GetBytes()}
}
