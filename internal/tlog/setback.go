package tlog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/history"
)

// FirstAnswers waits until every witness has been asked once, whatever came of it,
// or somebody has shown that the log was set back; at most for a time. Who records
// nothing before learns in time what others hold.
func (c *Collector) FirstAnswers(atMost time.Duration) {
	select {
	case <-c.asked:
	case <-time.After(atMost):
	}
}

// tellAsked ends the waiting for first answers when there is nothing to wait for any
// more. The caller holds mu.
func (c *Collector) tellAsked() {
	if c.fault == nil && slices.ContainsFunc(c.witnesses, func(w *askedWitness) bool { return !w.tried }) {
		return
	}
	select {
	case <-c.asked:
	default:
		close(c.asked)
	}
}

// halt stops asking, for ever. The caller holds mu.
func (c *Collector) halt(fault error) {
	if c.fault == nil {
		c.stopAsking(fault)
	}
}

func (c *Collector) stopAsking(fault error) {
	c.fault = fault
	c.opt.Logger.Error("witnesses are asked no more", "error", fault.Error())
	c.tellAsked()
}

// setBack stops asking, because somebody holds more of the log or other entries, and
// tells so. A proof takes the place of a witness's word. The caller holds mu.
func (c *Collector) setBack(reason error, proven bool) {
	if c.fault != nil && (c.proven || !proven) {
		return
	}
	if c.opt.SetBack != nil {
		c.opt.SetBack(reason.Error()) // first: nobody is told to go on before
	}
	c.proven = proven
	c.stopAsking(fmt.Errorf("%w. %s", reason, setBackMeans))
}

// hear takes a witness at its word, as long as it has not agreed with the log since
// the start: a ledger that was set back finds it out by that, before it contradicts
// what the witness holds.
func (c *Collector) hear(w *askedWitness, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.agreed {
		c.setBack(fmt.Errorf("the witness at %s says, without proof so far: "+format, append([]any{w.url}, args...)...), false)
	}
}

// investigate asks a witness for what it holds against the log. The word of a witness
// alone stops nobody who is at work: whoever lies must not be able to keep a log from
// all its witnesses.
func (c *Collector) investigate(ctx context.Context, w *askedWitness) {
	signed, err := c.client.checkpoint(ctx, w.url, c.opt.Policy.Origin())
	if err != nil {
		return
	}
	if err := history.Against(c.opt.Log, signed); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.setBack(fmt.Errorf("the witness at %s proves it: %w", w.url, err), true)
	}
}

// setBackMeans says what to do about a log that others have seen further on.
const setBackMeans = "This ledger was set back to an older copy, or a second copy of it is running. Bring back the newest copy; the checkpoint " +
	"that is held tells how far it must reach"
