package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// refersPerEntry is how many `refers` lines an evidence.shredded may have.
const refersPerEntry = 256

// eraser carries out what decisions planned about people's keys: it runs beside
// the recorder, so that others record while keys are shredded. Whoever waits
// while a pass runs shares the next one. After an error the people stay fenced,
// never readable, nothing more is recorded, and the next start finishes.
type eraser struct {
	s      *Service
	window time.Duration // how long a pass waits for others to join it
	ending chan struct{} // closed by close
	done   chan struct{} // closed when run has ended
	signal chan struct{} // holds one when there may be something to do

	mu      sync.Mutex
	waiting []chan error // each takes one
	closed  bool
}

func newEraser(s *Service, window time.Duration) *eraser {
	return &eraser{s: s, window: window, ending: make(chan struct{}), done: make(chan struct{}), signal: make(chan struct{}, 1)}
}

// wait returns when everything that is planned is carried out and recorded. That
// goes on when ctx ends before.
func (e *eraser) wait(ctx context.Context) error {
	done := make(chan error, 1)
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return refusal.Unavailable("the ledger is shutting down; what was recorded is carried out at the next start")
	}
	e.waiting = append(e.waiting, done)
	e.mu.Unlock()
	e.wake()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *eraser) wake() {
	select {
	case e.signal <- struct{}{}:
	default:
	}
}

// close finishes what is waited for and ends the eraser.
func (e *eraser) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	close(e.ending)
	e.wake()
	<-e.done
}

func (e *eraser) run() {
	defer close(e.done)
	for range e.signal {
		select {
		case <-time.After(e.window):
		case <-e.ending:
		}
		e.mu.Lock()
		waiting, closed := e.waiting, e.closed
		e.waiting = nil
		e.mu.Unlock()
		if len(waiting) > 0 || e.s.vault.Planned() > 0 && e.s.fault(true) == nil {
			err := e.pass()
			for _, done := range waiting {
				done <- err
			}
		} else {
			e.s.recorder.wake() // who was put aside learns of a fault
		}
		if closed {
			return
		}
	}
}

// pass carries out all that is planned and records that keys are shredded.
func (e *eraser) pass() error {
	r := e.s.recorder
	// What a group planned may be carried out once the log has published it. What
	// is recorded by now is planned by now.
	snap := e.s.log.Snapshot()
	pending, _, err := snap.PendingErasures()
	published, companionErr := decodeRecord(snap.Companion())
	snap.Release()
	if err := e.s.space.look().refuse(true); err != nil {
		r.wake()
		return err // the people stay fenced until there is room
	}
	if err = cmp.Or(err, companionErr); err == nil {
		err = r.step("before shred")
	}
	var shredded vault.Shredded
	if err == nil {
		shredded, err = e.s.vault.CarryOut(published.Seq)
	}
	if err != nil {
		err = r.stop(fmt.Errorf("shredding keys: %w", err))
	}
	r.wake()
	if err != nil || len(pending) == 0 {
		return err
	}
	return e.record(pending, shredded)
}

// record writes evidence.shredded about erasures whose keys are gone.
func (e *eraser) record(refers []ledger.Index, shredded vault.Shredded) error {
	return e.write(refers, func(now time.Time) ledger.Entry {
		return ledger.Entry{Kind: ledger.EvidenceShredded, Generation: int64(shredded.Generation), Medium: shredded.Medium,
			Contents: now, ExistenceDue: now.Add(e.s.indexLag)}
	})
}

// write records something about erasures, in as many entries as they need. now
// is the entries' own time in whole seconds: what they tell of has happened by
// then, and the ledger's dates are all by one clock.
func (e *eraser) write(refers []ledger.Index, entry func(now time.Time) ledger.Entry) error {
	return e.s.doUrgent(context.Background(), Source{Name: ledger.SourceLedger}, func(t *turn) error {
		var entries []*ledger.Entry
		for chunk := range slices.Chunk(refers, refersPerEntry) {
			one := entry(t.now.Truncate(time.Second))
			one.Refers = chunk
			entries = append(entries, &one)
		}
		_, err := t.write(entries...)
		return err
	})
}

// finish carries out, at a start, what a crash interrupted. While the clock is
// not to be trusted the keys are destroyed all the same; that they are is
// recorded by a later start. In a ledger that was set back nothing is destroyed.
func (e *eraser) finish() error {
	if e.s.recorder.fault() != nil {
		return nil
	}
	snap := e.s.log.Snapshot()
	pending, _, err := snap.PendingErasures()
	snap.Release()
	if err != nil || len(pending) == 0 && e.s.vault.Planned() == 0 {
		return err
	}
	e.s.logger.Info("finishing an erasure that was interrupted", "entries", len(pending))
	if err = e.pass(); err != nil && e.s.Fault() != nil && e.s.recorder.broken.Load() == nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finishing an erasure that was interrupted: %w", err)
	}
	return nil
}
