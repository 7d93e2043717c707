package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"connectrpc.com/connect"

	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

// empty answers every call of a method as the ledger answered the first one, and
// does nothing: what is left is the cost of HTTP, keys and codec.
type empty struct {
	appv1connect.UnimplementedConsentServiceHandler
	real appv1connect.ConsentServiceClient
	key  string

	request canned[appv1.RequestConsentResponse]
	check   canned[appv1.CheckConsentResponse]
	checks  canned[appv1.BatchCheckConsentsResponse]
	imports canned[appv1.BatchImportConsentsResponse]
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
	return first(ctx, e, &e.request, req, e.real.RequestConsent)
}

func (e *empty) CheckConsent(ctx context.Context, req *appv1.CheckConsentRequest) (*appv1.CheckConsentResponse, error) {
	return first(ctx, e, &e.check, req, e.real.CheckConsent)
}

func (e *empty) BatchCheckConsents(ctx context.Context, req *appv1.BatchCheckConsentsRequest) (*appv1.BatchCheckConsentsResponse, error) {
	return first(ctx, e, &e.checks, req, e.real.BatchCheckConsents)
}

func (e *empty) BatchImportConsents(ctx context.Context, req *appv1.BatchImportConsentsRequest) (*appv1.BatchImportConsentsResponse, error) {
	return first(ctx, e, &e.imports, req, e.real.BatchImportConsents)
}

func (e *empty) CheckConsents(ctx context.Context, stream *connect.BidiStream[appv1.CheckConsentRequest, appv1.CheckResult]) error {
	for {
		req, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		answer, err := e.CheckConsent(ctx, req)
		if err != nil {
			return err
		}
		if err := stream.Send(&appv1.CheckResult{Response: answer}); err != nil {
			return err
		}
	}
}
