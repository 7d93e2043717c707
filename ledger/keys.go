package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
)

// Signature types of c2sp.org/signed-note that this package verifies.
const (
	// KeyTypeEd25519 signs a note's text with Ed25519 (RFC 8032).
	KeyTypeEd25519 = 0x01
	// KeyTypeCosignatureEd25519 is a witness's time-stamped Ed25519
	// cosignature (c2sp.org/tlog-cosignature).
	KeyTypeCosignatureEd25519 = 0x04
	// KeyTypeMLDSA44 is a time-stamped ML-DSA-44 (FIPS 204) cosignature
	// (c2sp.org/tlog-cosignature), by a witness or by the log itself.
	KeyTypeMLDSA44 = 0x06
)

// maxKeyName is the longest key name in bytes: the message that ML-DSA-44 signs
// gives a name's length in one byte.
const maxKeyName = 255

// keyTextPrefix begins every text, other than a checkpoint, that a log signs.
// No origin may begin with it, so that no signature over one kind of text can
// be passed off as a signature over the other.
const keyTextPrefix = "consent-ledger/"

// MaxOrigin is the longest origin in bytes.
const MaxOrigin = 128

var originPattern = regexp.MustCompile(`^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$`)

// ValidOrigin checks the name of a log: a host in lower case, an optional port
// and an optional path (ledger.example.com/shop), 1 to [MaxOrigin] bytes, as
// c2sp.org/tlog-checkpoint recommends it: a URL prefix without its scheme. It
// neither begins nor ends with a dot or a slash, has no path segment . or ..,
// and does not begin with "consent-ledger/", which begins our other signed texts.
func ValidOrigin(origin string) error {
	switch {
	case origin == "":
		return errors.New("origin is empty")
	case len(origin) > MaxOrigin:
		return fmt.Errorf("origin has %d bytes, more than %d", len(origin), MaxOrigin)
	case !originPattern.MatchString(origin):
		return fmt.Errorf("origin %q is not host[:port][/path] in lower case", origin)
	case strings.HasPrefix(origin, "."), strings.HasSuffix(origin, "."):
		return fmt.Errorf("origin %q begins or ends with a dot", origin)
	case strings.Contains(origin+"/", "/./"), strings.Contains(origin+"/", "/../"):
		return fmt.Errorf("origin %q has a path segment of dots", origin)
	case strings.HasPrefix(origin, keyTextPrefix):
		return fmt.Errorf("origin %q begins with %q, which is reserved", origin, keyTextPrefix)
	}
	return nil
}

// VerifierKey is a public key with its name, as a vkey names it
// (c2sp.org/signed-note). Make one with [ParseVerifierKey].
type VerifierKey struct {
	// Name is the key name; of a log's keys it is the log's origin.
	Name string
	// Type is one of the KeyType constants.
	Type byte
	// Key is the public key: 32 bytes of Ed25519 or 1312 of ML-DSA-44.
	Key []byte
}

// ParseVerifierKey parses a vkey, NAME+KEYID+BASE64, of type 01, 04 or 06. It
// refuses a key id that is not the key's, a key of the wrong length, a name
// that is no key name or longer than 255 bytes, and every spelling but the one
// that [VerifierKey.String] gives.
func ParseVerifierKey(vkey string) (VerifierKey, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	id, text, ok := strings.Cut(rest, "+")
	if !ok {
		return VerifierKey{}, errors.New("verifier key: not of the form name+id+base64")
	}
	blob, err := decodeCanonicalBase64(text)
	if err != nil {
		return VerifierKey{}, fmt.Errorf("verifier key: key: %w", err)
	}
	if len(blob) == 0 {
		return VerifierKey{}, errors.New("verifier key: key is empty")
	}
	k := VerifierKey{Name: name, Type: blob[0], Key: blob[1:]}
	if err := k.check(); err != nil {
		return VerifierKey{}, fmt.Errorf("verifier key: %w", err)
	}
	if want := fmt.Sprintf("%08x", k.ID()); id != want {
		return VerifierKey{}, fmt.Errorf("verifier key: key id is %q, want %q", id, want)
	}
	return k, nil
}

// ID gives the key id: the first four bytes of
// SHA-256(name ‖ LF ‖ type ‖ key), read as a big-endian number. It is a name,
// not a proof: another key with the same id is easily made.
func (k VerifierKey) ID() uint32 {
	h := sha256.New()
	h.Write([]byte(k.Name))
	h.Write([]byte{'\n', k.Type})
	h.Write(k.Key)
	return binary.BigEndian.Uint32(h.Sum(nil))
}

// String gives the key as a vkey.
func (k VerifierKey) String() string {
	blob := append([]byte{k.Type}, k.Key...)
	return fmt.Sprintf("%s+%08x+%s", k.Name, k.ID(), base64.StdEncoding.EncodeToString(blob))
}

// check says whether the key can be used, so that a key made by hand is refused
// before a signature algorithm panics over its length.
func (k VerifierKey) check() error {
	if err := checkKeyName(k.Name); err != nil {
		return err
	}
	if len(k.Name) > maxKeyName {
		return fmt.Errorf("key name has %d bytes, more than %d", len(k.Name), maxKeyName)
	}
	var want int
	switch k.Type {
	case KeyTypeEd25519, KeyTypeCosignatureEd25519:
		want = ed25519.PublicKeySize
	case KeyTypeMLDSA44:
		want = mldsa44.PublicKeySize
	default:
		return fmt.Errorf("key type is 0x%02x, want 0x01, 0x04 or 0x06", k.Type)
	}
	if len(k.Key) != want {
		return fmt.Errorf("key of type 0x%02x has %d bytes, want %d", k.Type, len(k.Key), want)
	}
	return nil
}

// KeyPair is the two keys of a log, both named by its origin. A signature of a
// log counts only where both keys signed. Make one with [ParseKeyPair].
type KeyPair struct {
	Ed25519 VerifierKey // of type [KeyTypeEd25519]
	MLDSA44 VerifierKey // of type [KeyTypeMLDSA44]
}

// ParseKeyPair parses the two vkeys of a log. It refuses keys of other types,
// of two names, and a name that is no origin (see [ValidOrigin]).
func ParseKeyPair(ed, mldsa string) (KeyPair, error) {
	var k KeyPair
	var err error
	if k.Ed25519, err = ParseVerifierKey(ed); err != nil {
		return KeyPair{}, fmt.Errorf("Ed25519 %w", err)
	}
	if k.MLDSA44, err = ParseVerifierKey(mldsa); err != nil {
		return KeyPair{}, fmt.Errorf("ML-DSA-44 %w", err)
	}
	if err := k.check(); err != nil {
		return KeyPair{}, err
	}
	return k, nil
}

// VerifyKeyText verifies both signatures over the text of a key entry, which
// [Signer.SignKeyText] made. The text must begin with "consent-ledger/".
func (k KeyPair) VerifyKeyText(text, ed25519Sig, mldsa44Sig []byte) error {
	if err := k.check(); err != nil {
		return err
	}
	if !strings.HasPrefix(string(text), keyTextPrefix) {
		return fmt.Errorf("key text does not begin with %q", keyTextPrefix)
	}
	if !ed25519.Verify(k.Ed25519.Key, text, ed25519Sig) {
		return fmt.Errorf("Ed25519 signature over the key text by %08x does not verify", k.Ed25519.ID())
	}
	if !pureMLDSA44.Verify(k.MLDSA44.Key, text, mldsa44Sig) {
		return fmt.Errorf("ML-DSA-44 signature over the key text by %08x does not verify", k.MLDSA44.ID())
	}
	return nil
}

// check says whether the two keys are a log's pair.
func (k KeyPair) check() error {
	if err := k.Ed25519.check(); err != nil {
		return fmt.Errorf("the log's Ed25519 key: %w", err)
	}
	if err := k.MLDSA44.check(); err != nil {
		return fmt.Errorf("the log's ML-DSA-44 key: %w", err)
	}
	switch {
	case k.Ed25519.Type != KeyTypeEd25519:
		return fmt.Errorf("the log's Ed25519 key is of type 0x%02x, want 0x01", k.Ed25519.Type)
	case k.MLDSA44.Type != KeyTypeMLDSA44:
		return fmt.Errorf("the log's ML-DSA-44 key is of type 0x%02x, want 0x06", k.MLDSA44.Type)
	case k.Ed25519.Name != k.MLDSA44.Name:
		return fmt.Errorf("the log's keys have two names: %q and %q", k.Ed25519.Name, k.MLDSA44.Name)
	}
	return ValidOrigin(k.Ed25519.Name)
}
