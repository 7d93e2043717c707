package app

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// LinkSubject adds an identifier to a person.
func (h *handler) LinkSubject(ctx context.Context, req *appv1.LinkSubjectRequest) (*appv1.LinkSubjectResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	l := service.Link{
		Subject:        convert.Subject(req.GetSubject()),
		Add:            convert.Subject(req.GetAdd()),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if l.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if l.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	entry, err := h.service.LinkSubject(ctx, src, l)
	if err != nil {
		return nil, err
	}
	return &appv1.LinkSubjectResponse{Entry: convert.Entry(entry)}, nil
}

// EraseSubject forgets a person.
func (h *handler) EraseSubject(ctx context.Context, req *appv1.EraseSubjectRequest) (*appv1.EraseSubjectResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	e := service.Erasure{
		Subject:         convert.Subject(req.GetSubject()),
		Reason:          req.GetReason(),
		Mode:            req.GetMode(),
		KeepSuppression: req.GetKeepSuppression(),
		IdempotencyKey:  req.GetIdempotencyKey(),
	}
	if e.NotBefore, err = convert.Time("not_before", req.GetNotBefore()); err != nil {
		return nil, err
	}
	if e.Proof, err = convert.Proof(req.GetProof(), true); err != nil {
		return nil, err
	}
	done, err := h.service.EraseSubject(calls.Unlimited(ctx), src, e)
	if err != nil {
		return nil, err
	}
	return showErased(done), nil
}

func showErased(done *service.Erased) *appv1.EraseSubjectResponse {
	rsp := &appv1.EraseSubjectResponse{
		ConsentsErased:       int64(done.Consents),
		ContentsDestroyedAt:  convert.ShowTime(done.ContentsDestroyedAt),
		Entry:                convert.Entry(&done.Entry),
		ExistenceDestroyedBy: convert.ShowTime(done.ExistenceDestroyedBy),
		LockedUntil:          convert.ShowTime(done.LockedUntil),
		ErasureReceipt:       done.Receipt,
		Suppressed:           convert.Entries(done.Suppressed),
	}
	if done.LockedUntil.IsZero() {
		rsp.Shredded = convert.Entry(&done.Shredded)
	}
	return rsp
}
