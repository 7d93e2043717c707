package secondreader

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"

	"github.com/consentledger/consentledger/ledger"
)

const origin = "ledger.example.com/shop"

// pair is one of the pairs of keys of the vectors (FORMAT.md, § 18): the first, and those that follow it.
type pair struct {
	ed       ed25519.PrivateKey
	pq       *mldsa44.PrivateKey
	pqPublic *mldsa44.PublicKey
	signer   *ledger.Signer // the same for the first verifier's own functions
}

var pairs = []*pair{newPair(""), newPair("second "), newPair("third ")}

func newPair(which string) *pair {
	seed := sha256.Sum256([]byte("consent-ledger test vectors: " + which + "ed25519"))
	p := &pair{ed: ed25519.NewKeyFromSeed(seed[:])}
	seed = sha256.Sum256([]byte("consent-ledger test vectors: " + which + "ml-dsa-44"))
	p.pqPublic, p.pq = mldsa44.NewKeyFromSeed(&seed)
	var err error
	if p.signer, err = ledger.NewSigner(origin, [32]byte(p.ed.Seed()), seed); err != nil {
		panic(err)
	}
	return p
}

func (p *pair) signPQ(message []byte) []byte {
	signature := make([]byte, mldsa44.SignatureSize)
	if err := mldsa44.SignTo(p.pq, message, nil, false, signature); err != nil {
		panic(err)
	}
	return signature
}

// key gives the bytes of a key with their type before them, and its id.
func (p *pair) key(kind byte) (key, id []byte) {
	key = slices.Concat([]byte{kind}, p.ed.Public().(ed25519.PublicKey))
	if kind == 6 {
		key = slices.Concat([]byte{kind}, p.pqPublic.Bytes())
	}
	sum := sha256.Sum256(slices.Concat([]byte(origin+"\n"), key))
	return key, sum[:4]
}

func (p *pair) vkey(kind byte) string {
	key, id := p.key(kind)
	return origin + "+" + hex.EncodeToString(id) + "+" + base64.StdEncoding.EncodeToString(key)
}

// line is a signature line of a note.
func (p *pair) line(kind byte, signature []byte) string {
	_, id := p.key(kind)
	return "\u2014 " + origin + " " + base64.StdEncoding.EncodeToString(slices.Concat(id, signature)) + "\n"
}

// checkpoint signs the log that has these entries.
func (p *pair) checkpoint(entries []string) []byte {
	var leaves [][32]byte
	for _, entry := range entries {
		leaves = append(leaves, leafHash(entry))
	}
	hash := root(leaves)
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, len(entries), base64.StdEncoding.EncodeToString(hash[:]))

	const signedAt = 1_795_300_000
	var message []byte
	message = append(message, "subtree/v1\n\x00"...)
	message = append(append(message, byte(len(origin))), origin...)
	message = binary.BigEndian.AppendUint64(message, signedAt)
	message = append(append(message, byte(len(origin))), origin...)
	message = binary.BigEndian.AppendUint64(message, 0)
	message = binary.BigEndian.AppendUint64(message, uint64(len(entries)))
	message = append(message, hash[:]...)
	return []byte(text + "\n" + p.line(1, ed25519.Sign(p.ed, []byte(text))) +
		p.line(6, append(binary.BigEndian.AppendUint64(nil, signedAt), p.signPQ(message)...)))
}

// pairOf is the pair with this key, or the first.
func pairOf(vkey string) *pair {
	for _, p := range pairs {
		if vkey == p.vkey(1) || vkey == p.vkey(6) {
			return p
		}
	}
	return pairs[0]
}

// linesOf gives the values of an entry's lines of one name.
func linesOf(entry, name string) (values []string) {
	for line := range strings.Lines(entry) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			values = append(values, strings.TrimSuffix(value, "\n"))
		}
	}
	return values
}

// signRotation gives a rotation the signatures of the keys that it names, where it has its four, over what it says.
func signRotation(entry string) string {
	at, signed := strings.Index(entry, "sign "), linesOf(entry, "sign")
	index, prev, added, retired := linesOf(entry, "index"), linesOf(entry, "prev"), linesOf(entry, "add"), linesOf(entry, "retire")
	signers := slices.Concat(retired, added)
	if len(signed) != 4 || len(signers) != 4 || len(index) != 1 || len(prev) != 1 || !strings.HasPrefix(entry[at-1:], "\n") {
		return entry
	}
	text := fmt.Sprintf("consent-ledger/rotation/v1\n%s\n%s\n%s\n", origin, index[0], prev[0])
	for _, key := range added {
		text += "add " + key + "\n"
	}
	for _, key := range retired {
		text += "retire " + key + "\n"
	}
	entry = entry[:at]
	for _, key := range signers {
		p := pairOf(key)
		_, id := p.key(1)
		signature := ed25519.Sign(p.ed, []byte(text))
		if key == p.vkey(6) {
			_, id = p.key(6)
			signature = p.signPQ([]byte(text))
		}
		entry += "sign " + hex.EncodeToString(id) + " " + base64.StdEncoding.EncodeToString(signature) + "\n"
	}
	return entry
}
