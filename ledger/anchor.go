package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Stamp is what a time-stamp token (RFC 3161) says that was verified elsewhere: this
// package reads none.
type Stamp struct {
	// Time is the token's genTime.
	Time time.Time
	// Accuracy is how far Time may be off, before and after; 0 where nothing is said.
	Accuracy time.Duration
	// Authority names whoever made it.
	Authority string
	// Qualified says that it was pinned as a qualified authority (eIDAS Art. 42).
	Qualified bool
}

// ErrNotCounted: a time-stamp token is about the bytes that it should be about, but
// nobody whom the caller trusts made it, or it fails a check. It counts for nothing,
// and says nothing against the log.
var ErrNotCounted = errors.New("time stamp does not count")

// Anchored is a time stamp over a checkpoint of the log.
type Anchored struct {
	Index     Index     `json:"index"` // of its checkpoint.anchored
	Size      Size      `json:"size"`  // entries that were there
	Time      time.Time `json:"time"`
	Accuracy  float64   `json:"accuracy_seconds,omitempty"`
	Authority string    `json:"authority"`
	Qualified bool      `json:"qualified"`
}

// Word is how the verdict names such a stamp: STAMPED or STAMPED_QUALIFIED.
func (a *Anchored) Word() string {
	if a.Qualified {
		return "STAMPED_QUALIFIED"
	}
	return "STAMPED"
}

// earliest and latest are what the stamp's accuracy leaves open.
func (a *Anchored) earliest() time.Time {
	return a.Time.Add(-time.Duration(a.Accuracy * float64(time.Second)))
}

func (a *Anchored) latest() time.Time {
	return a.Time.Add(time.Duration(a.Accuracy * float64(time.Second)))
}

// NotCounted is a checkpoint.anchored whose token does not count.
type NotCounted struct {
	Index  Index  `json:"index"`
	Reason string `json:"reason"`
}

// Interval bounds the moment at which an entry was recorded by what others say;
// either bound is nil where nobody says anything.
type Interval struct {
	// NotInLogAt is the latest time stamp that the entry's hash chain contains: the
	// entry was made after it.
	NotInLogAt *Anchored `json:"not_in_log_at,omitempty"`
	// InLogAt is the earliest time stamp over a checkpoint with the entry.
	InLogAt *Anchored `json:"in_log_at,omitempty"`
}

// Interval bounds the time of an entry by the stamps of the report.
func (r *LogReport) Interval(i Index) Interval {
	var in Interval
	for n := range r.Stamps {
		s := &r.Stamps[n]
		if s.Index < i && (in.NotInLogAt == nil || s.earliest().After(in.NotInLogAt.earliest())) {
			in.NotInLogAt = s
		}
		if s.Size > Size(i) && (in.InLogAt == nil || s.latest().Before(in.InLogAt.latest())) {
			in.InLogAt = s
		}
	}
	return in
}

// Bounds is [LogReport.Interval], nil where nobody says anything.
func (r *LogReport) Bounds(i Index) *Interval {
	if in := r.Interval(i); in != (Interval{}) {
		return &in
	}
	return nil
}

// bound bounds the times of which the report speaks.
func (v *logVerifier) bound() {
	rep := v.report
	rep.Anchors = v.policy.Anchors(rep.Witnesses, rep.Stamps)
	if len(rep.Stamps) == 0 {
		return
	}
	rep.Checked = append(rep.Checked, fmt.Sprintf("%d time stamps, each over a checkpoint of this log", len(rep.Stamps)))
	rep.FirstBounds, rep.LastBounds = rep.Bounds(0), rep.Bounds(Index(v.head.Size-1))
	for n := range rep.IrregularFirst {
		rep.IrregularFirst[n].Bounds = rep.Bounds(rep.IrregularFirst[n].Index)
	}
}

// AnchorPath gives the path, below a log's root, of a checkpoint that was stamped or
// of a token, by its SHA-256.
func AnchorPath(sum Hash) string { return "anchors/" + hex.EncodeToString(sum[:]) }

// anchorFiles are what a checkpoint.anchored names, read by a worker and judged as
// far as that needs nothing that stands before it in the log.
type anchorFiles struct {
	note       *SignedNote
	checkpoint Checkpoint
	keys       KeyPair // the pair that should have signed, as far as the worker knows
	signature  error   // whether it did
	noteErr    error   // why there is no checkpoint
	stamp      Stamp
	stampErr   error // why there is no stamp, or why it does not count
}

// readAnchors reads the files of a bundle's anchors.
func (v *logVerifier) readAnchors(ctx context.Context, b *bundle) map[int]*anchorFiles {
	files := make(map[int]*anchorFiles)
	for i := range b.entries {
		e := &b.entries[i]
		if e.Kind != CheckpointAnchored {
			continue
		}
		f := new(anchorFiles)
		if f.noteErr = f.readCheckpoint(ctx, v, e); f.noteErr == nil {
			f.stampErr = f.readToken(ctx, v, e)
		}
		files[i] = f
	}
	return files
}

func (f *anchorFiles) readCheckpoint(ctx context.Context, v *logVerifier, e *Entry) error {
	signed, err := v.fetchHashed(ctx, AnchorPath(e.Checkpoint), e.Checkpoint)
	if err != nil {
		return err
	}
	if f.note, err = ParseSignedNote(signed); err == nil {
		f.checkpoint, err = ParseCheckpoint(f.note.Text)
	}
	if err != nil {
		return fmt.Errorf("the checkpoint that was stamped: %w", err)
	}
	f.keys = v.policy.KeysAt(f.checkpoint.Size)
	f.signature = f.keys.verifyCheckpoint(f.checkpoint, f.note)
	return nil
}

func (f *anchorFiles) readToken(ctx context.Context, v *logVerifier, e *Entry) error {
	token, err := v.fetchHashed(ctx, AnchorPath(e.Stamp), e.Stamp)
	if err != nil || v.opt.Stamps == nil {
		return err
	}
	f.stamp, err = v.opt.Stamps(token, e.Checkpoint)
	return err
}

// anchored checks a checkpoint.anchored: what was stamped is a checkpoint that the
// log alone signed, with this log's root; and what the token says, if anybody can
// tell.
func (v *logVerifier) anchored(ctx context.Context, e *Entry, f *anchorFiles) error {
	if f.noteErr != nil {
		return f.noteErr
	}
	keys := v.keys.At(e.Size)
	if err := v.stampedCheckpoint(ctx, e, f, keys); err != nil {
		return fmt.Errorf("the checkpoint that was stamped: %w", err)
	}
	switch {
	case errors.Is(f.stampErr, ErrNotCounted):
		v.report.StampsNotCounted = append(v.report.StampsNotCounted, NotCounted{e.Index, f.stampErr.Error()})
		return nil
	case f.stampErr != nil:
		return f.stampErr
	case v.opt.Stamps == nil:
		v.tokens++
		return nil
	}
	stamp := f.stamp
	if !stamp.Time.Truncate(time.Microsecond).Equal(e.Stamped) {
		return fmt.Errorf("stamped is %s, the token says %s", e.Stamped.Format(microsLayout), stamp.Time.UTC().Format(time.RFC3339Nano))
	}
	v.report.Stamps = append(v.report.Stamps,
		Anchored{e.Index, e.Size, stamp.Time.UTC(), stamp.Accuracy.Seconds(), stamp.Authority, stamp.Qualified})
	if earliest := stamp.Time.Add(-stamp.Accuracy); earliest.After(v.notBefore) {
		v.notBefore = earliest
	}
	if f.note.SignedAt(keys).After(stamp.Time.Add(stamp.Accuracy + MaxClockAhead)) {
		v.irregular(Irregularity{Name: "dated_after_stamp", Index: e.Index, Consent: -1})
	}
	return nil
}

// stampedCheckpoint checks a checkpoint against the keys in force at its size, which
// the log has named by then, and against the tree.
func (v *logVerifier) stampedCheckpoint(ctx context.Context, e *Entry, f *anchorFiles, keys KeyPair) error {
	c := f.checkpoint
	switch {
	case c.Origin != v.policy.Origin():
		return fmt.Errorf("origin is %q, the policy's is %q", c.Origin, v.policy.Origin())
	case c.Size != e.Size:
		return fmt.Errorf("it is of %d entries, the entry says %d", c.Size, e.Size)
	case !slices.Equal(keys.vkeys(), f.keys.vkeys()):
		f.signature = keys.verifyCheckpoint(c, f.note)
	}
	if f.signature != nil {
		return f.signature
	}
	if len(f.note.Lines) != 2 {
		return errors.New("it carries other signatures than the log's two")
	}
	root, err := v.rootAt(ctx, c.Size)
	if err != nil {
		return fmt.Errorf("computing the root at %d entries: %w", c.Size, err)
	}
	if root != c.Root {
		return fmt.Errorf("at %d entries the root is %v, it says %v", c.Size, root, c.Root)
	}
	return nil
}

// rootAt gives the root of an earlier size.
func (v *logVerifier) rootAt(ctx context.Context, size Size) (Hash, error) {
	if root, ok := v.past.root(size); ok {
		return root, nil
	}
	tree := tlog.Tree{N: int64(v.head.Size), Hash: v.head.Root}
	return tlog.TreeHash(int64(size), tlog.TileHashReader(tree, &tileReader{ctx, fetched{v}}))
}

// fetched reads what has to be there.
type fetched struct{ v *logVerifier }

// ReadPath implements [LogReader].
func (f fetched) ReadPath(ctx context.Context, path string) ([]byte, error) {
	return f.v.fetch(ctx, path)
}

// fetchHashed reads a file that is named by its SHA-256.
func (v *logVerifier) fetchHashed(ctx context.Context, path string, sum Hash) ([]byte, error) {
	b, err := v.fetch(ctx, path)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(b) != sum {
		return nil, fmt.Errorf("%s: its content has another hash", path)
	}
	return b, nil
}
