// Package limits bounds what one call of the API may take: the size of its
// request and its time.
//
// Every handler is built with [Options], which adds the strict codecs of
// internal/api/codec.
package limits

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/codec"
)

// MaxDuration is how long a unary call may take when the caller did not say less.
//
// It ends waiting, not writing: a call whose decision the recorder has begun gets
// its answer however long the disk takes, because "too late" would be wrong about
// something that is recorded.
const MaxDuration = 30 * time.Second

// Options returns the options of a handler that reads requests of at most
// readMaxBytes, after decompression. Streams have no deadline but their caller's.
func Options(readMaxBytes int) []connect.HandlerOption {
	return append(codec.HandlerOptions(readMaxBytes), connect.WithInterceptors(connect.UnaryInterceptorFunc(deadline)))
}

func deadline(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		ctx, cancel := context.WithTimeout(ctx, MaxDuration)
		defer cancel()
		return next(ctx, req)
	}
}
