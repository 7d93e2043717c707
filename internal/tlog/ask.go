package tlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// ask is the life of one witness's goroutine.
func (c *Collector) ask(ctx context.Context, w *askedWitness) {
	for {
		next := c.take(w)
		if next == nil {
			select {
			case <-ctx.Done():
				return
			case <-w.wake:
				continue
			}
		}
		err := c.submit(ctx, w, next)
		if ctx.Err() != nil {
			return
		}
		pause := c.note(w, next, err)
		if pause == 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// take gives the candidate that a witness is to be asked for now, or nil.
func (c *Collector) take(w *askedWitness) *candidate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault != nil || c.current == nil || w.done == c.current {
		return nil
	}
	w.busy = c.current
	return w.busy
}

// note takes down how an attempt ended, and gives the pause before the next.
func (c *Collector) note(w *askedWitness, asked *candidate, err error) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	why := whyOf(err)
	if why != w.why {
		if why == "" {
			c.opt.Logger.Info("a witness cosigns again", "url", w.url)
		} else {
			c.opt.Logger.Warn("a witness does not cosign", "url", w.url, "why", why)
		}
	}
	w.busy, w.why, w.shown = nil, why, w.size
	if err == nil {
		w.done, w.failures = asked, 0
		return 0
	}
	w.failures++
	pause := c.opt.RetryMin << min(w.failures-1, 16)
	return min(pause, c.opt.RetryMax)
}

// submit brings a candidate to a witness. It is nil when the witness has cosigned
// it, or has cosigned a newer one of this log before, so that nothing is to be had.
func (c *Collector) submit(ctx context.Context, w *askedWitness, next *candidate) error {
	// The first answer may tell the size; it may change once more when somebody
	// else brings checkpoints, too.
	for range 3 {
		if w.size > next.Size {
			return nil
		}
		var proof []ledger.Hash
		if w.size > 0 && w.size < next.Size {
			var err error
			if proof, err = c.opt.Log.ConsistencyProof(w.size, next.Size); err != nil {
				return err
			}
		}
		request := ledger.AddCheckpoint{Old: w.size, Proof: proof, Checkpoint: next.signed}.Text()
		answer, size, err := c.client.add(ctx, w.url, request)
		switch {
		case err == nil:
			return c.accept(w, next, answer)
		case whyOf(err) == WhyInconsistent:
			c.investigate(ctx, w)
			return err
		case !errors.Is(err, errConflict):
			return err
		case size == w.size:
			return failed(WhyBadAnswer, "a conflict with the size that was said")
		}
		if _, have := c.opt.Log.Checkpoint(); size > have {
			c.investigate(ctx, w)
			return failed(WhyAhead, "it has cosigned %d entries, the log has %d", size, have)
		}
		w.size = size
	}
	return failed(WhyConflict, "its size changes with every request")
}

// accept verifies what a witness has answered: each line by one of its keys counts
// if it verifies; lines by other keys say nothing, and are dropped.
func (c *Collector) accept(w *askedWitness, asked *candidate, answer []byte) error {
	n, err := ledger.ParseSignedNote(append([]byte(asked.Text()+"\n"), answer...))
	if err != nil || n.Text != asked.Text() {
		return failed(WhyBadAnswer, "the answer is not signature lines")
	}
	good := map[string]ledger.SignatureLine{}
	var bad error
	for _, key := range w.keys {
		for _, line := range n.Lines {
			if line.Name != key.Key.Name || line.KeyID != key.Key.ID() {
				continue
			}
			if _, err := key.Key.VerifyCosignature(asked.Checkpoint, line); err != nil {
				bad = failed(WhyBadSignature, "%w", err)
			} else {
				good[key.Name] = line
			}
		}
	}
	if bad != nil {
		return bad // whoever signs falsely once is not believed in the same breath
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, line := range good {
		asked.lines[name] = line
	}
	c.count(asked)
	if len(good) < len(w.keys) {
		return failed(WhyIncomplete, "%d of %d keys have signed", len(good), len(w.keys))
	}
	w.size, w.lastSuccess = asked.Size, time.Now()
	return nil
}

// investigate asks a witness for what it holds against the log, and stops all
// asking if that proves it. The word of a witness alone stops nobody but itself:
// whoever lies must not be able to keep a log from all its witnesses.
func (c *Collector) investigate(ctx context.Context, w *askedWitness) {
	signed, err := c.client.checkpoint(ctx, w.url, c.opt.Policy.Origin())
	if err != nil {
		return
	}
	if err := c.contradicted(signed); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.halt(fmt.Errorf("the witness at %s proves it: %w", w.url, err))
	}
}

// contradicted says whether a checkpoint that both of the log's keys have signed is
// not in the log's history. It is nil for anything else.
func (c *Collector) contradicted(signed []byte) error {
	held, err := newCandidate(signed)
	if err != nil {
		return nil
	}
	n, err := ledger.ParseSignedNote(signed)
	if err != nil {
		return nil
	}
	keys := ledger.LogKeys(c.opt.Policy.Keys())
	if _, err := keys.Verify(held.Checkpoint, n); err != nil || held.Origin != keys.Origin() {
		return nil
	}
	own, size := c.opt.Log.Checkpoint()
	if held.Size > size {
		return fmt.Errorf("the log has signed %d entries and holds %d. %s", held.Size, size, setBack)
	}
	now, err := newCandidate(own)
	if err != nil {
		return nil
	}
	var proof []ledger.Hash
	if held.Size > 0 && held.Size < size {
		if proof, err = c.opt.Log.ConsistencyProof(held.Size, size); err != nil {
			return nil
		}
	}
	if err := ledger.VerifyConsistency(held.Size, held.Root, now.Checkpoint, proof); err != nil {
		return fmt.Errorf("the log has signed two histories of %d entries. %s", held.Size, setBack)
	}
	return nil
}

// setBack says what to do about a log that witnesses have seen further on.
const setBack = "This ledger was set back to an older copy, or a second copy of it is running. Stop it: what it records from here on " +
	"contradicts what others hold. Bring back the newest copy; the checkpoint that the witness holds tells how far it must reach"
