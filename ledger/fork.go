package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// ForkReport says what two checkpoints of one log say about each other.
type ForkReport struct {
	Format  string         `json:"format"` // consent-ledger/verify-fork/v1
	Verdict string         `json:"verdict"`
	Reason  string         `json:"reason,omitempty"` // why the verdict is not VERIFIED
	Origin  string         `json:"origin,omitempty"`
	First   *ForkCandidate `json:"first,omitempty"`
	Second  *ForkCandidate `json:"second,omitempty"`
	// LogSize is the size of the copy of the log that they were compared with, 0
	// for none.
	LogSize Size `json:"log_size,omitempty"`
	// Meaning explains the verdict.
	Meaning     []string `json:"meaning"`
	Checked     []string `json:"checked"`
	NotChecked  []string `json:"not_checked"`
	CannotProve []string `json:"cannot_prove"`
}

// ForkCandidate is a checkpoint whose signatures by the log verified.
type ForkCandidate struct {
	Size Size   `json:"size"`
	Root string `json:"root"`
	// Line says that it is the one-line form, with the Ed25519 signature alone.
	Line bool `json:"line,omitempty"`
	// Signed is when the log says that it signed; zero if that is no time that can be
	// written down, or not said: a line says none.
	Signed time.Time `json:"signed,omitzero"`
	// Witnesses are those of the policy whose cosignature verified.
	Witnesses []string `json:"witnesses,omitempty"`

	checkpoint Checkpoint
	unchecked  []string
}

// VerifyFork tells whether two checkpoints of the log whose keys the policy names
// show that it has two histories. A nil error says that they fit together, as far
// as they and the log tell; one that wraps [ErrDiverged] that they are a fork; one
// that wraps [ErrMissing] that they alone cannot tell; any other that one of them
// is not signed by the log. The report is never nil.
//
// Both keys of the log must have signed; of a checkpoint in its one-line form (see
// [ParseKept]) only the Ed25519 key can be asked for. The policy's quorum does not count: a
// checkpoint that no witness cosigned is the log's word, too, and a line that
// somebody spoilt does not take that back.
//
// log, if not nil, is a copy of the log, or the log itself. Its checkpoint must be
// signed by the log; whatever of it is needed to compute its root at the size of
// each of the two checkpoints is read and checked against that root. Without it
// only checkpoints of one size can be a fork.
func VerifyFork(ctx context.Context, pair ForkProof, policy *Policy, log LogReader) (*ForkReport, error) {
	rep := &ForkReport{Format: "consent-ledger/verify-fork/v1", Meaning: []string{}, Checked: []string{}, NotChecked: []string{},
		CannotProve: []string{}}
	err := rep.verify(ctx, pair, policy, log)
	rep.Verdict = VerdictOf(err).String()
	if err != nil {
		rep.Reason = err.Error()
	}
	return rep, err
}

func (rep *ForkReport) verify(ctx context.Context, pair ForkProof, policy *Policy, log LogReader) (err error) {
	if rep.First, err = openForm(pair.First, policy); err != nil {
		return fmt.Errorf("the first checkpoint: %w", err)
	}
	if rep.Second, err = openForm(pair.Second, policy); err != nil {
		return fmt.Errorf("the second checkpoint: %w", err)
	}
	rep.Origin = policy.Origin()
	if rep.First.Line || rep.Second.Line {
		rep.Checked = append(rep.Checked, "the signatures of the log on both checkpoints")
		rep.NotChecked = append(rep.NotChecked, "the ML-DSA-44 signature of a checkpoint in its one-line form, which has none: what follows rests on Ed25519 there")
	} else {
		rep.Checked = append(rep.Checked, "both signatures of the log on both checkpoints, Ed25519 and ML-DSA-44")
	}
	rep.NotChecked = append(append(rep.NotChecked, rep.First.unchecked...), rep.Second.unchecked...)
	a, b := rep.First.checkpoint, rep.Second.checkpoint
	if a.Size == b.Size && a.Root != b.Root {
		rep.retired(policy)
		return rep.diverged("the log signed two histories: at %d entries the root %v, and at %d entries the root %v", a.Size, a.Root, b.Size, b.Root)
	}
	if log != nil {
		return rep.compare(ctx, policy, log)
	}
	if a.Size == b.Size || a.Size == 0 || b.Size == 0 {
		rep.Checked = append(rep.Checked, "their sizes and roots")
		if a.Size != b.Size {
			rep.Meaning = append(rep.Meaning, "Every log begins empty, so a checkpoint of no entries fits every other one.")
		} else {
			rep.Meaning = append(rep.Meaning, "Both say the same: one size, one root.")
		}
		rep.fits()
		return nil
	}
	rep.NotChecked = append(rep.NotChecked, "whether one history holds both: their sizes differ, and roots of two sizes can be compared only in the log")
	if first, second := rep.First, rep.Second; !first.Signed.IsZero() && !second.Signed.IsZero() && (first.Size < second.Size) != first.Signed.Before(second.Signed) && !first.Signed.Equal(second.Signed) {
		rep.Meaning = append(rep.Meaning, "By its own clock the log signed the smaller one after the larger one, which a log that only grows does not: "+
			"it may have been set back, as after a restore of an old copy.")
	}
	rep.Meaning = append(rep.Meaning, "Neither that they are a fork nor that they fit together follows from the two alone. "+
		"With a copy of the log that reaches at least to the larger one it does: give it as --log.")
	return fmt.Errorf("%w: a copy of the log that holds %d entries", ErrMissing, max(a.Size, b.Size))
}

// diverged explains a fork.
func (rep *ForkReport) diverged(format string, args ...any) error {
	rep.Meaning = append(rep.Meaning,
		"This is a fork. A log has one root at each size, so whoever holds the log's two keys has signed two histories: "+
			"what some were shown is not what others were shown.",
		"No reader, witness or network can bring this about. It can be deceit, keys that were stolen, or a ledger that was set back to an "+
			"old copy and went on under the same keys.",
		"Keep both checkpoints, or the file that holds them: with the policy they prove it to anybody, at any time.")
	rep.CannotProve = append(rep.CannotProve, "which of the two histories is true, and which entries differ: compare copies of the log from both sides",
		"who signed: only that it was done with the log's two keys")
	return fmt.Errorf("%w: "+format, append([]any{ErrDiverged}, args...)...)
}

// retired notes which of the two was signed by keys that others have replaced.
func (rep *ForkReport) retired(policy *Policy) {
	if policy.ring == nil {
		return
	}
	for n, c := range []*ForkCandidate{rep.First, rep.Second} {
		i := slices.IndexFunc(policy.ring.entries, func(e KeyEntry) bool { return e.Index > 0 && Size(e.Index) >= c.Size })
		if i >= 0 {
			rep.CannotProve = append(rep.CannotProve, fmt.Sprintf("that the %s checkpoint was signed before entry %d replaced its keys: "+
				"whoever kept a copy of them can sign such a one at any time", []string{"first", "second"}[n], policy.ring.entries[i].Index))
		}
	}
}

// fits explains that nothing was found.
func (rep *ForkReport) fits() {
	rep.CannotProve = append(rep.CannotProve, "that the log shows everybody this history: only checkpoints that others kept, or their witnesses, tell")
}

// compare computes the roots of the log at the sizes of both checkpoints.
func (rep *ForkReport) compare(ctx context.Context, policy *Policy, log LogReader) error {
	unusable := func(err error) error {
		return fmt.Errorf("%w: the copy of the log cannot be used: %v", ErrMissing, err)
	}
	signed, err := log.ReadPath(ctx, "checkpoint")
	if err != nil {
		return unusable(err)
	}
	head, err := openCandidate(signed, policy)
	if err != nil {
		return unusable(err)
	}
	rep.LogSize = head.Size
	hashes := tlog.TileHashReader(tlog.Tree{N: int64(head.Size), Hash: head.checkpoint.Root}, &tileReader{ctx, log})
	var short Size
	for _, c := range []Checkpoint{rep.First.checkpoint, rep.Second.checkpoint} {
		if c.Size > head.Size {
			short = max(short, c.Size)
			continue
		}
		root, err := tlog.TreeHash(int64(c.Size), hashes)
		if err != nil {
			return unusable(err)
		}
		if root != c.Root {
			rep.Checked = append(rep.Checked, "the log's checkpoint, and what of its tree leads to this root")
			rep.NotChecked = append(rep.NotChecked, "the entries of the copy: use verify log")
			rep.Meaning = append(rep.Meaning, "The copy of the log belongs to the proof: keep it, too.")
			rep.retired(policy)
			return rep.diverged("the log of %d entries has at %d entries the root %v, but it signed %v, too", head.Size, c.Size, root, c.Root)
		}
	}
	if short > 0 {
		rep.Meaning = append(rep.Meaning, "The copy of the log is shorter than the larger checkpoint, so nothing follows about that one. Take a newer copy.")
		return fmt.Errorf("%w: a copy of the log that holds %d entries; this one has %d", ErrMissing, short, head.Size)
	}
	rep.Checked = append(rep.Checked, "that both are roots of the one log that the copy's checkpoint signs")
	rep.NotChecked = append(rep.NotChecked, "the entries of the copy: use verify log")
	rep.Meaning = append(rep.Meaning, fmt.Sprintf("Both belong to the one history of the log of %d entries.", head.Size))
	rep.fits()
	return nil
}

// maxSigned is the year 10000 in POSIX seconds, which RFC 3339 cannot write.
const maxSigned = 253402300800

// openForm verifies a checkpoint in either form that somebody may have kept.
func openForm(text []byte, p *Policy) (*ForkCandidate, error) {
	k, err := ParseKept(text)
	if err != nil || !k.Line {
		return openCandidate(text, p)
	}
	if err := k.Verify(p); err != nil {
		return nil, err
	}
	return &ForkCandidate{Size: k.Size, Root: k.Root.String(), Line: true, checkpoint: k.Checkpoint}, nil
}

// openCandidate verifies the log's two signatures, and notes which other lines
// verify.
func openCandidate(signed []byte, p *Policy) (*ForkCandidate, error) {
	n, err := ParseSignedNote(signed)
	if err != nil {
		return nil, err
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return nil, err
	}
	if c.Origin != p.Origin() {
		return nil, fmt.Errorf("origin is %q, the policy's is %q", c.Origin, p.Origin())
	}
	if err := p.verifyCheckpoint(c, n); err != nil {
		return nil, err
	}
	f := &ForkCandidate{Size: c.Size, Root: c.Root.String(), checkpoint: c}
	keys := p.KeysAt(c.Size)
	f.Signed = n.SignedAt(keys)
	for _, l := range n.Lines {
		w := p.witness(l.Name, l.KeyID)
		switch {
		case l.Name == p.Origin() && (l.KeyID == keys.Ed25519.ID() || l.KeyID == keys.MLDSA44.ID()):
		case w == nil, w.name == p.logWitness:
			f.unchecked = append(f.unchecked, fmt.Sprintf("signature line by a key outside the policy: %s+%08x", l.Name, l.KeyID))
		case w.key.verifyCheckpoint(c, l.Signature) != nil:
			f.unchecked = append(f.unchecked, fmt.Sprintf("the line of the witness %q, which does not verify: somebody spoilt it", w.name))
		default:
			f.Witnesses = append(f.Witnesses, w.name)
		}
	}
	return f, nil
}

// SignedAt gives when a log says that it signed a checkpoint with these keys, whose
// signatures the caller has verified; zero if they did not sign it, or if that is no
// time that can be written down.
func (n *SignedNote) SignedAt(keys KeyPair) time.Time {
	stamp, ok := n.signature(keys.MLDSA44)
	if !ok || len(stamp) < 8 {
		return time.Time{}
	}
	unix := binary.BigEndian.Uint64(stamp)
	if unix >= maxSigned {
		return time.Time{}
	}
	return time.Unix(int64(unix), 0).UTC()
}

// tileReader gives x/mod the hash tiles of a log, which it checks against the root.
type tileReader struct {
	ctx context.Context
	log LogReader
}

// Height implements [tlog.TileReader].
func (r *tileReader) Height() int { return TileHeight }

// ReadTiles implements [tlog.TileReader].
func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		path := TilePath(t.L, t.N, t.W)
		b, err := r.log.ReadPath(r.ctx, path)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		if len(b) != t.W*len(Hash{}) {
			return nil, fmt.Errorf("%s has %d bytes, want %d", path, len(b), t.W*len(Hash{}))
		}
		data[i] = b
	}
	return data, nil
}

// SaveTiles implements [tlog.TileReader]. Nothing is kept.
func (r *tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
