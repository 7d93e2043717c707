package timestamp

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
)

// Complete gives the token with a chain of certificates in it, such as [Stamp.Chain]:
// those that it lacks are added to its set of certificates, which no signature covers
// (RFC 5652 § 5.1). A token that is kept for years then holds all that is needed to
// verify it, but for the decision whom to trust. The token itself is not changed. It
// fails when the result would be larger than [MaxTokenSize], or hold more than 16
// certificates.
func (t *Token) Complete(chain []*x509.Certificate) (*Token, error) {
	var outer contentInfo
	if err := strict(t.raw, &outer); err != nil {
		return nil, err // it was parsed before
	}
	set := &outer.Content.Certificates
	added := slices.Clone(set.Bytes)
	for _, c := range chain {
		if !slices.ContainsFunc(t.certificates, c.Equal) {
			added = append(added, c.Raw...)
		}
	}
	*set = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: added}
	der, err := asn1.Marshal(outer)
	if err != nil {
		return nil, fmt.Errorf("adding certificates to a token: %w", err)
	}
	return ParseToken(der)
}
