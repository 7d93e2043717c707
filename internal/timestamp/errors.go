package timestamp

import "fmt"

// Check is one of the things that a token must pass, as an identifier for
// machines.
type Check string

// Checks of parsing.
const (
	CheckEncoding Check = "encoding" // not DER, too large, cut off, bytes behind it, a value out of its range
	CheckStatus   Check = "status"   // the authority did not grant the request
	CheckSigners  Check = "signers"  // not exactly one signer
)

// Checks of verification.
const (
	CheckImprintAlgorithm   Check = "imprint_algorithm"   // not SHA-256
	CheckImprint            Check = "imprint"             // of other bytes
	CheckPolicy             Check = "policy"              // not one that counts, or not the one asked for
	CheckNonce              Check = "nonce"               // answers another request
	CheckExtension          Check = "extension"           // critical and unknown
	CheckSigner             Check = "signer"              // its certificate is missing
	CheckSigningCertificate Check = "signing_certificate" // the attribute is missing, weak, or binds another certificate
	CheckSignedAttributes   Check = "signed_attributes"   // contentType or messageDigest missing, twice, or wrong
	CheckAlgorithm          Check = "algorithm"           // too weak, too large or unknown
	CheckSignature          Check = "signature"           // does not verify
	CheckExtendedKeyUsage   Check = "extended_key_usage"  // not exactly timeStamping, critical
	CheckKeyUsage           Check = "key_usage"           // the key is for something else, too
	CheckCA                 Check = "ca"                  // the signer is a certification authority
	CheckValidity           Check = "validity"            // the signer's certificate was not valid at the token's time
	CheckChain              Check = "chain"               // no chain to a pinned certificate that was valid at the token's time
	CheckName               Check = "name"                // names another authority
)

// Error says which check a token failed. Its text holds no bytes of the token
// but object identifiers, numbers and times.
type Error struct {
	Check  Check
	Detail string
}

func (e *Error) Error() string {
	return "time-stamp token: " + string(e.Check) + ": " + e.Detail
}

// maxDetail is the length of an error's text in bytes: an object identifier can
// be as long as a token.
const maxDetail = 300

func refuse(c Check, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	if len(detail) > maxDetail {
		detail = detail[:maxDetail] + "…"
	}
	return &Error{Check: c, Detail: detail}
}
