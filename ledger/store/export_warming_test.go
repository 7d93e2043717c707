package store

import (
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// Warm has every log that the test opens read its state tree in the background, also
// the smallest. onRead, if set, is called for each consent that is read there.
func Warm(t testing.TB, onRead func(ledger.ConsentID)) {
	before := warmFrom
	warmFrom, testOnlyWarming = 0, onRead
	t.Cleanup(func() { warmFrom, testOnlyWarming = before, nil })
}

// Warmed waits until all consents have been read.
func (s *Store) Warmed() {
	if s.warming != nil {
		<-s.warming.done
	}
}

// Warming reports whether the consents are being read.
func (s *Store) Warming() bool { return s.warming.isOpen() }

// Closing reports whether the reading was told to end.
func (s *Store) Closing() bool { return s.warming.closing.Load() }
