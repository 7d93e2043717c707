package hostile

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestCompare: the comparison sees a shift that the medians hide in noise, and none
// where there is none.
func TestCompare(t *testing.T) {
	const n = 4000
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(shift float64) (list []time.Duration) {
		for range n {
			list = append(list, time.Duration(100_000+20_000*r.ExpFloat64()+shift))
		}
		return list
	}
	for _, c := range []struct {
		shift       float64
		least, most float64 // of Wins
		seen        bool
	}{{0, 0.47, 0.53, false}, {3000, 0.54, 0.65, true}, {-3000, 0.35, 0.46, true}, {1e6, 1, 1, true}} {
		got := compare(draw(c.shift), draw(0))
		if got.Wins < c.least || got.Wins > c.most || (got.Z > 4 || got.Z < -4) != c.seen {
			t.Errorf("a shift of %v ns: %+v", c.shift, got)
		}
	}
	// By hand: of 2·3 pairs {3, 5} against {1, 3, 4} wins 1 + ½ and 3.
	if got := compare([]time.Duration{3, 5}, []time.Duration{1, 3, 4}); got.Wins != 4.5/6 || got.Median != 5 || got.ToMedian != 3 {
		t.Errorf("by hand: %+v", got)
	}
	if got := compare([]time.Duration{7, 7}, []time.Duration{7, 7}); got.Wins != 0.5 || got.Z != 0 {
		t.Errorf("all alike: %+v", got)
	}
}
