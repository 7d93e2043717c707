package service

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
)

// How far the wall clock may stray before recording stops. Every entry's time
// rests on it, so a clock that jumps is a question for the operator.
const (
	maxJump = 60 * time.Second
	maxIdle = 400 * 24 * time.Hour
)

// clock gives entry times: the wall clock, watched by the monotonic one, never
// before the last entry. Its now is the recorder's alone.
type clock struct {
	wall    func() time.Time
	start   time.Time            // the wall clock at the start
	elapsed func() time.Duration // since then, by the monotonic clock
	// accepted is how far behind the last entry the wall clock was when an
	// operator accepted it: times repeat the last one until it has caught up.
	accepted time.Duration
	fault    atomic.Pointer[string]
}

// newClock begins at the wall clock. last is the time of the last entry.
func newClock(wall func() time.Time, last time.Time, accept bool) *clock {
	c := &clock{wall: wall}
	if wall == nil {
		c.wall = time.Now
	}
	c.start = c.wall()
	// With a monotonic reading on both sides, Sub compares only those.
	c.elapsed = func() time.Duration { return c.wall().Sub(c.start) }
	if accept {
		c.accepted = max(0, last.Sub(c.start))
		return c
	}
	if ahead := c.start.Sub(last); ahead > maxIdle {
		c.stop("the clock is %d days ahead of the last entry", int(ahead.Hours()/24))
	} else if -ahead > maxJump {
		c.stop("the clock is %v behind the last entry", -ahead.Round(time.Second))
	}
	return c
}

func (c *clock) stop(format string, args ...any) {
	text := fmt.Sprintf(format, args...) + "; set it right, or start with `ledgerd serve --accept-clock` if it is right"
	c.fault.Store(&text)
}

// stopped gives the refusal while the clock is not to be trusted, or nil.
func (c *clock) stopped() error {
	if text := c.fault.Load(); text != nil {
		return refusal.Unavailable("nothing is recorded: %s", *text)
	}
	return nil
}

// now gives the time of the next entry: at least last, in whole microseconds.
func (c *clock) now(last time.Time) (time.Time, error) {
	if err := c.stopped(); err != nil {
		return time.Time{}, err
	}
	now := c.wall()
	// Round(0) drops the monotonic reading, so that the wall clocks are compared.
	jump := now.Round(0).Sub(c.start.Round(0)) - c.elapsed()
	if jump > maxJump {
		c.stop("the clock jumped %v ahead", jump.Round(time.Second))
	} else if behind := last.Sub(now); behind > max(maxJump, c.accepted) {
		c.stop("the clock is %v behind the last entry", behind.Round(time.Second))
	} else if behind > 0 {
		now = last
	}
	return now.UTC().Truncate(time.Microsecond), c.stopped()
}
