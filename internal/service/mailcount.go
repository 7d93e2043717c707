package service

import (
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// How many confirmation mails somebody gets. Whoever fills in other people's
// addresses, over and over, must not make the ledger's operator flood them.
const (
	mailWindow      = 24 * time.Hour
	defaultMaxMails = 3
	mostMaxMails    = 1000
)

// mayMail refuses one more confirmation mail to a person on a channel when
// [Options.MaxConfirmationMails] were asked for within the last 24 hours by the
// ledger's clock: requests, and resends of any request. The refusal names the
// moment from which on the next is possible.
func (t *turn) mayMail(who *vault.Subject, channel string) error {
	if t.s.maxMails < 0 || who.Since >= t.log.Next() {
		return nil // whom this decision makes was sent none
	}
	mails, err := t.mailsSince(who, channel, t.now.Add(-mailWindow))
	if err != nil || len(mails) < t.s.maxMails {
		return err
	}
	slices.SortFunc(mails, time.Time.Compare)
	free := wholeSecond(mails[len(mails)-t.s.maxMails].Add(mailWindow))
	return &refusal.Error{Code: refusal.ResourceExhausted, At: "confirmation_mails",
		Reason: "the person was sent as many confirmation mails on this channel as are allowed within 24 hours; the next is possible at " +
			free.Format(time.RFC3339)}
}

// mailsSince gives when confirmation mails were asked for after a moment. It reads
// the person's records from the newest back to those whose request is too old to
// wait, which is when nothing of it can be resent any more.
func (t *turn) mailsSince(who *vault.Subject, channel string, since time.Time) (times []time.Time, err error) {
	counted := map[ledger.Index]bool{} // entries; the consents of a request share them
	count := func(i ledger.Index, at time.Time) {
		if !counted[i] && at.After(since) {
			counted[i] = true
			times = append(times, at)
		}
	}
	var opened *ledger.Entry
	var failed error
	err = t.vault.NewestConsents(who, func(id ledger.ConsentID) bool {
		var c ledger.Consent
		if c, _, failed = t.log.Consent(id); failed != nil || c.Channel != channel {
			return failed == nil
		}
		if opened, failed = t.entry(ledger.Index(id)); failed != nil || opened.Time.Before(since.Add(-maxLifetime)) {
			return false
		}
		if opened.Kind == ledger.ConsentRequested {
			count(ledger.Index(c.Request), opened.Time)
			failed = t.resendsSince(id, since, count)
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	return times, err
}

// resendsSince counts the resends that mention a consent after a moment.
func (t *turn) resendsSince(id ledger.ConsentID, since time.Time, count func(ledger.Index, time.Time)) error {
	var failed error
	err := t.log.Mentions(id, endOfLog, func(i ledger.Index, kind ledger.Kind) bool {
		if kind != ledger.ConfirmationResent {
			return true
		}
		var e *ledger.Entry
		if e, failed = t.entry(i); failed != nil {
			return false
		}
		count(i, e.Time)
		return e.Time.After(since)
	})
	if err == nil {
		err = failed
	}
	return err
}
