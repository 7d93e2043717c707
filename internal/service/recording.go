package service

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
)

// slowCommit is how long a commit may take before that is a fault of the disk.
const slowCommit = 10 * time.Second

// Recording is how recording goes, since the ledger was opened.
type Recording struct {
	Groups, Entries uint64 // that were committed
	Failed          uint64 // commits; after one nothing more is recorded
	Slow            uint64 // commits that took more than 10 seconds
	Queue           int    // tasks that wait for a group
	// Stalled is for how long a commit has been going on, if that is more than 10
	// seconds.
	Stalled time.Duration
	// Free is the room on the disk that has the least, Reserve what it needs: below
	// it, not everything is recorded.
	Free, Reserve int64
	Commit        Timing // of groups
}

// Timing is a histogram: how often something took at most so many seconds, by upper
// bounds.
type Timing struct {
	Count   uint64
	Sum     float64
	Buckets map[float64]uint64
}

// commitBounds are the upper bounds of [Recording.Commit], in seconds.
var commitBounds = [...]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// commits counts what the recorder commits.
type commits struct {
	slow  time.Duration
	begun atomic.Int64 // when the commit began that is going on, in Unix nanoseconds; 0 for none

	mu      sync.Mutex // guards what follows
	sum     Recording
	buckets [len(commitBounds)]uint64
}

// time times a commit of so many entries; an empty group is none. A slow one is
// logged while it lasts.
func (c *commits) time(s *Service, entries int, commit func() error) error {
	begun := time.Now()
	c.begun.Store(begun.UnixNano())
	late := time.AfterFunc(c.slow, func() {
		s.logger.Error("a commit is slow: the disk does not answer; callers get their deadlines, and what was acknowledged stays", "since", begun.UTC())
		c.mu.Lock()
		c.sum.Slow++
		c.mu.Unlock()
	})
	err := commit()
	took := time.Since(begun)
	c.begun.Store(0)
	if !late.Stop() {
		s.logger.Warn("the slow commit has ended", "seconds", took.Seconds())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.sum.Failed++
		return err
	}
	c.sum.Groups++
	c.sum.Entries += uint64(entries)
	c.sum.Commit.Count++
	c.sum.Commit.Sum += took.Seconds()
	for i, bound := range commitBounds {
		if took.Seconds() <= bound {
			c.buckets[i]++
		}
	}
	return nil
}

// stalled is for how long a slow commit has been going on; 0 for none.
func (c *commits) stalled() time.Duration {
	if begun := c.begun.Load(); begun != 0 {
		if took := time.Since(time.Unix(0, begun)); took > c.slow {
			return took
		}
	}
	return 0
}

// refuse says that the disk does not answer, or gives nil.
func (c *commits) refuse() error {
	if took := c.stalled(); took > 0 {
		return refusal.Unavailable("a write to disk has been going on for %d seconds; what waits for it is answered when it ends", int(took.Seconds()))
	}
	return nil
}

// Recording tells how recording goes. It is for metrics.
func (s *Service) Recording() Recording {
	c := &s.recorder.commits
	room := s.space.look()
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.sum
	r.Queue, r.Stalled, r.Free, r.Reserve = len(s.recorder.queue), c.stalled(), room.free, room.reserve
	r.Commit.Buckets = make(map[float64]uint64, len(commitBounds))
	for i, bound := range commitBounds {
		r.Commit.Buckets[bound] = c.buckets[i]
	}
	return r
}
