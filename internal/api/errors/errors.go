// Package apierrors is the one map from this program's errors to codes on the
// wire.
//
// Handlers end with [Connect]; batch methods put [Item] into the results of
// single items. A refusal is passed on as it is, because it was written for the
// caller; every other error becomes "internal" with a random id and a fixed
// text, and what it says goes to the log under that id. Both functions are safe
// for concurrent use.
package apierrors

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/refusal"
)

var codes = map[refusal.Code]connect.Code{
	refusal.InvalidArgument:    connect.CodeInvalidArgument,
	refusal.NotFoundCode:       connect.CodeNotFound,
	refusal.FailedPrecondition: connect.CodeFailedPrecondition,
	refusal.PermissionDenied:   connect.CodePermissionDenied,
	refusal.Unauthenticated:    connect.CodeUnauthenticated,
	refusal.ResourceExhausted:  connect.CodeResourceExhausted,
	refusal.UnavailableCode:    connect.CodeUnavailable,
	refusal.Unimplemented:      connect.CodeUnimplemented,
}

// Connect returns what the caller is told about err; nil for nil.
//
// A *refusal.Error keeps its code and its own words; what wraps it is left out,
// because only the refusal was written for the caller. A context's error becomes
// canceled or deadline_exceeded. Everything else is written to log, in full, and
// answered as internal.
func Connect(err error, log *slog.Logger) error {
	if err == nil {
		return nil
	}
	var r *refusal.Error
	if errors.As(err, &r) {
		if code, ok := codes[r.Code]; ok {
			said := connect.NewError(code, errors.New(r.Error()))
			if r.Wait > 0 {
				said.Meta().Set("Retry-After", refusal.RetryAfter(r.Wait))
			}
			return said
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, errors.New("the call was canceled; what it asked for may have been recorded"))
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("the call took too long; what it asked for may have been recorded"))
	}
	// The id is drawn here and not taken from the request, so that a caller
	// cannot write into the log.
	id := rand.Text()
	log.Error("internal error answered", "error_id", id, "error", err.Error())
	return connect.NewError(connect.CodeInternal, fmt.Errorf("internal error %s; the server's log says more under this id", id))
}

// Item is Connect for one item of a batch or a stream, which stands at path: the
// code and the words in one string, such as "invalid_argument:
// checks[17].purpose: is missing". Empty for nil.
func Item(path string, err error, log *slog.Logger) string {
	if err == nil {
		return ""
	}
	var r *refusal.Error
	if errors.As(err, &r) {
		err = within(path, r)
	}
	return Connect(err, log).Error()
}

// within says where in a list a refusal is. One that names a rule is about the
// whole item, and one that names a field about the field.
func within(path string, r *refusal.Error) *refusal.Error {
	switch {
	case r.At == "":
		return &refusal.Error{Code: r.Code, At: path, Reason: r.Reason}
	case r.Code == refusal.InvalidArgument || r.Code == refusal.NotFoundCode:
		return &refusal.Error{Code: r.Code, At: path + "." + r.At, Reason: r.Reason}
	}
	return &refusal.Error{Code: r.Code, At: path, Reason: r.Error()}
}
