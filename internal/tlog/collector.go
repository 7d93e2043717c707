package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/ledger"
)

// History is what a [Collector] needs of a log; *[store.Store] has it.
type History interface {
	history.Log
	// ConsistencyProof proves that the log of size old begins that of size.
	ConsistencyProof(old, size ledger.Size) ([]ledger.Hash, error)
}

// Limits of collecting.
const (
	// MaxWitnessKeys is how many keys of witnesses a checkpoint has room for, by
	// [ledger.MaxNoteSize].
	MaxWitnessKeys = 16
	// MinPublishInterval and MaxPublishInterval bound the interval.
	MinPublishInterval = 50 * time.Millisecond
	MaxPublishInterval = time.Hour
)

// CollectorOptions say who cosigns. Log, Policy, File and Logger are required.
type CollectorOptions struct {
	Log    History
	Policy *ledger.Policy // with the URLs of witnesses
	// File keeps the newest cosigned checkpoint over a restart.
	File string
	// Interval is the time between two checkpoints that are brought to the
	// witnesses. Default 1 s.
	Interval time.Duration
	// Timeout is how long a witness may take for an answer. Default 10 s.
	Timeout time.Duration
	// RetryMin and RetryMax bound the pause after a failure, which doubles from one
	// to the next. Defaults 1 s and 1 min.
	RetryMin, RetryMax time.Duration
	// SetBack, if not nil, is told when somebody holds more of the log than it does, or
	// other entries: see [Collector]. It may be told more than once, and must not call
	// the collector.
	SetBack func(reason string)
	Logger  *slog.Logger
}

// Collector brings the log's checkpoints to the witnesses of a policy
// (c2sp.org/tlog-witness v1.0.0) and knows the newest one that satisfies it.
//
// All witnesses are asked for the same checkpoint, each by a goroutine of its own,
// until the quorum is reached; then, or when nobody is at work on it any more, the
// newest one takes its place. So two slow witnesses still meet in one checkpoint,
// and one that the quorum can do without delays nobody. Nothing waits for a
// collector, least of all the log.
//
// A witness's size is not kept over a restart: the first request says 0, and the
// answer tells. When a witness shows a checkpoint with both of the log's signatures
// that is not in the log's history, the log was set back or there are two of it:
// then SetBack is told, and no witness is asked any more until the next start. Of a
// witness that has not cosigned anything since the start the bare word is enough: that
// it holds more, or another history. Who has agreed once must prove it, because one
// that lies must not be able to stop a log that is at work.
//
// Its methods are safe for concurrent use.
type Collector struct {
	opt       CollectorOptions
	client    *witnessClient
	witnesses []*askedWitness
	stop      context.CancelFunc
	running   sync.WaitGroup
	asked     chan struct{} // closed when nobody's first answer is waited for; under mu

	newest atomic.Pointer[cosigned] // nil for none yet

	mu      sync.Mutex
	policy  *ledger.Policy // guarded by mu: as the log's key entries make it
	keys    []byte         // guarded by mu: those key entries
	current *candidate     // guarded by mu: what is being cosigned; nil before the first look at the log
	recent  []*cosigned    // guarded by mu: the newest ones, oldest first
	fault   error          // guarded by mu: why no witness is asked any more
	proven  bool           // guarded by mu: the fault is a proof, not a witness's word

	saved *cosigned // what the file holds; the goroutine of run has it
}

// cosigned is a checkpoint that satisfies the policy. It never changes.
type cosigned struct {
	size   ledger.Size
	signed []byte
}

// recentKept is how many cosigned checkpoints are remembered, for readers who ask
// for the size that they were told a moment ago.
const recentKept = 16

// candidate is a checkpoint that witnesses are asked for. Its lines are guarded by
// the collector's mu.
type candidate struct {
	ledger.Checkpoint
	signed []byte                          // by the log
	dated  time.Time                       // when the log says that it signed: the time of its last entry
	lines  map[string]ledger.SignatureLine // verified, by the witness's name in the policy
	enough bool                            // the policy is satisfied
}

// askedWitness is whoever answers at one URL: one or two of the policy's witnesses.
type askedWitness struct {
	url  string
	keys []ledger.PolicyWitness
	wake chan struct{} // one place: there is something new

	size ledger.Size // what it cosigned last; its goroutine has it

	// Guarded by the collector's mu.
	busy, done  *candidate // asked for now; the newest that needs no further request
	tried       bool       // an attempt has ended
	agreed      bool       // it has cosigned since the start
	shown       ledger.Size
	lastSuccess time.Time
	why         string
	failures    int
}

// StartCollector checks the options, takes up the checkpoint that was cosigned
// last and begins to ask. Close ends it.
func StartCollector(opt CollectorOptions) (*Collector, error) {
	if opt.Interval == 0 {
		opt.Interval = time.Second
	}
	if opt.Timeout == 0 {
		opt.Timeout = 10 * time.Second
	}
	if opt.RetryMin == 0 {
		opt.RetryMin = time.Second
	}
	if opt.RetryMax == 0 {
		opt.RetryMax = time.Minute
	}
	if opt.Interval < MinPublishInterval || opt.Interval > MaxPublishInterval {
		return nil, fmt.Errorf("witnesses: the publish interval must be %v to %v", MinPublishInterval, MaxPublishInterval)
	}
	c := &Collector{opt: opt, client: newWitnessClient(opt.Timeout), asked: make(chan struct{})}
	if err := c.plan(); err != nil {
		return nil, fmt.Errorf("witnesses: %w", err)
	}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("witnesses: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.advance()
	c.running.Go(func() { c.run(ctx) })
	for _, w := range c.witnesses {
		c.running.Go(func() { c.ask(ctx, w) })
	}
	return c, nil
}

// plan finds out whom to ask, and refuses a policy that is not this log's or whose
// quorum nobody could reach.
func (c *Collector) plan() error {
	signed, _ := c.opt.Log.Checkpoint()
	if err := c.follow(); err != nil {
		return fmt.Errorf("the policy is not one of this log: %w", err)
	}
	if _, err := ledger.OpenCheckpoint(signed, c.policy); err != nil && !errors.Is(err, ledger.ErrPolicy) {
		return fmt.Errorf("the policy is not one of this log: %w", err)
	}
	var names []string
	for _, key := range c.opt.Policy.Witnesses() {
		if key.URL == "" {
			continue
		}
		prefix, err := checkWitnessURL(key.URL)
		if err != nil {
			return fmt.Errorf("the witness %q of the policy: %w", key.Name, err)
		}
		names = append(names, key.Name)
		i := slices.IndexFunc(c.witnesses, func(w *askedWitness) bool { return w.url == prefix })
		if i < 0 {
			i = len(c.witnesses)
			c.witnesses = append(c.witnesses, &askedWitness{url: prefix, wake: make(chan struct{}, 1)})
		}
		c.witnesses[i].keys = append(c.witnesses[i].keys, key)
	}
	switch missing := c.opt.Policy.Missing(names); {
	case len(names) == 0:
		return errors.New("the policy has no witness with a URL")
	case len(names) > MaxWitnessKeys:
		return fmt.Errorf("the policy has %d keys of witnesses with a URL; a checkpoint has room for %d", len(names), MaxWitnessKeys)
	case len(missing) > 0:
		return fmt.Errorf("the policy's quorum cannot be reached: %q have no URL", missing)
	}
	return nil
}

// Close ends all requests and keeps the newest cosigned checkpoint. The log must
// be open until then.
func (c *Collector) Close() error {
	c.stop()
	c.running.Wait()
	c.client.http.CloseIdleConnections()
	return c.save()
}

// run looks at the log once per interval.
func (c *Collector) run(ctx context.Context) {
	tick := time.NewTicker(c.opt.Interval)
	defer tick.Stop()
	troubled := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.advance()
		err := c.save()
		if err != nil && !troubled {
			c.opt.Logger.Error("the newest cosigned checkpoint is not kept", "error", err.Error())
		}
		troubled = err != nil
	}
}

// advance puts the newest checkpoint before the witnesses, if the one that they
// have needs them no more.
func (c *Collector) advance() {
	signed, size := c.opt.Log.Checkpoint()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault != nil || c.current != nil && (c.current.Size == size || c.awaited()) {
		return
	}
	if err := c.follow(); err != nil {
		c.halt(fmt.Errorf("the log's key entries do not fit the policy any more: %w", err))
		return
	}
	next, err := newCandidate(signed, c.policy)
	if err != nil {
		c.halt(fmt.Errorf("the log's own checkpoint cannot be read: %w", err))
		return
	}
	c.current = next
	c.count(next) // the log's own signatures may be enough
	for _, w := range c.witnesses {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// follow makes the policy what the log's key entries make it, if there is a new one.
// The caller holds mu, or is alone, and has read the checkpoint before.
func (c *Collector) follow() error {
	keys, err := c.opt.Log.Keys()
	if err != nil || bytes.Equal(keys, c.keys) {
		return err
	}
	policy, err := c.opt.Policy.WithKeys(keys)
	if err == nil {
		c.policy, c.keys = policy, keys
	}
	return err
}

func newCandidate(signed []byte, p *ledger.Policy) (*candidate, error) {
	n, err := ledger.ParseSignedNote(signed)
	if err != nil {
		return nil, err
	}
	checkpoint, err := ledger.ParseCheckpoint(n.Text)
	if err != nil {
		return nil, err
	}
	return &candidate{Checkpoint: checkpoint, signed: signed, lines: map[string]ledger.SignatureLine{},
		dated: n.SignedAt(p.KeysAt(checkpoint.Size))}, nil
}

// awaited says that the quorum still waits for somebody who is at work on the
// current candidate. The caller holds mu.
func (c *Collector) awaited() bool {
	return !c.current.enough && slices.ContainsFunc(c.witnesses, func(w *askedWitness) bool { return w.busy == c.current })
}

// count publishes a candidate if its lines satisfy the policy. The caller holds mu.
func (c *Collector) count(of *candidate) {
	note := slices.Clone(of.signed)
	for _, w := range c.opt.Policy.Witnesses() {
		if line, ok := of.lines[w.Name]; ok {
			note = append(note, line.String()+"\n"...)
		}
	}
	switch _, err := ledger.OpenCheckpoint(note, c.policy); {
	case errors.Is(err, ledger.ErrPolicy):
		return
	case err != nil:
		// The log's keys are no longer those of the policy; each line was verified.
		c.halt(fmt.Errorf("the log's checkpoint does not fit the policy any more: %w", err))
		return
	}
	of.enough = true
	c.publish(&cosigned{of.Size, note})
}

// publish makes a checkpoint the newest, unless there is a larger one. The caller
// holds mu.
func (c *Collector) publish(next *cosigned) {
	if last := c.newest.Load(); last != nil && last.size > next.size {
		return
	}
	c.newest.Store(next)
	c.recent = slices.DeleteFunc(c.recent, func(old *cosigned) bool { return old.size == next.size })
	c.recent = append(c.recent, next)
	if len(c.recent) > recentKept {
		c.recent = slices.Delete(c.recent, 0, 1)
	}
}

// at gives the cosigned checkpoint of a size, or nil.
func (c *Collector) at(size ledger.Size) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.recent {
		if known.size == size {
			return known.signed
		}
	}
	return nil
}
