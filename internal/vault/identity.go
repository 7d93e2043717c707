package vault

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
)

// Identifier is one address or number under which a person is known: Kind is
// "email", "phone" or "external_id", Value its normalised form.
type Identifier struct{ Kind, Value string }

// FindSubject finds a person by an identifier. False means that nobody is known
// by it, now.
func (w View) FindSubject(id Identifier) (*Subject, bool, error) {
	s, rest, ok, err := w.subjectNamed(rowIndex, w.tree.index[0].live(id), 8)
	if !ok || err != nil {
		return nil, false, err
	}
	s.Since = sinceOf(rest)
	return s, true, nil
}

// FindLocked finds everybody who was known by an identifier when they were
// locked. It is for the legal role only.
func (w View) FindLocked(id Identifier) (people []*Subject, err error) {
	prefix, txn := w.tree.index[0].legal(id), w.txn
	if w.draft != nil {
		// Locks are written by passes only, so nothing of a group is among them, and to
		// look through a transaction that has many rows of its own takes long.
		v := w.draft.batch.v
		if !v.anyLocked.Load() {
			return nil, nil
		}
		txn = v.db.NewTransaction(false)
		defer txn.Discard()
	}
	err = eachRow(txn, w.tree.shardRowKey(rowLegal, prefix), func(key, sealed []byte) error {
		plain, err := w.tree.openShardRow(nil, shardOf(rowLegal, prefix), key, sealed)
		if err != nil {
			return err
		}
		if len(plain) != 8 {
			return fmt.Errorf("%w: a row of type %q has %d bytes", ErrDamaged, rowLegal, len(plain))
		}
		s, err := w.person(rowLegal, Slot(binary.BigEndian.Uint64(plain)))
		people = append(people, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	return people, nil
}

// loadLocked finds, at a start, whether anybody is locked. While nobody is, no [Draft]
// looks among the locked, where to look for an identifier is a third of the work of an
// import.
func (v *Vault) loadLocked() {
	txn := v.db.NewTransaction(false)
	defer txn.Discard()
	eachShardKey(txn, v.tree, rowLegal, func([]byte) bool {
		v.anyLocked.Store(true)
		return false
	})
}

// isLocked tells whether the person with this identifier is locked.
func (w View) isLocked(identity secret, id Identifier) (bool, error) {
	return w.has(w.tree.shardRowKey(rowLegal, append(w.tree.index[0].legal(id), legalMark(identity, id)...)))
}

// identity is under what a person is known: the key of their identity rows, and what
// they began with. What became known later has rows of its own.
type identity struct {
	key      secret
	ids      []Identifier
	channels []channel
}

// Identifiers gives the identifiers under which a person is known.
func (w View) Identifiers(s *Subject) ([]Identifier, error) {
	return w.identifiers(w.identity(s))
}

// identifiers gives all identifiers of a person.
func (w View) identifiers(i identity) ([]Identifier, error) {
	return identityRows(w, i.key, i.ids, keyIdentifier, parseIdentifier)
}

// channels gives all manage tokens of a person.
func (w View) channels(i identity) ([]channel, error) {
	return identityRows(w, i.key, i.channels, keyChannel, parseChannel)
}

// identityRows gives what a person began with and what the rows add to it.
func identityRows[T any](w View, identity secret, list []T, key func(secret, uint32) []byte, parse func([]byte) (T, error)) ([]T, error) {
	list = slices.Clone(list)
	for {
		plain, ok, err := w.sealedRow(key(identity, uint32(len(list))), func() cipher.AEAD { return under(identity, "identity") })
		if err != nil {
			return nil, err
		}
		if !ok {
			return list, nil
		}
		item, err := parse(plain)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
}

func (id Identifier) encode() []byte { return []byte(id.Kind + "\x00" + id.Value) }

func parseIdentifier(plain []byte) (Identifier, error) {
	kind, value, ok := bytes.Cut(plain, []byte{0})
	if !ok {
		return Identifier{}, fmt.Errorf("%w: an identifier's row has no kind", ErrDamaged)
	}
	return Identifier{string(kind), string(value)}, nil
}

// row makes the n-th identifier's row under an identity key.
func (id Identifier) row(identity secret, n int) row {
	return sealRow(keyIdentifier(identity, uint32(n)), under(identity, "identity"), id.encode())
}

// channel is one manage token that was given out. The token itself is derived
// from the identity key in force when it was made, which may be gone.
type channel struct {
	epoch uint32
	hash  [32]byte // SHA-256 of the token
	name  string
}

func (c channel) encode() []byte { return append(append(u32(c.epoch), c.hash[:]...), c.name...) }

func parseChannel(plain []byte) (channel, error) {
	if len(plain) < 4+32 {
		return channel{}, fmt.Errorf("%w: a channel's row has %d bytes", ErrDamaged, len(plain))
	}
	return channel{binary.BigEndian.Uint32(plain), [32]byte(plain[4:36]), string(plain[36:])}, nil
}

// row makes the n-th channel's row under an identity key.
func (c channel) row(identity secret, n int) row {
	return sealRow(keyChannel(identity, uint32(n)), under(identity, "identity"), c.encode())
}

// manageVersion is the first byte of a manage token.
const manageVersion = 1

// manageToken derives the manage token of a channel.
func manageToken(identity secret, epoch uint32, channelName string) string {
	k := derive(identity, "manage", channelName, string(u32(epoch)))
	return base64.RawURLEncoding.EncodeToString(append([]byte{manageVersion}, k[:]...))
}

// ManageToken finds the person and the channel of a manage token. False means
// that the token is not well-formed, was never given out, or is dead: its person
// was erased, or its channel dropped.
func (w View) ManageToken(token string) (s *Subject, channel string, ok bool, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != 1+32 || raw[0] != manageVersion {
		return nil, "", false, nil
	}
	s, rest, ok, err := w.subjectNamed(rowManage, idManage(token), 4)
	if !ok || err != nil {
		return nil, "", false, err
	}
	return s, string(rest[4:]), true, nil
}
