package timestamp

import (
	"crypto/x509"
	"errors"

	"github.com/consentledger/consentledger/ledger"
)

// Unpinned is [Trust.Stamp] of whoever believes the authority that made the token,
// whoever that is: what the token says of itself. It is for those who hand tokens on,
// not for those who rely on them.
func Unpinned(token []byte, imprint ledger.Hash) (ledger.Stamp, error) {
	parsed, err := ParseToken(token)
	if err != nil {
		return ledger.Stamp{}, notCounted(err)
	}
	root := parsed.Root()
	if root == nil {
		return ledger.Stamp{}, notCounted(errors.New("it lacks the signer's certificate"))
	}
	return Trust{{Pins: []*x509.Certificate{root}}}.Stamp(token, imprint)
}
