package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// LogReader gives the files of a log by their C2SP tlog-tiles paths, such as
// `checkpoint` or `tile/entries/000.p/17`, and besides them
// `notices/<hex sha256>`, `anchors/<hex sha256>` and `trust.keys`. An error that wraps [ErrMissing]
// says that there is no such file, any other that it cannot be read; neither
// speaks against the log. It must be safe for concurrent use.
type LogReader interface {
	ReadPath(ctx context.Context, path string) ([]byte, error)
}

// VerifyOptions says how to verify a log. Policy is required.
type VerifyOptions struct {
	// Policy holds the keys that are trusted.
	Policy *Policy
	// Keys is the content of a trust.keys file. Empty means the log's own: each pair of
	// keys signed what replaced it, but only a file from elsewhere shows that a rotation
	// was left out, by somebody who has keys that were retired.
	Keys []byte
	// Since is a checkpoint that the caller kept, in a form that [ParseKept] reads: the
	// log must contain it.
	Since []byte
	// Stamps, if set, verifies a time-stamp token over bytes with this SHA-256. It must
	// be safe for concurrent use. An
	// error that wraps [ErrNotCounted] says that it does not count; with any other the
	// log is INVALID, because the token is not about what it is filed under.
	Stamps func(token []byte, imprint Hash) (Stamp, error)
	// Progress, if set, is called now and then with the entries checked so far.
	Progress func(done, total Size)
	// Each, if set, is called for every entry in its order once the rules accept it,
	// with its effects and the history that it ends. It must not keep the history; its
	// error ends the verification. Entries of newer formats and kinds are passed over.
	Each func(e *Entry, eff *Effects, h History) error
	// Workers is how many entry bundles are parsed at once; 0 means the number
	// of processors.
	Workers int
}

// LogReport says what a verification found, in words that JSON can carry.
type LogReport struct {
	Format     string    `json:"format"` // consent-ledger/verify-log/v1
	Verdict    string    `json:"verdict"`
	Reason     string    `json:"reason,omitempty"` // why the verdict is not VERIFIED
	Origin     string    `json:"origin,omitempty"`
	Controller string    `json:"controller,omitempty"`
	Size       Size      `json:"size"`
	Root       string    `json:"root,omitempty"`
	First      time.Time `json:"first_entry_time,omitzero"`
	Last       time.Time `json:"last_entry_time,omitzero"`
	// Anchors says whose word the history rests on: UNANCHORED, or the witnesses and
	// the time stamps.
	Anchors   string   `json:"anchors,omitempty"`
	Witnesses []string `json:"witnesses,omitempty"`
	// Cosigned says when each witness signed the checkpoint, by its own clock.
	Cosigned []Cosigned `json:"cosigned,omitempty"`
	// Stamps are the time stamps that count, in the order of their entries.
	Stamps           []Anchored   `json:"stamps,omitempty"`
	StampsNotCounted []NotCounted `json:"stamps_not_counted,omitempty"`
	// FirstBounds and LastBounds bound the times of the first and the last entry.
	FirstBounds *Interval        `json:"first_entry_bounds,omitempty"`
	LastBounds  *Interval        `json:"last_entry_bounds,omitempty"`
	Since       string           `json:"since,omitempty"`
	Kinds       map[string]int64 `json:"entries_by_kind,omitempty"`
	States      map[string]int64 `json:"consents_by_state,omitempty"`
	// Grades counts, by [Grade], the consents that were ever granted, whatever
	// became of them.
	Grades map[string]int64 `json:"consents_by_grade,omitempty"`
	// StateRoots counts the committed state trees that were recomputed.
	StateRoots      int64 `json:"state_trees_checked"`
	PendingErasures int   `json:"erasures_not_yet_shredded"`
	// RightsOpen counts requests under Art. 15 to 22 GDPR that wait for their answer,
	// RightsOverdue those that should have had it before the last entry.
	RightsOpen    int              `json:"rights_requests_open"`
	RightsOverdue int              `json:"rights_requests_overdue"`
	Irregular     map[string]int64 `json:"irregular,omitempty"`
	// IrregularFirst lists the first MaxIrregular irregular facts.
	IrregularFirst []Irregularity `json:"irregular_first,omitempty"`
	Checked        []string       `json:"checked"`
	NotChecked     []string       `json:"not_checked"`
	// CannotProve lists what no verification of this log can show.
	CannotProve []string `json:"cannot_prove"`
}

// MaxIrregular is how many irregular facts a report lists one by one.
const MaxIrregular = 1000

var cannotProve = []string{
	"that a person, and which person, acted: a click shows control of a mailbox",
	"that consent was informed and free: only which text was published and when it was recorded",
	"absolute time: entry times are the operator's clock unless an anchor bounds them",
	"that the operator keeps no second log under another name",
	"that an event which the operator never recorded happened",
	"that destroyed keys exist nowhere else",
}

// VerifyLog checks a whole log: both signatures of its checkpoint, that every
// entry parses, the hash chain, the tree's root and every hash tile, the rules
// over the whole history, every committed state tree, every notice's hash, and
// that it continues opt.Since. The error says why the verdict is not Verified;
// [VerdictOf] gives its class. The report is never nil. Memory: one bundle per
// worker and 24 bytes per consent, about 50 per open lock (also of one that a newer one
// succeeded, until its token is revealed), and at most 100 per erasure that is not
// complete, per request under Art. 15 to 22 GDPR that waits for its answer and per
// notification that waits to be acknowledged, beside a fixed part.
func VerifyLog(ctx context.Context, r LogReader, opt VerifyOptions) (*LogReport, error) {
	v := &logVerifier{r: r, opt: opt, replay: NewReplay(), step: new(step), kinds: make([]int64, len(knownKinds)), report: &LogReport{
		Format: "consent-ledger/verify-log/v1", CannotProve: cannotProve, Checked: []string{}, NotChecked: []string{},
		Kinds: map[string]int64{}, States: map[string]int64{}, Grades: map[string]int64{}, Irregular: map[string]int64{},
	}}
	err := v.run(ctx)
	for kind, known := range knownKinds {
		if n := v.kinds[known.number]; n > 0 {
			v.report.Kinds[string(kind)] = n
		}
	}
	v.report.Verdict = VerdictOf(err).String()
	if err != nil {
		v.report.Reason = err.Error()
	}
	return v.report, err
}

type logVerifier struct {
	r              LogReader
	opt            VerifyOptions
	report         *LogReport
	replay         *Replay
	step           *step   // of the newest entry
	kinds          []int64 // entries by knownKind.number
	tree           Tree
	past           pastTrees
	policy         *Policy // with the log's key entries
	keys           KeyRing // those that were met
	head           *OpenedCheckpoint
	since          *Checkpoint
	given, shipped *KeyRing // of the keys file that was given, and of the log's own
	shippedErr     error
	// tokens counts time-stamp tokens that nobody could judge; notBefore is the latest
	// time that one vouches for.
	tokens    int
	notBefore time.Time
	tiles     [][]Hash // edge of each level above 0, not yet compared
	newer     error    // the first entry that needs a newer verifier
	opaque    bool     // an entry of a later format was met: the chain can no longer be judged
}

// fetch reads a file that has to be there. Whatever goes wrong, the verdict is
// CannotTell.
func (v *logVerifier) fetch(ctx context.Context, path string) ([]byte, error) {
	b, err := v.r.ReadPath(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, unreadable(err))
	}
	return b, nil
}

func unreadable(err error) error {
	if err == nil || errors.Is(err, ErrMissing) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrMissing, err)
}

func (v *logVerifier) run(ctx context.Context) error {
	if err := v.followKeys(ctx); err != nil {
		return err
	}
	if err := v.openHead(ctx); err != nil {
		return err
	}
	if err := v.entries(ctx); err != nil {
		return err
	}
	if err := v.finish(ctx); err != nil {
		return err
	}
	return v.newer
}

// openHead checks the checkpoint's signatures and opens the one that was kept.
func (v *logVerifier) openHead(ctx context.Context) error {
	signed, err := v.fetch(ctx, "checkpoint")
	if err != nil {
		return err
	}
	head, err := OpenCheckpoint(signed, v.policy)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	rep := v.report
	v.head, rep.Origin, rep.Size, rep.Root = head, head.Origin, head.Size, head.Root.String()
	rep.Witnesses = v.opt.Policy.independent(head.Witnesses)
	rep.Anchors, rep.Cosigned = v.opt.Policy.Anchors(rep.Witnesses, nil), head.Cosigned
	rep.Checked = append(rep.Checked, "both signatures of the checkpoint, Ed25519 and ML-DSA-44")
	for _, line := range head.Unchecked {
		rep.NotChecked = append(rep.NotChecked, "signature line by a key outside the policy: "+line)
	}
	if head.Size < 1 {
		return errors.New("checkpoint: a consent ledger has at least one entry")
	}
	if len(v.opt.Since) == 0 {
		rep.NotChecked = append(rep.NotChecked, "that this history continues one seen before (no checkpoint was given)")
		return nil
	}
	since, err := ParseKept(v.opt.Since)
	if err == nil {
		err = since.Verify(v.policy)
	}
	if err != nil {
		return fmt.Errorf("%w: the checkpoint you hold: %v", ErrMissing, err)
	}
	if v.policy.ring != nil && since.Size <= Size(v.policy.ring.last()) {
		rep.NotChecked = append(rep.NotChecked, "who signed the checkpoint you hold: its keys were replaced since, and whoever has them can have signed it later")
	}
	if since.Line {
		rep.NotChecked = append(rep.NotChecked, "the ML-DSA-44 signature of the checkpoint you hold: its one-line form has none")
	}
	if v.since = &since.Checkpoint; since.Size > head.Size {
		return fmt.Errorf("%w: the log has %d entries, the checkpoint you hold has %d", ErrDiverged, head.Size, since.Size)
	}
	return nil
}

// bundle is 256 entries, read and parsed by a worker.
type bundle struct {
	entries []Entry
	kinds   []*knownKind // of the entries, nil for one that needs a newer verifier
	errs    []error      // errs[i]: entries[i] needs a newer verifier
	leaves  []Hash
	root    Hash                 // of the leaves, if there are 256
	nodes   []Hash               // scratch, for root
	anchors map[int]*anchorFiles // of the checkpoint.anchored, by i
	err     error
}

// entries reads all bundles in parallel and applies them in order.
func (v *logVerifier) entries(ctx context.Context) error {
	workers := v.opt.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	v.replay.workers = workers
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	full, width := TileRange(v.head.Size, 0)
	total := full
	if width > 0 {
		total++
	}
	// queue keeps the order: a bundle's channel enters it before its worker starts.
	queue := make(chan chan *bundle, 2*workers)
	slots := make(chan struct{}, workers)
	done := make(chan *bundle, cap(queue)) // bundles that were applied, to be used again
	go func() {
		defer close(queue)
		for n := range total {
			w := TileWidth
			if n == full {
				w = width
			}
			out := make(chan *bundle, 1)
			select {
			case queue <- out:
			case <-ctx.Done():
				return
			}
			slots <- struct{}{}
			go func() {
				b := new(bundle)
				select {
				case b = <-done:
				default:
				}
				b.err = v.read(ctx, b, n, w)
				out <- b
				<-slots
			}()
		}
	}()
	for out := range queue {
		b := <-out
		if b.err != nil {
			return b.err
		}
		if err := v.apply(ctx, b); err != nil {
			return err
		}
		if v.opt.Progress != nil {
			v.opt.Progress(v.tree.Size(), v.head.Size)
		}
		// The chain keeps an entry of which parts are missing, and who is called for each
		// may keep any.
		if v.replay.chain.Complete() && v.opt.Each == nil {
			select {
			case done <- b:
			default:
			}
		}
	}
	return unreadable(ctx.Err())
}

// read fills a bundle: its entries parse, and their leaf hashes are those of
// the hash tile.
func (v *logVerifier) read(ctx context.Context, b *bundle, n int64, width int) error {
	raw, err := v.fetch(ctx, EntriesPath(n, width))
	if err != nil {
		return err
	}
	texts, err := ParseBundle(raw)
	if err == nil && len(texts) != width {
		err = fmt.Errorf("%d entries, want %d", len(texts), width)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", EntriesPath(n, width), err)
	}
	if b.entries == nil {
		*b = bundle{entries: make([]Entry, width), kinds: make([]*knownKind, width), errs: make([]error, width), nodes: make([]Hash, width)}
	}
	b.entries, b.anchors = b.entries[:width], nil // only the last bundle is narrower
	b.leaves = make([]Hash, width)                // they are remembered
	text := string(raw)
	for i := range texts {
		text = text[2:] // its length
		e := &b.entries[i]
		known, err := e.parse(texts[i], text[:len(texts[i])])
		if err == nil && known.effect == concernsNone {
			// What the registry keeps of it shall not keep the whole bundle in memory.
			_, err = e.parse(texts[i], string(texts[i]))
		}
		b.kinds[i], b.errs[i] = known, nil
		if err != nil {
			err = fmt.Errorf("entry %d: %w", n*TileWidth+int64(i), err)
			if !errors.Is(err, ErrNewer) {
				return err
			}
			b.errs[i] = err
		}
		text = text[len(texts[i]):]
		b.leaves[i] = LeafHash(texts[i])
	}
	if err := v.compareTile(ctx, 0, n, b.leaves); err != nil {
		return err
	}
	if width == TileWidth {
		copy(b.nodes, b.leaves)
		b.root = subtreeRoot(b.nodes)
	}
	b.anchors = v.readAnchors(ctx, b)
	return nil
}

// compareTile compares the hashes computed with the hash tile as published.
func (v *logVerifier) compareTile(ctx context.Context, level int, n int64, hashes []Hash) error {
	path := TilePath(level, n, len(hashes))
	tile, err := v.fetch(ctx, path)
	if err != nil {
		return err
	}
	equal := len(tile) == len(hashes)*len(Hash{})
	for i := 0; equal && i < len(hashes); i++ {
		equal = Hash(tile[i*len(Hash{}):]) == hashes[i]
	}
	if !equal {
		return fmt.Errorf("%s: its hashes are not those of the entries", path)
	}
	return nil
}

// apply replays one bundle's entries.
func (v *logVerifier) apply(ctx context.Context, b *bundle) error {
	first := v.tree.Size()
	v.past.add(v.tree.Clone(), b.leaves)
	// A bundle grows the tree at once, by the root that a worker computed, unless the
	// tree must be known within it.
	atOnce := len(b.leaves) == TileWidth && (v.since == nil || v.since.Size <= first || v.since.Size >= first+TileWidth)
	for i := range b.entries {
		var err error
		if !atOnce {
			err = v.growTree(ctx, 0, b.leaves[i])
		} else if i == TileWidth-1 {
			err = v.growTree(ctx, TileHeight, b.root)
		}
		if err != nil {
			return err
		}
		if err := v.entry(ctx, b, i, Index(first)+Index(i)); err != nil {
			return err
		}
	}
	return nil
}

// growTree appends the perfect subtree of 2^level leaves that has the root h, and
// compares the checkpoint that was kept if the tree has its size now.
func (v *logVerifier) growTree(ctx context.Context, level int, h Hash) (err error) {
	v.tree.appendSubtree(level, h, func(level int, n int64, h Hash) {
		if level >= TileHeight && level%TileHeight == 0 && err == nil {
			err = v.grow(ctx, level/TileHeight, n, h)
		}
	})
	if err == nil && v.since != nil && v.tree.Size() == v.since.Size && v.tree.Root() != v.since.Root {
		err = fmt.Errorf("%w: at %d entries the root is %v, the checkpoint you hold says %v",
			ErrDiverged, v.since.Size, v.tree.Root(), v.since.Root)
	}
	return err
}

// grow adds the hash of a full tile to the level above, and compares that
// level's tile when it is full.
func (v *logVerifier) grow(ctx context.Context, level int, n int64, h Hash) error {
	for len(v.tiles) <= level {
		v.tiles = append(v.tiles, nil)
	}
	v.tiles[level] = append(v.tiles[level], h)
	if len(v.tiles[level]) < TileWidth {
		return nil
	}
	err := v.compareTile(ctx, level, n/TileWidth, v.tiles[level])
	v.tiles[level] = v.tiles[level][:0]
	return err
}

// entry replays one entry. After one of an unknown kind the rules can no longer
// be judged, chain and tree still are; after one of a later format, whose header
// cannot be read, only the tree is.
func (v *logVerifier) entry(ctx context.Context, b *bundle, i int, index Index) error {
	e, leaf, newer := &b.entries[i], b.leaves[i], b.errs[i]
	rep := v.report
	if newer != nil && v.newer == nil {
		v.newer = newer
		rep.NotChecked = append(rep.NotChecked, fmt.Sprintf("rules and state trees from entry %d on: it needs a newer verifier", index))
	}
	if newer != nil && e.Kind == "" && !v.opaque {
		v.opaque = true
		rep.NotChecked = append(rep.NotChecked, fmt.Sprintf("the hash chain from entry %d on: its format is newer", index))
	}
	if v.opaque {
		return nil
	}
	if e.Index == 0 {
		rep.First = e.Time
	}
	rep.Last = e.Time
	if v.newer != nil {
		return v.replay.chain.AddUnknown(e, leaf)
	}
	v.kinds[b.kinds[i].number]++
	if v.opt.Each != nil {
		v.step = new(step) // the effects may be kept
	}
	eff := &v.step.eff
	if err := v.replay.add(e, b.kinds[i], leaf, v.step); err != nil {
		return err
	}
	if e.Time.Add(MaxClockAhead).Before(v.notBefore) {
		v.irregular(Irregularity{Name: "dated_before_stamp", Index: e.Index, Consent: -1})
	}
	switch e.Kind {
	case LedgerCreated:
		rep.Controller = e.Controller
		fallthrough
	case KeyRotated:
		if err := v.keyEntry(e, *eff.KeyEntry); err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
	case StateCommitted:
		rep.StateRoots++
	case NoticePublished:
		if err := v.notice(ctx, e); err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
	case CheckpointAnchored:
		if err := v.anchored(ctx, e, b.anchors[i]); err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
	}
	for _, irr := range eff.Irregular {
		v.irregular(irr)
	}
	if v.opt.Each != nil {
		return v.opt.Each(e, eff, v.replay)
	}
	return nil
}

func (v *logVerifier) irregular(irr Irregularity) {
	v.report.Irregular[irr.Name]++
	if len(v.report.IrregularFirst) < MaxIrregular {
		v.report.IrregularFirst = append(v.report.IrregularFirst, irr)
	}
}

// notice checks the documents of a notice: its text and, if it has some, its facts.
func (v *logVerifier) notice(ctx context.Context, e *Entry) error {
	for _, sum := range []Hash{e.Notice.SHA256, e.Facts} {
		if sum == (Hash{}) {
			continue
		}
		if _, err := v.fetchHashed(ctx, "notices/"+hex.EncodeToString(sum[:]), sum); err != nil {
			return err
		}
	}
	return nil
}

// finish compares what is left at the right edge with the checkpoint.
func (v *logVerifier) finish(ctx context.Context) error {
	for level := 1; level < len(v.tiles); level++ {
		if len(v.tiles[level]) == 0 {
			continue
		}
		full, _ := TileRange(v.head.Size, level)
		if err := v.compareTile(ctx, level, full, v.tiles[level]); err != nil {
			return err
		}
	}
	if root := v.tree.Root(); root != v.head.Root {
		return fmt.Errorf("the entries' root is %v, the checkpoint says %v", root, v.head.Root)
	}
	rep := v.report
	rep.Checked = append(rep.Checked, "every hash tile and the tree's root")
	if v.since != nil {
		rep.Since = fmt.Sprintf("contains the checkpoint you hold, of %d entries", v.since.Size)
		rep.Checked = append(rep.Checked, "that it continues the checkpoint you hold")
	}
	if v.newer != nil {
		return nil
	}
	if err := v.compareKeys(); err != nil {
		return err
	}
	if !v.replay.chain.Complete() {
		return errors.New("the log ends within a list that was split")
	}
	rep.PendingErasures = v.replay.PendingErasures()
	rep.RightsOpen, rep.RightsOverdue = v.replay.OpenRights()
	for _, i := range v.replay.Overdue() {
		v.irregular(Irregularity{Name: "existence_overdue", Index: i, Consent: -1})
	}
	v.bound()
	err := v.replay.Consents(0, ConsentID(v.head.Size), func(c Consent) {
		rep.States[describe(c)]++
		if g := c.Grade(); g != 0 {
			rep.Grades[g.String()]++
		}
	})
	rep.Checked = append(rep.Checked, "every entry's form and the hash chain", "the rules over the whole history, and that every consent's entries link",
		fmt.Sprintf("%d committed state trees", rep.StateRoots), "the hash of every notice and of its facts",
		"that the log names the keys of the policy as its own",
		fmt.Sprintf("%d rotations of keys, each signed by the keys before it", len(v.keys.entries)-1))
	if v.tokens > 0 {
		rep.NotChecked = append(rep.NotChecked, fmt.Sprintf("%d time-stamp tokens: no authority is trusted", v.tokens))
	}
	rep.NotChecked = append(rep.NotChecked, "personal data behind the commitments: this copy holds none")
	return err
}
