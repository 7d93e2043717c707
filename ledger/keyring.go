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
// did the pair that took its place: whoever trusts one of them may follow the chain
// both ways. That the entries are in the log is not shown by the file.
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
		if err == nil {
			err = r.add(e, text)
		}
		if err != nil {
			return nil, fmt.Errorf("key entry %d of the file: %w", len(r.entries)+1, err)
		}
	}
	return r, nil
}

// add appends a key entry after checking its signatures. No key comes back once it
// has been retired.
func (r *KeyRing) add(e *Entry, text []byte) error {
	var keys KeyPair
	var err error
	switch n := len(r.entries); {
	case n == 0:
		keys, err = EntryKeys(e)
	case n == MaxKeyEntries:
		err = fmt.Errorf("more than %d key entries", MaxKeyEntries)
	default:
		keys, err = VerifyRotation(e, r.entries[n-1])
	}
	if err != nil {
		return err
	}
	for _, before := range r.entries {
		if slices.ContainsFunc(keys.vkeys(), func(k string) bool { return slices.Contains(before.Keys.vkeys(), k) }) {
			return fmt.Errorf("a key that was retired with entry %d comes back", before.Index)
		}
	}
	r.entries, r.texts = append(r.entries, KeyEntry{e.Index, keys}), append(r.texts, bytes.Clone(text))
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

// holds reports whether the pair is one of the ring's.
func (r *KeyRing) holds(keys KeyPair) bool {
	return slices.ContainsFunc(r.entries, func(e KeyEntry) bool { return slices.Equal(e.Keys.vkeys(), keys.vkeys()) })
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
// it. The policy's own pair must be one of the file's, so that what the file says
// rests on it; else, and for a file that cannot be used, the error wraps
// [ErrPolicy]. An empty file changes nothing.
func (p *Policy) WithKeys(file []byte) (*Policy, error) {
	if len(file) == 0 {
		return p, nil
	}
	ring, err := ParseKeyRing(file)
	if err != nil {
		return nil, fmt.Errorf("%w: the keys file: %w", ErrPolicy, err)
	}
	if !ring.holds(p.keys) {
		return nil, fmt.Errorf("%w: the keys file does not hold the policy's keys", ErrPolicy)
	}
	followed := *p
	followed.ring = ring
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
