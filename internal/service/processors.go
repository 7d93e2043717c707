package service

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// ProcessorEngagement says that somebody processes the data on the controller's
// behalf, and on which terms (Art. 28 GDPR).
type ProcessorEngagement struct {
	ID      string
	Insist  bool // an ID that looks personal is none
	Title   string
	Country string // where the data are processed, ISO 3166-1 alpha-2; "" says nothing
	// Purposes for which data are passed on, at most 32; none if the engagement is
	// not bound to any, as that of whoever runs the servers.
	Purposes []string
	// Exactly one of the two names the agreement: Art. 28(3) GDPR demands one, in
	// writing (9). Its bytes are kept if they are handed in.
	Agreement       *Attachment  `json:"-"` // of the claim `document`, at most MaxAttachment bytes
	AgreementSHA256 *ledger.Hash `json:"-"`
	// Claims are address and reference. They must hold nothing personal but what
	// names the processor: they are never erased.
	Claims         map[string]string
	OccurredAt     time.Time // from when on; the zero time is the ledger's
	IdempotencyKey string    `json:"-"`
	Proof          bool      `json:"-"`
}

// ProcessorEnd says that an engagement has ended.
type ProcessorEnd struct {
	ID             string
	Claims         map[string]string // reason and reference, without anything personal
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Processor is a processor on the terms of its newest engagement, as it stands now.
type Processor struct {
	ledger.Processor
	Title      string
	Agreement  ledger.Hash       // the SHA-256; its bytes: [Service.Document]
	Claims     map[string]string // address, reference
	OccurredAt time.Time         // as the engagement says
}

// EngageProcessor engages a processor, or replaces the terms of one that is
// engaged. The same terms again write nothing.
func (s *Service) EngageProcessor(ctx context.Context, src Source, p ProcessorEngagement) (*Processor, *Entry, error) {
	e, err := p.entry()
	if err != nil {
		return nil, nil, err
	}
	claims, files, err := documented("agreement", p.Agreement, p.AgreementSHA256)
	if err != nil {
		return nil, nil, err
	}
	more, err := wordClaims(p.Claims, "address", "reference")
	if err != nil {
		return nil, nil, err
	}
	claims = append(append(claims, more...), newClaim("title", p.Title))
	once, err := s.once(src, p.IdempotencyKey, []any{"EngageProcessor", p, valuesOf(claims)})
	if err != nil {
		return nil, nil, err
	}
	at, err := s.declareWith(ctx, src, once, claims, files, func(t *turn) (*declaration, error) {
		if _, err := t.purposes(p.Purposes); err != nil {
			return nil, err
		}
		stands, same, err := t.engaged(e, claims)
		if same || err != nil {
			return &declaration{stands: stands}, err
		}
		e.Commits = commitments(claims)
		return &declaration{entry: e}, t.seal(s.vault.LedgerKey(), claims)
	})
	if err != nil {
		return nil, nil, err
	}
	return s.declaredProcessor(at, p.Proof)
}

// entry checks an engagement by itself, and gives its entry without claims.
func (p *ProcessorEngagement) entry() (*ledger.Entry, error) {
	if err := checkID(p.ID, p.Insist); err != nil {
		return nil, err
	}
	if err := checkText("title", p.Title, maxTitle, false); err != nil {
		return nil, err
	}
	if p.Country != "" && !ledger.IsCountry(p.Country) {
		return nil, refusal.Invalid("country", "is not two capital letters of ISO 3166-1")
	}
	if err := checkPurposes(p.Purposes, false); err != nil {
		return nil, err
	}
	if (p.Agreement == nil) == (p.AgreementSHA256 == nil) {
		return nil, refusal.Invalid("agreement", "needs exactly one of agreement, agreement_sha256: Art. 28(3) GDPR demands a contract or another legal act")
	}
	at, err := occurred(p.OccurredAt)
	return &ledger.Entry{Kind: ledger.ProcessorEngaged, Occurred: at, Processor: p.ID, Country: p.Country, Covers: asSet(p.Purposes)}, err
}

// engaged gives the entry that engaged a processor, and whether it still stands and
// says the same as an entry with these claims.
func (t *turn) engaged(e *ledger.Entry, claims []claim) (ledger.Index, bool, error) {
	p, ok, err := t.log.Processor(e.Processor)
	if !ok || !p.Ended.IsZero() || err != nil {
		return 0, false, err
	}
	before, err := t.entry(p.Index)
	if err != nil {
		return 0, false, err
	}
	own, err := t.s.ownClaims(before)
	same := own.say(claims) && before.Country == e.Country && slices.Equal(before.Covers, e.Covers) && before.Occurred.Equal(e.Occurred)
	return p.Index, same, err
}

// EndProcessor ends the engagement of a processor. Whom it got data of is told by
// the uses that name it.
func (s *Service) EndProcessor(ctx context.Context, src Source, p ProcessorEnd) (*Processor, *Entry, error) {
	if !ledger.IsIdentifier(p.ID) {
		return nil, nil, refusal.Invalid("id", "is not the id of a processor")
	}
	at, err := occurred(p.OccurredAt)
	if err != nil {
		return nil, nil, err
	}
	claims, err := wordClaims(p.Claims, "reason", "reference")
	if err != nil {
		return nil, nil, err
	}
	once, err := s.once(src, p.IdempotencyKey, []any{"EndProcessor", p})
	if err != nil {
		return nil, nil, err
	}
	i, err := s.declare(ctx, src, once, func(t *turn) (*declaration, error) {
		// Whether it is engaged, the rules say.
		return &declaration{entry: &ledger.Entry{Kind: ledger.ProcessorEnded, Occurred: at, Processor: p.ID, Commits: commitments(claims)}},
			t.seal(s.vault.LedgerKey(), claims)
	})
	if err != nil {
		return nil, nil, err
	}
	return s.declaredProcessor(i, p.Proof)
}

// wordClaims checks claims of the ledger's own, of which only some are allowed.
func wordClaims(values map[string]string, names ...string) (claims []claim, err error) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(names, name) {
			return nil, refusal.Invalid("claims", "has a name that is none of %s", strings.Join(names, ", "))
		}
		if err := checkValue("claims."+name, values[name]); err != nil {
			return nil, err
		}
		claims = append(claims, newClaim(name, values[name]))
	}
	return claims, nil
}

// declaredProcessor answers with the processor that the entry at i is about.
func (s *Service) declaredProcessor(i ledger.Index, proof bool) (*Processor, *Entry, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	entry, parsed, err := s.entry(snap, i, proof)
	if err != nil {
		return nil, nil, err
	}
	p, _, err := snap.Processor(parsed.Processor)
	if err != nil {
		return nil, nil, err
	}
	shown, err := s.showProcessor(snap, p)
	return shown, &entry, err
}

func (s *Service) showProcessor(snap *store.Snapshot, p ledger.Processor) (*Processor, error) {
	_, e, err := readEntry(snap, p.Index)
	if err != nil {
		return nil, err
	}
	own, err := s.ownClaims(e)
	return &Processor{p, own["title"].value, own[documentClaim].sha256(), own.text(), e.Occurred}, err
}

// ListProcessors lists every processor that is or was engaged, by id.
func (s *Service) ListProcessors() ([]*Processor, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	var list []*Processor
	var failed error
	snap.Processors(func(p ledger.Processor) {
		shown, err := s.showProcessor(snap, p)
		if err != nil {
			failed = err
		}
		list = append(list, shown)
	})
	if failed != nil {
		return nil, failed
	}
	slices.SortFunc(list, func(a, b *Processor) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}
