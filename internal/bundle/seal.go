package bundle

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// Signer signs a container in the name of a log. [ledger.Signer] is one; with its
// hedged signatures two containers of the same files differ in manifest.sig, and
// in nothing else.
type Signer interface {
	Keys() ledger.KeyPair
	SignKeyText(text []byte) (ed25519Sig, mldsa44Sig []byte)
}

// SignedText gives the text that both keys of the log sign:
//
//	consent-ledger/bundle/v1
//	<origin>
//	<SHA-256 of META-INF/ASiCManifest001.xml, in lower-case hex>
//
// Each line is ended by LF.
func SignedText(origin string, manifest ledger.Hash) []byte {
	return []byte(Format + "\n" + origin + "\n" + hex.EncodeToString(manifest[:]) + "\n")
}

// signatures is the content of META-INF/manifest.sig: first Ed25519, then
// ML-DSA-44, each a line of the key id in eight hex digits, a space, and the
// signature in padded standard base64, ended by LF.
type signatures [2]struct {
	keyID     uint32
	signature []byte
}

func sign(s Signer, manifest ledger.Hash) signatures {
	keys := s.Keys()
	ed, ml := s.SignKeyText(SignedText(keys.Ed25519.Name, manifest))
	return signatures{{keys.Ed25519.ID(), ed}, {keys.MLDSA44.ID(), ml}}
}

func (s signatures) String() string {
	var b strings.Builder
	for _, line := range s {
		fmt.Fprintf(&b, "%08x %s\n", line.keyID, base64.StdEncoding.EncodeToString(line.signature))
	}
	return b.String()
}

func parseSignatures(text string) (signatures, error) {
	var s signatures
	lines := strings.SplitAfter(text, "\n")
	if len(lines) != 3 {
		return s, errors.New("want two lines, each ended by LF")
	}
	for i := range s {
		id, signature, _ := strings.Cut(strings.TrimSuffix(lines[i], "\n"), " ")
		key, err := hex.DecodeString(id)
		if err != nil || len(key) != 4 {
			return s, fmt.Errorf("line %d: does not begin with the id of a key, eight hex digits", i+1)
		}
		s[i].keyID = uint32(key[0])<<24 | uint32(key[1])<<16 | uint32(key[2])<<8 | uint32(key[3])
		if s[i].signature, err = base64.StdEncoding.Strict().DecodeString(signature); err != nil || len(s[i].signature) == 0 {
			return s, fmt.Errorf("line %d: the signature is not base64", i+1)
		}
	}
	if s.String() != text { // upper-case hex, line breaks within base64
		return s, errors.New("not in its one spelling")
	}
	return s, nil
}

// VerifySignature checks that both keys signed the container's manifest, and with
// it every file. keys is the pair in force at the size of its newest checkpoint
// ([ledger.Policy.KeysAt]).
//
// The error wraps [ledger.ErrPolicy] where both lines name other keys: the log's
// may have been rotated since the policy was written, or somebody else signed.
func (c *Container) VerifySignature(keys ledger.KeyPair) error {
	ed, ml := c.signatures[0], c.signatures[1]
	wantEd, wantML := keys.Ed25519.ID(), keys.MLDSA44.ID()
	ours := func(id uint32) bool { return id == wantEd || id == wantML }
	switch {
	case !ours(ed.keyID) && !ours(ml.keyID):
		return fmt.Errorf("%w: %s: signed by the keys %08x and %08x, not by %08x and %08x; if the log's keys were rotated, give trust.keys",
			ledger.ErrPolicy, KindSignature, ed.keyID, ml.keyID, wantEd, wantML)
	case ed.keyID != wantEd || ml.keyID != wantML:
		return fmt.Errorf("%s: signed by the keys %08x and %08x, want %08x and %08x", KindSignature, ed.keyID, ml.keyID, wantEd, wantML)
	}
	if err := keys.VerifyKeyText(SignedText(keys.Ed25519.Name, c.manifest), ed.signature, ml.signature); err != nil {
		return fmt.Errorf("%s: %w", KindSignature, err)
	}
	return nil
}
