package storm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
)

// Told is what a caller was told about one consent.
type Told struct {
	consent int64
	kind    ledger.Kind // of the entry
	state   string
	index   ledger.Index
	leaf    ledger.Hash
}

// Acknowledged takes from an answer what it says was recorded.
func Acknowledged(kind ledger.Kind, consents []*appv1.Consent) (Told, error) {
	if len(consents) != 1 || len(consents[0].GetEntry().GetLeafHash()) != len(ledger.Hash{}) {
		return Told{}, fmt.Errorf("%s: answered with %d consents, want one with its entry", kind, len(consents))
	}
	c := consents[0]
	return Told{c.ConsentId, kind, c.State, ledger.Index(c.Entry.Index), ledger.Hash(c.Entry.LeafHash)}, nil
}

// Entries gives every entry of a log from start on, in order.
type Entries func(start ledger.Index, each func(ledger.Index, []byte) error) error

// Served gives the entries that a server serves, to an API key of role auditor.
func (c *Caller) Served(ctx context.Context) Entries {
	return func(start ledger.Index, each func(ledger.Index, []byte) error) error {
		stream, err := auditv1connect.NewAuditServiceClient(c.plain, *c.url.Load()).
			ListEntries(ctx, &auditv1.ListEntriesRequest{Start: int64(start)})
		if err != nil {
			return err
		}
		for stream.Receive() {
			if err := each(ledger.Index(stream.Msg().Index), stream.Msg().Raw); err != nil {
				return errors.Join(err, stream.Close())
			}
		}
		return errors.Join(stream.Err(), stream.Close())
	}
}

// Stored gives the entries of a ledger that this process has open.
func Stored(svc *service.Service) Entries {
	return func(start ledger.Index, each func(ledger.Index, []byte) error) error {
		snap := svc.Log().Snapshot()
		defer snap.Release()
		return snap.Entries(start, int(snap.Size())-int(start), each)
	}
}

// Comparison holds a log against what clients were told, a piece at a time.
type Comparison struct {
	Size    ledger.Index        // entries that were compared
	kinds   map[ledger.Kind]int // consents that they concern
	missing map[ledger.Index]Told
	told    int // of the storm, that were compared
}

// NewComparison begins at entry 0 and the first answer.
func NewComparison() *Comparison {
	return &Comparison{kinds: map[ledger.Kind]int{}, missing: map[ledger.Index]Told{}}
}

// Continue compares what was recorded and told since the last time: every answer must
// stand in the log as it was told, and nothing else of its kind. The clients must be at
// rest.
func (c *Comparison) Continue(s *Storm, entries Entries) error {
	s.mu.Lock()
	told, kinds := s.told, maps.Clone(s.kinds)
	s.mu.Unlock()
	if err := c.Hold(told[c.told:], entries); err != nil {
		return err
	}
	c.told = len(told)
	for kind, want := range kinds {
		if c.kinds[kind] != want {
			return fmt.Errorf("%s: %d consents by the log, %d by what the clients were told", kind, c.kinds[kind], want)
		}
	}
	return nil
}

// Known is what the clients were told up to a moment.
type Known struct {
	told   []Told
	erased int // people
}

// Known is what they were told up to now.
func (s *Storm) Known() Known {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Known{s.told[:len(s.told):len(s.told)], len(s.erased)}
}

// HoldKnown finds out that a log holds what clients knew, and may hold more, because
// what stands there beside it was on its way to them. It is for a new Comparison.
func (c *Comparison) HoldKnown(k Known, entries Entries) error {
	if err := c.Hold(k.told, entries); err != nil {
		return err
	}
	if got := c.kinds[ledger.SubjectErased]; got < k.erased {
		return fmt.Errorf("%d people were erased, the log says so of %d", k.erased, got)
	}
	return nil
}

// Hold finds out that every answer stands in the entries that were not compared yet, and
// does not look at what stands there beside them.
func (c *Comparison) Hold(told []Told, entries Entries) error {
	for _, t := range told {
		if before, ok := c.missing[t.index]; ok {
			return fmt.Errorf("two answers, about the consents %d and %d, name entry %d", before.consent, t.consent, t.index)
		}
		c.missing[t.index] = t
	}
	err := entries(c.Size, func(i ledger.Index, text []byte) error {
		if i != c.Size {
			return fmt.Errorf("entry %d comes after %d entries", i, c.Size)
		}
		c.Size++
		return c.entry(i, text)
	})
	if err != nil {
		return err
	}
	if len(c.missing) > 0 {
		first := slices.Min(slices.Collect(maps.Keys(c.missing)))
		return fmt.Errorf("%d acknowledged entries are missing, the first is %d, %s of consent %d; the log has %d entries",
			len(c.missing), first, c.missing[first].kind, c.missing[first].consent, c.Size)
	}
	return nil
}

// entry looks at one entry.
func (c *Comparison) entry(i ledger.Index, text []byte) error {
	e, err := ledger.ParseEntry(text)
	if err != nil {
		return fmt.Errorf("entry %d: %w", i, err)
	}
	concerns := ledger.ConsentID(i)
	if len(e.Consents) > 0 {
		concerns = e.Consents[0].Consent
	}
	c.kinds[e.Kind] += max(1, len(e.Consents))
	t, ok := c.missing[i]
	if !ok {
		return nil
	}
	delete(c.missing, i)
	if ledger.LeafHash(text) != t.leaf || e.Kind != t.kind || concerns != ledger.ConsentID(t.consent) {
		return fmt.Errorf("acknowledged as %s of consent %d with leaf hash %v, entry %d is now:\n%s", t.kind, t.consent, t.leaf, i, text)
	}
	return nil
}

// Judge holds a whole ledger, which this process has open, against what the clients were
// told: entries, states of consents, and who is held and who is erased. The clients must
// be at rest.
func (s *Storm) Judge(svc *service.Service) (*service.CheckReport, error) {
	if err := NewComparison().Continue(s, Stored(svc)); err != nil {
		return nil, err
	}
	snap := svc.Log().Snapshot()
	defer snap.Release()
	for id, state := range s.states {
		if c, ok, err := snap.Consent(ledger.ConsentID(id)); err != nil || !ok || c.State.String() != state {
			return nil, fmt.Errorf("consent %d is %v, %v; its client was told %s: %w", id, c.State, ok, state, errors.Join(err))
		}
	}
	report, err := svc.Check(nil)
	if err != nil {
		return nil, err
	}
	if want := len(s.states); report.Consents != want || report.Erased != len(s.erased) || report.Held != want-report.Erased {
		return nil, fmt.Errorf("%d consents, %d erased, %d held; the clients have %d and erased %d", report.Consents, report.Erased,
			report.Held, want, len(s.erased))
	}
	return report, nil
}
