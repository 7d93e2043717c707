package service

import (
	"context"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Refusal is a person's no to being asked.
type Refusal struct {
	Subject        Subject
	Purposes       []string
	Channel        string
	Notice         string // the words that were shown; "" when there were none
	Method         string
	Claims         map[string]string
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// RefuseConsent records that a person was asked and said no, one record per
// purpose. It ends nothing that the person consented to: that is a withdrawal.
func (s *Service) RefuseConsent(ctx context.Context, src Source, r Refusal) ([]Consent, error) {
	if !ledger.IsMethod(r.Method) {
		return nil, refusal.Invalid("method", "is not a method")
	}
	var notice ledger.NoticeRef
	var err error
	if r.Notice != "" {
		if notice, err = parseNotice(r.Notice); err != nil {
			return nil, err
		}
	}
	d, err := s.prepareStatement(r.Subject, r.Purposes, r.Claims, nil, ledger.Entry{Kind: ledger.ConsentRefused,
		Channel: r.Channel, Notice: notice, Method: r.Method, Occurred: r.OccurredAt})
	if err != nil {
		return nil, err
	}
	if d.once, err = s.once(src, r.IdempotencyKey, []any{"RefuseConsent", r, d.identity()}); err != nil {
		return nil, err
	}
	var out *outcome
	err = s.openRecords(ctx, src, d.opening, func(t *turn) (err error) {
		if out, _, err = d.once.recall(t); out != nil || err != nil {
			return err
		}
		who, ids, err := d.look(t)
		if err != nil {
			return err
		}
		var entries []*ledger.Entry
		if out, entries, err = d.keep(t, who, ids); err != nil {
			return err
		}
		_, err = t.write(entries...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.consents(out.Touched, r.Proof)
}
