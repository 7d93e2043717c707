// Package auditbundle takes an auditor's bundle out of a log: a run of entries, with what
// proves, dates and explains them, and nothing about a person.
//
// Start with [Gather]. It is handed the log alone, and reaches neither the vault nor the
// service: what is not there cannot leak.
package auditbundle

import (
	"fmt"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/pack"
	"github.com/consentledger/consentledger/internal/bundle/report"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// MaxEntries is the longest run of entries that a bundle holds.
const MaxEntries = 5000

// Log is what this package reads of a log; *[store.Store] has it.
type Log interface {
	Snapshot() *store.Snapshot
	// ReceiptWith proves an entry under a signed checkpoint of a size.
	ReceiptWith(i ledger.Index, size ledger.Size, signed []byte) (*ledger.Receipt, ledger.Hash, error)
	// ConsistencyProof proves that the log of size old begins that of size.
	ConsistencyProof(old, size ledger.Size) ([]ledger.Hash, error)
}

// Request says which entries are wanted, and what the bundle says of itself.
type Request struct {
	// Start is the first entry, Limit how many are wanted, 1 to [MaxEntries]; fewer are
	// there when the checkpoint ends before.
	Start ledger.Index
	Limit int
	// Checkpoint is the newest that auditors are shown, signed by the log and perhaps by
	// witnesses; its size is more than Start.
	Checkpoint []byte
	Made       time.Time
	Exporter   string // the name of the API key
	Tool       string // name and version of the program
	Zone       *time.Location
}

// Gather reads what goes into the bundle. It is [store.ErrRetired] if the keys that
// signed the checkpoint were rotated away since, and [bundle.ErrTooLarge] if no bundle
// can hold so much. It holds no snapshot of the log when it returns; the proofs are read
// when the bundle is written, each by itself.
func Gather(log Log, r Request) (*pack.Contents, error) {
	note, err := ledger.ParseSignedNote(r.Checkpoint)
	if err != nil {
		return nil, err
	}
	newest, err := ledger.ParseCheckpoint(note.Text)
	if err != nil {
		return nil, err
	}
	p := log.Snapshot()
	defer p.Release()
	signer, err := p.BundleSigner(newest.Size)
	if err != nil {
		return nil, err
	}
	end := min(int64(r.Start)+int64(r.Limit), int64(newest.Size))
	if r.Start < 0 || r.Limit < 1 || r.Limit > MaxEntries || int64(r.Start) >= end {
		return nil, fmt.Errorf("%d entries from %d of %d: want 1 to %d that are there", r.Limit, r.Start, newest.Size, MaxEntries)
	}
	g := gathering{p: p, newest: newest, start: r.Start, end: ledger.Index(end)}
	c := &pack.Contents{
		Checkpoint: r.Checkpoint,
		Index: bundle.Index{About: bundle.AboutRange, Origin: newest.Origin, Size: newest.Size,
			Range: &bundle.IndexedRange{Start: g.start, End: g.end}},
		Custody: bundle.Custody{Origin: newest.Origin, Made: r.Made, Exporter: r.Exporter, Tool: r.Tool, Size: newest.Size},
		Case: report.Case{Origin: newest.Origin, Size: newest.Size, Root: newest.Root, Zone: r.Zone,
			Custody: report.Custody{Made: r.Made, Exporter: r.Exporter, Tool: r.Tool}, Range: &report.Range{Start: g.start, End: g.end}},
		Proof: func(i ledger.Index) (*ledger.Receipt, error) {
			receipt, _, err := log.ReceiptWith(i, newest.Size, r.Checkpoint)
			return receipt, err
		},
		Consistency: log.ConsistencyProof,
		Signer:      signer,
	}
	if err := g.fill(c); err != nil {
		return nil, err
	}
	return c, nil
}

// gathering is the log as it is read for one bundle.
type gathering struct {
	p          *store.Snapshot
	newest     ledger.Checkpoint
	start, end ledger.Index
}

func (g *gathering) fill(c *pack.Contents) error {
	if err := g.notices(c); err != nil {
		return err
	}
	created, err := g.p.Entry(0)
	if err != nil {
		return err
	}
	first, err := ledger.ParseEntry(created)
	if err != nil {
		return err
	}
	c.Case.Controller = first.Controller
	// The signer's keys are the newest, so these are all of the bundle's log.
	if c.Keys, err = g.p.Keys(); err != nil {
		return err
	}
	indexes := make([]ledger.Index, 0, g.end-g.start)
	for i := g.start; i < g.end; i++ {
		indexes = append(indexes, i)
	}
	stamps, err := g.p.Bounding(g.newest.Size, indexes, timestamp.Unpinned)
	if err != nil {
		return err
	}
	// The rule for intervals is that of a verified log.
	var bounds ledger.LogReport
	for _, s := range stamps {
		bounds.Stamps = append(bounds.Stamps, s.Anchored)
		c.Stamped = append(c.Stamped, pack.Stamped{Entry: s.Index, Size: s.Size, Note: s.Note, Token: s.Token})
		indexes = append(indexes, s.Index)
	}
	named, err := g.p.Named(g.newest.Size, indexes)
	if err != nil {
		return err
	}
	indexes = append(indexes, named...)
	slices.Sort(indexes)
	for _, i := range slices.Compact(indexes) {
		text, err := g.p.Entry(i)
		if err != nil {
			return err
		}
		e := report.Entry{Text: text}
		if g.start <= i && i < g.end {
			e.Interval = bounds.Interval(i)
		}
		c.Case.Entries = append(c.Case.Entries, e)
	}
	return nil
}

// notices reads the texts of the notices that were published in the range.
func (g *gathering) notices(c *pack.Contents) error {
	var list []ledger.Notice
	g.p.Notices(func(n ledger.Notice) {
		if g.start <= n.Index && n.Index < g.end {
			list = append(list, n)
		}
	})
	slices.SortFunc(list, func(a, b ledger.Notice) int { return int(a.Index - b.Index) })
	size := 0
	for _, n := range list {
		shown := report.Notice{NoticeRef: n.NoticeRef, Language: n.Language}
		var err error
		if shown.Text, err = g.p.NoticeText(n.SHA256); err != nil {
			return err
		}
		if n.Facts != (ledger.Hash{}) {
			if shown.Facts, err = g.p.NoticeText(n.Facts); err != nil {
				return err
			}
		}
		if size += len(shown.Text) + len(shown.Facts); size > bundle.MaxUnpacked {
			return fmt.Errorf("%w: the notices alone have more than %d bytes", bundle.ErrTooLarge, bundle.MaxUnpacked)
		}
		c.Case.Notices = append(c.Case.Notices, shown)
	}
	return nil
}
