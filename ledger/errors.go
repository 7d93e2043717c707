package ledger

import (
	"errors"
	"fmt"
)

// Verdict is what a verification ends with; its number is the exit code of the
// verify command.
type Verdict int

const (
	// Verified: everything that was checked holds.
	Verified Verdict = 0
	// Invalid: something that was checked does not hold.
	Invalid Verdict = 1
	// CannotTell: a part is missing or unreadable, the format is newer than
	// this verifier, or the policy's quorum is not reached (yet).
	CannotTell Verdict = 2
	// Diverged: the log contradicts a checkpoint that the caller holds.
	Diverged Verdict = 3
)

func (v Verdict) String() string {
	switch v {
	case Verified:
		return "VERIFIED"
	case Invalid:
		return "INVALID"
	case CannotTell:
		return "CANNOT TELL"
	case Diverged:
		return "DIVERGED"
	}
	return fmt.Sprintf("Verdict(%d)", int(v))
}

// Errors of a verification that is not a finding against the log. Everything
// else that a verification returns means [Invalid].
var (
	// ErrMissing: a tile, entry bundle or file that should be there is not, or
	// cannot be read.
	ErrMissing = errors.New("missing part")
	// ErrNewer: the log uses a kind or a format that this verifier does not know.
	ErrNewer = errors.New("needs a newer verifier")
	// ErrPolicy: the policy cannot decide: it lacks the log's ML-DSA-44 key, or
	// its quorum of witnesses is not reached.
	ErrPolicy = errors.New("policy not satisfied")
	// ErrDiverged: the log contradicts a checkpoint that the caller holds.
	ErrDiverged = errors.New("diverged")
)

// VerdictOf gives the verdict that an error of this package stands for.
func VerdictOf(err error) Verdict {
	switch {
	case err == nil:
		return Verified
	case errors.Is(err, ErrDiverged):
		return Diverged
	case errors.Is(err, ErrMissing), errors.Is(err, ErrNewer), errors.Is(err, ErrPolicy):
		return CannotTell
	}
	return Invalid
}
