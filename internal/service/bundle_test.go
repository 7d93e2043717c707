package service

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/pack"
	"github.com/consentledger/consentledger/internal/bundle/report"
	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
)

// exported asks for a bundle, and has it verified.
func (f *fixture) exported(r BundleRequest) *Bundle {
	f.t.Helper()
	if r.Reason == "" {
		r.Reason = "12 O 34/26"
	}
	if r.Recipient == "" {
		r.Recipient = "Landgericht Bonn"
	}
	b, err := f.s.ExportBundle(ctx, legal, r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.proves(b)
	f.whole(b)
	return b
}

// whole checks that a bundle lists all that a walk through the whole log finds of its
// records, and shows nothing that was not chosen or is not theirs.
func (f *fixture) whole(b *Bundle) {
	f.t.Helper()
	if b.Committed <= max(b.Exported, slices.Max(append(b.Disclosed, 0))) {
		f.t.Errorf("the state was committed by entry %d, before the export, entry %d", b.Committed, b.Exported)
	}
	log := f.entriesFrom(0)[:b.Size]
	for _, c := range b.Consents {
		belongs := map[ledger.Index]bool{}
		for more := true; more; {
			more = false
			for _, e := range log {
				of := ledger.ConsentID(e.Index) == c.ID || slices.Contains(e.About, c.ID) ||
					slices.ContainsFunc(e.Consents, func(l ledger.Link) bool { return l.Consent == c.ID }) ||
					len(e.About)+len(e.Consents) == 0 && slices.ContainsFunc(e.Refers, func(i ledger.Index) bool { return belongs[i] })
				first := e.Index - ledger.Index(max(e.Part-1, 0))
				if of && !(belongs[e.Index] && belongs[first]) {
					belongs[e.Index], belongs[first], more = true, true, true
				}
			}
		}
		if want := slices.Sorted(maps.Keys(belongs)); !slices.Equal(c.Entries, want) {
			f.t.Errorf("of consent %d it lists the entries %v, the log has %v", c.ID, c.Entries, want)
		}
	}
	held := slices.DeleteFunc(b.has(), func(id ledger.ConsentID) bool {
		return slices.ContainsFunc(b.Consents, func(c BundleConsent) bool { return c.ID == id && c.Overlays.Has(ledger.Erased) })
	})
	for _, e := range b.Entries {
		for _, d := range e.Disclosed {
			of := func(c BundleConsent) bool { return slices.Contains(held, c.ID) && slices.Contains(c.Entries, e.Index) }
			if e.Index != b.Exported && (!slices.ContainsFunc(b.Consents, of) || !slices.ContainsFunc(b.Disclosed, func(i ledger.Index) bool {
				return slices.Contains(f.entry(i).Shown, d.Claim)
			})) {
				f.t.Errorf("entry %d shows %s", e.Index, d.Claim)
			}
		}
	}
}

// proves has a bundle verified as whoever gets it does.
func (f *fixture) proves(b *Bundle) *verdict.Report {
	f.t.Helper()
	c, err := packed(b)
	var file bytes.Buffer
	if err == nil {
		err = pack.Write(&file, c)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return f.verifies(b.Keys, file.Bytes())
}

// verifies has a bundle's file verified under the log's first pair of keys.
func (f *fixture) verifies(trustKeys, file []byte) *verdict.Report {
	f.t.Helper()
	keys, err := ledger.ParseKeyRing(trustKeys)
	if err != nil {
		f.t.Fatal(err)
	}
	policy, err := ledger.ParsePolicy(ledger.NewPolicy(keys.Entries()[0].Keys))
	if err != nil {
		f.t.Fatal(err)
	}
	rep, err := verdict.Verify(ctx, bytes.NewReader(file), int64(len(file)), verdict.Options{Policy: policy, Stamps: timestamp.Unpinned})
	if err != nil {
		f.t.Errorf("the bundle is %s: %v", rep.Verdict, err)
	}
	return rep
}

// packed gives what a bundle is written from.
func packed(b *Bundle) (*pack.Contents, error) {
	signer, err := b.Signer()
	if err != nil {
		return nil, err
	}
	c := &pack.Contents{Checkpoint: b.Checkpoint, Keys: b.Keys, Proof: b.Receipt, Consistency: b.Consistency, Signer: signer,
		Index:   bundle.Index{About: bundle.AboutConsents, Origin: b.Origin, Size: b.Size, Exported: &b.Exported, Committed: &b.Committed},
		Custody: bundle.Custody{Origin: b.Origin, Made: b.Made, Exporter: b.Exporter, Recipient: b.Recipient, Reason: b.Reason, Tool: "test", Exported: &b.Exported, Disclosed: b.Disclosed, Size: b.Size},
		Case:    report.Case{Origin: b.Origin, Controller: b.Controller, Size: b.Size, Root: b.Root, Custody: report.Custody{Made: b.Made, Export: b.Exported}}}
	for _, r := range b.Consents {
		c.Index.Consents = append(c.Index.Consents, bundle.IndexedConsent{ID: r.ID, Purpose: r.Purpose, Channel: r.Channel, Entries: r.Entries})
		c.Case.Consents = append(c.Case.Consents, report.Consent{ID: r.ID, Proven: b.Committed})
		c.States = append(c.States, pack.State{ID: r.ID, Proof: r.State})
	}
	for _, q := range b.Questions {
		asked := bundle.IndexedQuestion{Purpose: q.Purpose, Channel: q.Channel, At: q.At, Allowed: q.Allowed, Reason: q.Reason, Hindsight: q.Hindsight}
		if q.Consent != 0 {
			asked.Consent = &q.Consent
		}
		c.Index.Questions = append(c.Index.Questions, asked)
		c.Case.Questions = append(c.Case.Questions, report.Question{Purpose: q.Purpose, Channel: q.Channel, At: q.At, Reason: q.Reason, Consent: q.Consent})
	}
	for _, s := range b.Stamped {
		c.Stamped = append(c.Stamped, pack.Stamped{Entry: s.Entry, Size: s.Size, Note: s.Note, Token: s.Token})
	}
	for _, n := range b.Notices {
		c.Case.Notices = append(c.Case.Notices, report.Notice{NoticeRef: n.NoticeRef, Language: n.Language, Text: n.Text, Facts: n.Facts})
	}
	for _, e := range b.Entries {
		entry := report.Entry{Text: e.Text, Interval: e.Interval, Irregular: e.Irregular}
		for _, d := range e.Disclosed {
			entry.Disclosed = append(entry.Disclosed, d.Disclosure)
			if d.File == nil || !d.File.Kept {
				continue
			}
			sum, err := hex.DecodeString(d.File.SHA256)
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(c.Files, func(f pack.File) bool { return bytes.Equal(f.SHA256[:], sum) }) {
				c.Files = append(c.Files, pack.File{SHA256: ledger.Hash(sum), Write: func(w io.Writer) error { return b.WriteFile(d.File, w) }})
			}
		}
		c.Case.Entries = append(c.Case.Entries, entry)
	}
	return c, nil
}

// has lists the records of a bundle.
func (b *Bundle) has() (ids []ledger.ConsentID) {
	for _, c := range b.Consents {
		ids = append(ids, c.ID)
	}
	return ids
}

// entry gives an entry of a bundle; nil if it has none of this index.
func (b *Bundle) entry(i ledger.Index) *BundleEntry {
	at := slices.IndexFunc(b.Entries, func(e BundleEntry) bool { return e.Index == i })
	if at < 0 {
		return nil
	}
	return &b.Entries[at]
}

// shows lists what a bundle discloses: kind, claim and value of each, or the bytes.
func (f *fixture) shows(b *Bundle) string {
	f.t.Helper()
	var lines []string
	for _, e := range b.Entries {
		for _, d := range e.Disclosed {
			value := d.Value
			if d.File != nil {
				var file bytes.Buffer
				if d.File.Kept {
					if err := b.WriteFile(d.File, &file); err != nil {
						f.t.Error(err)
					}
				}
				value = fmt.Sprintf("%s %q", d.File.MediaType, file.Bytes())
			}
			lines = append(lines, fmt.Sprintf("%s %s %s", f.entry(e.Index).Kind, d.Claim, value))
		}
	}
	return strings.Join(lines, "\n")
}

// answers lists the questions of a bundle.
func (b *Bundle) answers() string {
	var list []string
	for _, q := range b.Questions {
		list = append(list, fmt.Sprintf("%s/%s %v %s %d %v", q.Purpose, q.Channel, q.Allowed, q.Reason, q.Consent, q.Hindsight))
	}
	return strings.Join(list, ", ")
}

// A bundle has everything about a person's consents, what that rests on, and of personal
// values those that were chosen. That it was made is the last that it proves.
func TestBundle(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	const a, b = "a@example.com", "b@example.com"
	f.declare("x.ticket", "Ticket")
	notice := f.publish(NoticePublication{ID: "facts-de", Language: "de", Text: "Ja.", Purposes: []string{newsletter},
		Facts: NoticeFacts{Controller: "Shop GmbH, Bonn"}})
	f.engages(mailhouse())
	f.engages(ProcessorEngagement{ID: "unused", Title: "Unused", AgreementSHA256: &ledger.Hash{1}})
	ask := asking(a, newsletter, offers)
	ask.Notice = notice.Name
	ask.Claims = map[string]string{"ip": "203.0.113.7", "name": "Anna", "x.ticket": "4711"}
	ask.Attachments = []Attachment{{Claim: "form_snapshot", FileName: "form.html", MediaType: "text/html", Bytes: []byte("<form>")}}
	ask.Purposes = []string{newsletter}
	r := f.ask(ask)
	id := r.Consents[0].ID
	mail := []byte("Subject: Bitte bestätigen\r\n\r\nKlick\r\n")
	f.send(r, mail, time.Time{})
	f.confirm(r.Token)
	theirs := f.confirmed(b).Consents[0].ID
	f.use(Uses{ConsentIDs: []ledger.ConsentID{id, theirs}, Processor: "mailhouse", Reference: "mailing 48/2026"})
	f.withdraw(Withdrawal{Subject: email(a), Purposes: []string{newsletter}})
	f.use(Uses{ConsentIDs: []ledger.ConsentID{id}, Recipient: "Printers"})
	told := f.told(Notification{Index: f.now(id).Last, Claims: map[string]string{"recipient": "Printers"}})
	f.acknowledged(told.NotificationID)

	before := f.size()
	got := f.exported(BundleRequest{Subject: email(a), Disclose: []string{"message", "ip", "form_snapshot", "x.ticket", "recipient"},
		Reason: "file 12 O 34/26", Recipient: "Landgericht Bonn"})
	f.wrote(before, "bundle.exported evidence.disclosed state.committed")
	want := strings.Join([]string{
		`consent.requested form_snapshot text/html "<form>"`,
		"consent.requested ip 203.0.113.0/24",
		"consent.requested x.ticket 4711",
		fmt.Sprintf("confirmation.sent message message/rfc822 %q", mail),
		"consent.used recipient Printers",
		"recipient.notified recipient Printers",
		"bundle.exported reason file 12 O 34/26",
		"bundle.exported recipient Landgericht Bonn",
	}, "\n")
	if text := f.shows(got); text != want {
		t.Errorf("it shows\n%s\nwant\n%s", text, want)
	}
	export := f.entry(got.Exported)
	if export.Kind != ledger.BundleExported || !slices.Equal(export.About, []ledger.ConsentID{id}) || len(got.Disclosed) != 1 ||
		strings.Join(f.entry(got.Disclosed[0]).Shown, " ") != "form_snapshot ip message recipient x.ticket" || f.entry(got.Disclosed[0]).Occasion != "bundle" {
		t.Errorf("entry %d says %+v, entries %v what was shown", got.Exported, export, got.Disclosed)
	}
	if got.Exporter != legal.Name || got.Reason != "file 12 O 34/26" || got.Recipient != "Landgericht Bonn" || got.Controller != "shop.example.com" ||
		got.Origin != f.s.Log().Origin() || got.Made.Before(export.Time.Truncate(time.Second)) || got.Made.Nanosecond() != 0 || got.Cosigned {
		t.Errorf("it says of itself %+v", got)
	}
	if len(got.Notices) != 1 || got.Notices[0].Name() != notice.Name || string(got.Notices[0].Text) != "Ja." || got.Notices[0].Language != "de" ||
		string(got.Notices[0].Facts) != `{"controller":"Shop GmbH, Bonn"}` || got.Company != "Shop GmbH, Bonn" {
		t.Errorf("notices %+v, company %q", got.Notices, got.Company)
	}
	if fmt.Sprint(got.PurposeTitles, got.ProcessorTitles) != "map[newsletter:Newsletter] map[mailhouse:"+mailhouse().Title+"]" {
		t.Errorf("titles %v, %v", got.PurposeTitles, got.ProcessorTitles)
	}
	if text := got.answers(); text != fmt.Sprintf("newsletter/email false withdrawn %d false", id) || !got.Questions[0].At.Equal(export.Time) {
		t.Errorf("it answers %s", text)
	}
	var odd []string
	for _, e := range got.Entries {
		if len(e.Irregular) > 0 {
			odd = append(odd, fmt.Sprint(f.entry(e.Index).Kind, e.Irregular))
		}
	}
	if strings.Join(odd, " ") != "consent.used[consent.used.withdrawn]" {
		t.Errorf("irregular are %v", odd)
	}
	if c, _, err := f.s.Log().Snapshot().Consent(id); err != nil || got.Consents[0].Consent != c {
		t.Errorf("the record is %+v, in the log %+v; %v", got.Consents[0].Consent, c, err)
	}
	// A second one, at another moment and without values, has the first one, too.
	f.clock.advance(time.Minute)
	confirmed := f.entry(got.Consents[0].Entries[2])
	again := f.exported(BundleRequest{Subject: email(a), At: confirmed.Time.In(time.FixedZone("", 3600))})
	if text := again.answers(); confirmed.Kind != ledger.ConsentConfirmed || text != fmt.Sprintf("newsletter/email true confirmed %d true", id) ||
		again.Questions[0].At.Location() != time.UTC {
		t.Errorf("at %s it answers %s", confirmed.Kind, text)
	}
	if text := f.shows(again); text != "bundle.exported reason 12 O 34/26\nbundle.exported recipient Landgericht Bonn" || len(again.Disclosed) > 0 ||
		again.entry(got.Exported) == nil || again.entry(got.Disclosed[0]) == nil {
		t.Errorf("the second shows\n%s", text)
	}
}

// Of a person there are the records of the purposes asked for, what stops these, and
// what was ever restricted; by their ids just these.
func TestBundleSelects(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	const a, b, c = "a@example.com", "b@example.com", "c@example.com"
	one := func(list []Consent) ledger.ConsentID { return list[0].ID }
	aNews, aDaily, aInvoices, aCatalogue := one(f.confirmed(a).Consents), one(f.give(email(a), "email", daily)), one(f.give(email(a), "email", invoices)), one(f.give(email(a), "email", catalogue))
	aPhone := one(f.give(email(a), "phone", daily))
	aDigest := one(f.object(Objection{Subject: email(a), Article: "art21_2", Purposes: []string{digest}, Channel: "fax"}, "objection.recorded"))
	bInvoices := one(f.give(email(b), "email", invoices))
	f.restrict(b)
	f.lift(b)
	bNews, bOffers := one(f.confirmed(b).Consents), one(f.confirmed(b, offers).Consents)
	cAll := one(f.object(Objection{Subject: email(c), Article: "art21_2"}, "objection.recorded"))
	for _, test := range []struct {
		what string
		r    BundleRequest
		has  []ledger.ConsentID
		asks string
	}{
		{"everything", BundleRequest{Subject: email(a)}, []ledger.ConsentID{aNews, aDaily, aInvoices, aCatalogue, aPhone, aDigest},
			"newsletter/email mailings-daily/email invoices/email catalogue/email mailings-daily/phone"},
		{"one purpose", BundleRequest{Subject: email(a), Purposes: []string{invoices}}, []ledger.ConsentID{aInvoices}, "invoices/email"},
		{"a purpose below another", BundleRequest{Subject: email(a), Purposes: []string{daily}}, []ledger.ConsentID{aDaily, aPhone, aDigest}, "mailings-daily/email mailings-daily/phone"},
		{"a purpose above another", BundleRequest{Subject: email(a), Purposes: []string{digest}}, []ledger.ConsentID{aDigest}, ""},
		{"two purposes", BundleRequest{Subject: email(a), Purposes: []string{newsletter, catalogue}}, []ledger.ConsentID{aNews, aCatalogue}, "newsletter/email catalogue/email"},
		{"what was restricted", BundleRequest{Subject: email(b), Purposes: []string{newsletter}}, []ledger.ConsentID{bInvoices, bNews}, "newsletter/email"},
		{"nothing of others", BundleRequest{ConsentIDs: []ledger.ConsentID{bOffers}}, []ledger.ConsentID{bOffers}, "offers/email"},
		{"an objection alone", BundleRequest{Subject: email(c)}, []ledger.ConsentID{cAll}, ""},
		{"what stops everything", BundleRequest{Subject: email(c), Purposes: []string{newsletter}}, []ledger.ConsentID{cAll}, ""},
		{"by that name", BundleRequest{Subject: email(c), Purposes: []string{ledger.AllMarketing}}, []ledger.ConsentID{cAll}, ""},
		{"by ids", BundleRequest{ConsentIDs: []ledger.ConsentID{aPhone, aNews}}, []ledger.ConsentID{aNews, aPhone}, "newsletter/email mailings-daily/phone"},
	} {
		got := f.exported(test.r)
		var asks []string
		for _, q := range got.Questions {
			asks = append(asks, q.Purpose+"/"+q.Channel)
		}
		if !slices.Equal(got.has(), test.has) || strings.Join(asks, " ") != test.asks {
			t.Errorf("%s: has %v and asks %q, want %v and %q", test.what, got.has(), asks, test.has, test.asks)
		}
	}
}
