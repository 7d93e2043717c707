package ledger

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
)

// mldsa44Scheme is all that this package needs of an implementation of
// ML-DSA-44 (FIPS 204), pure and with an empty context, so that the one of Go's
// standard library can take its place.
type mldsa44Scheme interface {
	// Key expands a 32-byte seed to its private key.
	Key(seed *[32]byte) mldsa44Key
	// Verify says whether a signature verifies. A key or a signature of the
	// wrong length does not.
	Verify(publicKey, message, signature []byte) bool
}

// mldsa44Key is a private key, safe for concurrent use.
type mldsa44Key interface {
	// Public gives the public key.
	Public() []byte
	// Sign signs a message; hedged mixes fresh randomness in, which guards against
	// faults and side channels.
	Sign(message []byte, hedged bool) []byte
}

// pureMLDSA44 is the implementation in use.
var pureMLDSA44 mldsa44Scheme = circlMLDSA44{}

// circlMLDSA44 is ML-DSA-44 of github.com/cloudflare/circl.
type circlMLDSA44 struct{}

func (circlMLDSA44) Key(seed *[32]byte) mldsa44Key {
	public, private := mldsa44.NewKeyFromSeed(seed)
	return &circlMLDSA44Key{private, public.Bytes()}
}

type circlMLDSA44Key struct {
	private *mldsa44.PrivateKey
	public  []byte
}

func (k *circlMLDSA44Key) Public() []byte { return k.public }

func (k *circlMLDSA44Key) Sign(message []byte, hedged bool) []byte {
	signature := make([]byte, mldsa44.SignatureSize)
	// SignTo fails only for a context that is too long, and there is none.
	if err := mldsa44.SignTo(k.private, message, nil, hedged, signature); err != nil {
		panic("ledger: ML-DSA-44: " + err.Error())
	}
	return signature
}

func (circlMLDSA44) Verify(publicKey, message, signature []byte) bool {
	var k mldsa44.PublicKey
	if len(signature) != mldsa44.SignatureSize || k.UnmarshalBinary(publicKey) != nil {
		return false
	}
	return mldsa44.Verify(&k, message, nil, signature)
}

// Signer signs in the name of a log, always with both keys. Its methods are
// safe for concurrent use.
type Signer struct {
	keys          KeyPair
	ed25519Key    ed25519.PrivateKey
	mldsa44Key    mldsa44Key
	deterministic bool
}

// NewSigner makes the signer of a log from the seeds of its two keys: the
// 32-byte Ed25519 private key of RFC 8032 and the 32-byte ξ of FIPS 204. It
// refuses an origin that [ValidOrigin] refuses, and two equal seeds, which only
// a mistake gives.
func NewSigner(origin string, ed25519Seed, mldsa44Seed [32]byte) (*Signer, error) {
	if err := ValidOrigin(origin); err != nil {
		return nil, fmt.Errorf("making a signer: %w", err)
	}
	if ed25519Seed == mldsa44Seed {
		return nil, errors.New("making a signer: both keys have the same seed")
	}
	private := ed25519.NewKeyFromSeed(ed25519Seed[:])
	key := pureMLDSA44.Key(&mldsa44Seed)
	return &Signer{
		keys: KeyPair{
			Ed25519: VerifierKey{Name: origin, Type: KeyTypeEd25519, Key: private.Public().(ed25519.PublicKey)},
			MLDSA44: VerifierKey{Name: origin, Type: KeyTypeMLDSA44, Key: key.Public()},
		},
		ed25519Key: private,
		mldsa44Key: key,
	}, nil
}

// Keys gives the verifier keys of the signer.
func (s *Signer) Keys() KeyPair { return s.keys }

// Origin gives the name of the log that the signer signs for.
func (s *Signer) Origin() string { return s.keys.Ed25519.Name }

// Deterministic gives a signer with the same keys whose ML-DSA-44 signatures
// are the deterministic variant of FIPS 204, so that the same input gives the
// same bytes. It is for test vectors; a server keeps the hedged signer.
func (s *Signer) Deterministic() *Signer {
	d := *s
	d.deterministic = true
	return &d
}

// SignCheckpoint gives the checkpoint as a signed note
// (c2sp.org/tlog-checkpoint): first the line of the Ed25519 key, then the line
// of the ML-DSA-44 key, which carries unixSeconds, the time of signing in POSIX
// seconds (at least 1: zero would say that no statement about time is made).
//
// A log must never sign two checkpoints that contradict each other; that is the
// caller's to keep.
func (s *Signer) SignCheckpoint(c Checkpoint, unixSeconds int64) ([]byte, error) {
	if c.Origin != s.Origin() {
		return nil, fmt.Errorf("signing a checkpoint: origin is %q, the signer's is %q", c.Origin, s.Origin())
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("signing a checkpoint: %w", err)
	}
	if unixSeconds < 1 {
		return nil, fmt.Errorf("signing a checkpoint: time is %d, want POSIX seconds from 1", unixSeconds)
	}
	text := c.Text()
	message := cosignedMessage(s.keys.MLDSA44.Name, uint64(unixSeconds), c)
	n := SignedNote{Text: text, Lines: []SignatureLine{{
		Name:      s.Origin(),
		KeyID:     s.keys.Ed25519.ID(),
		Signature: ed25519.Sign(s.ed25519Key, []byte(text)),
	}, {
		Name:      s.Origin(),
		KeyID:     s.keys.MLDSA44.ID(),
		Signature: stampSignature(uint64(unixSeconds), s.signMLDSA44(message)),
	}}}
	return n.Bytes(), nil
}

// SignKeyText signs the text of a key entry with both keys: Ed25519 of RFC 8032,
// and ML-DSA-44 of FIPS 204, pure, with an empty context, both over the bytes
// of text. [KeyPair.VerifyKeyText] verifies them.
//
// It panics when text does not begin with "consent-ledger/", because a
// signature over another text could be passed off as a checkpoint's.
func (s *Signer) SignKeyText(text []byte) (ed25519Sig, mldsa44Sig []byte) {
	if !strings.HasPrefix(string(text), keyTextPrefix) {
		panic("ledger: SignKeyText: text does not begin with " + keyTextPrefix)
	}
	return ed25519.Sign(s.ed25519Key, text), s.signMLDSA44(text)
}

func (s *Signer) signMLDSA44(message []byte) []byte {
	return s.mldsa44Key.Sign(message, !s.deterministic)
}
