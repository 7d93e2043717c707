// Package calls says how every call of the API is answered: by whom it may be
// made, how large it may be, how long it may take, and what its errors become.
//
// Every handler is built with [Options]; one whose methods return refusals as
// they are adds [Refusals]; [Answer] is the loop of a stream that answers each
// message with one.
package calls

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/codec"
	apierrors "github.com/consentledger/consentledger/internal/api/errors"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/refusal"
)

// MaxDuration is how long a unary call may take when the caller did not say less,
// unless its method takes [Unlimited].
//
// It ends waiting, not writing: a call whose decision the recorder has begun gets
// its answer however long the disk takes, because "too late" would be wrong about
// something that is recorded.
const MaxDuration = 30 * time.Second

// Options returns the options of a service that keys of one role may call and
// that reads requests of at most readMaxBytes, after decompression. Streams have
// no deadline but their caller's.
//
// The role was asked by internal/server already. It is asked again here, so that
// no way of putting handlers together opens a service to another role.
func Options(role authn.Role, readMaxBytes int) []connect.HandlerOption {
	return append(codec.HandlerOptions(readMaxBytes), connect.WithInterceptors(guard{role}))
}

type guard struct{ role authn.Role }

func (g guard) allowed(ctx context.Context) error {
	id, ok := authn.FromContext(ctx)
	if !ok {
		return apierrors.Connect(&refusal.Error{Code: refusal.Unauthenticated, Reason: "an API key is needed"}, nil)
	}
	if id.Role != g.role {
		return apierrors.Connect(&refusal.Error{Code: refusal.PermissionDenied, Reason: "a key of this role may not call this"}, nil)
	}
	return nil
}

// WrapUnary implements [connect.Interceptor].
func (g guard) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		if err := g.allowed(ctx); err != nil {
			return nil, err
		}
		limited, cancel := context.WithTimeout(context.WithValue(ctx, unlimited{}, ctx), MaxDuration)
		defer cancel()
		rsp, err := next(limited, req)
		return rsp, ended(ctx, err)
	}
}

// ended says why the server ended a call, where it was the server that did: whoever
// hears "canceled" takes it for their own doing, and does not try again.
func ended(ctx context.Context, err error) error {
	var why *refusal.Error
	if err != nil && connect.CodeOf(err) == connect.CodeCanceled && errors.As(context.Cause(ctx), &why) {
		return apierrors.Connect(why, nil)
	}
	return err
}

type unlimited struct{}

// Unlimited gives the context of a call that may take longer than [MaxDuration]:
// one that answers when keys are destroyed, which takes the longer the more
// people there are. It still ends when the caller goes away.
func Unlimited(ctx context.Context) context.Context {
	if caller, ok := ctx.Value(unlimited{}).(context.Context); ok {
		return caller
	}
	return ctx
}

// WrapStreamingClient implements [connect.Interceptor]; there are no clients here.
func (g guard) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor].
func (g guard) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if err := g.allowed(ctx); err != nil {
			return err
		}
		return ended(ctx, next(ctx, conn))
	}
}

// Refusals lets the methods of a service return whatever error they have:
// internal/api/errors makes of it what the caller is told, and logger gets the
// rest.
func Refusals(logger *slog.Logger) connect.HandlerOption {
	return connect.WithInterceptors(refusals{logger})
}

type refusals struct{ logger *slog.Logger }

// WrapUnary implements [connect.Interceptor].
func (r refusals) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		rsp, err := next(ctx, req)
		if err != nil {
			return nil, apierrors.Connect(err, r.logger)
		}
		return rsp, nil
	}
}

// WrapStreamingClient implements [connect.Interceptor]; there are no clients here.
func (r refusals) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor]. What Connect says of a
// connection is passed on as it is.
func (r refusals) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		err := next(ctx, conn)
		var said *connect.Error
		if errors.As(err, &said) {
			return err
		}
		return apierrors.Connect(err, r.logger)
	}
}
