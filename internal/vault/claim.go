package vault

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/consentledger/consentledger/ledger"
)

// Claim is what a commitment of an entry stands for, and the name of the bytes that
// lie beside it, nil if there are none.
type Claim struct {
	Disclosure ledger.Disclosure
	Blob       *BlobRef
}

// The claims that one decision adds to a consent are one row: since u64, the first
// entry of the decision, by which the rows ascend; then for each claim 0, or 1 and
// the blob's id 16, key 32 and size u64; the salt 32; the name after its length u8;
// the value after its length u32. What would be longer than claimsLimit goes on in a
// further row of the same entry, so that the values stay inline in Badger.
const claimsLimit = 256 << 10

// appendClaim appends a claim as it stands in a row.
func appendClaim(b []byte, c Claim) []byte {
	if c.Blob == nil {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		b = append(b, c.Blob.ID[:]...)
		b = append(b, c.Blob.Key[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(c.Blob.Size))
	}
	d := c.Disclosure
	b = append(b, d.Salt[:]...)
	b = append(append(b, byte(len(d.Claim))), d.Claim...)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(d.Value))), d.Value...)
}

// addedClaims is a row of claims, opened.
type addedClaims struct {
	since  ledger.Index
	claims []byte // behind one another
}

func parseAdded(plain []byte) (a addedClaims, err error) {
	if len(plain) < 8 {
		return a, fmt.Errorf("%w: a row of claims has %d bytes", ErrDamaged, len(plain))
	}
	return addedClaims{ledger.Index(binary.BigEndian.Uint64(plain)), plain[8:]}, nil
}

// each gives the claims.
func (a addedClaims) each(yield func(Claim)) error {
	b, short := a.claims, false
	// take gives the next n bytes, or notes that they are missing.
	take := func(n uint32) []byte {
		if short = short || uint64(len(b)) < uint64(n); short {
			return make([]byte, 32)
		}
		out := b[:n]
		b = b[n:]
		return out
	}
	for len(b) > 0 && !short {
		var c Claim
		switch form := take(1)[0]; form {
		case 0:
		case 1:
			c.Blob = &BlobRef{ID: [16]byte(take(16)), Key: [32]byte(take(32))}
			c.Blob.Size = int64(binary.BigEndian.Uint64(take(8)))
		default:
			return fmt.Errorf("%w: a claim begins with neither form", ErrDamaged)
		}
		c.Disclosure.Salt = [32]byte(take(32))
		c.Disclosure.Claim = string(take(uint32(take(1)[0])))
		if n := binary.BigEndian.Uint32(take(4)); n <= ledger.MaxClaimValue {
			c.Disclosure.Value = string(take(n))
		} else {
			short = true
		}
		if !short {
			yield(c)
		}
	}
	if short {
		return fmt.Errorf("%w: a row of claims ends early", ErrDamaged)
	}
	return nil
}

// find gives the claim with a commitment.
func (a addedClaims) find(digest ledger.Hash) (found Claim, ok bool, err error) {
	err = a.each(func(c Claim) {
		if !ok && c.Disclosure.Digest() == digest {
			found, ok = c, true
		}
	})
	return found, ok, err
}

// AddClaims adds claims to a consent, or to the ledger's own ([Vault.LedgerKey]).
// since is the first entry of the decision that adds them; nobody has added any for
// a later one. A claim that concerns several consents is added to each of them.
func (d *Draft) AddClaims(k ConsentKey, since ledger.Index, claims ...Claim) error {
	return d.fail("adding claims", d.addClaims(k, since, claims))
}

func (d *Draft) addClaims(k ConsentKey, since ledger.Index, claims []Claim) error {
	if len(claims) == 0 {
		return nil
	}
	for _, c := range claims {
		if len(c.Disclosure.Claim) > math.MaxUint8 || len(c.Disclosure.Value) > ledger.MaxClaimValue {
			return errors.New("a claim's name or value is too long")
		}
	}
	aead := under(secret(k), "claims")
	if k == d.own {
		for _, c := range claims {
			key := keyOwnClaim(k, c.Disclosure.Digest())
			if err := d.put(sealRow(key, aead, appendClaim(u64(uint64(since)), c))); err != nil {
				return err
			}
		}
		return nil
	}
	n, err := d.nextClaims(k, aead, since)
	if err != nil {
		return err
	}
	for ; len(claims) > 0; n++ {
		plain := u64(uint64(since))
		for len(claims) > 0 && len(plain) < claimsLimit {
			plain = appendClaim(plain, claims[0])
			claims = claims[1:]
		}
		d.add(sealRow(keyClaims(k, n), aead, plain))
	}
	d.added[k] = nextClaims{n, since}
	return nil
}

// nextClaims is where a draft goes on to add claims to a consent.
type nextClaims struct {
	n     uint32
	since ledger.Index // of what was added last
}

// nextClaims gives the number of the consent's next row of claims.
func (d *Draft) nextClaims(k ConsentKey, aead cipher.AEAD, since ledger.Index) (uint32, error) {
	next, ok := d.added[k]
	if !ok {
		var err error
		next.n, err = firstFree(func(n uint32) (bool, error) {
			a, ok, err := d.claimsRow(k, aead, n)
			next.since = max(next.since, a.since)
			return ok, err
		})
		if err != nil {
			return 0, err
		}
	}
	if since < next.since {
		return 0, fmt.Errorf("claims of entry %d were added before", next.since)
	}
	return next.n, nil
}

// claimsRow gives the n-th row of claims of a consent.
func (w View) claimsRow(k ConsentKey, aead cipher.AEAD, n uint32) (a addedClaims, ok bool, err error) {
	plain, ok, err := w.sealedRow(keyClaims(k, n), func() cipher.AEAD { return aead })
	if ok && err == nil {
		a, err = parseAdded(plain)
	}
	return a, ok, err
}

// OpenClaim opens the claim with a commitment that stands in the entry at, under the
// key of a consent that the entry concerns or the ledger's own. blob is nil unless
// the claim's bytes lie beside it. False means that there is no such claim. It costs
// little more where a consent has claims of many entries.
func (w View) OpenClaim(k ConsentKey, at ledger.Index, digest ledger.Hash) (d ledger.Disclosure, blob *BlobRef, ok bool, err error) {
	c, ok, err := w.openClaim(k, at, digest)
	return c.Disclosure, c.Blob, ok, err
}

func (w View) openClaim(k ConsentKey, at ledger.Index, digest ledger.Hash) (c Claim, ok bool, err error) {
	aead := under(secret(k), "claims")
	if k == w.own {
		return w.ownClaim(k, aead, digest)
	}
	// The newest row up to the entry is of its decision: those ascend.
	var newest addedClaims
	n, err := firstFree(func(n uint32) (bool, error) {
		a, ok, err := w.claimsRow(k, aead, n)
		if ok = ok && a.since <= at; ok {
			newest = a // of the greatest n yet
		}
		return ok, err
	})
	if err != nil || n == 0 {
		return c, false, err
	}
	for n--; ; n-- {
		if c, ok, err = newest.find(digest); ok || err != nil || n == 0 {
			return c, ok, err
		}
		a, there, err := w.claimsRow(k, aead, n-1)
		if err == nil && !there {
			err = fmt.Errorf("%w: a row of claims is missing", ErrDamaged)
		}
		if err != nil || a.since < newest.since {
			return c, false, err
		}
		newest = a
	}
}

// ownClaim gives a claim of the ledger's own.
func (w View) ownClaim(k ConsentKey, aead cipher.AEAD, digest ledger.Hash) (c Claim, ok bool, err error) {
	plain, ok, err := w.sealedRow(keyOwnClaim(k, digest), func() cipher.AEAD { return aead })
	if !ok || err != nil {
		return c, false, err
	}
	a, err := parseAdded(plain)
	if err == nil {
		c, ok, err = a.find(digest)
	}
	if err == nil && !ok {
		err = fmt.Errorf("%w: a claim has another commitment than its row", ErrDamaged)
	}
	return c, ok, err
}

// claims calls each with every claim of a consent and gives the number of their rows,
// damaged ones among them: the error is that of the last of these.
func (w View) claims(k ConsentKey, each func(Claim)) (rows uint32, err error) {
	aead := under(secret(k), "claims")
	for ; ; rows++ {
		a, ok, rowErr := w.claimsRow(k, aead, rows)
		if ok && rowErr == nil {
			rowErr = a.each(each)
		}
		switch {
		case errors.Is(rowErr, ErrDamaged):
			err = rowErr
		case rowErr != nil:
			return rows, rowErr
		case !ok:
			return rows, err
		}
	}
}
