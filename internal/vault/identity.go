package vault

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
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
	prefix := w.tree.index[0].legal(id)
	// Locks are written by passes only, so nothing of a draft is among them.
	err = eachRow(w.txn, w.tree.shardRowKey(rowLegal, prefix), func(key, sealed []byte) error {
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

// isLocked tells whether the person with this identifier is locked.
func (w View) isLocked(identity secret, id Identifier) (bool, error) {
	return w.has(w.tree.shardRowKey(rowLegal, append(w.tree.index[0].legal(id), legalMark(identity, id)...)))
}

// identityKey gives the key of a person's identity rows.
func (w View) identityKey(s *Subject) (secret, error) {
	k, ok, err := w.wrappedKey(keyIdentity(s.key), derive(s.key, "wrap"))
	if err == nil && !ok {
		err = fmt.Errorf("identity rows: %w", ErrGone)
	}
	return k, err
}

// Identifiers gives the identifiers under which a person is known.
func (w View) Identifiers(s *Subject) ([]Identifier, error) {
	identity, err := w.identityKey(s)
	if err != nil {
		return nil, err
	}
	return w.identifiers(identity)
}

func (w View) identifiers(identity secret) (ids []Identifier, err error) {
	k := derive(identity, "identity")
	for n := uint32(0); ; n++ {
		plain, ok, err := w.sealedRow(keyIdentifier(identity, n), k)
		if err != nil {
			return nil, err
		}
		if !ok {
			return ids, nil
		}
		kind, value, ok := bytes.Cut(plain, []byte{0})
		if !ok {
			return nil, fmt.Errorf("%w: an identifier's row has no kind", ErrDamaged)
		}
		ids = append(ids, Identifier{string(kind), string(value)})
	}
}

// identifierRow makes the n-th identifier's row under an identity key.
func identifierRow(identity secret, n int, id Identifier) row {
	return sealRow(keyIdentifier(identity, uint32(n)), derive(identity, "identity"), []byte(id.Kind+"\x00"+id.Value))
}

// channel is one manage token that was given out. The token itself is derived
// from the identity key in force when it was made, which may be gone.
type channel struct {
	epoch uint32
	hash  [32]byte // SHA-256 of the token
	name  string
}

// row makes the n-th channel's row under an identity key.
func (c channel) row(identity secret, n int) row {
	plain := append(append(u32(c.epoch), c.hash[:]...), c.name...)
	return sealRow(keyChannel(identity, uint32(n)), derive(identity, "identity"), plain)
}

// channels gives the manage tokens of a person.
func (w View) channels(identity secret) (channels []channel, err error) {
	k := derive(identity, "identity")
	for n := uint32(0); ; n++ {
		plain, ok, err := w.sealedRow(keyChannel(identity, n), k)
		if err != nil {
			return nil, err
		}
		if !ok {
			return channels, nil
		}
		if len(plain) < 4+32 {
			return nil, fmt.Errorf("%w: a channel's row has %d bytes", ErrDamaged, len(plain))
		}
		channels = append(channels, channel{binary.BigEndian.Uint32(plain), [32]byte(plain[4:36]), string(plain[36:])})
	}
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
