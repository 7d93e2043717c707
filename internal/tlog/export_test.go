package tlog

// Advance lets a collector look at its log now.
func Advance(c *Collector) { c.advance() }
