package service

import (
	"context"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// RequestStep extends, answers or refuses a person's request.
type RequestStep struct {
	RequestID ledger.Index
	Until     time.Time // of an extension; zero stands for three months after receipt
	Refusal   string    // of a refusal: the ground, see [ledger.Refusals]
	// Claims say what the person was told: `reason` is required of extensions and
	// refusals (Art. 12(3), (4) GDPR). Where nobody is left whom the request names,
	// `reference` takes its place, and nothing else is kept.
	Claims         map[string]string
	Attachments    []Attachment `json:"-"`
	OccurredAt     time.Time    // when the person was told
	IdempotencyKey string       `json:"-"`
	Proof          bool         `json:"-"`
}

// RequestDone answers a RequestStep.
type RequestDone struct {
	Due       time.Time // of an extension: until when the request is to be answered now
	Entry     Entry
	Irregular []Irregular // that it came late; about no consent (-1)
}

// ExtendRequest gives a request more time, once, to at most three months after its
// receipt. The person is to be told why within the first month; later it is
// recorded as irregular.
func (s *Service) ExtendRequest(ctx context.Context, src Source, r RequestStep) (*RequestDone, error) {
	return s.stepRequest(ctx, src, r, ledger.RequestExtended)
}

// AnswerRequest records that a request was answered as it was asked; one answered
// in part is answered. Later than it was due it is recorded as irregular.
func (s *Service) AnswerRequest(ctx context.Context, src Source, r RequestStep) (*RequestDone, error) {
	return s.stepRequest(ctx, src, r, ledger.RequestAnswered)
}

// RefuseRequest records that a request was refused, and why. Later than it was due
// it is recorded as irregular.
func (s *Service) RefuseRequest(ctx context.Context, src Source, r RequestStep) (*RequestDone, error) {
	return s.stepRequest(ctx, src, r, ledger.RequestRefused)
}

// stepping is a step in the making.
type stepping struct {
	r      RequestStep
	kind   ledger.Kind
	at     time.Time
	papers *papers
	once   once
}

func (s *Service) stepRequest(ctx context.Context, src Source, r RequestStep, kind ledger.Kind) (*RequestDone, error) {
	p, err := s.prepareStep(src, r, kind)
	if err != nil {
		return nil, err
	}
	var out *outcome
	err = s.doWith(ctx, src, p.papers, func(t *turn) (err error) {
		out, err = p.decide(t)
		return err
	})
	if err != nil {
		return nil, err
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	entry, e, err := s.entry(snap, out.Entries[0], r.Proof)
	if err != nil {
		return nil, err
	}
	return &RequestDone{e.Due, entry, out.Irregular}, nil
}

func (s *Service) prepareStep(src Source, r RequestStep, kind ledger.Kind) (*stepping, error) {
	if kind != ledger.RequestExtended && !r.Until.IsZero() {
		return nil, refusal.Invalid("until", "belongs to extending a request only")
	}
	if kind == ledger.RequestRefused && !ledger.IsRefusal(r.Refusal) {
		return nil, refusal.Invalid("refusal", "is not a ground to refuse a request: %s", strings.Join(ledger.Refusals(), ", "))
	} else if kind != ledger.RequestRefused && r.Refusal != "" {
		return nil, refusal.Invalid("refusal", "belongs to refusing a request only")
	}
	p := &stepping{r: r, kind: kind}
	var err error
	if p.r.Until, err = occurred(r.Until); err != nil {
		return nil, under("until", err)
	}
	if p.at, err = occurred(r.OccurredAt); err != nil {
		return nil, err
	}
	if p.papers, err = preparePapers(r.Claims, r.Attachments); err != nil {
		return nil, err
	}
	p.once, err = s.once(src, r.IdempotencyKey, []any{string(kind), r, p.papers.identity()})
	return p, err
}

func (p *stepping) decide(t *turn) (*outcome, error) {
	before, _, err := p.once.recall(t)
	if before != nil || err != nil {
		return before, err
	}
	open, ok, err := t.log.RightsRequest(p.r.RequestID)
	if err != nil {
		return nil, err
	} else if !ok {
		return nil, refusal.NotFound("request_id", "no request with this number waits for its answer")
	}
	consents, err := t.asks(open.Index)
	if err != nil {
		return nil, err
	}
	base := ledger.Entry{Kind: p.kind, Occurred: p.at, Refers: []ledger.Index{open.Index}, Refusal: p.r.Refusal}
	if p.kind == ledger.RequestExtended {
		if base.Due = p.r.Until; base.Due.IsZero() {
			base.Due = ledger.AnswerDue(open.Received, 3)
		}
	}
	if base.Commits, err = p.papers.keep(t, consents, "reference"); err != nil {
		return nil, err
	}
	if err := p.explained(len(consents) > 0); err != nil {
		return nil, err
	}
	return p.record(t, base, consents, open)
}

// explained refuses an extension or a refusal without the reason that the person
// was told.
func (p *stepping) explained(known bool) error {
	switch {
	case p.kind == ledger.RequestAnswered:
		return nil
	case known:
		return p.papers.need("reason")
	}
	return p.papers.need("reference")
}

func (p *stepping) record(t *turn, base ledger.Entry, consents []ledger.Consent, open ledger.RightsRequest) (*outcome, error) {
	entries, out, err := t.entriesAbout(base, consents)
	if err != nil {
		return nil, err
	}
	at := p.at
	if at.IsZero() {
		at = t.now.Truncate(time.Second)
	}
	if at.After(open.Due) {
		out.Irregular = []Irregular{{Consent: -1, Name: string(p.kind) + ".late"}}
	}
	return out, t.finish(p.once, nil, out, entries)
}

// asks gives the consents that a request names and that are not erased, ascending.
func (t *turn) asks(request ledger.Index) (consents []ledger.Consent, err error) {
	for i, parts := request, 1; parts > 0; i, parts = i+1, parts-1 {
		e, err := t.entry(i)
		if err != nil {
			return nil, err
		}
		if e.Part == 1 {
			parts = e.Parts
		}
		for _, id := range e.About {
			c, _, err := t.log.Consent(id)
			if err != nil {
				return nil, err
			}
			if !c.Overlays.Has(ledger.Erased) {
				consents = append(consents, c)
			}
		}
	}
	return consents, nil
}
