package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// TestBounding: the stamps that are found bound every entry as all stamps of the log do,
// those of each authority for itself, and none is there without need.
func TestBounding(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, testledger.Prelude)
	// Tokens say who made them, in the order of time. One is nobody's, one comes once.
	var all []*ledger.Entry
	for i, by := range strings.Fields("one one two nobody one two one one two two once one two") {
		testledger.Fill(t, s, 3+2*(i%2))
		all = append(all, anchor(t, s, fmt.Sprintf("%s %d", by, i)))
	}
	testledger.Fill(t, s, 5)
	stamps := func(token []byte, imprint ledger.Hash) (ledger.Stamp, error) {
		var by string
		var n int
		if _, err := fmt.Sscan(string(token), &by, &n); err != nil || all[n].Checkpoint != imprint {
			t.Errorf("token %q is asked about %v (%v)", token, imprint, err)
		}
		if by == "nobody" {
			return ledger.Stamp{}, fmt.Errorf("not read: %w", ledger.ErrNotCounted)
		}
		return ledger.Stamp{Time: testledger.Began.Add(time.Duration(n) * time.Hour), Authority: by, Accuracy: time.Second, Qualified: by == "two"}, nil
	}
	p := s.Snapshot()
	defer p.Release()
	counted := map[string][]ledger.Anchored{}
	for _, e := range all {
		token, err := p.Anchor(e.Stamp)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := stamps(token, e.Checkpoint); err == nil {
			counted[st.Authority] = append(counted[st.Authority], ledger.Anchored{Index: e.Index, Size: e.Size, Time: st.Time, Accuracy: 1,
				Authority: st.Authority, Qualified: st.Qualified})
		}
	}
	interval := func(list []ledger.Anchored, i ledger.Index, size ledger.Size) ledger.Interval {
		return (&ledger.LogReport{Stamps: slices.DeleteFunc(slices.Clone(list), func(a ledger.Anchored) bool { return ledger.Size(a.Index) >= size })}).Interval(i)
	}
	for _, size := range []ledger.Size{1, ledger.Size(all[4].Index), ledger.Size(all[4].Index) + 1, p.Size()} {
		for i := range ledger.Index(size) {
			got, err := p.Bounding(size, []ledger.Index{i}, stamps)
			if err != nil {
				t.Fatal(err)
			}
			var anchored []ledger.Anchored
			for _, g := range got {
				e := all[slices.IndexFunc(all, func(e *ledger.Entry) bool { return e.Index == g.Index })]
				if ledger.TextHash(g.Note) != e.Checkpoint || ledger.TextHash(g.Token) != e.Stamp {
					t.Errorf("entry %d comes with other bytes", g.Index)
				}
				anchored = append(anchored, g.Anchored)
			}
			needed := map[ledger.Index]bool{}
			for by, list := range counted {
				want := interval(list, i, size)
				of := slices.DeleteFunc(slices.Clone(anchored), func(a ledger.Anchored) bool { return a.Authority != by })
				if got := interval(of, i, size); !reflect.DeepEqual(got, want) {
					t.Errorf("of %d entries %s bounds entry %d by %+v, want %+v", size, by, i, got, want)
				}
				for _, a := range []*ledger.Anchored{want.NotInLogAt, want.InLogAt} {
					if a != nil {
						needed[a.Index] = true
					}
				}
			}
			if len(needed) != len(got) || !slices.IsSortedFunc(got, func(a, b store.BoundingStamp) int { return int(a.Index - b.Index) }) {
				t.Errorf("of %d entries entry %d is bounded by %+v, %d are needed", size, i, anchored, len(needed))
			}
		}
	}
	some := []ledger.Index{3, all[5].Index}
	one, err1 := p.Bounding(p.Size(), some[:1], stamps)
	two, err2 := p.Bounding(p.Size(), some[1:], stamps)
	both, err := p.Bounding(p.Size(), some, stamps)
	if err = errors.Join(err, err1, err2); err != nil || len(both) >= len(one)+len(two)+1 || len(both) <= max(len(one), len(two)) {
		t.Errorf("%d stamps bound one entry, %d another, %d both (%v)", len(one), len(two), len(both), err)
	}
	broken := errors.New("broken")
	if _, err := p.Bounding(p.Size(), some, func([]byte, ledger.Hash) (ledger.Stamp, error) { return ledger.Stamp{}, broken }); !errors.Is(err, broken) {
		t.Errorf("an error that says more than that a token does not count gives %v", err)
	}
	if !bytes.Equal(both[0].Note[:len(testledger.Origin)], []byte(testledger.Origin)) {
		t.Errorf("a note begins %q", both[0].Note[:20])
	}
}
