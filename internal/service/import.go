package service

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Import is one consent of old stock: what another system says that somebody had
// consented to.
type Import struct {
	Subject Subject
	Purpose string
	Channel string
	Notice  string // the words that had been shown; "" when they are not known
	Method  string // how the person had consented; import when it is not known
	// Grade says what the stock proves: C (the other system has the click or its
	// event, and something of it comes with the import), D (a status; the default)
	// or E (a claim).
	Grade       string
	Claims      map[string]string
	Attachments []Attachment `json:"-"`
	Explicit    bool
	Age         string
	// OccurredAt is when the person had consented, a bare claim. Required.
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Imported answers an Import. Where nothing was recorded Skipped says why, and
// Consent is the record that stands in its place, if there is one.
type Imported struct {
	Consent Consent
	Skipped string // "", exists or suppressed
}

// Why nothing is recorded.
const (
	skippedExists     = "exists"
	skippedSuppressed = "suppressed"
)

// defaultGrade is the grade of an import that says nothing.
const defaultGrade = "D"

// ImportConsent records a consent of old stock. It fills gaps only: where
// anything is on record about the person, the purpose and the channel, in
// whatever state, where the person withdrew from or objected to what the purpose
// belongs to, and where the address is on the suppression list, nothing is
// written. Records that are locked count, too, or whoever withdrew long ago would
// be brought back by the next import; they are answered as a suppression, because
// nobody but the legal role may know of them.
func (s *Service) ImportConsent(ctx context.Context, src Source, i Import) (*Imported, error) {
	r := s.BatchImport(ctx, src, []Import{i})[0]
	return r.Imported, r.Err
}

// importItem is one import of a batch on its way.
type importItem struct {
	*statement // nil if it is refused
	proof      bool
	out        *outcome // of the newest run of the decision
	skipped    string
	err        error
	wait       func() error // for the decision that was handed over; nil before
}

// begin hands the decision over.
func (x *importItem) begin(ctx context.Context, s *Service, src Source) {
	x.wait = s.beginRecords(ctx, src, x.opening, func(t *turn) (err error) {
		x.out, x.skipped, err = x.fill(t)
		return ofOnePurpose(err)
	})
}

// end waits for the decision.
func (x *importItem) end() {
	if x.wait != nil {
		x.err = x.wait()
		x.wait = nil
	}
}

// answer says what became of an import that has ended.
func (x *importItem) answer(s *Service) (*Imported, error) {
	if x.err != nil {
		return nil, x.err
	}
	consents, err := s.consents(x.out.Touched, x.proof, x.out.wrote...)
	if err != nil {
		return nil, err
	}
	answer := &Imported{Skipped: x.skipped}
	if len(consents) > 0 {
		answer.Consent = consents[0]
	}
	return answer, nil
}

func (s *Service) prepareImport(src Source, i Import) (*statement, error) {
	if i.Grade == "" {
		i.Grade = defaultGrade
	}
	if !ledger.IsImportGrade(i.Grade) {
		return nil, refusal.Invalid("grade", "must be C, D or E; A and B are for what the ledger has seen itself")
	}
	if !ledger.IsMethod(i.Method) {
		return nil, refusal.Invalid("method", "is not a method")
	}
	if err := checkAge(i.Age); err != nil {
		return nil, err
	}
	if i.OccurredAt.IsZero() {
		return nil, refusal.Invalid("occurred_at", "is needed: when the person had consented")
	}
	var notice ledger.NoticeRef
	var err error
	if i.Notice != "" {
		if notice, err = parseNotice(i.Notice); err != nil {
			return nil, err
		}
	}
	d, err := s.prepareStatement(i.Subject, []string{i.Purpose}, i.Claims, i.Attachments, ledger.Entry{Kind: ledger.ConsentImported,
		Channel: i.Channel, Notice: notice, Method: i.Method, Grade: i.Grade, Explicit: onlyYes(i.Explicit), Age: i.Age, Occurred: i.OccurredAt})
	if err != nil {
		return nil, err
	}
	if i.Grade == "C" && !slices.ContainsFunc(d.claims, isEvidence) {
		return nil, refusal.Invalid("grade", "is C only with something of the click, as a claim besides ip or as an attachment")
	}
	d.once, err = s.once(src, i.IdempotencyKey, []any{"ImportConsent", i, d.identity()})
	return d, err
}

// isEvidence reports whether a claim is more than the person's identifier.
func isEvidence(c claim) bool {
	return !ledger.IsIdentifierClaim(c.disclosure.Claim) && c.disclosure.Claim != "typed"
}

// fill decides about an import. What is skipped is not remembered either: a retry
// finds what stands again.
func (d *statement) fill(t *turn) (*outcome, string, error) {
	out, _, err := d.once.recall(t)
	if out != nil || err != nil {
		return out, "", err
	}
	known, err := t.person(d.id)
	if err != nil {
		return nil, "", err
	}
	who, ids, err := d.look(t)
	if err != nil {
		return nil, "", err
	}
	if known != nil {
		stands, err := d.taken(t, known.consents)
		if err != nil {
			return nil, "", err
		}
		if stands.ID != 0 {
			out := new(outcome)
			out.stands([]ledger.Consent{stands})
			return out, skippedExists, nil
		}
	}
	locked, err := t.locked(d.id)
	if err != nil {
		return nil, "", err
	}
	if stands, err := d.taken(t, locked); stands.ID != 0 || err != nil {
		return new(outcome), skippedSuppressed, err
	}
	if t.s.vault.AnySuppressed() {
		names, err := suppressible(t.log, d.names...)
		if err != nil {
			return nil, "", err
		}
		if listed, err := suppressed(t.vault, ids, names); len(listed) > 0 || err != nil {
			return new(outcome), skippedSuppressed, err
		}
	}
	out, entries, err := d.keep(t, who, ids)
	if err != nil {
		return nil, "", err
	}
	out.wrote, err = t.write(entries...)
	return out, "", err
}

// taken gives the newest of a person's records because of which there is no gap,
// none if there is one.
func (d *statement) taken(t *turn, consents []ledger.Consent) (stands ledger.Consent, err error) {
	above, err := decision.StopsOf(t.log, d.purposes[0])
	if err != nil {
		return stands, err
	}
	for _, c := range consents {
		if c.Channel != d.base.Channel && c.Channel != ledger.AnyChannel || !slices.Contains(above, c.Purpose) {
			continue
		}
		if c.Purpose == d.names[0] || c.State == ledger.Withdrawn || c.State == ledger.Objected {
			stands = c
		}
	}
	return stands, nil
}

// locked gives the locked records of everybody who was or is known by an
// identifier.
func (t *turn) locked(id Identifier) (consents []ledger.Consent, err error) {
	people, err := everybody(t.vault, t.log, t.log.Size(), id)
	for _, who := range people {
		consents = append(consents, who.locked...)
	}
	return consents, err
}

// importsAtOnce is how many imports of a batch are handed over at a time: two groups,
// of which one gathers while the other is written. The calls of others wait for no more.
const importsAtOnce = 512

// ImportResult is what became of one item of a batch.
type ImportResult struct {
	*Imported
	Err error
}

// BatchImport imports many consents at once, so that they share the commits of
// groups. An item that is refused spoils its own result only. Items about one
// person are imported in their order, of which the first fills the gap; others in
// any order.
func (s *Service) BatchImport(ctx context.Context, src Source, items []Import) []ImportResult {
	list := make([]importItem, len(items))
	inParallel(len(items), func(i int) {
		x := &list[i]
		x.proof = items[i].Proof
		x.statement, x.err = s.prepareImport(src, items[i])
		x.err = ofOnePurpose(x.err)
	})
	// The recorder puts aside who is being changed, and decides on others first: who
	// has several items has one at a time on the way.
	for _, turn := range byPerson(list) {
		for n, x := range turn {
			if n >= importsAtOnce {
				turn[n-importsAtOnce].end()
			}
			x.begin(ctx, s, src)
		}
		for _, x := range turn {
			x.end()
		}
	}
	results := make([]ImportResult, len(items))
	inParallel(len(items), func(i int) { results[i].Imported, results[i].Err = list[i].answer(s) })
	return results
}

// byPerson gives the items that were not refused in turns, of which each has one of a
// person at most: everybody's first items, then the second ones.
func byPerson(list []importItem) (turns [][]*importItem) {
	seen := map[Identifier]int{}
	for i := range list {
		x := &list[i]
		if x.err != nil {
			continue
		}
		n := seen[x.id]
		seen[x.id]++
		if n == len(turns) {
			turns = append(turns, nil)
		}
		turns[n] = append(turns[n], x)
	}
	return turns
}

// inParallel calls do for 0 to n-1, by as many goroutines as there are processors.
func inParallel(n int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}
