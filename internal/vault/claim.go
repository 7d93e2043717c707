package vault

import (
	"encoding/binary"
	"fmt"

	"github.com/consentledger/consentledger/ledger"
)

// SealedClaim is a claim that is ready to be stored; see [SealClaim].
type SealedClaim struct {
	consent ConsentKey
	digest  ledger.Hash
	row     row
}

// blobRefSize is the encoded size of a [BlobRef]: id, key, size.
const blobRefSize = 16 + 32 + 8

// SealClaim seals a claim under a consent's key. blob names the bytes that lie
// beside the claim, nil if there are none. It needs no vault, so it is called
// before the writer's turn; a claim that concerns several consents is sealed
// once under each of their keys.
func SealClaim(k ConsentKey, d ledger.Disclosure, blob *BlobRef) SealedClaim {
	var plain []byte
	if blob == nil {
		plain = append(plain, 0)
	} else {
		plain = append(plain, 1)
		plain = append(plain, blob.ID[:]...)
		plain = append(plain, blob.Key[:]...)
		plain = binary.BigEndian.AppendUint64(plain, uint64(blob.Size))
	}
	plain = append(plain, d.Text()...)
	digest := d.Digest()
	return SealedClaim{k, digest, sealRow(keyClaim(k, digest), derive(secret(k), "claims"), plain)}
}

// OpenClaim opens the claim with the given commitment under a consent's key,
// and checks that it has that commitment. blob is nil unless the claim's bytes
// lie beside it. False means that there is no such claim.
func (w View) OpenClaim(k ConsentKey, digest ledger.Hash) (d ledger.Disclosure, blob *BlobRef, ok bool, err error) {
	plain, ok, err := w.sealedRow(keyClaim(k, digest), derive(secret(k), "claims"))
	if !ok || err != nil {
		return d, nil, false, err
	}
	d, blob, err = parseClaim(plain)
	if err != nil {
		return ledger.Disclosure{}, nil, false, err
	}
	if d.Digest() != digest {
		return ledger.Disclosure{}, nil, false, fmt.Errorf("%w: a claim has another commitment than its row", ErrDamaged)
	}
	return d, blob, true, nil
}

func parseClaim(plain []byte) (d ledger.Disclosure, blob *BlobRef, err error) {
	switch {
	case len(plain) >= 1 && plain[0] == 0:
		plain = plain[1:]
	case len(plain) >= 1+blobRefSize && plain[0] == 1:
		blob = &BlobRef{ID: [16]byte(plain[1:17]), Key: [32]byte(plain[17:49]),
			Size: int64(binary.BigEndian.Uint64(plain[49:57]))}
		plain = plain[1+blobRefSize:]
	default:
		return d, nil, fmt.Errorf("%w: a claim begins with neither form", ErrDamaged)
	}
	d, err = ledger.ParseDisclosure(string(plain))
	if err != nil {
		return d, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return d, blob, nil
}

// claimDigests gives the commitments of all claims of a consent and the number
// of lists they are in. An erasure finds the rows to delete by them.
func (w View) claimDigests(k ConsentKey) (digests []ledger.Hash, lists uint32, err error) {
	under := derive(secret(k), "claims")
	for ; ; lists++ {
		plain, ok, err := w.sealedRow(keyClaimList(k, lists), under)
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			return digests, lists, nil
		}
		if len(plain)%32 != 0 {
			return nil, 0, fmt.Errorf("%w: a list of claims has %d bytes", ErrDamaged, len(plain))
		}
		for ; len(plain) > 0; plain = plain[32:] {
			digests = append(digests, ledger.Hash(plain[:32]))
		}
	}
}
