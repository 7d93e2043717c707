package vault

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

func day(n int) time.Time { return time.Date(2026, 11, n, 12, 0, 0, 0, time.UTC) }

// idempotencyRows counts the rows of idempotency keys.
func idempotencyRows(t tb, v *Vault) (n int) {
	for key := range dump(t, v) {
		if key[0] == rowShard && key[shardKeySize] == rowIdempotency {
			n++
		}
	}
	return n
}

func recallState(t tb, v *Vault, source, key string) RecallState {
	t.Helper()
	_, state, err := recall(v, source, key)
	check(t, err)
	return state
}

func TestRecallLastsTwoDays(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	check(t, v.RotateDayKeys(day(20)))
	p := addPeople(t, v, 1, 5)[0]
	mark := v.RequestMAC("shop", "5", []byte(p.email))
	check(t, v.RotateDayKeys(day(20).Add(11*time.Hour))) // the same day
	p.verify(t, v)
	check(t, v.RotateDayKeys(day(21).Add(11*time.Hour)))
	check(t, v.Close())

	v = openVault(t, opt)
	p.verify(t, v) // on the next day, and after opening anew
	if v.RequestMAC("shop", "5", []byte(p.email)) != mark {
		t.Error("a retry's mark is another on the next day")
	}
	check(t, v.RotateDayKeys(day(19))) // a clock that goes back
	p.verify(t, v)
	if n := idempotencyRows(t, v); n != 1 {
		t.Errorf("%d idempotency rows, want 1", n)
	}
	check(t, v.RotateDayKeys(day(22)))
	if state := recallState(t, v, "shop", "request-5"); state != NeverSeen {
		t.Errorf("state %v after two days", state)
	}
	if n := idempotencyRows(t, v); n != 0 {
		t.Errorf("%d idempotency rows after two days, want none", n)
	}
	// A key can be used again then.
	b := v.Begin()
	d := b.Draft()
	check(t, d.Remember(v.LedgerSubject(), "shop", "request-5", mark, []ledger.Index{1, 2}, nil))
	check(t, d.Keep())
	must[GroupRecord](t)(b.Commit(6, 1, ledger.Hash{}))
	if state := recallState(t, v, "shop", "request-5"); state != Seen {
		t.Errorf("state %v, want seen", state)
	}
	// Days on which nothing happened are skipped.
	check(t, v.RotateDayKeys(day(28)))
	if state := recallState(t, v, "shop", "request-5"); state != NeverSeen {
		t.Errorf("state %v after a week", state)
	}
}

func TestRecallTellsSourcesAndKeysApart(t *testing.T) {
	v := newVault(t, testOptions(t))
	addPeople(t, v, 1, 5)
	for _, c := range [][2]string{{"shop2", "request-5"}, {"shop", "request-6"}, {"shopr", "equest-5"}, {"", "shop\x00request-5"}} {
		if state := recallState(t, v, c[0], c[1]); state != NeverSeen {
			t.Errorf("%q %q: state %v", c[0], c[1], state)
		}
	}
	marks := make(map[[32]byte]bool)
	for _, c := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "ab", "c"}, {"a", "b", "d"}} {
		marks[v.RequestMAC(c[0], c[1], []byte(c[2]))] = true
	}
	if len(marks) != 5 {
		t.Errorf("5 requests have %d marks", len(marks))
	}
	other := newVault(t, testOptions(t))
	if other.RequestMAC("a", "b", []byte("c")) == v.RequestMAC("a", "b", []byte("c")) {
		t.Error("two vaults give the same mark")
	}
}

// The sweep of old rows is done again if it was interrupted.
func TestSweepIsResumed(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	check(t, v.RotateDayKeys(day(20)))
	addPeople(t, v, 30, 5)
	crash := errors.New("crash")
	v.opt.testOnlyTxnRows = 10
	v.opt.testOnlyStep = func(name string) error {
		if strings.Contains(name, "swept") {
			return crash
		}
		return nil
	}
	if err := v.RotateDayKeys(day(22)); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	if n := idempotencyRows(t, v); n != 20 {
		t.Fatalf("%d rows, want 20", n)
	}
	check(t, v.Close())
	v = openVault(t, opt)
	if state := recallState(t, v, "shop", "request-5"); state != NeverSeen {
		t.Errorf("state %v after two days", state)
	}
	check(t, v.RotateDayKeys(day(23)))
	if n := idempotencyRows(t, v); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
}
