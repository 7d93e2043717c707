// Package witness is a witness for transparency logs (c2sp.org/tlog-witness
// v1.0.0): it remembers the largest checkpoint that it has seen of each log and
// cosigns only what extends it, so that a log cannot show different histories to
// different people without being refused here.
//
// Start with [Open] and [Witness.AddCheckpoint]. It promises that no cosignature
// leaves it before what it says is on disk, that a checkpoint which contradicts
// one that it cosigned is never cosigned, also after a crash at any moment, that
// the times of its cosignatures never go back, and that it does not start, or
// stops, when it can no longer be sure of that.
//
// Limits: the file of what was cosigned must never be set back to an older copy.
// The witness notices that only when it is shown a cosignature of its own that it
// does not remember.
package witness

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// MaxLogs is how many logs a witness takes: what it knows of all of them is one
// file, written anew for each cosignature.
const MaxLogs = 100

// Options says how to open a witness. Dir, Logs and Logger are required.
type Options struct {
	// Dir is the directory that [Create] made.
	Dir string
	// Logs are the logs to witness. One origin may stand twice with the same keys,
	// because several files may name a log; with other keys it is refused.
	Logs []ledger.LogKeys
	// Logger is told what was cosigned and what was refused.
	Logger *slog.Logger
	// AcceptClock says that the clock is right although it is far from the newest
	// cosignature.
	AcceptClock bool

	// testOnlyClock replaces the wall clock.
	testOnlyClock func() time.Time
	// testOnlyStep is called before each of the steps that a cosignature takes on
	// disk, and before it is answered; its error is one of the disk.
	testOnlyStep func(step string) error
}

// Witness is an open witness. Its methods are safe for concurrent use.
type Witness struct {
	dir      string
	cosigner *ledger.Cosigner
	logs     map[string]ledger.LogKeys // by origin; never changed
	logger   *slog.Logger
	lock     *os.File // held while the witness is open
	step     func(string) error

	mu     sync.Mutex
	clock  *clock             // guarded by mu
	latest map[string]*record // guarded by mu: what was cosigned, by origin; as it is on disk
	kept   map[string]int     // guarded by mu: how much evidence there is, by the beginning of its name
	fault  error              // guarded by mu: why nothing is cosigned any more
}

// record is the newest checkpoint of a log that was cosigned. It never changes.
type record struct {
	checkpoint ledger.Checkpoint
	stamp      int64                  // time of the cosignatures, POSIX seconds
	lines      []ledger.SignatureLine // the two cosignatures
	note       []byte                 // the checkpoint with the log's lines and ours
}

// Open opens a witness. It refuses what another process has open, keys that others
// may read, and a record of what was cosigned that is missing or damaged: then the
// witness does not know what it must not contradict.
func Open(opt Options) (w *Witness, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("opening the witness in %s: %w", opt.Dir, err)
		}
	}()
	cosigner, err := readKeys(opt.Dir)
	if err != nil {
		return nil, err
	}
	logs, err := collect(opt.Logs, cosigner.Name())
	if err != nil {
		return nil, err
	}
	w = &Witness{dir: opt.Dir, cosigner: cosigner, logs: logs, logger: opt.Logger, step: opt.testOnlyStep}
	if w.step == nil {
		w.step = func(string) error { return nil }
	}
	if w.lock, err = lockDir(opt.Dir); err != nil {
		return nil, err
	}
	if err := w.load(opt); err != nil {
		return nil, errors.Join(err, w.lock.Close())
	}
	return w, nil
}

// load reads what the witness remembers. Nobody else has it yet.
func (w *Witness) load(opt Options) (err error) {
	if w.latest, err = readState(w.dir, w.cosigner.Keys()); err != nil {
		return err
	}
	var last int64
	for _, r := range w.latest {
		last = max(last, r.stamp)
	}
	if w.clock, err = newClock(opt.testOnlyClock, last, opt.AcceptClock); err != nil {
		return err
	}
	w.kept, err = countEvidence(w.dir)
	return err
}

// collect checks the logs to witness.
func collect(all []ledger.LogKeys, name string) (map[string]ledger.LogKeys, error) {
	logs := make(map[string]ledger.LogKeys)
	for _, l := range all {
		before, twice := logs[l.Origin()]
		if twice && (before.Ed25519.String() != l.Ed25519.String() || before.MLDSA44.String() != l.MLDSA44.String()) {
			return nil, fmt.Errorf("the log %s is given twice, with other keys", l.Origin())
		}
		if l.Origin() == name {
			return nil, fmt.Errorf("the witness has the name of the log %s; make one with a name of its own", name)
		}
		logs[l.Origin()] = l
	}
	if len(logs) == 0 || len(logs) > MaxLogs {
		return nil, fmt.Errorf("%d logs to witness, want 1 to %d", len(logs), MaxLogs)
	}
	return logs, nil
}

// Close lets another process open the witness. No method may run or be called any
// more.
func (w *Witness) Close() error { return w.lock.Close() }

// Name gives the witness's name.
func (w *Witness) Name() string { return w.cosigner.Name() }

// Status says how a log stands.
type Status struct {
	Origin string
	// Size is that of the newest checkpoint that was cosigned.
	Size ledger.Size
	// Cosigned is when; zero for never.
	Cosigned time.Time
}

// Logs gives the logs that are witnessed, by origin.
func (w *Witness) Logs() []Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Status
	for _, origin := range slices.Sorted(maps.Keys(w.logs)) {
		s := Status{Origin: origin}
		if r := w.latest[origin]; r != nil {
			s.Size, s.Cosigned = r.checkpoint.Size, time.Unix(r.stamp, 0).UTC()
		}
		all = append(all, s)
	}
	return all
}

// Checkpoint gives the newest checkpoint that was cosigned of the log with this
// origin's SHA-256, with the log's signatures and ours, or nil.
func (w *Witness) Checkpoint(origin ledger.Hash) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, r := range w.latest {
		if originHash(name) == origin {
			return r.note
		}
	}
	return nil
}

// AddCheckpoint is the add-checkpoint call of c2sp.org/tlog-witness: it gives the
// two cosignature lines over the checkpoint in the body, after they are on disk.
// Its errors are a [*Refusal], or say that the witness has stopped.
func (w *Witness) AddCheckpoint(body []byte) ([]byte, error) {
	req, note, err := ledger.ParseAddCheckpoint(body)
	if err != nil {
		return nil, refuse(Malformed, "", err)
	}
	origin, _, _ := cutLine(note.Text)
	keys, known := w.logs[origin]
	if !known {
		return nil, refuse(UnknownLog, "", errors.New("this witness does not know the log"))
	}
	c, err := ledger.ParseCheckpoint(note.Text)
	if errors.Is(err, ledger.ErrEmptyRoot) {
		return nil, refuse(Inconsistent, origin, err)
	} else if err != nil {
		return nil, refuse(Malformed, origin, err)
	}
	lines, err := keys.Verify(c, note)
	if err != nil {
		return nil, refuse(Untrusted, origin, err)
	}
	if req.Old > c.Size {
		return nil, refuse(Malformed, origin, fmt.Errorf("old size %d is above the checkpoint's, %d", req.Old, c.Size))
	}
	// What only the log signed: lines that strangers added are kept nowhere.
	bare := ledger.SignedNote{Text: note.Text, Lines: lines}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fault != nil {
		return nil, w.fault
	}
	if err := w.checkOwn(c, note); err != nil {
		return nil, err
	}
	r, err := w.judge(req, c, bare)
	if err != nil {
		return nil, err
	}
	var answer bytes.Buffer
	for _, l := range r.lines {
		fmt.Fprintf(&answer, "%s\n", l)
	}
	return answer.Bytes(), nil
}

// judge compares a checkpoint that the log has signed with what was cosigned
// before, and records that it is cosigned now. The caller holds mu, from reading
// to writing.
func (w *Witness) judge(req *ledger.AddCheckpoint, c ledger.Checkpoint, bare ledger.SignedNote) (*record, error) {
	old := ledger.Checkpoint{Origin: c.Origin, Root: new(ledger.Tree).Root()}
	before := w.latest[c.Origin]
	if before != nil {
		old = before.checkpoint
	}
	if c.Size == old.Size && c.Root != old.Root {
		w.keep(forkProven, before, c, bare) // size 0 has one root, so there is one before
	}
	if req.Old != old.Size {
		return nil, &Refusal{Why: Conflict, Origin: c.Origin, Size: old.Size,
			Err: fmt.Errorf("old size is %d, the newest cosigned is %d", req.Old, old.Size)}
	}
	if err := ledger.VerifyConsistency(old.Size, old.Root, c, req.Proof); err != nil {
		if before != nil && c.Size > old.Size {
			w.keep(forkSuspected, before, c, bare)
		}
		return nil, refuse(Inconsistent, c.Origin, err)
	}
	now, err := w.clock.now()
	if err != nil {
		return nil, err
	}
	if before != nil && c == before.checkpoint && now == before.stamp {
		return before, nil // on disk already; a stranger who repeats himself costs no writing
	}
	ours, err := w.cosigner.Cosign(c, now)
	if err != nil {
		return nil, err
	}
	bare.Lines = append(bare.Lines, ours...)
	r := &record{c, now, ours, bare.Bytes()}
	if err := w.persist(r); err != nil {
		// It may be on disk or not; only a start, which reads it, can tell.
		w.fault = fmt.Errorf("the witness has stopped, because the disk failed: %w; start it again when the disk is sound", err)
		return nil, w.fault
	}
	w.clock.used(now)
	w.logger.Info("cosigned", "origin", c.Origin, "size", int64(c.Size))
	return r, nil
}

// persist makes the record the newest one of its log, durably, and only then in
// memory.
func (w *Witness) persist(r *record) error {
	next := maps.Clone(w.latest)
	next[r.checkpoint.Origin] = r
	if err := writeState(w.dir, w.Name(), next, w.step); err != nil {
		return err
	}
	w.latest = next
	return w.step("answer")
}

// checkOwn looks for cosignatures of our own that are not remembered: then the
// record was set back, and nothing may be cosigned any more.
func (w *Witness) checkOwn(c ledger.Checkpoint, note *ledger.SignedNote) error {
	if _, _, err := w.cosigner.Keys().Verify(c, note); err != nil {
		return nil // not ours
	}
	r := w.latest[c.Origin]
	if r != nil && (c.Size < r.checkpoint.Size || c == r.checkpoint) {
		return nil
	}
	w.fault = fmt.Errorf("the witness has stopped: it was shown its own cosignature of %d entries of %s, which it does not remember. %s",
		c.Size, c.Origin, lostAdvice)
	w.logger.Error("the record of what was cosigned was set back", "origin", c.Origin, "size", int64(c.Size))
	return w.fault
}

// lostAdvice says what to do when the record of what was cosigned is not to be
// relied on.
const lostAdvice = "Whoever does not know what they have signed must not sign again. If the newest copy of the file \"" + stateName +
	"\" can be found, put it back; otherwise make a new witness, with another name, by `ledgerd witness init`, and tell the logs and their readers"

// path gives the path of a file of the witness.
func path(dir, name string) string { return filepath.Join(dir, name) }
