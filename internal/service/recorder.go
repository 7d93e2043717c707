package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// maxGroup is how many decisions one commit takes at most.
const maxGroup = 1024

// task is one decision on its way through the recorder.
type task struct {
	ctx    context.Context
	source Source
	// decide runs in the recorder against the committed state overlaid with the
	// group. An error refuses the task, and it leaves no trace. It runs again
	// when its group had no room for what it decided.
	decide func(*turn) error
	// urgent: it is recorded even while the disk is nearly full.
	urgent bool

	parked bool // waits for a change of a person's keys to be carried out
	err    error
	done   chan struct{} // closed when it is answered

	mu      sync.Mutex // held while decide runs; guards decided
	decided bool       // without an error, as part of the group at hand
}

// errUnanswered: the caller left while what was decided was being written.
var errUnanswered = errors.New("whether it was recorded is not known; ask again with the same idempotency key")

// recorder is the one writer. It takes what is waiting as one group: decides
// each task in turn, writes the vault's rows, the entries and the head file, and
// only then answers. There is no timer: while the disk is busy, the next group
// gathers. A task about a person whose keys are being changed is put aside and
// decided again when the change is carried out.
type recorder struct {
	s      *Service
	queue  chan *task
	done   chan struct{} // closed when run has ended
	step   func(string) error
	parked []*task // the recorder's own

	commits commits

	mu     sync.RWMutex // guards closed against sends on queue
	closed bool
	broken atomic.Pointer[string] // set once, after an unclear write
	barred atomic.Pointer[string] // why nothing may be signed; see StopRecording
}

func newRecorder(s *Service, step func(string) error) *recorder {
	if step == nil {
		step = func(string) error { return nil }
	}
	return &recorder{s: s, queue: make(chan *task, 4*maxGroup), done: make(chan struct{}), step: step}
}

// do hands over a task and waits for it.
func (r *recorder) do(ctx context.Context, t *task) error {
	if err := r.submit(ctx, t); err != nil {
		return err
	}
	return t.wait()
}

// submit hands over a task. Tasks are decided in the order in which they came, but for
// those that are put aside.
func (r *recorder) submit(ctx context.Context, t *task) error {
	t.ctx, t.done = ctx, make(chan struct{})
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return refusal.Unavailable("the ledger is shutting down")
	}
	select {
	case r.queue <- t:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wait waits until the group of a task that was handed over is committed, or the
// context ends. Then the task has left no trace, and leaves none; unless it was decided
// already and is being written: that is not stopped, and the error is [errUnanswered].
// In both cases decide does not run any more.
func (t *task) wait() error {
	select {
	case <-t.done:
		return t.err
	case <-t.ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.done:
		return t.err
	default:
	}
	if t.decided {
		return fmt.Errorf("%w: %w", errUnanswered, context.Cause(t.ctx))
	}
	return context.Cause(t.ctx)
}

// wake lets the tasks that were put aside be decided again.
func (r *recorder) wake() {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.closed {
		r.queue <- &task{}
	}
}

// close lets what was accepted finish and ends the recorder.
func (r *recorder) close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.queue)
	}
	r.mu.Unlock()
	<-r.done
}

// fault gives the refusal after an unclear write, or of a log that was set back, or
// nil.
func (r *recorder) fault() error {
	if text := r.broken.Load(); text != nil {
		return refusal.Unavailable("nothing is recorded until the ledger has been restarted: %s", *text)
	}
	if r.barred.Load() != nil {
		return errSetBack
	}
	return nil
}

// stop ends recording for good: the disk may hold the group or not, and only
// opening the ledger anew can tell.
func (r *recorder) stop(err error) error {
	r.s.logger.Error("recording has stopped; restart ledgerd, it finds out what the disk holds", "error", err.Error())
	text := "a write to disk failed"
	r.broken.CompareAndSwap(nil, &text)
	return r.fault()
}

func (r *recorder) run() {
	defer close(r.done)
	var waiting []*task
	taken := 0 // by the group before
	for {
		if len(waiting) == 0 {
			t, ok := <-r.queue
			if !ok {
				r.giveUp()
				return
			}
			waiting = r.accept(waiting, t)
		}
		for open, yielded := true, false; open && len(waiting) < maxGroup; {
			select {
			case t, ok := <-r.queue:
				if open, yielded = ok, false; ok {
					waiting = r.accept(waiting, t)
				}
			default:
				// A commit costs about the same for few as for many. Of those who were
				// answered together the first is back before the others have run.
				if open = taken > 1 && !yielded; open {
					runtime.Gosched()
					yielded = true
				}
			}
		}
		taken = r.group(waiting)
		waiting = append(waiting[:0], waiting[taken:]...)
	}
}

// accept adds a task, or what was put aside when it is the call of wake.
func (r *recorder) accept(waiting []*task, t *task) []*task {
	if t.decide != nil {
		return append(waiting, t)
	}
	waiting = append(waiting, r.parked...)
	r.parked = nil
	return waiting
}

// giveUp answers what is still put aside when the recorder ends.
func (r *recorder) giveUp() {
	for _, t := range r.parked {
		t.err = refusal.Unavailable("the ledger is shutting down")
		close(t.done)
	}
}

// group takes as many of the waiting tasks as fit one commit, and answers them.
func (r *recorder) group(waiting []*task) (taken int) {
	if len(waiting) == 0 {
		return 0
	}
	taken, err := r.commit(waiting)
	for _, t := range waiting[:taken] {
		// After an error there may be no change to wait for.
		if t.parked && err == nil {
			t.parked = false
			r.parked = append(r.parked, t)
			r.s.eraser.wake()
			continue
		}
		if err != nil {
			t.err = err
		}
		close(t.done)
	}
	return taken
}

// commit decides tasks and makes their group durable. On an error every task
// taken gets it: even a refusal may rest on a decision that was not written.
func (r *recorder) commit(waiting []*task) (taken int, err error) {
	g, err := r.begin()
	if err != nil {
		return len(waiting), err
	}
	for _, t := range waiting {
		if taken > 0 && g.full() {
			break
		}
		t.err = g.decide(t)
		if errors.Is(t.err, store.ErrTooBig) || errors.Is(t.err, vault.ErrGroupFull) || errors.Is(t.err, errNextGroup) {
			if !g.empty() {
				break // it is decided again, first in the next group
			}
			t.err = &refusal.Error{Code: refusal.ResourceExhausted, Reason: "the request is too large to be recorded at once"}
		}
		t.parked = errors.Is(t.err, vault.ErrChanging)
		taken++
	}
	return taken, g.commit()
}

// errNextGroup: the decision reads an entry that this group wrote.
var errNextGroup = errors.New("to be decided in the next group")

// group is one commit in the making.
type group struct {
	r     *recorder
	now   time.Time
	room  room
	log   *store.Group
	vault *vault.Batch
}

func (r *recorder) begin() (*group, error) {
	if err := r.fault(); err != nil {
		return nil, err
	}
	room := r.s.space.look()
	if err := room.refuse(true); err != nil {
		return nil, err
	}
	log, err := r.s.log.Begin()
	if err != nil {
		return nil, r.stop(err)
	}
	now, err := r.s.clock.now(log.Last())
	if err != nil {
		log.Discard()
		return nil, err
	}
	if err := r.s.vault.RotateDayKeys(now); err != nil {
		log.Discard()
		return nil, r.stop(err)
	}
	if room.level == everything {
		if err := log.CommitStateIfDue(now); err != nil {
			log.Discard()
			return nil, r.stop(err)
		}
	}
	return &group{r, now, room, log, r.s.vault.Begin()}, nil
}

func (g *group) full() bool { return g.log.Full() || g.vault.Full() }

func (g *group) empty() bool { return g.log.Count() == 0 && g.vault.Empty() }

// decide runs one task's decision; its error leaves the group as it was.
func (g *group) decide(t *task) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.decided = false
	if err := context.Cause(t.ctx); err != nil {
		return err // the caller may have left
	}
	if err := g.room.refuse(t.urgent); err != nil {
		return err
	}
	turn := &turn{s: g.r.s, source: t.source, now: g.now, log: g.log, vault: g.vault.Draft()}
	err := refuse(t.decide(turn))
	t.decided = err == nil
	return err
}

// commit writes the vault's rows, then the log's, and publishes. While the
// vault is being synced the checkpoint is signed.
func (g *group) commit() error {
	if err := g.r.fault(); err != nil {
		g.log.Discard()
		g.vault.Discard()
		return err
	}
	if g.empty() {
		g.log.Discard()
		g.vault.Discard()
		return nil
	}
	return g.r.commits.time(g.r.s, g.log.Count(), g.write)
}

// write writes the group. Any error of it stops recording.
func (g *group) write() error {
	signed := make(chan error, 1)
	go func() { signed <- g.log.Sign() }()
	companion, err := g.commitVault()
	if err = errors.Join(err, <-signed); err != nil {
		g.log.Discard()
		return g.r.stop(err)
	}
	if err := g.log.Commit(companion); err != nil {
		return g.r.stop(err)
	}
	return nil
}

func (g *group) commitVault() (companion []byte, err error) {
	if g.vault.Empty() {
		g.vault.Discard()
		return nil, nil
	}
	if err := g.r.step("before vault"); err != nil {
		g.vault.Discard()
		return nil, err
	}
	base := g.log.Size() - ledger.Size(g.log.Count())
	record, err := g.vault.Commit(base, g.log.Count(), g.log.Head())
	if err != nil {
		return nil, err
	}
	if err := g.r.step("after vault"); err != nil {
		return nil, err
	}
	return json.Marshal(record)
}

// decodeRecord reads the vault's group record as the log repeats it.
func decodeRecord(companion []byte) (vault.GroupRecord, error) {
	var r vault.GroupRecord
	if len(companion) == 0 {
		return r, nil
	}
	if err := json.Unmarshal(companion, &r); err != nil {
		return r, fmt.Errorf("reading the vault's group record: %w", err)
	}
	return r, nil
}

// turn is what one decision sees and what it writes.
type turn struct {
	s      *Service
	source Source
	now    time.Time
	log    *store.Group
	vault  *vault.Draft
}

// entry gives an entry that a decision reads. What the group itself wrote can be
// read in the next one.
func (t *turn) entry(i ledger.Index) (*ledger.Entry, error) {
	if int64(i) >= int64(t.log.Size())-int64(t.log.Count()) {
		return nil, errNextGroup
	}
	text, err := t.log.Entry(i)
	if err != nil {
		return nil, err
	}
	return ledger.ParseEntry(text)
}

// next is the index that the decision's first entry will have. A key's first
// entry is preceded by its declaration.
func (t *turn) next() (ledger.Index, error) {
	declare, err := t.declaration()
	if declare != nil {
		return t.log.Next() + 1, err
	}
	return t.log.Next(), err
}

// declaration gives the entry that declares the source, or nil if it stands.
func (t *turn) declaration() (*ledger.Entry, error) {
	if t.source.Name == ledger.SourceLedger {
		return nil, nil
	}
	known, ok, err := t.log.Source(t.source.Name)
	if err != nil {
		return nil, err
	}
	if ok && known.Role != t.source.Role {
		return nil, refusal.Precondition("source", "a key of this name had another role before; make a key with a new name")
	}
	if ok {
		return nil, nil
	}
	return &ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: t.source.Name, Role: t.source.Role}, nil
}

// write takes the decision's entries and its rows in the vault, all or none. It
// is the last thing that a decision does that can fail.
func (t *turn) write(entries ...*ledger.Entry) ([]store.Recorded, error) {
	for _, e := range entries {
		e.Source = t.source.Name
	}
	return t.keep(func(declare []*ledger.Entry) ([]store.Recorded, error) {
		return t.log.Append(t.now, append(declare, entries...)...)
	})
}

// keep takes the decision's rows in the vault with the entries that record appends
// behind the declaration of the source, if that needs one, all or none. It gives the
// entries without that.
func (t *turn) keep(record func(declare []*ledger.Entry) ([]store.Recorded, error)) ([]store.Recorded, error) {
	first, err := t.declaration()
	if err != nil {
		return nil, err
	}
	var declare []*ledger.Entry
	if first != nil {
		declare = []*ledger.Entry{first}
	}
	if err := t.vault.Fits(); errors.Is(err, vault.ErrTooLarge) {
		return nil, &refusal.Error{Code: refusal.ResourceExhausted, At: "claims", Reason: "the request is too large to be recorded at once; split it"}
	} else if err != nil {
		return nil, err
	}
	recorded, err := record(declare)
	if err != nil {
		return nil, err
	}
	if err := t.vault.Keep(); err != nil {
		// The entries are in the group already: the group must not be committed.
		return nil, t.s.recorder.stop(fmt.Errorf("keeping the vault's rows: %w", err))
	}
	return recorded[len(declare):], nil
}
