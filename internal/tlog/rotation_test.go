package tlog_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// rotate replaces the keys of a log, with one entry.
func rotate(t testing.TB, s *store.Store, seed string) *ledger.Signer {
	t.Helper()
	next, err := ledger.NewSigner(testledger.Origin, sha256.Sum256([]byte(seed+" 1")), sha256.Sum256([]byte(seed+" 2")))
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.Begin()
	if err == nil {
		_, err = g.Rotate(g.Last(), "admin", next)
	}
	if err == nil {
		err = g.Commit(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func trustKeys(t testing.TB, s *store.Store) []byte {
	t.Helper()
	keys, err := s.Keys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestRotation rotates the keys of a log while it is being cosigned: the policy, which
// names the first pair, goes on, and so does a witness once it has been told.
func TestRotation(t *testing.T) {
	a := newWitness(t, "a.example", nil)
	k := newCollecting(t, 10, policyFor(t, a.lines, "", "a.example"))
	k.cosigned()
	for i := range 2 {
		rotate(t, k.store, fmt.Sprint("pair ", i))
		testledger.Fill(t, k.store, 5)
		k.fails(0, tlog.WhyRefused) // it does not know the new keys
		a.stop()
		a.trust = trustKeys(t, k.store)
		a.restart(nil)
		followed, err := k.opt.Policy.WithKeys(a.trust)
		if err != nil {
			t.Fatal(err)
		}
		k.policy = followed
		if got := k.cosigned(); !slices.Contains(got.Witnesses, "a.example/ed25519") {
			t.Errorf("signed by %q", got.Witnesses)
		}
	}
	// A receipt of a size that retired keys signed is there as long as the cosigned
	// checkpoint is.
	if r, _, err := k.log.Receipt(0, 10); err != nil {
		t.Error(err)
	} else if _, err := ledger.OpenCheckpoint(r.Checkpoint, k.policy); err != nil {
		t.Error(err)
	}
	if _, _, err := k.log.Receipt(0, 9); !errors.Is(err, store.ErrRetired) {
		t.Errorf("of a size that nobody cosigned: %v", err)
	}
	// A start takes the file up, with the policy of the first pair.
	k.stop()
	a.stop()
	k.begin()
	if _, size := k.log.Checkpoint(); size != 22 {
		t.Errorf("after a start a checkpoint of %d entries", size)
	}
}

// TestRetiredKeys: what keys that the log has retired sign stops no log that is at
// work, whoever shows it; what the pair in force signs does.
func TestRetiredKeys(t *testing.T) {
	old := testledger.Signer(t)
	for _, c := range []struct {
		name   string
		size   ledger.Size
		retire bool // signed by the pair that the log retired with entry 10
		stops  bool
	}{
		{"the retired pair, of its time", 7, true, false},
		{"the retired pair, of later", 15, true, false},
		{"the retired pair, ahead", 1000, true, false},
		{"the pair in force", 15, false, true},
		{"the pair in force, ahead", 1000, false, true},
		{"the pair in force, of before", 7, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var next *ledger.Signer // set before the witness turns
			shown := make(chan struct{}, 1)
			w := turning(t, "w.example", answer(422, "text/plain", "no\n")(nil), func(out http.ResponseWriter) {
				signer := next
				if c.retire {
					signer = old
				}
				signed, err := signer.SignCheckpoint(ledger.Checkpoint{Origin: old.Origin(), Size: c.size, Root: ledger.Hash{1}}, 1_790_000_000)
				if err != nil {
					t.Error(err)
				}
				out.Write(signed)
				select {
				case shown <- struct{}{}:
				default:
				}
			})
			s := testledger.New(t)
			testledger.Fill(t, s, 9)
			next = rotate(t, s, "next")
			testledger.Fill(t, s, 9)
			w.stop()
			w.trust = trustKeys(t, s)
			w.restart(w.change)
			var told heard
			k := collect(t, s, policyFor(t, w.lines, "", "w.example"), told.listen)
			w.turn(k)
			<-shown
			if c.stops {
				k.until("it is believed", func() bool { return strings.Contains(told.all(), "proves it") })
				return
			}
			k.fails(0, tlog.WhyInconsistent)
			if fault := k.c.Status().Fault; fault != nil || told.all() != "" {
				t.Errorf("believed: %v; told %q", fault, told.all())
			}
		})
	}
}
