package ledger

import (
	"bytes"
	"fmt"
	"slices"
)

// Limits of a trust.keys file.
const (
	// MaxKeyEntries is how many key entries it has at most.
	MaxKeyEntries = 256
	// MaxKeyRingSize is the largest in bytes.
	MaxKeyRingSize = MaxKeyEntries * MaxEntrySize
)

// KeyRing is the key entries of a log, as its trust.keys file holds them: which
// pair signs checkpoints of which size. Make one with [ParseKeyRing]; it never
// changes.
type KeyRing struct {
	entries []KeyEntry // ascending, the first is entry 0
	texts   [][]byte
}

// ParseKeyRing parses a trust.keys file: the log's key entries, one behind the
// other, ledger.created first. Each pair signed the entry that replaced it, and so
// did the pair that took its place. That the entries are in the log, and that none
// follows, is not shown by the file.
//
// An entry that needs a newer verifier gives an error that wraps [ErrNewer].
func ParseKeyRing(file []byte) (*KeyRing, error) {
	if len(file) > MaxKeyRingSize {
		return nil, fmt.Errorf("key entries: %d bytes are more than %d", len(file), MaxKeyRingSize)
	}
	r := new(KeyRing)
	for rest := file; len(rest) > 0 || len(r.entries) == 0; {
		text := rest
		// No line of an entry begins like its first.
		if next := bytes.Index(rest, []byte("\n"+entryPrefix)); next >= 0 {
			text = rest[:next+1]
		}
		rest = rest[len(text):]
		e, err := ParseEntry(text)
		var keys KeyPair
		if err == nil {
			keys, err = r.verify(e)
		}
		if err == nil {
			err = r.add(KeyEntry{e.Index, keys}, text)
		}
		if err != nil {
			return nil, fmt.Errorf("key entry %d of the file: %w", len(r.entries)+1, err)
		}
	}
	return r, nil
}

// verify checks the signatures of the next key entry.
func (r *KeyRing) verify(e *Entry) (KeyPair, error) {
	if len(r.entries) == 0 {
		return EntryKeys(e)
	}
	return VerifyRotation(e, r.entries[len(r.entries)-1])
}

// add appends a key entry that was verified. No key comes back once it has been
// retired.
func (r *KeyRing) add(e KeyEntry, text []byte) error {
	if len(r.entries) == MaxKeyEntries {
		return fmt.Errorf("more than %d key entries", MaxKeyEntries)
	}
	for _, before := range r.entries {
		if slices.ContainsFunc(e.Keys.vkeys(), func(k string) bool { return slices.Contains(before.Keys.vkeys(), k) }) {
			return fmt.Errorf("a key that was retired with entry %d comes back", before.Index)
		}
	}
	r.entries, r.texts = append(r.entries, e), append(r.texts, bytes.Clone(text))
	return nil
}

// Entries gives the key entries, ascending.
func (r *KeyRing) Entries() []KeyEntry { return slices.Clone(r.entries) }

// At gives the pair that signs checkpoints of this size.
func (r *KeyRing) At(size Size) KeyPair {
	keys := r.entries[0].Keys
	for _, e := range r.entries[1:] {
		if Size(e.Index) < size {
			keys = e.Keys
		}
	}
	return keys
}

// last gives the index of the newest key entry.
func (r *KeyRing) last() Index { return r.entries[len(r.entries)-1].Index }

// find gives the place of the entry that names a pair, -1 for none.
func (r *KeyRing) find(keys KeyPair) int {
	return slices.IndexFunc(r.entries, func(e KeyEntry) bool { return slices.Equal(e.Keys.vkeys(), keys.vkeys()) })
}

// begins reports whether the ring's entries below a size are the first of another
// one's.
func (r *KeyRing) begins(other *KeyRing, size Size) bool {
	n := 0
	for n < len(r.entries) && Size(r.entries[n].Index) < size {
		n++
	}
	return n <= len(other.texts) && slices.EqualFunc(r.texts[:n], other.texts[:n], bytes.Equal)
}

// WithKeys gives the policy as it is under the log's key entries, the content of a
// trust.keys file: a checkpoint then counts if the pair in force at its size signed
// it, and if that is the policy's own or one that followed it. The policy's own pair
// must be one of the file's, so that what the file says rests on it; else, and for a
// file that cannot be used, the error wraps [ErrPolicy]. An empty file changes
// nothing.
func (p *Policy) WithKeys(file []byte) (*Policy, error) {
	if len(file) == 0 {
		return p, nil
	}
	ring, err := ParseKeyRing(file)
	if err != nil {
		return nil, fmt.Errorf("%w: the keys file: %w", ErrPolicy, err)
	}
	return p.follow(ring)
}

func (p *Policy) follow(ring *KeyRing) (*Policy, error) {
	own := ring.find(p.keys)
	if own < 0 {
		return nil, fmt.Errorf("%w: the keys file does not hold the policy's keys", ErrPolicy)
	}
	followed := *p
	followed.ring, followed.since = ring, ring.entries[own].Index
	return &followed, nil
}

// KeysAt gives the pair that must sign a checkpoint of this size: the policy's own
// unless [Policy.WithKeys] told of others.
func (p *Policy) KeysAt(size Size) KeyPair {
	if p.ring == nil {
		return p.keys
	}
	return p.ring.At(size)
}

// notRetired refuses sizes at which a pair was in force that the policy's replaced.
// Who holds the newer pair has reason to: the older one may have been stolen, and
// whoever has it signs checkpoints of its time until today.
func (p *Policy) notRetired(size Size) error {
	if p.since == 0 || size > Size(p.since) {
		return nil
	}
	return otherKeysError{fmt.Errorf("signed by keys that were retired with entry %d or before, when the policy's took their place: "+
		"whoever has them could have signed it since. Ask for one of today, or take a policy that names the keys of that time", p.since)}
}
