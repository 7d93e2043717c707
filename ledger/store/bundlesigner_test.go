package store_test

import (
	"errors"
	"testing"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// TestBundleSigner: it signs bundles with the pair in force at their size, as long as the
// log has it, and no other text.
func TestBundleSigner(t *testing.T) {
	s := open(t, options(t))
	testledger.Fill(t, s, testledger.Prelude)
	at := rotated(t, s, pair(t, 2))
	snap := s.Snapshot()
	defer snap.Release()
	for size, want := range map[ledger.Size]error{
		0: store.ErrNotFound, 1: store.ErrRetired, ledger.Size(at): store.ErrRetired, ledger.Size(at) + 1: nil,
		snap.Size(): nil, snap.Size() + 1: store.ErrNotFound,
	} {
		b, err := snap.BundleSigner(size)
		if !errors.Is(err, want) {
			t.Errorf("size %d: %v, want %v", size, err, want)
		}
		if b == nil {
			continue
		}
		text := []byte("consent-ledger/bundle/v1\nof a test\n")
		ed, ml := b.SignKeyText(text)
		if err := b.Keys().VerifyKeyText(text, ed, ml); err != nil || b.Keys().Ed25519.ID() != pair(t, 2).Keys().Ed25519.ID() {
			t.Errorf("size %d: signed by another pair, or not at all: %v", size, err)
		}
		for _, other := range []string{"", "consent-ledger/rotation/v1\n", "consent-ledger/bundle", "example.com/log\n1\n"} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%q is signed", other)
					}
				}()
				b.SignKeyText([]byte(other))
			}()
		}
	}
}
