package tlog_test

import (
	"context"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
)

// TestToken: one of the authorities is enough for a token, nobody waits for the others,
// and nothing of it is recorded. Without one there is none, in time.
func TestToken(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	hangs := testauthority.New(t, testauthority.Options{Between: hanging(ctx, make(chan struct{}, 1))})
	lies := testauthority.New(t, testauthority.Options{Unknown: true})
	good := testauthority.New(t, testauthority.Options{})
	by := authority(good, "good", false)
	imprint := ledger.TextHash([]byte("a manifest"))
	k := newStamping(t, []tlog.Authority{authority(hangs, "hangs", false), authority(lies, "lies", false), by})
	before := k.size()
	der := k.s.Token(t.Context(), imprint)
	token, err := timestamp.ParseToken(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := timestamp.Verify(token, imprint, by.Authority, nil); err != nil {
		t.Error(err)
	}
	if s := k.s.Status(); k.size() != before || s[0].Failures+s[1].Failures != 0 || s[2].Size != 0 {
		t.Errorf("%d entries more, status %+v", k.size()-before, s)
	}

	good.Stop()
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if der := k.s.Token(short, imprint); der != nil {
		t.Errorf("%d bytes by nobody", len(der))
	}
	if err := k.s.Close(); err != nil {
		t.Fatal(err)
	}
	if der := k.s.Token(t.Context(), imprint); der != nil {
		t.Errorf("%d bytes from a stamper that is closed", len(der))
	}
}
