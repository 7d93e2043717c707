package service

import (
	"math"
	"slices"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// requests is where what happened to double opt-ins is read: the published log, or
// the log with the recorder's group over it.
type requests interface {
	OpenRequest(lock ledger.Hash) (ledger.OpenRequest, bool, error)
	Mentions(id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error
	Entry(ledger.Index) (*ledger.Entry, error)
}

// ofRequest gives the consents of a request that everybody may know of; they stand
// one behind the other.
func ofRequest(h ledger.History, request ledger.ConsentID) ([]ledger.Consent, error) {
	var list []ledger.Consent
	for id := request; ; id++ {
		c, ok, err := h.Consent(id)
		if err != nil {
			return nil, err
		}
		if !ok || c.Request != request {
			return list, nil
		}
		if !hidden(c) { // retention may have taken one of them
			list = append(list, c)
		}
	}
}

// ofLock gives the consents of the request that a lock belongs to.
func ofLock(h ledger.History, lock ledger.Hash) ([]ledger.Consent, error) {
	open, ok, err := h.OpenRequest(lock)
	if err != nil {
		return nil, err
	} else if !ok {
		return nil, errUnknownToken
	}
	list, err := ofRequest(h, open.Request)
	if err == nil && len(list) == 0 {
		err = errUnknownToken
	}
	return list, err
}

// ofOneRequest finds the consents that a caller names by their ids, in that order,
// and whose they are. All must be of one request.
func (t *turn) ofOneRequest(ids []ledger.ConsentID) (list []ledger.Consent, who *vault.Subject, err error) {
	for i, id := range ids {
		c, subject, err := t.consent(path("consent_ids", i), id)
		if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			who = subject
		} else if c.Request != list[0].Request {
			return nil, nil, refusal.Invalid(path("consent_ids", i), "belongs to another request than consent_ids[0]")
		}
		list = append(list, c)
	}
	return list, who, nil
}

// waiting gives those consents that still wait for their confirmation.
func waiting(list []ledger.Consent) (open []ledger.Consent) {
	for _, c := range list {
		if c.State == ledger.Requested {
			open = append(open, c)
		}
	}
	return open
}

// endOfLog is an index behind every entry.
const endOfLog = ledger.Index(math.MaxInt64)

// newest gives the newest entries of a kind, at most n, that mention any of the
// consents and stand before an entry; the newest first.
func newest(r requests, consents []ledger.Consent, kind ledger.Kind, before ledger.Index, n int) ([]*ledger.Entry, error) {
	var found []ledger.Index
	for _, c := range consents {
		left := n
		err := r.Mentions(c.ID, before, func(i ledger.Index, k ledger.Kind) bool {
			if k == kind {
				found, left = append(found, i), left-1
			}
			return left > 0
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	slices.Reverse(found)
	entries := make([]*ledger.Entry, 0, min(n, len(found)))
	for _, i := range found[:min(n, len(found))] {
		e, err := r.Entry(i)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}
