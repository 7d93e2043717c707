package tlog

import (
	"fmt"
	"os"
	"time"

	"github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Cosigned is a log as auditors see it whose policy demands witnesses: its newest
// checkpoint is the newest that satisfies the policy. Everything else is the log's
// own, also what is newer than that.
type Cosigned struct {
	*store.Store
	collector *Collector
}

// Over gives the log as its witnesses have cosigned it. The log must be the
// collector's.
func (c *Collector) Over(log *store.Store) *Cosigned { return &Cosigned{log, c} }

// Checkpoint gives the newest checkpoint that satisfies the policy, and its size;
// nil and 0 when there has been none yet. The caller must not change the bytes.
func (l *Cosigned) Checkpoint() ([]byte, ledger.Size) {
	newest := l.collector.newest.Load()
	if newest == nil {
		return nil, 0
	}
	return newest.signed, newest.size
}

// Receipt proves that entry i is in the log of a size, and gives the entry's leaf
// hash. Of the newest sizes that satisfy the policy it has the cosigned checkpoint,
// of others the one that the log alone signs.
func (l *Cosigned) Receipt(i ledger.Index, size ledger.Size) (*ledger.Receipt, ledger.Hash, error) {
	return l.ReceiptWith(i, size, l.collector.at(size))
}

// load takes up the checkpoint that was cosigned last. One that the log's history
// does not have is the proof that the log was set back; one that cannot be read or
// does not satisfy the policy as it is now is none.
func (c *Collector) load() error {
	reason, err := history.CheckFile(c.opt.Log, c.opt.File)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if reason != nil {
		c.setBack(reason, true)
		return nil
	}
	signed, err := os.ReadFile(c.opt.File)
	if err != nil {
		return nil // there is none; else CheckFile could not have read it
	}
	if opened, err := ledger.OpenCheckpoint(signed, c.policy); err == nil {
		c.publish(&cosigned{opened.Size, signed})
		c.saved = c.newest.Load()
	}
	return nil
}

// save writes the newest cosigned checkpoint, whole or not at all. Only one
// goroutine calls it at a time.
func (c *Collector) save() error {
	newest := c.newest.Load()
	if newest == c.saved {
		return nil
	}
	if err := replaceFile(c.opt.File, newest.signed); err != nil {
		return fmt.Errorf("keeping the newest cosigned checkpoint: %w", err)
	}
	c.saved = newest
	return nil
}

// WitnessStatus says how it stands with one witness.
type WitnessStatus struct {
	URL   string
	Names []string // in the policy, one per key
	// Size is what it is known to have cosigned, 0 if it has not told since the start.
	Size ledger.Size
	// LastSuccess is when it last cosigned with all its keys; zero for never since
	// the start.
	LastSuccess time.Time
	// Why is why the last attempt failed, one of the Why constants; "" if it did not.
	Why string
	// Failures counts those since the last success.
	Failures int
}

// Cosigning says how it stands with the witnesses.
type Cosigning struct {
	// Size is that of the newest checkpoint that satisfies the policy, 0 for none.
	Size ledger.Size
	// Fault is why no witness is asked any more, or nil.
	Fault     error
	Witnesses []WitnessStatus // in the order of the policy
}

// Status tells how it stands with the witnesses.
func (c *Collector) Status() Cosigning {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Cosigning{Fault: c.fault}
	if newest := c.newest.Load(); newest != nil {
		s.Size = newest.size
	}
	for _, w := range c.witnesses {
		shown := WitnessStatus{URL: w.url, Size: w.shown, LastSuccess: w.lastSuccess, Why: w.why, Failures: w.failures}
		for _, key := range w.keys {
			shown.Names = append(shown.Names, key.Name)
		}
		s.Witnesses = append(s.Witnesses, shown)
	}
	return s
}
