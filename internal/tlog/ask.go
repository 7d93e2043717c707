package tlog

import (
	"context"
	"errors"
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
	w.tried = true
	c.tellAsked()
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
			c.hear(w, "it has cosigned another history of this log")
			c.investigate(ctx, w)
			return err
		case !errors.Is(err, errConflict):
			return err
		case size == w.size:
			return failed(WhyBadAnswer, "a conflict with the size that was said")
		}
		if _, have := c.opt.Log.Checkpoint(); size > have {
			c.hear(w, "it has cosigned %d entries of this log, which holds %d", size, have)
			c.investigate(ctx, w)
			return failed(WhyAhead, "it has cosigned %d entries, the log has %d", size, have)
		}
		w.size = size
	}
	return failed(WhyConflict, "its size changes with every request")
}

// maxAway is how far ahead of our clock, and how long before the entries that it is
// about, the time of a cosignature may lie: it is to tell later when they were there.
const maxAway = 5 * time.Minute

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
			switch stamp, err := key.Key.VerifyCosignature(asked.Checkpoint, line); {
			case err != nil:
				bad = failed(WhyBadSignature, "%w", err)
			case stamp > time.Now().Add(maxAway).Unix(), stamp < asked.dated.Add(-maxAway).Unix():
				bad = failed(WhyBadTime, "the cosignature is dated more than %v ahead of this machine's clock, or before the newest entry", maxAway)
			default:
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
	w.agreed = w.agreed || len(good) > 0
	if len(good) < len(w.keys) {
		return failed(WhyIncomplete, "%d of %d keys have signed", len(good), len(w.keys))
	}
	w.size, w.lastSuccess = asked.Size, time.Now()
	return nil
}
