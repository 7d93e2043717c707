package store

import (
	"bytes"
	"fmt"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Keys of the log. A pair is in force for the sizes above its key entry. The store
// holds the seeds of one pair, and during a rotation of the next: whoever opens the
// log says which two, and the log's key entries say which of them signs what.

// signers lists the pairs that the log may be opened with.
func (o *Options) signers() []*ledger.Signer {
	if o.Next == nil {
		return []*ledger.Signer{o.Signer}
	}
	return []*ledger.Signer{o.Signer, o.Next}
}

// signer gives the one of [Options.signers] that has these keys, or nil.
func (o *Options) signer(keys ledger.KeyPair) *ledger.Signer {
	for _, s := range o.signers() {
		if sameKeys(s.Keys(), keys) {
			return s
		}
	}
	return nil
}

// sameKeys compares two pairs of one origin.
func sameKeys(a, b ledger.KeyPair) bool {
	return bytes.Equal(a.Ed25519.Key, b.Ed25519.Key) && bytes.Equal(a.MLDSA44.Key, b.MLDSA44.Key)
}

// keysAt gives the pair that is in force at a size from 1 on.
func (r *registry) keysAt(size ledger.Size) ledger.KeyPair {
	keys := r.keys[0].Keys
	for _, e := range r.keys[1:] {
		if ledger.Size(e.Index) < size {
			keys = e.Keys
		}
	}
	return keys
}

// openOwn checks a checkpoint of this log with the pairs given, and gives the keys
// of the one that signed it. The seeds of a pair are destroyed only after the head
// file holds what the next one signed, so it is one of these.
func (s *Store) openOwn(signed []byte) (*ledger.OpenedCheckpoint, ledger.KeyPair, error) {
	var wrong error
	for _, signer := range s.opt.signers() {
		opened, err := openWith(signer.Keys(), signed)
		if err == nil {
			return opened, signer.Keys(), nil
		}
		if wrong == nil {
			wrong = err
		}
	}
	return nil, ledger.KeyPair{}, wrong
}

// openWith checks a checkpoint with one pair.
func openWith(keys ledger.KeyPair, signed []byte) (*ledger.OpenedCheckpoint, error) {
	policy, err := ledger.ParsePolicy(ledger.NewPolicy(keys))
	if err != nil {
		return nil, err
	}
	return ledger.OpenCheckpoint(signed, policy)
}

// examineKeys refuses a head file that another pair signed than the one in force at
// its size, and a database whose newest group nobody here can sign for.
func (s *Store) examineKeys(head ledger.Checkpoint, signedBy ledger.KeyPair, p *Snapshot) error {
	if !sameKeys(p.registry.keysAt(head.Size), signedBy) {
		return fmt.Errorf("%w: the head file of %d entries is signed with keys that are not in force there", ErrDamaged, head.Size)
	}
	if s.opt.signer(p.registry.keyEntry().Keys) == nil {
		return fmt.Errorf("%w: since entry %d the log has other keys than those given. Were the signing keys put back from a copy, "+
			"or the next ones removed?", ErrDamaged, p.registry.keyEntry().Index)
	}
	return nil
}

// Rotate appends entries and then a key.rotated by source, as [Group.Append] does,
// and gives them all: from there on next signs, first the checkpoint of this group.
// It refuses a pair of another origin, one that has a key which the log ever had,
// more key entries than a trust.keys file holds, and a second rotation in the group.
// After an error the group is as it was. A key.rotated comes into a group by no
// other way.
//
// The seeds of both pairs must be kept until [Group.Commit] has returned: which of
// them the log is opened with, only [Open] can tell after a crash.
func (g *Group) Rotate(now time.Time, source string, next *ledger.Signer, entries ...*ledger.Entry) ([]Recorded, error) {
	if g.signer != g.before.signer {
		return nil, fmt.Errorf("rotating keys: the group does that already")
	}
	chain := g.chain
	for _, e := range entries {
		e.Time = recordable(now)
		chain.Link(e)
		b, err := e.Encode()
		if err == nil {
			err = chain.Add(e, ledger.LeafHash(b))
		}
		if err != nil {
			return nil, err
		}
	}
	rotated, err := ledger.Rotate(g.signer, next, g.reg.keyEntry().Index, ledger.Index(chain.Size()), chain.Head())
	if err != nil {
		return nil, err
	}
	rotated.Time, rotated.Source = recordable(now), source
	if err := g.reg.followable(next.Keys()); err != nil {
		return nil, fmt.Errorf("rotating keys: %w", err)
	}
	list, err := g.Append(now, append(entries[:len(entries):len(entries)], rotated)...)
	if err == nil {
		g.signer = next
	}
	return list, err
}

// followable refuses a pair with which [ledger.ParseKeyRing] would refuse the log's
// key entries, so that nobody could follow them any more.
func (r *registry) followable(next ledger.KeyPair) error {
	if len(r.keys) >= ledger.MaxKeyEntries {
		return fmt.Errorf("%w, %d", ErrKeyEntries, len(r.keys))
	}
	for _, e := range r.keys {
		if bytes.Equal(e.Keys.Ed25519.Key, next.Ed25519.Key) || bytes.Equal(e.Keys.MLDSA44.Key, next.MLDSA44.Key) {
			return fmt.Errorf("one of the keys was the log's before, since entry %d", e.Index)
		}
	}
	return nil
}

// recordable is a time as entries hold it.
func recordable(now time.Time) time.Time { return now.UTC().Truncate(time.Microsecond) }
