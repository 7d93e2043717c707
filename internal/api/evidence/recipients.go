package evidence

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// NotifyRecipient records that a recipient was told.
func (h *handler) NotifyRecipient(ctx context.Context, req *evidencev1.NotifyRecipientRequest) (*evidencev1.NotifyRecipientResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	n := service.Notification{Processor: req.GetProcessor(), Claims: req.GetClaims(), IdempotencyKey: req.GetIdempotencyKey()}
	if n.Index, err = number("index", req.GetIndex()); err != nil {
		return nil, err
	}
	if n.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if n.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	told, err := h.service.NotifyRecipient(ctx, src, n)
	if err != nil {
		return nil, err
	}
	return &evidencev1.NotifyRecipientResponse{NotificationId: int64(told.NotificationID), Entry: convert.Entry(&told.Entry)}, nil
}

// AcknowledgeRecipient records that a recipient says that it is done there, too.
func (h *handler) AcknowledgeRecipient(ctx context.Context, req *evidencev1.AcknowledgeRecipientRequest) (*evidencev1.AcknowledgeRecipientResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	a := service.Acknowledgement{Claims: req.GetClaims(), IdempotencyKey: req.GetIdempotencyKey()}
	if a.NotificationID, err = number("notification_id", req.GetNotificationId()); err != nil {
		return nil, err
	}
	if a.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if a.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	entry, err := h.service.AcknowledgeRecipient(ctx, src, a)
	if err != nil {
		return nil, err
	}
	return &evidencev1.AcknowledgeRecipientResponse{Entry: convert.Entry(entry)}, nil
}

// ListRecipients lists to whom data were passed, and who was told.
func (h *handler) ListRecipients(ctx context.Context, req *evidencev1.ListRecipientsRequest) (*evidencev1.ListRecipientsResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	index, err := number("index", req.GetIndex())
	if err != nil {
		return nil, err
	}
	recipients, err := h.service.ListRecipients(ctx, src, index)
	if err != nil {
		return nil, err
	}
	rsp := &evidencev1.ListRecipientsResponse{Recipients: make([]*evidencev1.Recipient, len(recipients))}
	for i, r := range recipients {
		rsp.Recipients[i] = &evidencev1.Recipient{
			Processor:       r.Processor,
			Uses:            int64(r.Uses),
			LastUse:         showIndex(r.LastUse),
			NotificationId:  showIndex(r.Notification),
			Acknowledgement: showIndex(r.Acknowledgement),
		}
	}
	return rsp, nil
}

// showIndex shows an index; -1, which is none, is left out.
func showIndex(i ledger.Index) *int64 {
	if i < 0 {
		return nil
	}
	n := int64(i)
	return &n
}
