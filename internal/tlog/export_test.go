package tlog

import "time"

// Advance lets a collector look at its log now.
func Advance(c *Collector) { c.advance() }

// Pace lets a stamper be due all the time, and look at its log so often.
func Pace(opt *StamperOptions, every time.Duration) { opt.testOnlyPace = every }

// Due says whether a stamper's authority i is to be asked at a moment.
func Due(s *Stamper, i int, now time.Time) bool { return s.due(s.authorities[i], now) }

// NotFrom is before when a stamper's authority i is not asked, after a failure.
func NotFrom(s *Stamper, i int) time.Time { return s.authorities[i].notFrom }
