package witness

import (
	"net/http"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// Why says why a checkpoint was not cosigned; its number is the HTTP status that
// c2sp.org/tlog-witness gives it.
type Why int

const (
	// Malformed: the request is none, or its old size is above the checkpoint's.
	Malformed Why = http.StatusBadRequest
	// Untrusted: a signature of the log is missing or does not verify.
	Untrusted Why = http.StatusForbidden
	// UnknownLog: the witness does not know the origin.
	UnknownLog Why = http.StatusNotFound
	// Conflict: the request does not begin where the witness stands.
	Conflict Why = http.StatusConflict
	// Inconsistent: the checkpoint does not extend, or contradicts, what was
	// cosigned.
	Inconsistent Why = http.StatusUnprocessableEntity
)

// Refusal is an answer to a request that is not granted.
type Refusal struct {
	Why Why
	// Origin is the log, "" for one that is not known.
	Origin string
	// Size, with [Conflict], is that of the newest checkpoint that was cosigned.
	Size ledger.Size
	Err  error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(why Why, origin string, err error) error {
	return &Refusal{Why: why, Origin: origin, Err: err}
}

// cutLine gives the first line of a text.
func cutLine(text string) (line, rest string, ok bool) { return strings.Cut(text, "\n") }
