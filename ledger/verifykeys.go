package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// followKeys finds the key entries under which the policy is read: those that were
// given and, where it goes on from there or nothing was given, the log's own file.
func (v *logVerifier) followKeys(ctx context.Context) (err error) {
	if v.policy, err = v.opt.Policy.WithKeys(v.opt.Keys); err != nil {
		return err
	}
	v.given = v.policy.ring
	if len(v.opt.Keys) == 0 {
		v.report.NotChecked = append(v.report.NotChecked, "that no rotation of keys was left out (no keys file was given)")
	}
	shipped, err := v.r.ReadPath(ctx, "trust.keys")
	if errors.Is(err, ErrMissing) {
		return nil // a convenience copy; the entries are what counts
	} else if err != nil {
		return fmt.Errorf("reading trust.keys: %w", unreadable(err))
	}
	if len(shipped) == 0 {
		return nil
	}
	// A file that cannot be used is judged when the entries have been read.
	if v.shipped, v.shippedErr = ParseKeyRing(shipped); v.shippedErr == nil && bytes.HasPrefix(shipped, v.opt.Keys) {
		if followed, err := v.opt.Policy.follow(v.shipped); err == nil {
			v.policy = followed
		}
	}
	return nil
}

// keyEntry takes down a key entry, which the rules have accepted.
func (v *logVerifier) keyEntry(e *Entry, keys KeyEntry) error {
	text, err := e.Encode()
	if err != nil {
		return err
	}
	return v.keys.add(keys, text)
}

// compareKeys checks that the log's keys are those that its checkpoint was opened
// with, and that the files about them tell the same. Each file may be older or newer
// than the copy of the log.
func (v *logVerifier) compareKeys() error {
	size := v.head.Size
	switch {
	case v.keys.find(v.opt.Policy.keys) < 0:
		return errors.New("the log does not name the policy's keys as its own")
	case v.policy.KeysAt(size).Ed25519.String() != v.keys.At(size).Ed25519.String():
		return errors.New("the keys that signed the checkpoint are not those in force at its size")
	case v.given != nil && !v.given.begins(&v.keys, size):
		return errors.New("the keys file given holds other key entries than the log")
	case v.shippedErr != nil:
		return fmt.Errorf("trust.keys: %v", v.shippedErr) // also where it needs a newer verifier: the log does not
	case v.shipped != nil && !v.shipped.begins(&v.keys, size):
		return errors.New("trust.keys holds other key entries than the log")
	}
	return nil
}
