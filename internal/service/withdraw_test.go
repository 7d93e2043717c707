package service

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

func TestWithdrawalOfStranger(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.request("somebody@example.com") // so that the source is declared
	for name, test := range map[string]struct {
		w       Withdrawal
		opens   string
		objects []string
	}{
		"all":      {Withdrawal{}, "all-marketing/any objected", []string{newsletter, offers}},
		"channel":  {Withdrawal{Channel: "email"}, "all-marketing/email objected", []string{newsletter, offers}},
		"purpose":  {Withdrawal{Purposes: []string{offers}}, "offers/any objected", []string{offers}},
		"purposes": {Withdrawal{Purposes: []string{newsletter, account}, Channel: "email"}, "newsletter/email objected, account/email objected", []string{newsletter, account}},
	} {
		who := name + "@example.com"
		w := test.w
		w.Subject, w.Method, w.Claims = email(who), "link", map[string]string{"reason": "enough"}
		before := f.size()
		first := f.withdraw(w)
		var opened string
		for i, c := range first {
			if i > 0 {
				opened += ", "
			}
			opened += fmt.Sprintf("%s/%s %s", c.Purpose, c.Channel, c.State)
			if c.ID != ledger.ConsentID(c.Entry.Index) || c.Notice != "" {
				t.Errorf("%s: %+v", name, c)
			}
		}
		if opened != test.opens {
			t.Errorf("%s: opened %s, want %s", name, opened, test.opens)
		}
		for _, p := range []string{newsletter, offers, account} {
			want := "no_consent"
			if slices.Contains(test.objects, p) {
				want = "objected"
			}
			f.checks(who, p, want)
		}
		// Twice: nothing is written, the entries that stand are answered.
		after := f.size()
		if again := f.withdraw(w); shows(again) != shows(first) || after != before+ledger.Size(len(first)) {
			t.Errorf("%s: again %s, first %s", name, shows(again), shows(first))
		}
		f.wrote(after, "")

		// A fresh double opt-in is allowed again, and only that.
		for _, p := range test.objects {
			r := f.request(who, p)
			f.checks(who, p, "pending")
			f.confirm(r.Token)
			f.checks(who, p, "confirmed")
		}
		f.withdraw(w)
		for _, p := range test.objects {
			f.checks(who, p, "withdrawn")
		}
	}
	_, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email("unknown@example.com"), Purposes: []string{"never_defined"}})
	refused(t, err, refusal.InvalidArgument, "purposes[0]")
}

func TestWithdrawalTwice(t *testing.T) {
	t.Parallel()
	f := newService(t)
	for name, w := range map[string]func(*Requested) Withdrawal{
		"subject": func(r *Requested) Withdrawal { return Withdrawal{Subject: email("subject@example.com")} },
		"token":   func(r *Requested) Withdrawal { return Withdrawal{ManageToken: r.ManageToken} },
		"ids":     func(r *Requested) Withdrawal { return Withdrawal{ConsentIDs: ids(r.Consents)} },
	} {
		r := f.confirmed(name+"@example.com", newsletter, offers)
		before := f.size()
		first := f.withdraw(w(r))
		f.wrote(before, "consent.withdrawn")
		if len(first) != 2 || first[0].State != ledger.Withdrawn || first[0].Entry != first[1].Entry {
			t.Errorf("%s: %s", name, shows(first))
		}
		before = f.size()
		if again := f.withdraw(w(r)); shows(again) != shows(first) {
			t.Errorf("%s: again %s, first %s", name, shows(again), shows(first))
		}
		f.wrote(before, "")
		f.checks(name+"@example.com", newsletter, "withdrawn")
		f.checks(name+"@example.com", offers, "withdrawn")
	}
}

// A manage token is good for its channel, and a caller may widen nothing by it.
func TestManageToken(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	byMail := f.confirmed(a, newsletter, account)
	ask := asking(a)
	ask.Channel = "post"
	byPost, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil || byPost.ManageToken == byMail.ManageToken {
		t.Fatalf("%+v, %v", byPost, err)
	}
	f.confirm(byPost.Token)
	f.withdraw(Withdrawal{ManageToken: byMail.ManageToken})
	f.checks(a, newsletter, "withdrawn")
	f.checks(a, account, "confirmed") // no marketing: only when it is named
	f.checksOn(a, newsletter, "post", "confirmed")
	f.withdraw(Withdrawal{ManageToken: byMail.ManageToken, Purposes: []string{account}})
	f.checks(a, account, "withdrawn")
	f.withdraw(Withdrawal{ManageToken: byPost.ManageToken})
	f.checksOn(a, newsletter, "post", "withdrawn")
	unknown, _ := drawn(4)
	for _, bad := range []string{"x", unknown, byMail.Token, byMail.ManageToken + "A"} {
		_, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{ManageToken: bad})
		refused(t, err, refusal.NotFoundCode, "manage_token")
	}
	// A consent that the token's owner does not have yet: an objection.
	list := f.withdraw(Withdrawal{ManageToken: byMail.ManageToken, Purposes: []string{offers}})
	if len(list) != 1 || list[0].State != ledger.Objected || list[0].Channel != "email" {
		t.Errorf("objected %s", shows(list))
	}
}

func TestWithdrawalOverSeveralRequests(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.confirmed(a, newsletter, offers)
	f.request(a, offers, account, newsletter)
	rejected := f.request(a, newsletter)
	if _, err := f.s.RejectConfirmation(ctx, shop, Click{Token: rejected.Token}); err != nil {
		t.Fatal(err)
	}
	f.request(a, newsletter)
	before := f.size()
	list := f.withdraw(Withdrawal{Subject: email(a), Claims: map[string]string{"reason": "moving on"}, Proof: true})
	f.wrote(before, "consent.withdrawn consent.withdrawn consent.withdrawn")
	if len(list) != 5 || list[0].Entry.Size != list[4].Entry.Size || list[0].Entry.Receipt == "" {
		t.Errorf("withdrawn %s", shows(list))
	}
	f.checks(a, account, "pending")
	// By id, a record that was never live is meant, too; ids of several people
	// are one group.
	b := f.confirmed("b@example.com")
	before = f.size()
	list = f.withdraw(Withdrawal{ConsentIDs: append(ids(b.Consents), rejected.Consents[0].ID)})
	f.wrote(before, "consent.withdrawn consent.withdrawn")
	if len(list) != 2 {
		t.Errorf("withdrawn %s", shows(list))
	}
	before = f.size()
	for at, w := range map[string]Withdrawal{
		"consent_ids[1]": {ConsentIDs: []ledger.ConsentID{b.Consents[0].ID, 1}},
		"consent_ids[0]": {ConsentIDs: []ledger.ConsentID{1 << 50}},
	} {
		_, err := f.s.WithdrawConsent(ctx, shop, w)
		refused(t, err, refusal.NotFoundCode, at)
	}
	for at, w := range map[string]Withdrawal{
		"subject":        {},
		"consent_ids":    {ConsentIDs: ids(b.Consents), Channel: "email"},
		"consent_ids[1]": {ConsentIDs: []ledger.ConsentID{5, 5}},
		"consent_ids[0]": {ConsentIDs: []ledger.ConsentID{-1}},
		"channel":        {Subject: email(a), Channel: ledger.AnyChannel},
		"purposes[0]":    {Subject: email(a), Purposes: []string{ledger.AllMarketing}},
		"method":         {Subject: email(a), Method: "carrier pigeon"},
		"claims":         {Subject: email(a), Claims: map[string]string{"email": a}},
	} {
		_, err := f.s.WithdrawConsent(ctx, shop, w)
		refused(t, err, refusal.InvalidArgument, at)
	}
	f.wrote(before, "")
}

// A click on a request older than the withdrawal grants nothing, also when the
// withdrawal names only another consent.
func TestWithdrawalByIDEndsOpenRequests(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	first := f.confirmed(a)
	older := f.request(a, newsletter, offers)
	sms := asking(a)
	sms.Channel = "sms"
	elsewhere := f.ask(sms)
	w := Withdrawal{ConsentIDs: ids(first.Consents)}
	before := f.size()
	list := f.withdraw(w)
	f.wrote(before, "consent.withdrawn consent.withdrawn")
	if len(list) != 2 || list[1].ID != older.Consents[0].ID {
		t.Errorf("withdrawn %s", shows(list))
	}
	if c := f.confirm(older.Token); len(c.Consents) != 1 || c.Consents[0].Purpose != offers {
		t.Errorf("confirmed %s", shows(c.Consents))
	}
	f.confirm(elsewhere.Token)
	f.checks(a, newsletter, "withdrawn")
	f.checks(a, offers, "confirmed")
	f.checksOn(a, newsletter, "sms", "confirmed")
	// Repeated, it ends nothing that was requested since.
	newer := f.request(a)
	before = f.size()
	f.withdraw(w)
	f.wrote(before, "")
	f.confirm(newer.Token)
	f.checks(a, newsletter, "confirmed")
}

// each runs n calls, 64 at a time.
func each(n int, call func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range 64 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				call(i)
			}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// requests makes n requests for one person, and confirms every third.
func (f *fixture) requests(address string, n int) []ledger.ConsentID {
	f.t.Helper()
	all := make([]ledger.ConsentID, n)
	each(n, func(i int) {
		r, err := f.s.RequestConsent(ctx, shop, asking(address))
		if err == nil && i%3 == 0 {
			_, err = f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token})
		}
		if err != nil {
			f.t.Error(err)
			return
		}
		all[i] = r.Consents[0].ID
	})
	return all
}

func TestWithdrawalOf600Consents(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.requests(a, 600)
	f.checks(a, newsletter, "confirmed")
	before := f.size()
	list := f.withdraw(Withdrawal{Subject: email(a), Claims: map[string]string{"reason": "far too many", "ip": "2001:db8::1"}})
	if len(list) != 600 || f.size() != before+600 {
		t.Errorf("%d withdrawn, %d entries", len(list), f.size()-before)
	}
	f.checks(a, newsletter, "withdrawn")
	before = f.size()
	if again := f.withdraw(Withdrawal{Subject: email(a)}); shows(again) != shows(list) {
		t.Error("a second withdrawal answers something else")
	}
	f.wrote(before, "")
}

// A caller's clock that runs ahead loses no withdrawal; everything else that it
// says is refused.
func TestClockOfCaller(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	r := f.request(a)
	ahead := f.clock.now().Add(10 * time.Minute)
	before := f.size()
	ask := asking("b@example.com")
	ask.OccurredAt = ahead
	_, err := f.s.RequestConsent(ctx, shop, ask)
	refused(t, err, refusal.InvalidArgument, "occurred_at")
	_, err = f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, OccurredAt: ahead})
	refused(t, err, refusal.InvalidArgument, "occurred_at")
	_, err = f.s.RejectConfirmation(ctx, shop, Click{Token: r.Token, OccurredAt: ahead})
	refused(t, err, refusal.InvalidArgument, "occurred_at")
	_, _, err = f.s.RecordUses(ctx, shop, Uses{ConsentIDs: ids(r.Consents), OccurredAt: ahead})
	refused(t, err, refusal.InvalidArgument, "occurred_at")
	_, _, err = f.s.RecordConfirmationSent(ctx, shop, SentMail{ConsentIDs: ids(r.Consents), OccurredAt: ahead})
	refused(t, err, refusal.InvalidArgument, "occurred_at")
	for _, bad := range []time.Time{earliest.Add(-time.Second), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		_, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email(a), OccurredAt: bad})
		refused(t, err, refusal.InvalidArgument, "occurred_at")
	}
	f.wrote(before, "")
	f.checks("b@example.com", newsletter, "unknown_subject")

	if _, err := f.s.SetRestriction(ctx, shop, Restriction{Subject: email(a), Ground: "art18_1_b", OccurredAt: ahead}); err != nil {
		t.Error(err)
	}
	lifting := f.lifting(email(a))
	lifting.OccurredAt = ahead
	_, err = f.s.LiftRestriction(ctx, shop, lifting)
	refused(t, err, refusal.InvalidArgument, "occurred_at")
	f.lift(a)
	f.withdraw(Withdrawal{Subject: email(a), OccurredAt: ahead})
	f.withdraw(Withdrawal{Subject: email("stranger@example.com"), OccurredAt: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)})
	f.checks(a, newsletter, "withdrawn")
	for _, e := range f.entriesFrom(before) {
		if e.Time.After(f.clock.now()) {
			t.Errorf("entry %d is dated %v", e.Index, e.Time)
		}
	}
	// A request after it counts: the withdrawal is from the ledger's time.
	f.confirmed(a)
	f.confirmed("stranger@example.com")
	f.checks(a, newsletter, "confirmed")
	f.checks("stranger@example.com", newsletter, "confirmed")
	if rep := f.verify(); rep.Irregular["occurred_ahead"] != 3 {
		t.Errorf("irregular: %v", rep.Irregular)
	}
	// Five minutes ahead are within what clocks differ.
	ask = asking("c@example.com")
	ask.OccurredAt = f.clock.now().Add(ledger.MaxClockAhead - time.Second)
	if _, err := f.s.RequestConsent(ctx, shop, ask); err != nil {
		t.Error(err)
	}
}

// Somebody who withdrew as a stranger is a person like any other afterwards.
func TestStrangerComesBack(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	objected := f.withdraw(Withdrawal{Subject: email(a), Purposes: []string{newsletter}})
	r := f.confirmed(a)
	f.checks(a, newsletter, "confirmed")
	list, err := f.s.ListConsents(ctx, email(a))
	if err != nil || len(list) != 2 || list[0].ID != objected[0].ID || list[1].ID != r.Consents[0].ID {
		t.Errorf("consents %s, %v", shows(list), err)
	}
	before := f.size()
	f.withdraw(Withdrawal{Subject: email(a), Purposes: []string{newsletter}})
	f.wrote(before, "consent.withdrawn")
	f.checks(a, newsletter, "withdrawn")
}

// ofWithdrawal gives the consents of an answer to a withdrawal.
func ofWithdrawal(w *Withdrawn, err error) ([]Consent, error) {
	if err != nil {
		return nil, err
	}
	return w.Consents, nil
}
