package timestamp

import (
	"errors"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// TestUnpinned: a token is read without knowing its authority, but not one that is
// about other bytes, was changed, or does not say who made it.
func TestUnpinned(t *testing.T) {
	p, q := newPKI(t), newPKI(t)
	other := imprint
	other[0] ^= 1
	for name, c := range map[string]struct {
		change  func(*forger)
		imprint ledger.Hash
		refused Check // "none" for no check of its own
	}{
		"as it is":                     {imprint: imprint},
		"of other bytes":               {imprint: other, refused: CheckImprint},
		"signed by another key":        {imprint: imprint, refused: CheckSignature, change: func(f *forger) { f.tsa = &party{f.tsa.cert, q.tsa.key} }},
		"without certificates":         {imprint: imprint, refused: "none", change: func(f *forger) { f.certificates = nil }},
		"of a version that is unknown": {imprint: imprint, refused: CheckEncoding, change: func(f *forger) { f.info.Version = 2 }},
	} {
		f := p.forger()
		if c.change != nil {
			c.change(f)
		}
		stamp, err := Unpinned(f.token(t), c.imprint)
		if c.refused == "" {
			if err != nil || stamp.Authority != p.tsa.cert.Subject.String() || !stamp.Time.Equal(stampTime) {
				t.Errorf("%s: %+v, %v", name, stamp, err)
			}
			continue
		}
		if err == nil || errors.Is(err, ledger.ErrNotCounted) != (c.refused != CheckImprint) {
			t.Errorf("%s: %+v, %v", name, stamp, err)
		}
		if c.refused != "none" {
			wantCheck(t, err, c.refused)
		}
	}
}
