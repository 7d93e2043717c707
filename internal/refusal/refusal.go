// Package refusal is the one type in which this program says no.
//
// A refusal is an answer, not a fault: it names the field or the rule and gives
// one sentence that the caller may read. Build one with [Invalid] or
// [Precondition]; internal/api/errors turns it into a code on the wire. A
// refusal never carries a value that the caller sent, because values may be
// personal data.
package refusal

import (
	"fmt"
	"strconv"
	"time"
)

// Code says what kind of refusal it is; the values are Connect's names.
type Code string

// The codes that refusals use.
const (
	InvalidArgument    Code = "invalid_argument"
	NotFoundCode       Code = "not_found"
	FailedPrecondition Code = "failed_precondition"
	PermissionDenied   Code = "permission_denied"
	Unauthenticated    Code = "unauthenticated"
	ResourceExhausted  Code = "resource_exhausted"
	UnavailableCode    Code = "unavailable"
	Unimplemented      Code = "unimplemented"
)

// Error is one refusal.
type Error struct {
	Code Code
	// At is the path of the field (`items[17].subject.email`) or the name of
	// the rule that forbids the request (`token_expired`).
	At string
	// Reason is one sentence without personal data.
	Reason string
	// Wait is how long to wait before trying again; 0 if that is not known. On
	// the wire it is the answer's Retry-After.
	Wait time.Duration
}

// RetryAfter is the value of the header Retry-After (RFC 9110 § 10.2.3): whole
// seconds, rounded up, at least 1.
func RetryAfter(wait time.Duration) string {
	return strconv.FormatInt(max(1, int64((wait+time.Second-1)/time.Second)), 10)
}

func (e *Error) Error() string {
	if e.At == "" {
		return e.Reason
	}
	return e.At + ": " + e.Reason
}

// Invalid refuses a request because of the field at path.
func Invalid(path, format string, args ...any) error {
	return &Error{Code: InvalidArgument, At: path, Reason: fmt.Sprintf(format, args...)}
}

// NotFound refuses a request because what path names is not here.
func NotFound(path, format string, args ...any) error {
	return &Error{Code: NotFoundCode, At: path, Reason: fmt.Sprintf(format, args...)}
}

// Precondition refuses a request because the named rule forbids it now.
func Precondition(rule, format string, args ...any) error {
	return &Error{Code: FailedPrecondition, At: rule, Reason: fmt.Sprintf(format, args...)}
}

// Unavailable refuses a request because the ledger cannot serve it now.
func Unavailable(format string, args ...any) error {
	return &Error{Code: UnavailableCode, Reason: fmt.Sprintf(format, args...)}
}
