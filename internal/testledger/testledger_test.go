package testledger

import (
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

func TestFill(t *testing.T) {
	s := New(t)
	Fill(t, s, 3) // a history goes on after any number of entries
	Fill(t, s, 297)
	p := s.Snapshot()
	defer p.Release()
	replay, err := p.Check(nil)
	if err != nil {
		t.Fatal(err)
	}
	states := map[ledger.State]int{}
	err = replay.Consents(0, ledger.ConsentID(p.Size()), func(c ledger.Consent) { states[c.State]++ })
	if err != nil || p.Size() != 301 || states[ledger.Confirmed] < 30 || states[ledger.Withdrawn] < 30 {
		t.Errorf("%d entries, states %v, %v", p.Size(), states, err)
	}
}
