package witness

import (
	"errors"
	"fmt"
	"time"
)

// How far the wall clock may stray before nothing is cosigned any more: a
// cosignature says when, and others rest on it.
const (
	maxJump = 60 * time.Second
	maxIdle = 400 * 24 * time.Hour
)

// firstYear is when the first witness of this kind could have run; a clock that
// says less was never set.
const firstYear = 2026

// clock gives the times of cosignatures: the wall clock, watched by the monotonic
// one, never before the last cosignature. Whoever holds it calls one method at a
// time.
type clock struct {
	wall    func() time.Time
	start   time.Time            // the wall clock at the start
	elapsed func() time.Duration // since then, by the monotonic clock
	last    int64                // of the newest cosignature, POSIX seconds; 0 for none
	// accepted is how far behind that the clock was when an operator accepted it:
	// times repeat the last one until it has caught up.
	accepted time.Duration
	fault    error
}

// clockAdvice says what to do about a clock that is not to be relied on.
const clockAdvice = "; set it right, or start with `ledgerd witness serve --accept-clock` if it is right"

// newClock begins at the wall clock; last is the time of the newest cosignature.
func newClock(wall func() time.Time, last int64, accept bool) (*clock, error) {
	if wall == nil {
		wall = time.Now
	}
	c := &clock{wall: wall, start: wall(), last: last}
	// With a monotonic reading on both sides, Sub compares only those.
	c.elapsed = func() time.Duration { return c.wall().Sub(c.start) }
	ahead := c.start.Sub(time.Unix(last, 0))
	switch {
	case c.start.Year() < firstYear:
		return nil, fmt.Errorf("the clock says %s; set it right", c.start.UTC().Format(time.DateOnly))
	case last == 0:
	case accept:
		c.accepted = max(0, -ahead)
	case ahead > maxIdle:
		return nil, fmt.Errorf("the clock is %d days ahead of the newest cosignature%s", int(ahead.Hours()/24), clockAdvice)
	case -ahead > maxJump:
		return nil, fmt.Errorf("the clock is %v behind the newest cosignature%s", -ahead.Round(time.Second), clockAdvice)
	}
	return c, nil
}

// now gives the time of the next cosignature.
func (c *clock) now() (int64, error) {
	if c.fault != nil {
		return 0, c.fault
	}
	now := c.wall()
	// Round(0) drops the monotonic reading, so that the wall clocks are compared.
	jump := now.Round(0).Sub(c.start.Round(0)) - c.elapsed()
	behind := time.Unix(c.last, 0).Sub(now)
	if jump > maxJump {
		// Its time would stand in cosignatures, and could not be taken back.
		c.fault = fmt.Errorf("nothing is cosigned: the clock jumped %v ahead%s", jump.Round(time.Second), clockAdvice)
		return 0, c.fault
	}
	if c.last != 0 && behind > max(maxJump, c.accepted) {
		return 0, errors.New("nothing is cosigned: the clock is behind the newest cosignature" + clockAdvice)
	}
	return max(c.last, now.Unix()), nil
}

// used notes the time of a cosignature that is on disk.
func (c *clock) used(unixSeconds int64) { c.last = unixSeconds }
