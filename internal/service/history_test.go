package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// history is the history of a consent in short: the kinds, and the claims of each.
func (f *fixture) history(id ledger.ConsentID) (*ConsentHistory, string) {
	f.t.Helper()
	h, err := f.s.History(ctx, legal, id)
	if err != nil {
		f.t.Fatal(err)
	}
	var lines []string
	for _, e := range h.Entries {
		var names []string
		for _, c := range e.Claims {
			if names = append(names, c.Claim); c.Shown == "" {
				f.t.Errorf("entry %d: the claim %s is not masked but lost", e.Index, c.Claim)
			}
		}
		lines = append(lines, string(e.Kind)+" "+strings.Join(names, " "))
		if parsed, err := ledger.ParseEntry([]byte(e.Text)); err != nil || parsed.Index != e.Index || parsed.Kind != e.Kind ||
			!parsed.Time.Equal(e.Time) || !parsed.Occurred.Equal(e.Occurred) || parsed.Source != e.Source || e.Receipt == "" {
			f.t.Errorf("entry %+v: %v", e, err)
		}
	}
	return h, strings.Join(lines, "\n")
}

// Everything that concerns a consent is in its history, in order, and nothing that
// concerns others only.
func TestHistory(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	const a = "a@example.com"
	ask := asking(a, newsletter, offers)
	ask.Claims = map[string]string{"ip": "203.0.113.7", "user_agent": "a browser"}
	ask.Attachments = []Attachment{{Claim: "form_snapshot", FileName: "form.html", MediaType: "text/html", Bytes: []byte("<form>")}}
	r := f.ask(ask)
	id, other := r.Consents[0].ID, r.Consents[1].ID
	f.confirmed(a, account)
	sent := f.clock.now().Add(-time.Minute)
	mail := []byte("Subject: Bitte bestätigen\r\n\r\nKlick\r\n")
	f.send(r, mail, sent)
	if _, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, OccurredAt: sent.Add(42 * time.Second), Claims: map[string]string{"ip": "203.0.113.7"}}); err != nil {
		t.Fatal(err)
	}
	f.use(Uses{ConsentIDs: []ledger.ConsentID{id}, Reference: "mailing 48/2026"})
	f.use(Uses{ConsentIDs: []ledger.ConsentID{other}, Reference: "mailing 49/2026"})
	f.restrict(a)
	f.lift(a)
	f.link(Link{Subject: email(a), Add: external("4711"), Claims: map[string]string{"operator": "desk 4"}})
	f.hold(HoldRequest{ConsentIDs: []ledger.ConsentID{id}, Claims: map[string]string{"reason": "a complaint"}})
	f.withdraw(Withdrawal{ConsentIDs: []ledger.ConsentID{id}, Claims: map[string]string{"reason": "too many"}})
	h, text := f.history(id)
	want := []string{
		"consent.requested email form_snapshot ip user_agent",
		"confirmation.sent message",
		"consent.confirmed ip",
		"consent.used reference",
		"restriction.set ",
		"restriction.lifted ",
		"subject.rectified external_id operator",
		"hold.set reason",
		"consent.withdrawn reason",
	}
	if text != strings.Join(want, "\n") {
		t.Errorf("history:\n%s\nwant\n%s", text, strings.Join(want, "\n"))
	}
	if h.SinceSent == nil || *h.SinceSent != 42*time.Second || h.Consent.ID != id || h.Consent.State != ledger.Withdrawn || h.Consent.Entry.Index != h.Entries[8].Index {
		t.Errorf("history %+v", h)
	}
	if _, text := f.history(other); strings.Contains(text, "withdrawn") || strings.Contains(text, "hold") || strings.Count(text, "consent.used") != 1 {
		t.Errorf("history of the other consent:\n%s", text)
	}
	// Without a mail nobody knows how long it took.
	if h, _ := f.history(f.confirmed("b@example.com").Consents[0].ID); h.SinceSent != nil {
		t.Errorf("%v since no mail", h.SinceSent)
	}
	for _, e := range h.Entries {
		if strings.Contains(fmt.Sprint(e), a) {
			t.Errorf("entry %d shows a personal value", e.Index)
		}
	}
}

// send records that a confirmation mail went out.
func (f *fixture) send(r *Requested, mail []byte, at time.Time) {
	f.t.Helper()
	m := SentMail{ConsentIDs: ids(r.Consents), SHA256: ledger.TextHash(mail), Message: mail, OccurredAt: at}
	if _, _, err := f.s.RecordConfirmationSent(ctx, shop, m); err != nil {
		f.t.Fatal(err)
	}
}

// Of a mailing to very many, a history has the part that names the consent and
// the first, which names the mailing.
func TestHistoryOfParts(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	lists := make([][]Consent, (2*aboutPerEntry+5)/3+1)
	each(len(lists), func(i int) {
		g, err := f.s.GiveConsent(ctx, shop, giving(email("a@example.com"), "email", newsletter, offers, mailings))
		if err != nil {
			t.Error(err)
			return
		}
		lists[i] = g.Consents
	})
	all := ids(slices.Concat(lists...))
	slices.Sort(all)
	entries, _ := f.use(Uses{ConsentIDs: all, Reference: "mailing 48/2026"})
	for i, id := range []ledger.ConsentID{all[0], all[aboutPerEntry], all[len(all)-1]} {
		h, text := f.history(id)
		uses := strings.Count(text, "consent.used")
		if want := min(i, 1) + 1; uses != want || strings.Count(text, "reference") != 1 {
			t.Errorf("consent %d: %d entries of its use, want %d:\n%s", id, uses, want, text)
		}
		if last := h.Entries[len(h.Entries)-1]; last.Index != entries[i].Index {
			t.Errorf("consent %d is named by entry %d, want %d", id, last.Index, entries[i].Index)
		}
		d, err := f.s.DiscloseClaims(ctx, legal, Disclosing{ConsentID: id, Claims: []string{"reference"}, Reason: "r", Recipient: "r"})
		if err != nil || len(d.Disclosures) != 1 || d.Disclosures[0].Value != "mailing 48/2026" || d.Disclosures[0].Index != entries[0].Index {
			t.Errorf("disclosed %+v, %v", d, err)
		}
	}
}

// The legal role is shown what is locked, nobody what is erased.
func TestHistoryOfHidden(t *testing.T) {
	t.Parallel()
	f := newService(t)
	locked, erased := f.confirmed("a@example.com"), f.confirmed("b@example.com")
	f.lock("a@example.com")
	f.erase("b@example.com")
	if h, text := f.history(locked.Consents[0].ID); !strings.HasSuffix(text, "subject.locked ") || !slices.Contains(h.Consent.Overlays, "locked") {
		t.Errorf("history %+v", h)
	}
	for _, test := range []struct {
		src Source
		id  ledger.ConsentID
	}{
		{admin, locked.Consents[0].ID}, {legal, erased.Consents[0].ID}, {legal, 1}, {legal, -1}, {legal, 1 << 50},
	} {
		_, err := f.s.History(ctx, test.src, test.id)
		refused(t, err, refusal.NotFoundCode, "consent_id")
		_, err = f.s.DiscloseClaims(ctx, test.src, Disclosing{ConsentID: test.id, Claims: []string{"email"}, Reason: "r", Recipient: "r"})
		refused(t, err, refusal.NotFoundCode, "consent_id")
	}
}
