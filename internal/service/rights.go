package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// RightsRequest is what a person asks for under Art. 15 to 22 GDPR.
type RightsRequest struct {
	Subject Subject
	Article string // art15 to art22
	// Claims and Attachments are what was asked, and how. Of a stranger only
	// `reference` is kept, which then must hold nothing personal.
	Claims      map[string]string
	Attachments []Attachment `json:"-"`
	// ReceivedAt is when it reached the controller, where that was before the call;
	// the month begins there.
	ReceivedAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// OpenedRequest answers a RightsRequest.
type OpenedRequest struct {
	RequestID ledger.Index // the first entry; the request is named by it
	Due       time.Time    // see [ledger.AnswerDue]
	Consents  int          // of the person; 0 for a stranger
	Entry     Entry
}

// OpenRequest records that a person asks for a right, and starts the clock of Art.
// 12(3) GDPR. It is about everybody who is or was known under the identifier. The
// request of a stranger, whose answer is that nothing is held, is recorded as one
// about nobody.
func (s *Service) OpenRequest(ctx context.Context, src Source, r RightsRequest) (*OpenedRequest, error) {
	id, err := r.Subject.normalise("subject")
	if err != nil {
		return nil, err
	}
	if !ledger.IsArticle(r.Article) {
		return nil, refusal.Invalid("article", "is not an article that gives a right to ask: %s", strings.Join(ledger.Articles(), ", "))
	}
	at, err := occurred(r.ReceivedAt)
	if err != nil {
		return nil, under("received_at", err)
	}
	papers, err := preparePapers(r.Claims, r.Attachments)
	if err != nil {
		return nil, err
	}
	once, err := s.once(src, r.IdempotencyKey, []any{"OpenRequest", r, id, papers.identity()})
	if err != nil {
		return nil, err
	}
	var out *outcome
	err = s.doWith(ctx, src, papers, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		// Before the month is added, because the year 10000 cannot be written.
		if at.After(t.now.Add(ledger.MaxClockAhead)) {
			return refusal.Invalid("received_at", "lies more than %v ahead of the ledger's clock", ledger.MaxClockAhead)
		}
		all, err := everybody(t.vault, t.log, t.log.Size(), id)
		if err != nil {
			return err
		}
		base := received(r.Article, at, t.now)
		out, err = t.recordPapers(base, consentsOf(all), papers, once, "reference")
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.opened(out.Entries, r.Proof)
}

// under gives a refusal of the time that something occurred by the name which that
// has in a call.
func under(path string, err error) error {
	var no *refusal.Error
	if !errors.As(err, &no) || no.At != "occurred_at" {
		return err
	}
	return &refusal.Error{Code: no.Code, At: path, Reason: no.Reason}
}

// received is the entry of a request that reached the controller at a moment, or
// now if nothing is said.
func received(article string, at, now time.Time) ledger.Entry {
	since := at
	if since.IsZero() {
		since = now
	}
	return ledger.Entry{Kind: ledger.RequestReceived, Article: article, Occurred: at, Due: ledger.AnswerDue(since, 1)}
}

// consentsOf gives everything of several people, ascending.
func consentsOf(all []*person) (consents []ledger.Consent) {
	for _, who := range all {
		consents = append(consents, who.all()...)
	}
	slices.SortFunc(consents, byID)
	return consents
}

// recordPapers records an entry about consents, ascending, or about nobody, with
// its papers; see [papers.keep].
func (t *turn) recordPapers(base ledger.Entry, consents []ledger.Consent, papers *papers, once once, impersonal ...string) (*outcome, error) {
	var err error
	if base.Commits, err = papers.keep(t, consents, impersonal...); err != nil {
		return nil, err
	}
	entries, out, err := t.entriesAbout(base, consents)
	if err != nil {
		return nil, err
	}
	return out, t.finish(once, nil, out, entries)
}

// entriesAbout gives the decision's first entries: one about consents, ascending,
// split as [splitAbout] does, or one that names nobody.
func (t *turn) entriesAbout(base ledger.Entry, consents []ledger.Consent) ([]*ledger.Entry, *outcome, error) {
	next, err := t.next()
	if err != nil {
		return nil, nil, err
	}
	ids := make([]ledger.ConsentID, 0, len(consents))
	for _, c := range consents {
		ids = append(ids, c.ID)
	}
	entries := splitAbout(base, ids)
	if len(ids) == 0 {
		entries = []*ledger.Entry{&base}
	}
	out := new(outcome)
	for i := range entries {
		out.Entries = append(out.Entries, next+ledger.Index(i))
	}
	return entries, out, nil
}

// opened builds the answer about a request.
func (s *Service) opened(list []ledger.Index, proof bool) (*OpenedRequest, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	answer := &OpenedRequest{RequestID: list[0]}
	for _, i := range list {
		_, e, err := readEntry(snap, i)
		if err != nil {
			return nil, err
		}
		answer.Due = e.Due
		answer.Consents += len(e.About)
	}
	var err error
	answer.Entry, _, err = s.entry(snap, list[0], proof)
	return answer, err
}
