// Package history holds a log to a checkpoint that somebody kept of it: is it in the
// log's history?
//
// Start with [Open], which verifies what was kept, and [Find], which looks for it.
// The package only reads. It trusts the log's own key entries: it is the log that
// asks about itself, and whoever does not believe it has the offline verifier.
package history

import (
	"errors"
	"fmt"

	"github.com/consentledger/consentledger/ledger"
)

// Log is all that this package needs of a log; *[store.Store] has it.
type Log interface {
	// Checkpoint gives the newest signed checkpoint and its size.
	Checkpoint() ([]byte, ledger.Size)
	// RootAt gives the root of the first size entries, at most that many.
	RootAt(size ledger.Size) (ledger.Hash, error)
	// Keys gives the log's key entries, the content of trust.keys.
	Keys() ([]byte, error)
}

// Open parses a checkpoint that somebody kept, as a signed note or as the one-line
// form, and verifies that this log signed it: with both keys in force at its size, of
// the one-line form with the Ed25519 key. An error that is neither [ErrKeys] nor [ErrLog]
// means that this log did not sign it.
func Open(log Log, text []byte) (*ledger.Kept, error) {
	kept, _, err := open(log, text)
	return kept, err
}

// open is Open; it gives the log's key entries besides.
func open(log Log, text []byte) (*ledger.Kept, *ledger.KeyRing, error) {
	kept, err := ledger.ParseKept(text)
	if err != nil {
		return nil, nil, err
	}
	ring, policy, err := ownKeys(log)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrLog, err)
	}
	if err := kept.Verify(policy); errors.Is(err, ledger.ErrPolicy) {
		return nil, nil, fmt.Errorf("the checkpoint of %d entries is %w", kept.Size, ErrKeys)
	} else if err != nil {
		return nil, nil, err
	}
	return kept, ring, nil
}

var (
	// ErrKeys: keys signed in the log's name of which the log knows nothing.
	ErrKeys = errors.New("signed by keys that this log does not know: its keys were rotated after this copy of it was made, or it is another log of its name")
	// ErrLog: the log could not be read, so that nothing is known.
	ErrLog = errors.New("reading the log")
)

// ownKeys gives the log's key entries, and the policy that trusts all pairs of the log,
// each for its sizes.
func ownKeys(log Log) (*ledger.KeyRing, *ledger.Policy, error) {
	keys, err := log.Keys()
	if err != nil {
		return nil, nil, err
	}
	return trusting(keys)
}

// trusting is ownKeys of the content of a trust.keys file.
func trusting(keys []byte) (*ledger.KeyRing, *ledger.Policy, error) {
	ring, err := ledger.ParseKeyRing(keys)
	if err != nil {
		return nil, nil, err
	}
	policy, err := ledger.ParsePolicy(ledger.NewPolicy(ring.At(0)))
	if err == nil {
		policy, err = policy.WithKeys(keys)
	}
	return ring, policy, err
}

// Place says where a kept checkpoint stands to a log's history.
type Place string

// The places.
const (
	Contained Place = "contained" // the log began with exactly these entries
	Diverged  Place = "diverged"  // the log has other entries in this place
	Ahead     Place = "ahead"     // the log does not have so many entries
)

// Finding says where a kept checkpoint stands.
type Finding struct {
	Place Place
	Kept  ledger.Checkpoint
	// Root is the log's own root at the kept size; of no meaning for Ahead.
	Root ledger.Hash
	// Size is how many entries the log has.
	Size ledger.Size
}

// Find looks for a checkpoint in a log's history. It verifies no signature, see
// [Open]. Its errors say that the log could not be read.
func Find(log Log, kept ledger.Checkpoint) (Finding, error) {
	_, size := log.Checkpoint()
	f := Finding{Place: Ahead, Kept: kept, Size: size}
	if kept.Size > size {
		return f, nil
	}
	var err error
	if f.Root, err = log.RootAt(kept.Size); err != nil {
		return Finding{}, fmt.Errorf("%w: %w", ErrLog, err)
	}
	if f.Place = Contained; f.Root != kept.Root {
		f.Place = Diverged
	}
	return f, nil
}

// Err says what the finding shows of the log; nil for [Contained].
func (f Finding) Err() error {
	switch f.Place {
	case Ahead:
		return fmt.Errorf("the log has signed %d entries and holds %d", f.Kept.Size, f.Size)
	case Diverged:
		return fmt.Errorf("the log has signed two histories of %d entries", f.Kept.Size)
	}
	return nil
}

// Against says what a checkpoint that a stranger shows proves against a log: that it
// was set back, or that there are two of it. It is nil for what proves nothing: what
// both of the log's keys did not sign, what is in its history, and what retired keys
// signed. Whoever stole those can still sign for their time, and must not be able to
// stop the log by it; a log that was really set back to that time does not know yet
// that they were retired.
func Against(log Log, signed []byte) error {
	kept, ring, err := open(log, signed)
	if err != nil || kept.Line {
		return nil
	}
	entries := ring.Entries()
	if newest := entries[len(entries)-1].Index; newest > 0 && kept.Size <= ledger.Size(newest) {
		return nil
	}
	f, err := Find(log, kept.Checkpoint)
	if err != nil {
		return nil
	}
	return f.Err()
}
