package main

import (
	"context"
	"net/http"
	"sync"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/calls"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

// empty answers every call of a method as the ledger answered the first one, and
// does nothing: what is left is the cost of HTTP, keys and codec.
type empty struct {
	appv1connect.UnimplementedConsentServiceHandler
	real appv1connect.ConsentServiceClient
	key  string

	request, withProof canned[appv1.RequestConsentResponse]
	confirm            canned[appv1.ConfirmConsentResponse]
	check              canned[appv1.CheckConsentResponse]
	checks             canned[appv1.BatchCheckConsentsResponse]
	uses               canned[appv1.RecordUsesResponse]
	withdrawal         canned[appv1.WithdrawConsentResponse]
	erasure            canned[appv1.EraseSubjectResponse]
	imports, oneImport canned[appv1.BatchImportConsentsResponse]
}

func newEmpty(url, key string) *empty {
	return &empty{real: appv1connect.NewConsentServiceClient(http.DefaultClient, url), key: key}
}

// canned is the answer to a method's first call.
type canned[T any] struct {
	once   sync.Once
	answer *T
	err    error
}

func first[Q, T any](ctx context.Context, e *empty, c *canned[T], req *Q, ask func(context.Context, *Q) (*T, error)) (*T, error) {
	c.once.Do(func() {
		ctx, info := connect.NewClientContext(ctx)
		info.RequestHeader().Set("Authorization", "Bearer "+e.key)
		c.answer, c.err = ask(ctx, req)
	})
	return c.answer, c.err
}

func (e *empty) RequestConsent(ctx context.Context, req *appv1.RequestConsentRequest) (*appv1.RequestConsentResponse, error) {
	if req.Proof != "" {
		return first(ctx, e, &e.withProof, req, e.real.RequestConsent)
	}
	return first(ctx, e, &e.request, req, e.real.RequestConsent)
}

func (e *empty) ConfirmConsent(ctx context.Context, req *appv1.ConfirmConsentRequest) (*appv1.ConfirmConsentResponse, error) {
	return first(ctx, e, &e.confirm, req, e.real.ConfirmConsent)
}

func (e *empty) CheckConsent(ctx context.Context, req *appv1.CheckConsentRequest) (*appv1.CheckConsentResponse, error) {
	return first(ctx, e, &e.check, req, e.real.CheckConsent)
}

func (e *empty) BatchCheckConsents(ctx context.Context, req *appv1.BatchCheckConsentsRequest) (*appv1.BatchCheckConsentsResponse, error) {
	return first(ctx, e, &e.checks, req, e.real.BatchCheckConsents)
}

func (e *empty) RecordUses(ctx context.Context, req *appv1.RecordUsesRequest) (*appv1.RecordUsesResponse, error) {
	return first(ctx, e, &e.uses, req, e.real.RecordUses)
}

func (e *empty) WithdrawConsent(ctx context.Context, req *appv1.WithdrawConsentRequest) (*appv1.WithdrawConsentResponse, error) {
	return first(ctx, e, &e.withdrawal, req, e.real.WithdrawConsent)
}

func (e *empty) EraseSubject(ctx context.Context, req *appv1.EraseSubjectRequest) (*appv1.EraseSubjectResponse, error) {
	return first(ctx, e, &e.erasure, req, func(ctx context.Context, req *appv1.EraseSubjectRequest) (*appv1.EraseSubjectResponse, error) {
		// The ledger has not heard of who was requested here.
		known := message(0)
		known.Subject = req.Subject
		if _, err := e.real.RequestConsent(ctx, known); err != nil {
			return nil, err
		}
		return e.real.EraseSubject(ctx, req)
	})
}

func (e *empty) BatchImportConsents(ctx context.Context, req *appv1.BatchImportConsentsRequest) (*appv1.BatchImportConsentsResponse, error) {
	return first(ctx, e, &e.imports, req, e.real.BatchImportConsents)
}

func (e *empty) CheckConsents(ctx context.Context, stream *connect.BidiStream[appv1.CheckConsentRequest, appv1.CheckResult]) error {
	return calls.Answer(ctx, stream, "checks", answerEach(func(ctx context.Context, req *appv1.CheckConsentRequest) (*appv1.CheckResult, error) {
		answer, err := e.CheckConsent(ctx, req)
		return &appv1.CheckResult{Response: answer}, err
	}))
}

func (e *empty) ImportConsents(ctx context.Context, stream *connect.BidiStream[appv1.ImportItem, appv1.ImportResult]) error {
	return calls.Answer(ctx, stream, "items", answerEach(func(ctx context.Context, req *appv1.ImportItem) (*appv1.ImportResult, error) {
		answer, err := first(ctx, e, &e.oneImport, &appv1.BatchImportConsentsRequest{Items: []*appv1.ImportItem{req}}, e.real.BatchImportConsents)
		if err != nil {
			return nil, err
		}
		return answer.Results[0], nil
	}))
}

// answerEach answers what came together of a stream, which is sent together like the
// ledger's answers.
func answerEach[Q, R any](answer func(context.Context, *Q) (*R, error)) func(context.Context, []calls.Item[Q]) ([]*R, error) {
	return func(ctx context.Context, items []calls.Item[Q]) ([]*R, error) {
		answers := make([]*R, len(items))
		for i, item := range items {
			if item.Err != nil {
				return nil, item.Err
			}
			var err error
			if answers[i], err = answer(ctx, item.Message); err != nil {
				return nil, err
			}
		}
		return answers, nil
	}
}
