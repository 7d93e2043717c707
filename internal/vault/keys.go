package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/consentledger/consentledger/ledger"
)

// The rows, version 4. Numbers are big-endian. Every value is AES-256-GCM under
// the key named, spelt nonce (12 bytes) ‖ ciphertext ‖ tag (16), with the row's
// own key as associated data, unless "plain" is said.
//
//	key                                      value
//	'V'                                      plain: format version u32, origin
//	'R'                                      root row, under ROOT, see tree.go
//	'G'                                      plain: the newest group's record, see group.go
//	'N'                                      plain: the database's number, see databackup.go
//	'r' shard:u16 generation:u32 type id     shard rows, under the shard's key:
//	  type 'k', id slot:u64                    → subject key, and what the person began with, see person.go
//	  type 'q', id slot:u64                    → what is planned for the person, see change.go
//	  type 'i', id epoch:u32 HMAC:32           → slot, since u64          (blind index)
//	  type 'j', id epoch:u32 HMAC:32 mark:8    → slot                     (blind index of locked people)
//	  type 'c', id consent:u64                 → slot
//	  type 'm', id SHA-256(manage token):32    → slot, epoch u32, channel
//	  type 'd', id day:u32 HMAC:32             → slot, mark:8, inner      (idempotency key)
//	'k' PRF(subject key, "consent" n):16     the person's n-th consent: id u64, consent key; under HKDF(subject key, "wrap")
//	'p' PRF(identity key, "identifier" n):16 n-th identifier: kind ‖ 0 ‖ value, under HKDF(identity key, "identity")
//	'p' PRF(identity key, "channel" n):16    n-th manage token: epoch u32, its SHA-256, channel, under HKDF(identity key, "identity")
//	'v' PRF(consent key, "claims" n):16      n-th claims added together, see claim.go; under HKDF(consent key, "claims")
//	'v' PRF(ledger's key, "claim" digest):16 one claim of the ledger's own, in the same form; under HKDF(ledger's key, "claims")
//	'b' blob:16 chunk:u32                    ≤ 512 KiB of an attachment or mail, under the blob's own key
//	's' HMAC:32                              suppression, see suppression.go
//	'x' generation:u32 what n:u32            only during a pass: keys of rows to delete, see lists.go
//
// A row's shard is the low 12 bits of the slot for types 'k' and 'q', otherwise
// the first 12 bits of SHA-256(type ‖ id), the id of type 'j' without its mark,
// so that one shard holds all who were ever locked under an identifier. n is a
// u32 and counts without gaps, from 0 and over what the person began with; ids of
// consents ascend with it. PRF is HMAC-SHA256, cut to 16 bytes, so that rows of one
// person do not show that they belong together once the person's keys are gone.
//
// The ledger's own slot began with one consent, 0, whose key is the ledger's: its claims
// are never erased and may be millions, so each is found by its digest and no list
// of them is kept.
//
// Blind index: HMAC(index key of the epoch, kind ‖ 0 ‖ value); for locked people
// "legal" ‖ 0 stands in front, and the mark is PRF(identity key, "legal" kind ‖
// 0 ‖ value), cut to 8 bytes. since is the entry that made the identifier known.
//
// Idempotency: HMAC(key of the day, source ‖ 0 ‖ idempotency key); the day stands
// before it so that old rows can be swept without opening them. The inner part
// is sealed again under HKDF(subject key, "idempotency" ‖ key of the day), and
// the mark is PRF(subject key, "request"), cut to 8 bytes: once the subject key
// is gone or replaced, the outer part names a slot of which nobody has the mark,
// and the inner part cannot be read.
//
// The epochs of manage tokens are 0 in this version.
const (
	rowVersion     = 'V'
	rowRoot        = 'R'
	rowGroup       = 'G'
	rowShard       = 'r'
	rowWrapped     = 'k'
	rowIdentity    = 'p'
	rowClaim       = 'v'
	rowBlob        = 'b'
	rowSuppression = 's'
	rowErasure     = 'x'

	rowSubject     = 'k'
	rowPlan        = 'q'
	rowIndex       = 'i'
	rowLegal       = 'j'
	rowConsent     = 'c'
	rowManage      = 'm'
	rowIdempotency = 'd'
)

const (
	shardCount   = 4096
	shardMask    = shardCount - 1
	shardKeySize = 1 + 2 + 4 // of a shard row's key, before type and id
	indexIDSize  = 4 + 32    // of the id of a row of the blind index, without a mark
	markSize     = 8
	labelPrefix  = "consent-ledger/v1/"
)

// secret is any of the 32-byte keys. It does not show itself when printed.
type secret [32]byte

func (secret) String() string   { return "secret" }
func (secret) GoString() string { return "secret" }

func newSecret() secret {
	var k secret
	rand.Read(k[:]) // never fails, crypto/rand
	return k
}

// Slot is the random number under which a person's keys are kept. It is known
// to the vault only; 0 is the ledger's own.
type Slot uint64

// ConsentKey opens the claims of one consent.
type ConsentKey [32]byte

// NewConsentKey draws a key for a consent that is about to be opened.
func NewConsentKey() ConsentKey { return ConsentKey(newSecret()) }

// Token gives the confirmation token that belongs to the consent: 43
// characters, always the same ones.
func (k ConsentKey) Token() string {
	t := derive(secret(k), "token")
	return base64.RawURLEncoding.EncodeToString(t[:])
}

func (ConsentKey) String() string   { return "consent key" }
func (ConsentKey) GoString() string { return "consent key" }

// derive is HKDF-Expand (RFC 5869 § 2.3) with SHA-256 to 32 bytes, which is one HMAC
// over info ‖ 0x01; the info is label and, after a zero byte each, more.
func derive(k secret, label string, more ...string) secret {
	info := append(make([]byte, 0, 128), labelPrefix+label...)
	for _, m := range more {
		info = append(append(info, 0), m...)
	}
	return macOf(k, append(info, 1))
}

// prf names a row that only the holder of k can find. Its labels are none of the
// derived keys that take more, and those of the others are followed by 0x01 there
// and by 0x00 here, so the two never meet.
func prf(k secret, label string, id []byte) []byte {
	info := append(make([]byte, 0, 128), labelPrefix+label...)
	sum := macOf(k, append(append(info, 0), id...))
	return sum[:16]
}

// macOf is HMAC-SHA256 (RFC 2104). crypto/hmac would allocate seven times for what
// every row needs several times.
func macOf(k secret, message []byte) (sum [32]byte) {
	var pad [sha256.BlockSize]byte
	copy(pad[:], k[:])
	for i := range pad {
		pad[i] ^= 0x36
	}
	h := sha256.New()
	h.Write(pad[:])
	h.Write(message)
	h.Sum(sum[:0])
	for i := range pad {
		pad[i] ^= 0x36 ^ 0x5c
	}
	h.Reset()
	h.Write(pad[:])
	h.Write(sum[:])
	h.Sum(sum[:0])
	return sum
}

// newAEAD gives AES-256-GCM that draws a random nonce per message and puts it
// in front. One key seals fewer than 2^32 messages (NIST SP 800-38D § 8.3).
func newAEAD(k secret) cipher.AEAD {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic("vault: AES: " + err.Error()) // the key has 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("vault: GCM: " + err.Error()) // the cipher is crypto/aes
	}
	return aead
}

// under gives the cipher of a key that is derived from k.
func under(k secret, label string, more ...string) cipher.AEAD {
	return newAEAD(derive(k, label, more...))
}

func open(aead cipher.AEAD, sealed, aad []byte) ([]byte, error) {
	plain, err := aead.Open(nil, nil, sealed, aad)
	if err != nil {
		return nil, fmt.Errorf("%w: a value of %d bytes does not open", ErrDamaged, len(sealed))
	}
	return plain, nil
}

// row is a key and a value as they are stored.
type row struct{ key, value []byte }

func sealRow(key []byte, aead cipher.AEAD, plain []byte) row {
	return row{key, aead.Seal(nil, nil, plain, key)}
}

func u16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func rowKey(kind byte, parts ...[]byte) []byte {
	key := make([]byte, 1, 48)
	key[0] = kind
	for _, p := range parts {
		key = append(key, p...)
	}
	return key
}

func keyVersion() []byte { return rowKey(rowVersion) }
func keyRoot() []byte    { return rowKey(rowRoot) }
func keyGroup() []byte   { return rowKey(rowGroup) }

func keyConsent(subject secret, n uint32) []byte {
	return rowKey(rowWrapped, prf(subject, "consent", u32(n)))
}
func keyIdentifier(identity secret, n uint32) []byte {
	return rowKey(rowIdentity, prf(identity, "identifier", u32(n)))
}
func keyChannel(identity secret, n uint32) []byte {
	return rowKey(rowIdentity, prf(identity, "channel", u32(n)))
}
func keyClaims(consent ConsentKey, n uint32) []byte {
	return rowKey(rowClaim, prf(secret(consent), "claims", u32(n)))
}
func keyOwnClaim(ledgers ConsentKey, digest ledger.Hash) []byte {
	return rowKey(rowClaim, prf(secret(ledgers), "claim", digest[:]))
}
func keyBlob(id [16]byte, chunk uint32) []byte { return rowKey(rowBlob, id[:], u32(chunk)) }
func keySuppression(hash []byte) []byte        { return rowKey(rowSuppression, hash) }
func keyErasure(generation uint32, what byte, n uint32) []byte {
	return rowKey(rowErasure, u32(generation), []byte{what}, u32(n))
}

// The ids of shard rows.
func idSlot(s Slot) []byte                      { return u64(uint64(s)) }
func idConsent(id ledger.ConsentID) []byte      { return u64(uint64(id)) }
func idManage(token string) []byte              { h := sha256.Sum256([]byte(token)); return h[:] }
func idIdempotency(d dayKey, m [32]byte) []byte { return append(u32(d.day), m[:]...) }

// shardOf gives the shard in which the shard row (typ, id) lies.
func shardOf(typ byte, id []byte) uint16 {
	switch typ {
	case rowSubject, rowPlan:
		return uint16(binary.BigEndian.Uint64(id)) & shardMask
	case rowLegal:
		id = id[:indexIDSize]
	}
	h := sha256.Sum256(append([]byte{typ}, id...))
	return binary.BigEndian.Uint16(h[:]) >> 4
}
