package service

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// AccessCase is a person's dossier in a random history, with what it must hold and
// what it must not. It is exported for the tests of what is made of dossiers, which
// package evidence does.
type AccessCase struct {
	Dossier *Dossier
	Who     string
	// Own are values that were recorded about the person, and OwnFiles the contents of
	// their files; Foreign is what was recorded about nobody but others, what was
	// erased, and what was refused.
	Own, OwnFiles, Foreign []string
	IDs                    []ledger.ConsentID // of the person, not erased
	Log                    []*ledger.Entry    // every entry there is
	Leaves                 []ledger.Hash
}

// accessTown is some people to whom everything happens that can happen, and the
// values that were planted on the way.
type accessTown struct {
	f       *fixture
	r       *rand.Rand
	people  []*accessPerson
	planted []*plantedValue
	done    map[string]int // by step

	holds         []ledger.Index
	requests      []ledger.Index
	notifications []ledger.Index
}

type accessPerson struct {
	mail, number, card string
	ids                []ledger.ConsentID
	open               []*Requested
}

// plantedValue is a value that can be told from everything else.
type plantedValue struct {
	value string
	file  bool
	of    []ledger.ConsentID // the records under which it is kept
}

// EachAccessCase tells random histories of several people, and asks for everybody's
// dossier again and again.
func EachAccessCase(t *testing.T, check func(*testing.T, *AccessCase)) {
	f := withGrounds(t)
	f.define(PurposeDefinition{ID: "email.open_tracking", Title: "Openings", TrackingMode: "anonymous"})
	f.define(PurposeDefinition{ID: "fair", Title: "The fair", ValidityDays: 20})
	f.covering(mailings, digest, daily, catalogue, invoices, newsletter, offers, account, "email.open_tracking", "fair")
	f.engages(mailhouse())
	if _, _, err := f.s.DeclareClaim(ctx, admin, ClaimDeclaration{ID: "x.card", Title: "Loyalty card"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.s.PublishNotice(ctx, admin, NoticePublication{ID: "privacy-de", Language: "de", Use: "privacy", Text: "Wir speichern …\n",
		Purposes: []string{newsletter, invoices}, Facts: NoticeFacts{Authority: "LfD", Recipients: []string{"Mail House GmbH"}}}); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	town := &accessTown{f: f, r: rand.New(rand.NewPCG(seed, 0)), done: map[string]int{}}
	for i := range 5 {
		town.people = append(town.people, &accessPerson{mail: fmt.Sprintf("%s@example.com", town.plainCanary()),
			number: fmt.Sprintf("+49%012d", town.r.Int64N(1e12)), card: fmt.Sprintf("card-%d-%s", i, town.plainCanary())})
	}
	rounds := 6
	if testing.Short() || underRace {
		rounds = 2
	}
	for round := range rounds {
		// The first round does everything once, so that later steps find what they need.
		for _, step := range accessSteps {
			town.do(step, town.people[round%2])
		}
		for range 40 {
			town.do(accessSteps[town.r.IntN(len(accessSteps))], town.people[town.r.IntN(len(town.people))])
		}
		for _, p := range town.people {
			check(t, town.ask(p))
		}
		// Somebody comes, and is erased: nothing is left but perhaps a suppression.
		p := &accessPerson{mail: town.plainCanary() + "@example.com"}
		for _, name := range []string{"asked", "confirmed", "given", "withdrawn", "used"} {
			town.do(stepNamed(name), p)
		}
		check(t, town.ask(p))
		e := Erasure{Subject: email(p.mail), Reason: "art17", Mode: shredNow, KeepSuppression: round%2 == 0}
		if _, err := f.s.EraseSubject(ctx, shop, e); err != nil {
			t.Fatal(err)
		}
		c := town.ask(p)
		town.done["erased"]++
		if check(t, c); c.Dossier.Held() || len(c.Dossier.Suppressed) != (round+1)%2 {
			t.Errorf("after the erasure there are %d records and %v", len(c.Dossier.Consents), c.Dossier.Suppressed)
		}
	}
	never := slices.DeleteFunc(slices.Clone(accessSteps), func(s accessStep) bool { return town.done[s.name] > 0 })
	t.Logf("%d entries, %d planted values; %v", f.size(), len(town.planted), town.done)
	if len(never) > 10 {
		t.Errorf("%d kinds of steps never happened", len(never))
	}
}

func stepNamed(name string) accessStep {
	return accessSteps[slices.IndexFunc(accessSteps, func(s accessStep) bool { return s.name == name })]
}

// plainCanary gives a text of its own.
func (a *accessTown) plainCanary() string { return fmt.Sprintf("canary%016x", a.r.Uint64()) }

// plant gives a value that the step at hand records.
func (a *accessTown) plant() string {
	p := &plantedValue{value: a.plainCanary()}
	a.planted = append(a.planted, p)
	return p.value
}

// with plants claims.
func (a *accessTown) with(names ...string) map[string]string {
	claims := map[string]string{}
	for _, n := range names {
		claims[n] = a.plant()
	}
	return claims
}

// attach plants the bytes of an attachment.
func (a *accessTown) attach(claim string) []Attachment {
	content := a.plant()
	a.planted[len(a.planted)-1].file = true
	return []Attachment{{Claim: claim, FileName: a.plant() + ".html", MediaType: "text/html", Bytes: []byte("<form>" + content + "</form>")}}
}

// do does a step, and notes under which records its values are kept: those that its
// entries name.
func (a *accessTown) do(step accessStep, p *accessPerson) {
	a.f.t.Helper()
	before, planted := a.f.size(), len(a.planted)
	err := step.do(a, p)
	var no *refusal.Error
	if err != nil && !errors.As(err, &no) {
		a.f.t.Fatalf("%s: %v", step.name, err)
	}
	if no != nil && no.Code != refusal.NotFoundCode && no.Code != refusal.FailedPrecondition {
		a.f.t.Fatalf("%s: %v", step.name, err)
	}
	var of []ledger.ConsentID
	for _, e := range a.f.entriesFrom(before) {
		of = append(of, a.named(e)...)
	}
	slices.Sort(of)
	of = slices.Compact(of)
	for _, v := range a.planted[planted:] {
		if err == nil {
			v.of = of
		}
	}
	if err == nil {
		a.done[step.name]++
	}
}

// named gives the records that an entry opens or names, or that the entry names to
// which it refers.
func (a *accessTown) named(e *ledger.Entry) (ids []ledger.ConsentID) {
	ids = slices.Clone(e.About)
	for _, l := range e.Consents {
		ids = append(ids, l.Consent)
	}
	if e.Purpose != "" && e.Channel != "" {
		ids = append(ids, ledger.ConsentID(e.Index))
	}
	if len(ids) == 0 && e.Kind != ledger.EvidenceShredded {
		for _, to := range e.Refers {
			ids = append(ids, a.named(a.f.entry(to))...)
		}
	}
	return ids
}

// ask makes sure who asks, and gives the case of what is answered.
func (a *accessTown) ask(p *accessPerson) *AccessCase {
	t := a.f.t
	t.Helper()
	a.do(accessStep{"identity verified", func(a *accessTown, p *accessPerson) error {
		_, err := a.f.s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: email(p.mail), Means: "mailbox", Claims: a.with("reference")})
		return err
	}}, p)
	var d *Dossier
	a.do(accessStep{"access report", func(a *accessTown, p *accessPerson) (err error) {
		d, err = a.f.s.AccessReport(ctx, legal, AccessRequest{Subject: email(p.mail), Recipient: a.plant()})
		return err
	}}, p)
	if d == nil {
		t.Fatal("no dossier")
	}
	c := &AccessCase{Dossier: d, Who: p.mail, Log: a.f.entriesFrom(0)}
	for _, e := range c.Log {
		text, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		c.Leaves = append(c.Leaves, ledger.LeafHash(text))
	}
	alive := map[ledger.ConsentID]bool{}
	for _, id := range p.ids {
		if !a.f.now(id).Overlays.Has(ledger.Erased) && !alive[id] {
			alive[id] = true
			c.IDs = append(c.IDs, id)
		}
	}
	slices.Sort(c.IDs)
	for _, v := range a.planted {
		own := slices.ContainsFunc(v.of, func(id ledger.ConsentID) bool { return alive[id] })
		switch {
		case own && v.file:
			c.OwnFiles = append(c.OwnFiles, v.value)
		case own:
			c.Own = append(c.Own, v.value)
		default:
			c.Foreign = append(c.Foreign, v.value)
		}
	}
	for _, other := range a.people {
		if other != p {
			c.Foreign = append(c.Foreign, strings.TrimSuffix(other.mail, "@example.com"), other.number, other.card)
		}
	}
	return c
}

// some gives some records, of whomever.
func (a *accessTown) some(all []ledger.ConsentID) (ids []ledger.ConsentID) {
	if len(all) == 0 {
		return nil
	}
	for range 1 + a.r.IntN(3) {
		ids = append(ids, all[a.r.IntN(len(all))])
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// everybody's records that are neither locked nor erased.
func (a *accessTown) all() (ids []ledger.ConsentID) {
	for _, p := range a.people {
		ids = append(ids, a.visible(p)...)
	}
	return ids
}

func (a *accessTown) visible(p *accessPerson) (ids []ledger.ConsentID) {
	for _, id := range p.ids {
		if !hidden(a.f.now(id)) {
			ids = append(ids, id)
		}
	}
	return ids
}

// took notes whose records an answer names.
func (p *accessPerson) took(list []Consent, err error) error {
	for _, c := range list {
		if !slices.Contains(p.ids, c.ID) {
			p.ids = append(p.ids, c.ID)
		}
	}
	return err
}

// errIdle is the answer of a step that finds nothing to do.
var errIdle = refusal.NotFound("step", "there is nothing to do")

type accessStep struct {
	name string
	do   func(*accessTown, *accessPerson) error
}

// Purposes and their notices, as newService and withGrounds have them.
var (
	accessPurposes = [][]string{{newsletter}, {newsletter, offers}, {account}}
	accessGrounds  = "more-de@2"
)

var accessSteps = []accessStep{
	{"asked", func(a *accessTown, p *accessPerson) error {
		ask := asking(p.mail, accessPurposes[a.r.IntN(3)]...)
		ask.Claims, ask.Attachments = a.with("name", "user_agent", "page_url", "x.card"), a.attach("form_snapshot")
		ask.Subject.Email = strings.ToUpper(p.mail[:3]) + p.mail[3:] // is noted as typed
		r, err := a.f.s.RequestConsent(ctx, shop, ask)
		if err != nil {
			return err
		}
		p.open = append(p.open, r)
		return p.took(r.Consents, nil)
	}},
	{"mail sent", func(a *accessTown, p *accessPerson) error {
		if len(p.open) == 0 {
			return errIdle
		}
		mail := []byte("Subject: Bitte\r\n\r\n" + a.plant())
		a.planted[len(a.planted)-1].file = true
		m := SentMail{ConsentIDs: ids(p.open[0].Consents), SHA256: ledger.TextHash(mail), Message: mail, MTAResponse: "250 " + a.plant()}
		_, _, err := a.f.s.RecordConfirmationSent(ctx, shop, m)
		return err
	}},
	{"mail attached", func(a *accessTown, p *accessPerson) error {
		if len(p.open) == 0 {
			return errIdle
		}
		mail := []byte("Subject: Bitte\r\n\r\n" + a.plant())
		m := SentMail{ConsentIDs: ids(p.open[0].Consents), SHA256: ledger.TextHash(mail)}
		if _, _, err := a.f.s.RecordConfirmationSent(ctx, shop, m); err != nil {
			return err
		}
		a.planted[len(a.planted)-1].file = true
		_, err := a.f.s.AttachMessage(ctx, shop, MailAttachment{ConsentIDs: m.ConsentIDs, Message: mail})
		return err
	}},
	{"resent", func(a *accessTown, p *accessPerson) error {
		if len(p.open) == 0 {
			return errIdle
		}
		_, err := a.f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: ids(p.open[0].Consents)})
		return err
	}},
	{"mail failed", func(a *accessTown, p *accessPerson) error {
		if len(p.open) == 0 {
			return errIdle
		}
		_, _, err := a.f.s.RecordConfirmationFailed(ctx, shop, FailedMail{ConsentIDs: ids(p.open[0].Consents), MTAResponse: "451 " + a.plant()})
		return err
	}},
	{"opened", func(a *accessTown, p *accessPerson) error {
		if len(p.open) == 0 {
			return errIdle
		}
		_, _, err := a.f.s.RecordConfirmationOpened(ctx, shop, Opening{Token: p.open[0].Token, Claims: a.with("user_agent")})
		return err
	}},
	{"confirmed", func(a *accessTown, p *accessPerson) error {
		if len(p.open) == 0 {
			return errIdle
		}
		token := p.open[0].Token
		p.open = p.open[1:]
		c, err := a.f.s.ConfirmConsent(ctx, shop, Click{Token: token, Click: "button", Claims: a.with("user_agent")})
		if err == nil && c.AlreadyConfirmed {
			err = errIdle
		}
		return err
	}},
	{"rejected", func(a *accessTown, p *accessPerson) error {
		r, err := a.f.s.RequestConsent(ctx, shop, asking(p.mail, offers))
		if err != nil {
			return err
		}
		_ = p.took(r.Consents, nil)
		_, err = a.f.s.RejectConfirmation(ctx, shop, Click{Token: r.Token, Claims: a.with("reason")})
		return err
	}},
	{"given", func(a *accessTown, p *accessPerson) error {
		g := Giving{Subject: email(p.mail), Purposes: []string{mailings, catalogue, "fair"}, Channel: "email", Notice: accessGrounds, Method: "paper",
			Claims: a.with("operator", "name"), Attachments: a.attach("document")}
		given, err := a.f.s.GiveConsent(ctx, shop, g)
		if err != nil {
			return err
		}
		return p.took(given.Consents, nil)
	}},
	{"refused", func(a *accessTown, p *accessPerson) error {
		return p.took(a.f.s.RefuseConsent(ctx, shop, Refusal{Subject: email(p.mail), Purposes: []string{digest}, Channel: "email", Method: "app", Claims: a.with("session")}))
	}},
	{"imported", func(a *accessTown, p *accessPerson) error {
		i := importing(email(p.mail), []string{daily, newsletter, offers}[a.r.IntN(3)], []string{"email", "post"}[a.r.IntN(2)])
		i.Claims = a.with("reference")
		done, err := a.f.s.ImportConsent(ctx, shop, i)
		if err == nil && done.Skipped != "" {
			err = errIdle
		}
		if err != nil {
			return err
		}
		return p.took([]Consent{done.Consent}, nil)
	}},
	{"asserted", func(a *accessTown, p *accessPerson) error {
		s := asserting(email(p.mail), invoices, "email", "contract")
		s.Claims = a.with("reference")
		c, err := a.f.s.AssertBasis(ctx, shop, s)
		if err != nil {
			return err
		}
		return p.took([]Consent{*c}, nil)
	}},
	{"renewed", func(a *accessTown, p *accessPerson) error {
		of := a.first(p, ledger.Given)
		if len(of) == 0 {
			return errIdle
		}
		_, err := a.f.s.RenewConsent(ctx, shop, Renewal{ConsentIDs: of, Method: "app", Claims: a.with("session")})
		return err
	}},
	{"used", func(a *accessTown, p *accessPerson) error {
		all := a.all()
		if len(all) == 0 {
			return errIdle
		}
		u := Uses{ConsentIDs: all, Reference: a.plant()}
		if a.r.IntN(2) == 0 {
			u.Processor = "mailhouse"
		} else {
			u.Recipient = a.plant()
		}
		_, _, err := a.f.s.RecordUses(ctx, other, u)
		return err
	}},
	{"withdrawn", func(a *accessTown, p *accessPerson) error {
		w := Withdrawal{ConsentIDs: a.some(a.visible(p)), Method: "preference_centre", Claims: a.with("reason")}
		if len(w.ConsentIDs) == 0 {
			return errIdle
		}
		before := a.f.size()
		err := p.took(ofWithdrawal(a.f.s.WithdrawConsent(ctx, shop, w)))
		return a.wrote(before, err)
	}},
	{"took effect", func(a *accessTown, p *accessPerson) error {
		gone := a.first(p, ledger.Withdrawn)
		if len(gone) == 0 {
			return errIdle
		}
		_, err := a.f.s.RecordWithdrawalEffected(ctx, other, Effected{ConsentIDs: gone, System: "mailhouse", Claims: a.with("reference")})
		return err
	}},
	{"objected", func(a *accessTown, p *accessPerson) error {
		o := Objection{Subject: email(p.mail), Article: "art21_2", Purposes: []string{mailings}, Claims: a.with("reason")}
		before := a.f.size()
		done, err := a.f.s.RecordObjection(ctx, shop, o)
		if err == nil {
			err = p.took(done.Consents, nil)
		}
		return a.wrote(before, err)
	}},
	{"ended", func(a *accessTown, p *accessPerson) error {
		// Of whomever, several people in one entry.
		kind := []ledger.Kind{ledger.ConsentInvalidated, ledger.ConsentRevoked}[a.r.IntN(2)]
		e := Ending{Kind: kind, ConsentIDs: a.some(a.all()), Cause: "error", Claims: a.with("reason")}
		if len(e.ConsentIDs) == 0 {
			return errIdle
		}
		before := a.f.size()
		_, err := a.f.s.EndConsents(ctx, legal, e)
		return a.wrote(before, err)
	}},
	{"restricted", func(a *accessTown, p *accessPerson) error {
		before := a.f.size()
		_, err := a.f.s.SetRestriction(ctx, shop, Restriction{Subject: email(p.mail), Ground: "art18_1_a", Claims: a.with("reason")})
		return a.wrote(before, err)
	}},
	{"freed", func(a *accessTown, p *accessPerson) error {
		r := a.f.lifting(email(p.mail))
		r.Claims = a.with("reason")
		before := a.f.size()
		_, err := a.f.s.LiftRestriction(ctx, shop, r)
		return a.wrote(before, err)
	}},
	{"linked", func(a *accessTown, p *accessPerson) error {
		add := []Subject{phone(p.number), external(p.card)}[a.r.IntN(2)]
		_, err := a.f.s.LinkSubject(ctx, shop, Link{Subject: email(p.mail), Add: add, Claims: a.with("operator")})
		return err
	}},
	{"rectified", func(a *accessTown, p *accessPerson) error {
		if len(a.visible(p)) == 0 {
			return errIdle
		}
		a.f.identify(email(p.mail))
		r := Rectification{Subject: email(p.mail), Remove: external(p.card), Claims: a.with("reason")}
		if a.r.IntN(2) == 0 {
			r.Remove = phone(p.number)
		}
		_, err := a.f.s.RectifySubject(ctx, legal, r)
		return err
	}},
	{"tracking", func(a *accessTown, p *accessPerson) error {
		before := a.f.size()
		list, _, err := a.f.s.SetTrackingMode(ctx, shop, TrackingChange{Subject: email(p.mail), Purpose: "email.open_tracking", Method: "app",
			Mode: []string{"none", "anonymous"}[a.r.IntN(2)], Claims: a.with("session")})
		return a.wrote(before, p.took(list, err))
	}},
	{"signal", func(a *accessTown, p *accessPerson) error {
		done, err := a.f.s.RecordSignal(ctx, shop, PreferenceSignal{Subject: email(p.mail), Signal: "gpc", Value: "1", Claims: a.with("user_agent")})
		if err != nil {
			return err
		}
		return p.took(done.Consents, nil)
	}},
	{"guardian", func(a *accessTown, p *accessPerson) error {
		of := a.some(a.visible(p))
		if len(of) == 0 {
			return errIdle
		}
		_, _, err := a.f.s.AuthoriseGuardian(ctx, shop, Guardian{ConsentIDs: of, Method: "in_person", Claims: a.with("guardian"), Attachments: a.attach("document")})
		return err
	}},
	{"held", func(a *accessTown, p *accessPerson) error {
		// Over several people.
		of := a.some(a.all())
		if len(of) == 0 {
			return errIdle
		}
		held, err := a.f.s.SetHold(ctx, legal, HoldRequest{ConsentIDs: of, Claims: a.with("reason", "reference")})
		if err == nil {
			a.holds = append(a.holds, held.Hold)
		}
		return err
	}},
	{"released", func(a *accessTown, p *accessPerson) error {
		if len(a.holds) == 0 {
			return errIdle
		}
		_, err := a.f.s.LiftHold(ctx, legal, HoldRelease{Hold: a.holds[0], Claims: a.with("reason")})
		a.holds = a.holds[1:]
		return err
	}},
	{"demanded", func(a *accessTown, p *accessPerson) error {
		if len(a.visible(p)) == 0 {
			return errIdle // of a stranger only a reference is kept
		}
		o, err := a.f.s.OpenRequest(ctx, legal, RightsRequest{Subject: email(p.mail), Article: "art15", Claims: a.with("name"), Attachments: a.attach("document")})
		if err == nil {
			a.requests = append(a.requests, o.RequestID)
		}
		return err
	}},
	{"extended", func(a *accessTown, p *accessPerson) error {
		if len(a.requests) == 0 {
			return errIdle
		}
		_, err := a.f.s.ExtendRequest(ctx, legal, RequestStep{RequestID: a.requests[0], Claims: a.with("reason")})
		return err
	}},
	{"answered", func(a *accessTown, p *accessPerson) error {
		if len(a.requests) == 0 {
			return errIdle
		}
		step := RequestStep{RequestID: a.requests[0], Claims: a.with("reason")}
		a.requests = a.requests[1:]
		var err error
		if a.r.IntN(2) == 0 {
			_, err = a.f.s.AnswerRequest(ctx, legal, step)
		} else {
			step.Refusal = "excessive"
			_, err = a.f.s.RefuseRequest(ctx, legal, step)
		}
		return err
	}},
	{"notified", func(a *accessTown, p *accessPerson) error {
		if len(a.visible(p)) == 0 {
			return errIdle
		}
		of := a.some(a.visible(p))[0]
		n, err := a.f.s.NotifyRecipient(ctx, legal, Notification{Index: a.f.now(of).Last, Claims: a.with("recipient", "reference")})
		if err == nil {
			a.notifications = append(a.notifications, n.NotificationID)
		}
		return err
	}},
	{"acknowledged", func(a *accessTown, p *accessPerson) error {
		if len(a.notifications) == 0 {
			return errIdle
		}
		_, err := a.f.s.AcknowledgeRecipient(ctx, legal, Acknowledgement{NotificationID: a.notifications[0], Claims: a.with("reference")})
		a.notifications = a.notifications[1:]
		return err
	}},
	{"corrected", func(a *accessTown, p *accessPerson) error {
		if len(a.visible(p)) == 0 {
			return errIdle
		}
		of := a.some(a.visible(p))[0]
		_, err := a.f.s.CorrectEntry(ctx, legal, Correction{Index: a.f.now(of).Last, Claims: a.with("reason")})
		return err
	}},
	{"disclosed", func(a *accessTown, p *accessPerson) error {
		if len(a.visible(p)) == 0 {
			return errIdle
		}
		_, err := a.f.s.DiscloseClaims(ctx, legal, Disclosing{ConsentID: a.some(a.visible(p))[0], Claims: []string{"email"}, Reason: a.plant(), Recipient: a.plant()})
		return err
	}},
	{"retained", func(a *accessTown, p *accessPerson) error {
		a.f.clock.advance(time.Duration(a.r.IntN(40)) * 24 * time.Hour)
		_, err := a.f.s.RunRetention(ctx, RetentionRun{})
		return err
	}},
	{"locked", func(a *accessTown, p *accessPerson) error {
		if a.r.IntN(2) == 0 {
			return errIdle
		}
		p.open = nil
		_, err := a.f.s.EraseSubject(ctx, shop, Erasure{Subject: email(p.mail), Reason: "art17", Mode: lockThenShred})
		return err
	}},
	{"erased", func(a *accessTown, p *accessPerson) error {
		if a.r.IntN(2) == 0 {
			return errIdle
		}
		p.open = nil
		_, err := a.f.s.EraseSubject(ctx, shop, Erasure{Subject: email(p.mail), Reason: "art17", Mode: shredNow, KeepSuppression: a.r.IntN(2) == 0})
		return err
	}},
}

// first gives the first of a person's visible records in a state.
func (a *accessTown) first(p *accessPerson, state ledger.State) []ledger.ConsentID {
	for _, id := range a.visible(p) {
		if a.f.now(id).State == state {
			return []ledger.ConsentID{id}
		}
	}
	return nil
}

// wrote makes a step that wrote nothing, because what it says stands already, one
// whose values are kept nowhere.
func (a *accessTown) wrote(before ledger.Size, err error) error {
	if err == nil && a.f.size() == before {
		return errIdle
	}
	return err
}
