package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
)

// cosignedLabel begins the message of a cosignature of type 06.
const cosignedLabel = "subtree/v1\n\x00"

// stampSize is the size in bytes of the time before a cosignature.
const stampSize = 8

// cosignedMessage gives the bytes that a cosignature of type 06 signs: the
// cosigned_message of c2sp.org/tlog-cosignature (v1.1.0-rc.1) for a whole tree.
//
//	12 bytes  "subtree/v1" LF NUL
//	1 + n     length and name of the cosigner (for the log's own line: its origin)
//	8         time in POSIX seconds, as before the signature, big-endian
//	1 + n     length and origin of the log
//	8         first index of the subtree: 0
//	8         end of the subtree: the checkpoint's size, big-endian
//	32        the checkpoint's root
//
// Both names have 1 to 255 bytes, which [VerifierKey.check] and [ValidOrigin]
// saw to.
func cosignedMessage(cosigner string, unixSeconds uint64, c Checkpoint) []byte {
	m := make([]byte, 0, len(cosignedLabel)+2+len(cosigner)+len(c.Origin)+3*8+len(c.Root))
	m = append(m, cosignedLabel...)
	m = append(m, byte(len(cosigner)))
	m = append(m, cosigner...)
	m = binary.BigEndian.AppendUint64(m, unixSeconds)
	m = append(m, byte(len(c.Origin)))
	m = append(m, c.Origin...)
	m = binary.BigEndian.AppendUint64(m, 0)
	m = binary.BigEndian.AppendUint64(m, uint64(c.Size))
	return append(m, c.Root[:]...)
}

// cosignedText gives the text that a cosignature of type 04 signs
// (c2sp.org/tlog-cosignature v1.0.1). It does not name the cosigner, so a key
// must belong to one witness only.
func cosignedText(unixSeconds uint64, c Checkpoint) string {
	return fmt.Sprintf("cosignature/v1\ntime %d\n%s", unixSeconds, c.Text())
}

// stampSignature gives the timestamped_signature of c2sp.org/tlog-cosignature:
// the time in POSIX seconds as eight bytes, big-endian, then the signature.
func stampSignature(unixSeconds uint64, signature []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, unixSeconds), signature...)
}

// verifyCheckpoint verifies one signature over a checkpoint, as the type of the
// key demands: for type 01 over the checkpoint's text, for types 04 and 06 over
// the messages of c2sp.org/tlog-cosignature. signature is what follows the key
// id. The time of a cosignature is not judged: this package has no clock.
func (k VerifierKey) verifyCheckpoint(c Checkpoint, signature []byte) error {
	if err := k.check(); err != nil {
		return err
	}
	switch k.Type {
	case KeyTypeEd25519:
		if !ed25519.Verify(k.Key, []byte(c.Text()), signature) {
			return fmt.Errorf("Ed25519 signature by key %q+%08x does not verify", k.Name, k.ID())
		}
	case KeyTypeCosignatureEd25519:
		stamp, rest, err := k.cutStamp(signature, ed25519.SignatureSize)
		if err != nil {
			return err
		}
		if !ed25519.Verify(k.Key, []byte(cosignedText(stamp, c)), rest) {
			return fmt.Errorf("Ed25519 cosignature by key %q+%08x does not verify", k.Name, k.ID())
		}
	case KeyTypeMLDSA44:
		stamp, rest, err := k.cutStamp(signature, mldsa44.SignatureSize)
		if err != nil {
			return err
		}
		if !pureMLDSA44.Verify(k.Key, cosignedMessage(k.Name, stamp, c), rest) {
			return fmt.Errorf("ML-DSA-44 signature by key %q+%08x does not verify", k.Name, k.ID())
		}
	}
	return nil
}

// VerifyCosignature verifies one line as a witness's cosignature over a checkpoint
// and gives the time that it says, in POSIX seconds. The key must be of type
// [KeyTypeCosignatureEd25519] or [KeyTypeMLDSA44] and be the one that the line
// names. A time of 0 is refused: such a signature says nothing about what else the
// witness has seen (c2sp.org/tlog-witness). No other time is judged.
func (k VerifierKey) VerifyCosignature(c Checkpoint, l SignatureLine) (unixSeconds int64, err error) {
	switch {
	case k.Type != KeyTypeCosignatureEd25519 && k.Type != KeyTypeMLDSA44:
		return 0, fmt.Errorf("key %q is of type 0x%02x, want a cosignature's (0x04 or 0x06)", k.Name, k.Type)
	case l.Name != k.Name || l.KeyID != k.ID():
		return 0, fmt.Errorf("the line is by %q+%08x, not by key %q+%08x", l.Name, l.KeyID, k.Name, k.ID())
	}
	if err := k.verifyCheckpoint(c, l.Signature); err != nil {
		return 0, err
	}
	// verifyCheckpoint saw to the length, and that the time fits.
	if unixSeconds = int64(binary.BigEndian.Uint64(l.Signature)); unixSeconds == 0 {
		return 0, fmt.Errorf("cosignature by key %q+%08x has the time 0", k.Name, k.ID())
	}
	return unixSeconds, nil
}

// cutStamp takes a timestamped_signature apart whose signature has size bytes.
func (k VerifierKey) cutStamp(b []byte, size int) (unixSeconds uint64, signature []byte, err error) {
	if len(b) != stampSize+size {
		return 0, nil, fmt.Errorf("cosignature by key %q+%08x has %d bytes, want %d", k.Name, k.ID(), len(b), stampSize+size)
	}
	unixSeconds = binary.BigEndian.Uint64(b)
	if unixSeconds > math.MaxInt64 {
		return 0, nil, fmt.Errorf("cosignature by key %q+%08x has a time beyond 2^63-1", k.Name, k.ID())
	}
	return unixSeconds, b[stampSize:], nil
}
