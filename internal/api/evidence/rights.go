package evidence

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// OpenRequest records that a person asks for a right.
func (h *handler) OpenRequest(ctx context.Context, req *evidencev1.OpenRequestRequest) (*evidencev1.OpenRequestResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	r := service.RightsRequest{
		Subject:        convert.Subject(req.GetSubject()),
		Article:        req.GetArticle(),
		Claims:         req.GetClaims(),
		Attachments:    convert.Attachments(req.GetAttachments()),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if r.ReceivedAt, err = convert.Time("received_at", req.GetReceivedAt()); err != nil {
		return nil, err
	}
	if r.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	opened, err := h.service.OpenRequest(ctx, src, r)
	if err != nil {
		return nil, err
	}
	return &evidencev1.OpenRequestResponse{
		RequestId: int64(opened.RequestID),
		Due:       convert.ShowTime(opened.Due),
		Consents:  int64(opened.Consents),
		Entry:     convert.Entry(&opened.Entry),
	}, nil
}

// ExtendRequest gives a request more time.
func (h *handler) ExtendRequest(ctx context.Context, req *evidencev1.ExtendRequestRequest) (*evidencev1.ExtendRequestResponse, error) {
	r := service.RequestStep{Claims: req.GetClaims(), Attachments: convert.Attachments(req.GetAttachments()), IdempotencyKey: req.GetIdempotencyKey()}
	var err error
	if r.Until, err = convert.Time("until", req.GetUntil()); err != nil {
		return nil, err
	}
	done, err := step(ctx, r, req, h.service.ExtendRequest)
	if err != nil {
		return nil, err
	}
	return &evidencev1.ExtendRequestResponse{
		Due:       convert.ShowTime(done.Due),
		Entry:     convert.Entry(&done.Entry),
		Irregular: convert.Irregular(done.Irregular),
	}, nil
}

// AnswerRequest records that a request was answered.
func (h *handler) AnswerRequest(ctx context.Context, req *evidencev1.AnswerRequestRequest) (*evidencev1.AnswerRequestResponse, error) {
	r := service.RequestStep{Claims: req.GetClaims(), Attachments: convert.Attachments(req.GetAttachments()), IdempotencyKey: req.GetIdempotencyKey()}
	done, err := step(ctx, r, req, h.service.AnswerRequest)
	if err != nil {
		return nil, err
	}
	return &evidencev1.AnswerRequestResponse{Entry: convert.Entry(&done.Entry), Irregular: convert.Irregular(done.Irregular)}, nil
}

// RefuseRequest records that a request was refused.
func (h *handler) RefuseRequest(ctx context.Context, req *evidencev1.RefuseRequestRequest) (*evidencev1.RefuseRequestResponse, error) {
	r := service.RequestStep{Refusal: req.GetRefusal(), Claims: req.GetClaims(), Attachments: convert.Attachments(req.GetAttachments()),
		IdempotencyKey: req.GetIdempotencyKey()}
	done, err := step(ctx, r, req, h.service.RefuseRequest)
	if err != nil {
		return nil, err
	}
	return &evidencev1.RefuseRequestResponse{Entry: convert.Entry(&done.Entry), Irregular: convert.Irregular(done.Irregular)}, nil
}

// stepMessage is what the messages about an open request have in common.
type stepMessage interface {
	GetRequestId() int64
	GetOccurredAt() *timestamppb.Timestamp
	GetProof() string
}

// step reads what such messages have in common and takes the step.
func step(ctx context.Context, r service.RequestStep, m stepMessage,
	take func(context.Context, service.Source, service.RequestStep) (*service.RequestDone, error)) (*service.RequestDone, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	if r.RequestID, err = number("request_id", m.GetRequestId()); err != nil {
		return nil, err
	}
	if r.OccurredAt, err = convert.OccurredAt(m.GetOccurredAt()); err != nil {
		return nil, err
	}
	if r.Proof, err = convert.Proof(m.GetProof(), false); err != nil {
		return nil, err
	}
	return take(ctx, src, r)
}

// number reads the index of an entry that the caller was told before. Entry 0 is
// none of them: it made the ledger.
func number(field string, n int64) (ledger.Index, error) {
	if n < 1 {
		return 0, refusal.Invalid(field, "is not the number of an entry")
	}
	return ledger.Index(n), nil
}

// ListRequests lists the requests that wait for their answer.
func (h *handler) ListRequests(ctx context.Context, _ *evidencev1.ListRequestsRequest) (*evidencev1.ListRequestsResponse, error) {
	open, err := h.service.ListRequests(ctx)
	if err != nil {
		return nil, err
	}
	rsp := &evidencev1.ListRequestsResponse{Requests: make([]*evidencev1.RightsRequest, len(open))}
	for i, r := range open {
		rsp.Requests[i] = &evidencev1.RightsRequest{
			RequestId:  int64(r.RequestID),
			Article:    r.Article,
			ReceivedAt: convert.ShowTime(r.Received),
			Due:        convert.ShowTime(r.Due),
			Extended:   r.Extended,
			Overdue:    r.Overdue,
		}
		for _, id := range r.ConsentIDs {
			rsp.Requests[i].ConsentIds = append(rsp.Requests[i].ConsentIds, int64(id))
		}
	}
	return rsp, nil
}
