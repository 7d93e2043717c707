package service

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Notification says that a recipient of personal data was told of what happened to
// them: of a correction, an erasure or a restriction (Art. 19 GDPR), or of an end.
type Notification struct {
	Index ledger.Index // the entry of which the recipient was told
	// Processor is one that was engaged; "" for somebody whom the claim `recipient`
	// names.
	Processor string
	// Claims are `recipient` and `reference`. They are kept with the ledger's own
	// claims, never erased, and must hold nothing personal.
	Claims         map[string]string
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Notified answers a Notification.
type Notified struct {
	NotificationID ledger.Index
	Entry          Entry
}

// Acknowledgement says that a recipient says that it is done there, too.
type Acknowledgement struct {
	NotificationID ledger.Index
	Claims         map[string]string // as of a Notification
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// NotifyRecipient records that a recipient was told of an entry that names consents,
// also when their people are erased.
func (s *Service) NotifyRecipient(ctx context.Context, src Source, n Notification) (*Notified, error) {
	papers, at, err := prepareRecipient(n.Claims, n.OccurredAt)
	if err != nil {
		return nil, err
	}
	if n.Processor == "" {
		err = papers.need("recipient")
	} else if !ledger.IsIdentifier(n.Processor) {
		err = refusal.Invalid("processor", "is not the id of a processor")
	}
	if err != nil {
		return nil, err
	}
	base := ledger.Entry{Kind: ledger.RecipientNotified, Occurred: at, Refers: []ledger.Index{n.Index}, Processor: n.Processor}
	once, err := s.once(src, n.IdempotencyKey, []any{"NotifyRecipient", n})
	if err != nil {
		return nil, err
	}
	entry, err := s.recordRecipient(ctx, src, base, papers, once, n.Proof, func(t *turn) error {
		consents, err := t.namedBy(n.Index)
		if err == nil && len(consents) == 0 {
			err = errNamesNobody
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Notified{entry.Index, *entry}, nil
}

// errNamesNobody is the answer about an entry of which nobody is to be told.
var errNamesNobody = refusal.Invalid("index", "is an entry that names no consent; there is nothing to tell a recipient of")

// AcknowledgeRecipient records that a recipient answered a notification.
func (s *Service) AcknowledgeRecipient(ctx context.Context, src Source, a Acknowledgement) (*Entry, error) {
	papers, at, err := prepareRecipient(a.Claims, a.OccurredAt)
	if err != nil {
		return nil, err
	}
	base := ledger.Entry{Kind: ledger.RecipientAcknowledged, Occurred: at, Refers: []ledger.Index{a.NotificationID}}
	once, err := s.once(src, a.IdempotencyKey, []any{"AcknowledgeRecipient", a})
	if err != nil {
		return nil, err
	}
	return s.recordRecipient(ctx, src, base, papers, once, a.Proof, func(t *turn) error {
		open, err := t.log.Notification(a.NotificationID)
		if err == nil && !open {
			err = refusal.NotFound("notification_id", "no notification with this number waits to be acknowledged")
		}
		return err
	})
}

// prepareRecipient checks what is said of a recipient.
func prepareRecipient(values map[string]string, at time.Time) (*papers, time.Time, error) {
	papers, err := preparePapers(values, nil)
	if err != nil {
		return nil, at, err
	}
	if papers.only("recipient", "reference") != nil {
		return nil, at, refusal.Invalid("claims", "only recipient and reference are kept of a recipient, and nothing personal")
	}
	at, err = occurred(at)
	return papers, at, err
}

// recordRecipient records an entry about a recipient unless check refuses it.
func (s *Service) recordRecipient(ctx context.Context, src Source, base ledger.Entry, papers *papers, once once, proof bool,
	check func(*turn) error) (*Entry, error) {
	var out *outcome
	err := s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		if err := check(t); err != nil {
			return err
		}
		out, err = t.recordPapers(base, nil, papers, once, "recipient", "reference")
		return err
	})
	if err != nil {
		return nil, err
	}
	entries, err := s.entries(out.Entries, proof)
	if err != nil {
		return nil, err
	}
	return &entries[0], nil
}

// RecipientOf is somebody to whom data were passed of the people whom an entry
// names, or who was told of the entry.
type RecipientOf struct {
	Processor string       // "" for those whom only a claim names, all together
	Uses      int          // consent.used entries that passed data of these people
	LastUse   ledger.Index // -1 without one
	// Notification is the newest one, of this entry; Acknowledgement answers it. Each
	// is -1 if there is none.
	Notification, Acknowledgement ledger.Index
}

// ListRecipients gives who is to be told of an entry, and who was, by processor.
// Of a list in several entries any one stands for all. It needs nothing but the
// log, so it answers for people who are erased, too.
//
// Limits: it knows those to whom RecordUses said that data were passed. A use that
// was recorded after the entry counts as well, because it may have happened before.
func (s *Service) ListRecipients(ctx context.Context, src Source, index ledger.Index) ([]RecipientOf, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	l := &recipientList{snap: snap, by: map[string]*RecipientOf{}, read: map[ledger.Index]bool{}}
	first, parts, err := l.parts(index)
	if err != nil {
		return nil, err
	}
	for i := first; i < first+ledger.Index(parts); i++ {
		if err := l.add(ctx, src, i); err != nil {
			return nil, err
		}
	}
	list := make([]RecipientOf, 0, len(l.by))
	for _, name := range slices.Sorted(maps.Keys(l.by)) {
		list = append(list, *l.by[name])
	}
	return list, nil
}

// recipientList is a list of recipients in the making.
type recipientList struct {
	snap *store.Snapshot
	by   map[string]*RecipientOf
	read map[ledger.Index]bool // consent.used entries
}

func (l *recipientList) of(processor string) *RecipientOf {
	r := l.by[processor]
	if r == nil {
		r = &RecipientOf{processor, 0, -1, -1, -1}
		l.by[processor] = r
	}
	return r
}

// parts gives the entries over which a list was split, of which i is one.
func (l *recipientList) parts(i ledger.Index) (first ledger.Index, n int, err error) {
	if i < 0 || ledger.Size(i) >= l.snap.Size() {
		return 0, 0, errNoEntry
	}
	_, e, err := readEntry(l.snap, i)
	if err != nil {
		return 0, 0, err
	}
	return i - ledger.Index(max(0, e.Part-1)), max(1, e.Parts), nil
}

// add adds who was given data of the people whom an entry names, and who was told
// of it.
func (l *recipientList) add(ctx context.Context, src Source, i ledger.Index) error {
	_, e, err := readEntry(l.snap, i)
	if err != nil {
		return err
	}
	consents, err := consentsIn(l.snap, e)
	if err != nil {
		return err
	}
	for _, c := range consents {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !c.Overlays.Has(ledger.Erased) && !maySee(src, c) {
			return errNoEntry
		}
		if err := l.uses(c.ID); err != nil {
			return err
		}
	}
	if len(consents) == 0 {
		return errNamesNobody
	}
	return l.notifications(i)
}

// uses adds to whom data were passed when a consent was used.
func (l *recipientList) uses(id ledger.ConsentID) error {
	var failed error
	err := l.snap.Mentions(id, ledger.Index(l.snap.Size()), func(i ledger.Index, kind ledger.Kind) bool {
		if kind != ledger.ConsentUsed || l.read[i] {
			return true
		}
		l.read[i] = true
		_, e, err := readEntry(l.snap, i)
		if failed = err; err == nil && e.Processor != "" {
			r := l.of(e.Processor)
			r.Uses++
			r.LastUse = max(r.LastUse, i)
		}
		return err == nil
	})
	return errors.Join(failed, err)
}

// notifications adds who was told of an entry, and whether they answered.
func (l *recipientList) notifications(of ledger.Index) error {
	return l.snap.Referring(of, func(i ledger.Index, kind ledger.Kind) error {
		if kind != ledger.RecipientNotified {
			return nil
		}
		_, e, err := readEntry(l.snap, i)
		if err != nil {
			return err
		}
		r := l.of(e.Processor)
		if i < r.Notification {
			return nil
		}
		r.Notification, r.Acknowledgement = i, -1
		return l.snap.Referring(i, func(answer ledger.Index, kind ledger.Kind) error {
			if kind == ledger.RecipientAcknowledged {
				r.Acknowledgement = answer
			}
			return nil
		})
	})
}
