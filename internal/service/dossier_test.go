package service

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// access asks for somebody's dossier.
func (f *fixture) access(who Subject) *Dossier {
	f.t.Helper()
	d, err := f.s.AccessReport(ctx, legal, AccessRequest{Subject: who})
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

// has lists the records of a dossier.
func (d *Dossier) has() (ids []ledger.ConsentID) {
	for _, c := range d.Consents {
		ids = append(ids, c.ID)
	}
	return ids
}

// values lists the values of a dossier's claims of one name.
func (d *Dossier) values(name string) (list []string) {
	for _, e := range d.Entries {
		for _, c := range e.Claims {
			if c.Claim == name {
				list = append(list, c.Value)
			}
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// Nobody gets a report before it is on record who they are, and whoever was verified
// long ago is not any more. A stranger needs no proof of being one.
func TestAccessDemandsIdentity(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	all := ids(f.confirmed(a, newsletter, offers).Consents)
	ask := AccessRequest{Subject: email(a)}
	before := f.size()
	_, err := f.s.AccessReport(ctx, legal, ask)
	refused(t, err, refusal.FailedPrecondition, "identity")
	f.wrote(before, "")
	f.identify(email(a))
	before = f.size()
	d := f.access(email(a))
	f.wrote(before, "evidence.disclosed")
	e := f.entry(d.Disclosed[0].Index)
	if !slices.Equal(d.has(), all) || !slices.Equal(e.About, all) || e.Occasion != "access_report" || len(e.Shown) > 0 || len(e.Commits) > 0 ||
		d.Disclosed[0].Receipt == "" || d.Entries[len(d.Entries)-1].Index != e.Index {
		t.Errorf("the dossier is about %v, recorded by %+v", d.has(), e)
	}
	f.clock.advance(identityCounts + time.Minute)
	before = f.size()
	_, err = f.s.AccessReport(ctx, legal, ask)
	refused(t, err, refusal.FailedPrecondition, "identity")
	if d := f.access(email("nobody@example.com")); d.Held() || len(d.Disclosed) > 0 {
		t.Errorf("a stranger's dossier has %+v", d)
	}
	f.wrote(before, "")
	for path, bad := range map[string]AccessRequest{"subject": {}, "subject.email": {Subject: email("a")}, "recipient": {Subject: email(a), Recipient: "\x00"}} {
		_, err := f.s.AccessReport(ctx, legal, bad)
		refused(t, err, refusal.InvalidArgument, path)
	}
}

// A retry writes no second entry and is about the same records; to whom a report
// goes is kept under their keys.
func TestAccessOnce(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	all := ids(f.confirmed(a, newsletter).Consents)
	f.identify(email(a))
	ask := AccessRequest{Subject: email(a), Recipient: "Erika's lawyer", IdempotencyKey: "report"}
	first, err := f.s.AccessReport(ctx, legal, ask)
	if err != nil {
		t.Fatal(err)
	}
	f.confirmed(a, offers)
	before := f.size()
	again, err := f.s.AccessReport(ctx, legal, ask)
	if err != nil || again.Disclosed[0].Index != first.Disclosed[0].Index || !slices.Equal(again.has(), all) || again.Unverified != 0 {
		t.Errorf("a retry is recorded by %+v, about %v, %d unverified; %v", again.Disclosed, again.has(), again.Unverified, err)
	}
	f.wrote(before, "")
	if got := again.values("recipient"); !slices.Equal(got, []string{ask.Recipient}) {
		t.Errorf("it goes to %q", got)
	}
	ask.Recipient = ""
	_, err = f.s.AccessReport(ctx, legal, ask)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	f.erase(a)
	ask.Recipient = "Erika's lawyer"
	_, err = f.s.AccessReport(ctx, legal, ask)
	refused(t, err, refusal.NotFoundCode, "idempotency_key")
}

// planted gives the consents to two purposes that somebody of this name has confirmed.
func (f *fixture) planted(address, name string) []ledger.ConsentID {
	f.t.Helper()
	ask := asking(address, newsletter, offers)
	ask.Claims = map[string]string{"name": name}
	r := f.ask(ask)
	f.confirm(r.Token)
	return ids(r.Consents)
}

// Of two people who had one address, one after the other, each gets what is theirs
// only, also where one entry names both.
func TestAccessOfOneOfTwo(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const shared = "office@example.com"
	former := f.planted(shared, "Erika Former")
	f.use(Uses{ConsentIDs: former, Reference: "mailing 1"})
	f.lock(shared)
	present := f.planted(shared, "Max Present")
	f.hold(HoldRequest{ConsentIDs: slices.Concat(former, present), Claims: map[string]string{"reason": "both"}})
	for _, test := range []struct {
		own, others   []ledger.ConsentID
		name, foreign string
	}{{present, former, "Max Present", "Erika Former"}, {former, present, "Erika Former", "Max Present"}} {
		if _, err := f.s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: email(shared), ConsentIDs: test.own[:1], Means: "document"}); err != nil {
			t.Fatal(err)
		}
		d := f.access(email(shared))
		if !slices.Equal(d.has(), test.own) || d.Unverified != len(test.others) {
			t.Errorf("the dossier of %s is about %v, %d unverified", test.name, d.has(), d.Unverified)
		}
		if got := d.values("name"); !slices.Equal(got, []string{test.name}) {
			t.Errorf("names %q", got)
		}
		if got := d.values("reason"); !slices.Equal(got, []string{"both"}) {
			t.Errorf("reasons %q", got)
		}
		for _, e := range d.Entries {
			for _, id := range test.others {
				if strings.Contains(e.Text, fmt.Sprintf("\nabout %d\n", id)) || slices.Contains(e.About, id) {
					t.Errorf("entry %d, a %s, names %d", e.Index, e.Kind, id)
				}
			}
			if e.Kind == ledger.HoldSet && e.Omitted != len(test.others) {
				t.Errorf("of the hold %d lines are left out", e.Omitted)
			}
		}
		// The next one is asked for in a time when this identity counts no more.
		f.clock.advance(identityCounts + time.Minute)
	}
}

// The legal role sees under what the person of a record is known, masked, and until
// when they count as verified.
func TestListAllShowsWho(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const shared = "office@example.com"
	former := f.confirmed(shared, newsletter).Consents[0].ID
	f.link(Link{Subject: email(shared), Add: external("customer-4711")})
	f.lock(shared)
	present := f.confirmed(shared, newsletter).Consents[0].ID
	who := func() (list []string) {
		t.Helper()
		all, err := f.s.ListAll(ctx, email(shared))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			list = append(list, fmt.Sprintf("%d %v verified %v", r.ID, r.Identifiers, !r.VerifiedUntil.IsZero()))
		}
		return list
	}
	check := func(first, second bool) {
		t.Helper()
		want := []string{fmt.Sprintf("%d [{email o•••@example.com} {external_id c•••}] verified %v", former, first),
			fmt.Sprintf("%d [{email o•••@example.com}] verified %v", present, second)}
		if got := who(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	check(false, false)
	if _, err := f.s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: email(shared), ConsentIDs: []ledger.ConsentID{present}, Means: "login"}); err != nil {
		t.Fatal(err)
	}
	check(false, true)
	f.clock.advance(identityCounts + time.Minute)
	check(false, false)
}

// What a dossier says of a record: terms, recipients, holds, requests, tracking.
func TestDossierSaysHowItStands(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	const a = "a@example.com"
	f.define(PurposeDefinition{ID: newsletter, Title: "Newsletter, anew", Marketing: true, DoubleOptIn: true, ValidityDays: 100})
	f.define(PurposeDefinition{ID: "email.open_tracking", Title: "Openings", TrackingMode: "anonymous"})
	f.engages(mailhouse())
	f.engages(ProcessorEngagement{ID: "hoster", Title: "Hoster", AgreementSHA256: &ledger.Hash{1}})
	f.engages(ProcessorEngagement{ID: "invoicer", Title: "Invoicer", Purposes: []string{invoices}, AgreementSHA256: &ledger.Hash{1}})
	end := func(id string) {
		t.Helper()
		if _, _, err := f.s.EndProcessor(ctx, admin, ProcessorEnd{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"before", "during"} {
		f.engages(ProcessorEngagement{ID: id, Title: id, AgreementSHA256: &ledger.Hash{1}})
	}
	end("before")
	f.clock.advance(time.Second)
	r := f.request(a)
	f.clock.advance(time.Second)
	end("during")
	f.send(r, []byte("Subject: x\r\n\r\n"), time.Time{})
	f.clock.advance(42 * time.Second)
	f.confirm(r.Token)
	id := r.Consents[0].ID
	for range 2 {
		f.use(Uses{ConsentIDs: []ledger.ConsentID{id}, Processor: "mailhouse"})
	}
	last, _ := f.use(Uses{ConsentIDs: []ledger.ConsentID{id}, Recipient: "Print Shop"})
	f.use(Uses{ConsentIDs: []ledger.ConsentID{id}})
	held := f.hold(HoldRequest{ConsentIDs: []ledger.ConsentID{id}})
	f.release(f.hold(HoldRequest{ConsentIDs: []ledger.ConsentID{id}}).Hold)
	f.suppress(email(a), offers, true)
	opened := f.demands(RightsRequest{Subject: email(a), Article: "art15"})
	if _, err := f.s.RefuseRequest(ctx, legal, RequestStep{RequestID: opened.RequestID, Refusal: "excessive", Claims: because("the tenth this week")}); err != nil {
		t.Fatal(err)
	}
	f.restrict(a)
	if _, err := f.s.NotifyRecipient(ctx, legal, Notification{Index: f.now(id).Last, Processor: "mailhouse"}); err != nil {
		t.Fatal(err)
	}
	f.identify(email(a))
	d := f.access(email(a))
	c := d.Consents[0]
	if c.Restriction != "art18_1_a" || !slices.Equal(c.Holds, []ledger.Index{held.Hold}) || c.PurposeVersion != 2 || c.Basis != "consent" ||
		c.SinceSent == nil || c.SinceSent.Round(time.Second) != 42*time.Second || c.Used.IsZero() || !c.Ended.IsZero() ||
		!c.ValidUntil.Equal(c.Granted.Add(100*24*time.Hour)) || c.EvidenceUntil.Before(c.Granted) || len(c.Due) != 1 || c.Due[0].Rule != ruleValidity {
		t.Errorf("the record: %+v", c)
	}
	if got := fmt.Sprint(c.Passed); len(c.Passed) != 2 || c.Passed[0].Uses != 2 || c.Passed[1] != (Passed{"", "Print Shop", 1, last[0].Index}) {
		t.Errorf("passed to %s", got)
	}
	var processors []string
	for _, p := range d.Processors {
		processors = append(processors, p.ID+" "+p.Title)
	}
	if strings.Join(processors, ", ") != "during during, hoster Hoster, mailhouse Mail House GmbH" {
		t.Errorf("processors %q", processors)
	}
	if len(d.Purposes) != 1 || d.Purposes[0].Title != "Newsletter, anew" || len(d.Notices) != 1 || d.Notices[0].Text != wordingText || !d.Notices[0].Shown {
		t.Errorf("purposes %+v, notices %+v", d.Purposes, d.Notices)
	}
	if q := d.Requests; len(q) != 1 || q[0].Outcome != "refused" || q[0].Refusal != "excessive" || q[0].Article != "art15" || !q[0].Due.Equal(opened.Due) || len(q[0].Entries) != 2 {
		t.Errorf("requests %+v", q)
	}
	if !slices.Equal(d.Suppressed, []Listed{{Identifier{Email, a}, offers}}) {
		t.Errorf("suppressed %+v", d.Suppressed)
	}
	if len(d.Tracking) != 1 || d.Tracking[0] != (HeldTracking{"email.open_tracking", "email", "anonymous"}) {
		t.Errorf("tracking %+v", d.Tracking)
	}
	// The newest entry of the record is the notification, which names nobody.
	if e := d.Entries[slices.IndexFunc(d.Entries, func(e HeldEntry) bool { return e.Kind == ledger.RecipientNotified })]; !slices.Equal(e.Of, []ledger.ConsentID{id}) {
		t.Errorf("the notification is about %v", e.Of)
	}
}

// How far a person is tracked is what checks say.
func TestDossierTracksAsChecksDo(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	const a = "a@example.com"
	f.define(PurposeDefinition{ID: "email.open_tracking", Title: "Openings", TrackingMode: "personal", Marketing: true})
	name := f.covering("email.open_tracking")
	g := giving(email(a), "email", "email.open_tracking")
	g.Notice = name
	if _, err := f.s.GiveConsent(ctx, shop, g); err != nil {
		t.Fatal(err)
	}
	f.identify(email(a))
	modes := map[string]bool{}
	for step, act := range []func(){
		func() {},
		func() { f.suppress(email(a), "", true) },
		func() {
			f.object(Objection{Subject: email(a), Article: "art21_2"}, "objection.recorded objection.recorded")
		},
	} {
		act()
		d, err := f.s.CheckConsent(ctx, Question{Subject: email(a), Purpose: "email.open_tracking", Channel: "email"})
		if err != nil {
			t.Fatal(err)
		}
		if got := f.access(email(a)).Tracking; len(got) != 1 || got[0].Mode != d.TrackingMode {
			t.Errorf("after step %d: %+v, a check says %s", step, got, d.TrackingMode)
		}
		modes[d.TrackingMode] = true
	}
	if len(modes) < 2 {
		t.Errorf("the modes are %v", modes)
	}
}

// Of lists in several entries, a dossier has the parts that name the person, and the
// first, in which the commitments stand, without those whom it names.
func TestDossierOfParts(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	const a, b = "a@example.com", "b@example.com"
	give := func(who string, n int) (all []ledger.ConsentID) {
		lists := make([][]Consent, n)
		each(n, func(i int) {
			g, err := f.s.GiveConsent(ctx, shop, giving(email(who), "email", newsletter, offers, mailings))
			if err != nil {
				t.Error(err)
				return
			}
			lists[i] = g.Consents
		})
		return ids(slices.Concat(lists...))
	}
	// All of the first part are somebody else's.
	all := append(give(b, aboutPerEntry/3), give(a, 1)...)
	slices.Sort(all)
	entries, _ := f.use(Uses{ConsentIDs: all, Reference: "mailing 48/2026", Recipient: "Print Shop"})
	if len(entries) != 2 {
		t.Fatalf("%d parts", len(entries))
	}
	held := f.hold(HoldRequest{ConsentIDs: all, Claims: because("a claim against everybody")})
	f.identify(email(a))
	d := f.access(email(a))
	omitted := map[ledger.Index]int{}
	for _, e := range d.Entries {
		if e.Kind == ledger.ConsentUsed {
			omitted[e.Index] = e.Omitted
		}
	}
	if len(omitted) != 2 || omitted[entries[0].Index] != aboutPerEntry || omitted[entries[1].Index] != 0 {
		t.Errorf("lines left out of the parts: %v", omitted)
	}
	if got := d.values("reference"); !slices.Equal(got, []string{"mailing 48/2026"}) {
		t.Errorf("references %q", got)
	}
	for _, c := range d.Consents {
		if len(c.Passed) != 1 || c.Passed[0] != (Passed{"", "Print Shop", 1, entries[1].Index}) {
			t.Errorf("consent %d was passed to %+v", c.ID, c.Passed)
		}
		if !slices.Equal(c.Holds, []ledger.Index{held.Hold}) {
			t.Errorf("consent %d is held by %v, want %d", c.ID, c.Holds, held.Hold)
		}
	}
}

// From the moment that an erasure is recorded nothing more of the person is read,
// although the keys are still there.
func TestDossierOfWhoIsBeingErased(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	ask := asking(a)
	ask.Attachments = []Attachment{{Claim: "form_snapshot", FileName: "form.html", MediaType: "text/html", Bytes: []byte("<form>")}}
	f.confirm(f.ask(ask).Token)
	f.identify(email(a))
	d := f.access(email(a))
	out := &outcome{Entries: []ledger.Index{d.Disclosed[0].Index}}
	id := Identifier{Email, a}
	if again, err := f.s.dossier(ctx, id, out); err != nil || len(again.Entries) != len(d.Entries) {
		t.Fatalf("made again it has %d entries, %v", len(again.Entries), err)
	}
	reached, release := f.holdPass()
	erased := f.erasing(ctx, a)
	<-reached
	_, err := f.s.dossier(ctx, id, out)
	refused(t, err, refusal.NotFoundCode, "subject")
	var b bytes.Buffer
	refused(t, d.WriteFile(d.Entries[0].Claims[1].File, &b), refusal.NotFoundCode, "subject")
	if b.Len() > 0 {
		t.Errorf("%q was written", b.String())
	}
	release()
	if err := <-erased; err != nil {
		t.Fatal(err)
	}
	refused(t, d.WriteFile(d.Entries[0].Claims[1].File, &b), refusal.NotFoundCode, "subject")
	if d := f.access(email(a)); d.Held() {
		t.Error("something is held about somebody who was erased")
	}
}

// A claim that the vault has lost is no report with a gap, and bytes that are not
// those that were kept are not handed out.
func TestDossierOfDamage(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	ask := asking(a)
	ask.Attachments = []Attachment{{Claim: "form_snapshot", FileName: "form.html", MediaType: "text/html", Bytes: []byte("<form>")}}
	f.confirm(f.ask(ask).Token)
	f.identify(email(a))
	d := f.access(email(a))
	var b bytes.Buffer
	file := d.Entries[0].Claims[1].File
	if err := d.WriteFile(file, &b); err != nil || b.String() != "<form>" {
		t.Errorf("%q, %v", b.String(), err)
	}
	other := *file
	other.SHA256 = strings.Repeat("0", 64)
	if err := d.WriteFile(&other, &b); !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("bytes with another hash: %v", err)
	}
	f.damaged = true
	f.close()
	for _, key := range f.vaultKeys("v") {
		f.changeVault(key, nil)
	}
	f.open()
	_, err := f.s.AccessReport(ctx, legal, AccessRequest{Subject: email(a)})
	refused(t, err, refusal.UnavailableCode, "")
}
