package service

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// ReceiptFacts is what a consent receipt says of one record. Nothing in it is a
// personal value.
type ReceiptFacts struct {
	Origin, Controller string
	Consent            Consent // as it stands, with the entry that changed it last
	Basis              string
	Leaf               ledger.Hash // of the entry that opened it
	Explicit           bool        // the declaration was explicit, Art. 9(2)(a) GDPR
	Child              bool
	Guardian           bool     // somebody with parental responsibility was recorded
	Claims             []string // names of the claims that entries about it commit to, sorted
	// Purpose is as it is in force; nil for what no purpose defines.
	Purpose    *Purpose
	Notices    []HeldNotice // those that entries name, and privacy notices in force
	Processors []*Processor
	States     []ReceiptState // every one that it was in, the first first
	// ValidUntil is until when it counts by the terms of its purpose; zero for ever.
	ValidUntil time.Time
	// Newest is the newest entry about it, Changed when that was recorded.
	Newest  ledger.Index
	Changed time.Time
}

// ReceiptState is a state that a record came into.
type ReceiptState struct {
	State  ledger.State
	At     time.Time // as the source dates it, or else as the ledger recorded it
	Index  ledger.Index
	Kind   ledger.Kind
	Method string // how the person said it; "" if they did not
	Notice string // by which; "" for none
	// Expires is until when the link to confirm is good; zero for what is no request.
	Expires time.Time
}

// ConsentReceipt gives what a receipt says of a consent, for the person to keep. It
// is for apps: what is locked or erased is not known. What rests on another basis than
// consent has no receipt.
func (s *Service) ConsentReceipt(ctx context.Context, src Source, id ledger.ConsentID) (*ReceiptFacts, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	c, err := visibleConsent(snap, src, id)
	if err != nil {
		return nil, err
	}
	if c.Basis != ledger.ByConsent {
		return nil, refusal.Precondition("basis", "the record does not rest on consent; receipts are of consents")
	}
	shown, err := s.list(ctx, snap, []ledger.Consent{c})
	if err != nil {
		return nil, err
	}
	g := &gathering{Dossier: &Dossier{Origin: s.log.Origin(), Size: snap.Size(), s: s}, ctx: ctx, snap: snap, log: published{snap},
		consents: []ledger.Consent{c}}
	f := &ReceiptFacts{Origin: g.Origin, Consent: shown[0], Basis: c.Basis.String(),
		Child: c.Evidence&ledger.EvChild != 0, Guardian: c.Evidence&ledger.EvGuardian != 0}
	_, first, err := readEntry(snap, 0)
	if err != nil {
		return nil, err
	}
	f.Controller = first.Controller
	if err := g.receiptEntries(f, c); err != nil {
		return nil, err
	}
	for _, step := range []func() error{g.notices, g.purposes, g.processors} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	f.Notices, f.Processors = g.Notices, g.Processors
	if n := len(g.Purposes); n > 0 {
		f.Purpose = g.Purposes[n-1] // the newest version
	}
	held := HeldConsent{}
	if err := g.times(&held, c); err != nil {
		return nil, err
	}
	f.ValidUntil = held.ValidUntil
	return f, nil
}

// receiptEntries reads the entries about a consent.
func (g *gathering) receiptEntries(f *ReceiptFacts, c ledger.Consent) error {
	indexes, err := concerning(g.snap, c)
	if err != nil {
		return err
	}
	was := ledger.Consent{ID: c.ID, Purpose: c.Purpose, Channel: c.Channel, Request: c.Request}
	for _, i := range indexes {
		text, e, err := readEntry(g.snap, i)
		if err != nil {
			return err
		}
		g.Entries = append(g.Entries, HeldEntry{Entry: e})
		f.Newest, f.Changed = i, e.Time
		for _, k := range e.Commits {
			f.Claims = append(f.Claims, k.Claim)
		}
		if i == ledger.Index(c.ID) {
			f.Leaf, f.Explicit = ledger.LeafHash(text), e.Explicit == "yes"
		}
		if !concernsConsent(e, c.ID) {
			continue
		}
		now := ledger.Apply(was, e)
		if now.State != was.State || decision.Grants(e.Kind) {
			state := ReceiptState{State: now.State, At: happened(e), Index: i, Kind: e.Kind, Method: e.Method, Expires: e.Expires}
			if e.Notice.ID != "" {
				state.Notice = e.Notice.Name()
			}
			f.States = append(f.States, state)
		}
		was = now
	}
	slices.SortFunc(f.Claims, strings.Compare)
	f.Claims = slices.Compact(f.Claims)
	return nil
}

// concernsConsent reports whether an entry opened a consent or changed it.
func concernsConsent(e *ledger.Entry, id ledger.ConsentID) bool {
	return ledger.ConsentID(e.Index) == id || decision.Previous(e, id) >= 0
}
