package timestamp

import (
	"errors"
	"fmt"

	"github.com/consentledger/consentledger/ledger"
)

// Trust is every authority that somebody decided to believe. The zero value
// believes none.
type Trust []Authority

// Stamp says what a token that was kept says about the bytes with this SHA-256;
// its method value is a [ledger.VerifyOptions.Stamps]. Where two authorities pin
// the same certificate, one of them as qualified, it is qualified.
//
// An error that wraps [ledger.ErrNotCounted] says that the token proves nothing to
// whoever has this trust: it is by somebody else, or fails one of the checks of
// [Verify], or cannot be read, which may be due to the limits of this package. The
// one other error says that the token is about other bytes, whoever made it.
func (t Trust) Stamp(token []byte, imprint ledger.Hash) (ledger.Stamp, error) {
	parsed, err := ParseToken(token)
	if err != nil {
		return ledger.Stamp{}, notCounted(err)
	}
	if err := parsed.checkImprint(imprint); is(err, CheckImprint) {
		return ledger.Stamp{}, err
	}
	why := errors.New("no authority is trusted")
	var best *Stamp
	for i, by := range t {
		stamp, err := Verify(parsed, imprint, by, nil)
		switch {
		case err == nil && (best == nil || stamp.Qualified):
			best = stamp
		case err != nil && (i == 0 || !is(err, CheckSigner) && !is(err, CheckChain)):
			why = err // that somebody else made it says less than what is wrong with it
		}
	}
	if best == nil {
		return ledger.Stamp{}, notCounted(why)
	}
	return ledger.Stamp{Time: best.Time, Accuracy: best.Accuracy, Authority: best.TSA, Qualified: best.Qualified}, nil
}

// is reports whether an error is about this check.
func is(err error, check Check) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Check == check
}

func notCounted(why error) error { return fmt.Errorf("%w: %w", ledger.ErrNotCounted, why) }
