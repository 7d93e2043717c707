package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
)

// CosignerKeys are the two keys of a witness, both by its name.
type CosignerKeys struct {
	Ed25519 VerifierKey // of type [KeyTypeCosignatureEd25519]
	MLDSA44 VerifierKey // of type [KeyTypeMLDSA44]
}

// Verify checks that a checkpoint, of which n is the note, carries both
// cosignatures, of one time in POSIX seconds, which it gives with their lines.
func (k CosignerKeys) Verify(c Checkpoint, n *SignedNote) (lines []SignatureLine, unixSeconds int64, err error) {
	if lines, err = verifyLines(c, n, []VerifierKey{k.Ed25519, k.MLDSA44}); err != nil {
		return nil, 0, err
	}
	// verifyCheckpoint saw to the length, and that the time fits.
	times := [2]uint64{binary.BigEndian.Uint64(lines[0].Signature), binary.BigEndian.Uint64(lines[1].Signature)}
	if times[0] != times[1] {
		return nil, 0, fmt.Errorf("the cosignatures of %q have two times: %d and %d", k.Ed25519.Name, times[0], times[1])
	}
	return lines, int64(times[0]), nil
}

// PolicyLines gives the lines by which others add the witness to a trust policy:
// its keys, and a group that counts when both have signed. They stand before the
// group or quorum that then names the witness. url is where the witness takes
// checkpoints, "" if that is not known.
func (k CosignerKeys) PolicyLines(url string) []byte {
	if url != "" {
		url = " " + url
	}
	var b bytes.Buffer
	name := k.Ed25519.Name
	fmt.Fprintf(&b, "witness %s/ed25519 %s%s\n", name, k.Ed25519, url)
	fmt.Fprintf(&b, "witness %s/ml-dsa-44 %s%s\n", name, k.MLDSA44, url)
	fmt.Fprintf(&b, "group %[1]s all %[1]s/ed25519 %[1]s/ml-dsa-44\n", name)
	return b.Bytes()
}

// Cosigner signs in the name of a witness, always with both keys. Its methods are
// safe for concurrent use.
type Cosigner struct {
	keys       CosignerKeys
	ed25519Key ed25519.PrivateKey
	mldsa44Key mldsa44Key
}

// NewCosigner makes the cosigner of a witness from the seeds of its two keys, as
// [NewSigner] does for a log. The name must be one that [ValidOrigin] accepts
// (c2sp.org/signed-note recommends a URL without its scheme, too), and no log's:
// a log's own ML-DSA-44 key is told from a witness's by its name.
func NewCosigner(name string, ed25519Seed, mldsa44Seed [32]byte) (*Cosigner, error) {
	if err := ValidOrigin(name); err != nil {
		return nil, fmt.Errorf("making a cosigner: the witness's name: %w", err)
	}
	if ed25519Seed == mldsa44Seed {
		return nil, errors.New("making a cosigner: both keys have the same seed")
	}
	private := ed25519.NewKeyFromSeed(ed25519Seed[:])
	key := pureMLDSA44.Key(&mldsa44Seed)
	return &Cosigner{
		keys: CosignerKeys{
			Ed25519: VerifierKey{Name: name, Type: KeyTypeCosignatureEd25519, Key: private.Public().(ed25519.PublicKey)},
			MLDSA44: VerifierKey{Name: name, Type: KeyTypeMLDSA44, Key: key.Public()},
		},
		ed25519Key: private,
		mldsa44Key: key,
	}, nil
}

// Keys gives the verifier keys of the witness.
func (s *Cosigner) Keys() CosignerKeys { return s.keys }

// Name gives the name of the witness.
func (s *Cosigner) Name() string { return s.keys.Ed25519.Name }

// Cosign gives the two signature lines by which the witness says that, at the
// time in POSIX seconds (at least 1), this was the largest checkpoint it had seen
// of the log, and consistent with all before (c2sp.org/tlog-cosignature v1.1.0-rc.1):
// first that of the Ed25519 key, then that of the ML-DSA-44 key.
//
// Whether that is so is the caller's to know, durably, before anybody is given
// the lines.
func (s *Cosigner) Cosign(c Checkpoint, unixSeconds int64) ([]SignatureLine, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("cosigning a checkpoint: %w", err)
	}
	if unixSeconds < 1 {
		return nil, fmt.Errorf("cosigning a checkpoint: time is %d, want POSIX seconds from 1", unixSeconds)
	}
	stamp := uint64(unixSeconds)
	ed := ed25519.Sign(s.ed25519Key, []byte(cosignedText(stamp, c)))
	pq := s.mldsa44Key.Sign(cosignedMessage(s.Name(), stamp, c), true)
	return []SignatureLine{
		{s.Name(), s.keys.Ed25519.ID(), stampSignature(stamp, ed)},
		{s.Name(), s.keys.MLDSA44.ID(), stampSignature(stamp, pq)},
	}, nil
}
