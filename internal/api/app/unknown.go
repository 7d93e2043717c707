package app

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/refusal"
)

// unknownTokensPerMinute is how many unknown tokens an address may present
// within a minute.
const unknownTokensPerMinute = 100

// unknownTokenTakes is how long the answer to an unknown token takes at least: longer
// than to find out that it is one. Otherwise the time would tell a token that never was
// from one of somebody who is erased or locked.
const unknownTokenTakes = 10 * time.Millisecond

// unknownTokens counts calls with unknown tokens against the caller's address, and
// refuses when it has guessed too often. A token that is known is never limited: people
// behind one proxy must not be kept from their links by a stranger. It stands inside of
// [calls.Refusals]; no stream takes tokens.
type unknownTokens struct{ limiter *authn.Limiter }

// WrapUnary implements [connect.Interceptor].
func (u *unknownTokens) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		begin := time.Now()
		rsp, err := next(ctx, req)
		var r *refusal.Error
		if !errors.As(err, &r) || r.Code != refusal.NotFoundCode || r.At != "token" && r.At != "manage_token" {
			return rsp, err
		}
		time.Sleep(time.Until(begin.Add(unknownTokenTakes)))
		if wait := u.limiter.Fail(req.Peer().Addr); wait > 0 {
			err = &refusal.Error{Code: refusal.ResourceExhausted, At: r.At, Wait: wait,
				Reason: "too many unknown tokens from this address; wait a minute"}
		}
		return nil, err
	}
}

// WrapStreamingClient implements [connect.Interceptor]; there are no clients here.
func (u *unknownTokens) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor].
func (u *unknownTokens) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}
