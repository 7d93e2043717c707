package store

import (
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/consentledger/consentledger/ledger"
)

// warmFrom is the size from which on a log that is opened has its state tree read in
// the background. The consents of a smaller one are read in the time of a few commits.
var warmFrom ledger.Size = 1 << 14

// warming reads all consents of a log that was opened, beside everything else, so that
// neither the first state.committed nor the first proof has to: a million of them take
// seconds.
type warming struct {
	closing atomic.Bool
	done    chan struct{}

	// The reader's until done is closed, then the writer's.
	state ledger.StateTree
	err   error

	changed map[ledger.ConsentID]ledger.Consent // the writer's: since the snapshot that is read

	testOnly func(ledger.ConsentID) // if set, called for each consent that is read
}

var errClosing = errors.New("the log is being closed")

var testOnlyWarming func(ledger.ConsentID)

// warm begins to read the consents of the published log. Who asks for a proof before
// they are read waits.
func (s *Store) warm() {
	p := s.published.Load()
	if p.Size() < warmFrom {
		return
	}
	p = s.Snapshot()
	w := &warming{done: make(chan struct{}), changed: map[ledger.ConsentID]ledger.Consent{}, testOnly: testOnlyWarming}
	s.warming = w
	if p.state != nil {
		p.state.mu.Lock()
	}
	go func() {
		defer close(w.done)
		defer p.Release()
		if p.state != nil {
			defer p.state.mu.Unlock()
		}
		w.err = p.warm(w)
	}()
}

// warm makes the tree of the newest state.committed, or of the whole snapshot if there
// is none, and notes in it what has changed since.
func (p *Snapshot) warm(w *warming) (err error) {
	var since []ledger.ConsentID
	watch := func(id ledger.ConsentID, changed bool) error {
		if w.closing.Load() {
			return errClosing
		}
		if changed {
			since = append(since, id)
		}
		if w.testOnly != nil {
			w.testOnly(id)
		}
		return nil
	}
	if p.state != nil {
		p.state.tree, err = p.readCommitted(&w.state, watch)
	} else if err = p.readState(p.Size(), watch, func(consents ledger.Consents) error {
		_, err := w.state.Root(p.Size(), consents)
		return err
	}); err != nil {
		err = fmt.Errorf("computing the state tree: %w", err)
	}
	for _, id := range since {
		w.state.Touch(id)
	}
	return err
}

// isOpen reports whether the consents are still being read.
func (w *warming) isOpen() bool {
	if w == nil {
		return false
	}
	select {
	case <-w.done:
		return false
	default:
		return true
	}
}

// warmed waits until the consents have been read, and takes the tree over. If they
// could not be, or are not what was committed, no tree is made of them until the log
// has been opened anew.
func (s *Store) warmed() error {
	w := s.warming
	if w == nil {
		return nil
	}
	if <-w.done; w.err != nil {
		return w.err
	}
	s.state, s.warming = w.state, nil
	s.touch(w.changed)
	return nil
}

// touch notes in the store's tree which consents have changed.
func (s *Store) touch(consents map[ledger.ConsentID]ledger.Consent) {
	if s.warming.isOpen() {
		maps.Copy(s.warming.changed, consents)
		return
	}
	if s.warmed() != nil {
		return // no tree is made any more
	}
	for id := range consents {
		s.state.Touch(id)
	}
}

// close ends the reading.
func (w *warming) close() {
	if w != nil {
		w.closing.Store(true)
		<-w.done
	}
}
