package service

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

func yes() *bool { v := true; return &v }
func no() *bool  { v := false; return &v }

// fullFacts gives every fact, with what JSON might spell in several ways.
func fullFacts() NoticeFacts {
	return NoticeFacts{Controller: "Beispiel GmbH & Co. KG, <Hauptstraße 1>\n12345 Köln", Contact: `"datenschutz@example.com"`,
		Recipients: []string{"Versand AG", "Druck\\Satz KG"}, ThirdCountries: []string{"none"}, Retention: "bis zum Widerruf\u2028", Rights: "Art. 15 – 22",
		Refusal: "keine Folgen", AutomatedDecisions: "keine", Authority: "LDI NRW", Companies: []string{"Beispiel GmbH"}, Products: []string{"Bücher", "Hörbücher"},
		Contents: "Neuerscheinungen", Frequency: "monatlich", Justification: "ohne geht es nicht", AdvertisingFree: yes()}
}

// The document of fullFacts, byte for byte: auditors find it by its hash.
const fullFactsDocument = `{"controller":"Beispiel GmbH & Co. KG, <Hauptstraße 1>\n12345 Köln","contact":"\"datenschutz@example.com\"",` +
	`"recipients":["Versand AG","Druck\\Satz KG"],"third_countries":["none"],"retention":"bis zum Widerruf\u2028","rights":"Art. 15 – 22",` +
	`"refusal":"keine Folgen","automated_decisions":"keine","authority":"LDI NRW","companies":["Beispiel GmbH"],"products":["Bücher","Hörbücher"],` +
	`"contents":"Neuerscheinungen","frequency":"monatlich","justification":"ohne geht es nicht","advertising_free":true}`

// fullNotice is a publication with every field.
func fullNotice() NoticePublication {
	return NoticePublication{ID: "offers-de", Language: "de-AT", Text: "Ja, ich möchte Angebote.\r\n", Purposes: []string{offers, newsletter},
		Use: "wording", CheckboxDefault: "unticked", ConditionalOn: "none", Facts: fullFacts()}
}

func (f *fixture) publish(n NoticePublication) *Notice {
	f.t.Helper()
	shown, _, err := f.s.PublishNotice(ctx, admin, n)
	if err != nil {
		f.t.Fatal(err)
	}
	return shown
}

func TestNoticeWithAllFacts(t *testing.T) {
	t.Parallel()
	f := newService(t)
	before := f.size()
	n := fullNotice()
	shown := f.publish(n)
	sum := sha256.Sum256([]byte(fullFactsDocument))
	want := &Notice{Notice: ledger.Notice{NoticeRef: ledger.NoticeRef{ID: "offers-de", Version: 1, SHA256: sha256.Sum256([]byte(n.Text))},
		Index: ledger.Index(before), Language: "de-AT", Covers: []string{newsletter, offers}, Use: "wording", Checkbox: "unticked",
		ConditionalOn: "none", Facts: sum}, Name: "offers-de@1", Facts: fullFacts()}
	if !reflect.DeepEqual(shown, want) {
		t.Errorf("answered %+v, want %+v", shown, want)
	}
	if e := f.entriesFrom(before)[0]; e.Facts != sum || e.Use != "" || e.Checkbox != "unticked" || e.ConditionalOn != "none" {
		t.Errorf("the entry says %+v", e)
	}
	for range 2 {
		if again := f.publish(n); !reflect.DeepEqual(again, want) {
			t.Errorf("again: %+v", again)
		}
		n.Use, n.Purposes = "", []string{newsletter, offers}
		list, err := f.s.ListNotices()
		if err != nil || len(list) != 2 || !reflect.DeepEqual(list[1], want) {
			t.Errorf("list %+v, %v", list, err)
		}
		// The facts are a document like the text: served, exported, checked.
		for _, sum := range []ledger.Hash{want.SHA256, want.Notice.Facts} {
			found, document, err := f.s.Log().NoticeByHash(sum)
			if err != nil || found.Name() != want.Name || sha256.Sum256(document) != sum {
				t.Errorf("by hash: %+v, %q, %v", found, document, err)
			}
		}
		f.reopen()
	}
	f.wrote(before, "notice.published")
	exported, err := os.ReadFile(filepath.Join(f.export(), "notices", hex.EncodeToString(sum[:])))
	if err != nil || string(exported) != fullFactsDocument {
		t.Errorf("exported %q, %v", exported, err)
	}
}

// Nothing said is no document, and says so.
func TestNoticeWithoutFacts(t *testing.T) {
	t.Parallel()
	f := newService(t)
	before := f.size()
	n := NoticePublication{ID: "bare", Language: "en", Text: "Yes.", Purposes: []string{newsletter}}
	shown := f.publish(n)
	n.Facts = NoticeFacts{Recipients: []string{}, Companies: []string{}}
	if again := f.publish(n); !reflect.DeepEqual(again, shown) || again.Notice.Facts != (ledger.Hash{}) || !reflect.DeepEqual(again.Facts, NoticeFacts{}) {
		t.Errorf("%+v, then %+v", shown, again)
	}
	f.wrote(before, "notice.published")
	if e := f.entriesFrom(before)[0]; e.Use != "" || e.Checkbox != "" || e.ConditionalOn != "" || e.Facts != (ledger.Hash{}) {
		t.Errorf("the entry says %+v", e)
	}
	art13 := []string{"controller", "contact", "recipients", "third_countries", "retention", "rights", "refusal", "automated_decisions", "authority"}
	if !slices.Equal(shown.Missing, art13) || !slices.Equal(shown.Findings, []string{"companies"}) {
		t.Errorf("missing %v, findings %v", shown.Missing, shown.Findings)
	}
}

// What is missing, fact by fact, and what makes a notice doubtful.
func TestNoticeFindings(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.define(PurposeDefinition{ID: "service"}) // no marketing, the last by its id
	for i, test := range []struct {
		change            func(*NoticePublication)
		missing, findings string
	}{
		{func(*NoticePublication) {}, "", ""},
		{func(n *NoticePublication) { n.Facts.Controller = "" }, "controller", ""},
		{func(n *NoticePublication) { n.Facts.Contact = "" }, "contact", ""},
		{func(n *NoticePublication) { n.Facts.Recipients = nil }, "recipients", ""},
		{func(n *NoticePublication) { n.Facts.Recipients = []string{"none"} }, "", ""},
		{func(n *NoticePublication) { n.Facts.ThirdCountries = nil }, "third_countries", ""},
		{func(n *NoticePublication) { n.Facts.Retention = "" }, "retention", ""},
		{func(n *NoticePublication) { n.Facts.Rights = "" }, "rights", ""},
		{func(n *NoticePublication) { n.Facts.Refusal = "" }, "refusal", ""},
		{func(n *NoticePublication) { n.Facts.AutomatedDecisions = "" }, "automated_decisions", ""},
		{func(n *NoticePublication) { n.Facts.Authority = "" }, "authority", ""},
		{func(n *NoticePublication) {
			n.Facts.Contents, n.Facts.Frequency, n.Facts.Justification, n.Facts.Products = "", "", "", nil
		}, "", ""},
		{func(n *NoticePublication) { n.ConditionalOn = "service" }, "", "tied"},
		{func(n *NoticePublication) { n.ConditionalOn = "" }, "", ""},
		{func(n *NoticePublication) { n.Facts.Companies = nil }, "", "companies"},
		{func(n *NoticePublication) { n.ConditionalOn, n.Facts.Companies = "service", nil }, "", "tied companies"},
		{func(n *NoticePublication) { n.Facts.Companies, n.Purposes = nil, []string{account} }, "", ""},
		{func(n *NoticePublication) { n.Facts.Companies, n.Purposes = nil, []string{account, offers} }, "", "companies"},
		{func(n *NoticePublication) { n.Facts.Companies, n.Purposes = nil, []string{offers, "service"} }, "", "companies"},
		{func(n *NoticePublication) { n.Facts.Companies, n.Use = nil, "privacy" }, "", ""},
		{func(n *NoticePublication) { n.Facts, n.Use, n.CheckboxDefault = NoticeFacts{}, "mail", "" }, "", ""},
		{func(n *NoticePublication) {
			n.Facts, n.Use, n.CheckboxDefault = NoticeFacts{AdvertisingFree: yes()}, "mail", ""
		}, "", ""},
		{func(n *NoticePublication) {
			n.Facts, n.Use, n.CheckboxDefault = NoticeFacts{AdvertisingFree: no()}, "mail", ""
		}, "", "advertising"},
		{func(n *NoticePublication) { n.Facts.AdvertisingFree = no() }, "", ""},
	} {
		n := fullNotice()
		test.change(&n)
		shown := f.publish(n)
		if got := strings.Join(shown.Missing, " "); got != test.missing {
			t.Errorf("%d: missing %q, want %q", i, got, test.missing)
		}
		if got := strings.Join(shown.Findings, " "); got != test.findings {
			t.Errorf("%d: findings %q, want %q", i, got, test.findings)
		}
		if shown.Version != int64(i+1) {
			t.Errorf("%d: version %d", i, shown.Version)
		}
	}
	// A tied notice is a finding of whoever verifies the log, too.
	if tied := f.verify().Irregular["notice.published.tied"]; tied != 2 {
		t.Errorf("the verifier counts %d tied notices, want 2", tied)
	}
}

// Every single change is a new version; what the versions before said stays.
func TestNoticeSuperseded(t *testing.T) {
	t.Parallel()
	f := newService(t)
	changes := []func(*NoticePublication){
		func(n *NoticePublication) { n.Text = "Nein." },
		func(n *NoticePublication) { n.Language = "de" },
		func(n *NoticePublication) { n.Purposes = []string{newsletter} },
		func(n *NoticePublication) { n.ConditionalOn = "service" },
		func(n *NoticePublication) { n.ConditionalOn = "" },
		func(n *NoticePublication) { n.CheckboxDefault = "none" },
		func(n *NoticePublication) { n.CheckboxDefault = "" },
		func(n *NoticePublication) { n.Use = "privacy" },
		func(n *NoticePublication) { n.Facts.Retention = "ein Jahr" },
		func(n *NoticePublication) { n.Facts.AdvertisingFree = nil },
		func(n *NoticePublication) { n.Facts = NoticeFacts{} },
	}
	n := fullNotice()
	before := f.size()
	versions := []*Notice{f.publish(n)}
	texts := []string{n.Text}
	for _, change := range changes {
		change(&n)
		versions, texts = append(versions, f.publish(n)), append(texts, n.Text)
	}
	if got := f.size() - before; got != ledger.Size(len(changes)+1) {
		t.Errorf("%d entries, want %d", got, len(changes)+1)
	}
	f.reopen()
	list, err := f.s.ListNotices()
	if err != nil || len(list) != len(versions)+1 {
		t.Fatalf("%d notices, %v", len(list), err)
	}
	for i, want := range versions {
		if !reflect.DeepEqual(list[i+1], want) || want.Version != int64(i+1) {
			t.Errorf("version %d is %+v, was %+v", i+1, list[i+1], want)
		}
		if text, err := f.s.Log().NoticeText(want.SHA256); err != nil || string(text) != texts[i] {
			t.Errorf("version %d shows %q, %v; was %q", i+1, text, err, texts[i])
		}
	}
}

// What was shown then is what the evidence shows, whatever is published and
// defined later.
func TestShownThen(t *testing.T) {
	t.Parallel()
	f := newService(t)
	n := fullNotice()
	first := f.publish(n)
	ask := asking("a@example.com", offers)
	ask.Notice = first.Name
	old, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil {
		t.Fatal(err)
	}
	f.confirm(old.Token)
	n.Text, n.Facts.Companies, n.Purposes = "Ja, von allen.\n", []string{"Andere AG"}, []string{newsletter}
	second := f.publish(n)
	f.define(PurposeDefinition{ID: offers, Title: "Angebote von allen", Marketing: true, DoubleOptIn: true, MinimumAge: 16})

	// The newest version does not cover the purpose any more, the first one does.
	ask.Notice, ask.Age = second.Name, "old_enough"
	_, err = f.s.RequestConsent(ctx, shop, ask)
	refused(t, err, refusal.FailedPrecondition, "notice_coverage")
	ask.Notice = first.Name
	if _, err := f.s.RequestConsent(ctx, shop, ask); err != nil {
		t.Error(err)
	}

	f.reopen()
	list, err := f.s.ListConsents(ctx, email("a@example.com"))
	if err != nil || len(list) != 2 || list[0].Notice != first.Name {
		t.Fatalf("%+v, %v", list, err)
	}
	opened := f.entry(ledger.Index(list[0].ID))
	text, err := f.s.Log().NoticeText(opened.Notice.SHA256)
	if err != nil || string(text) != fullNotice().Text {
		t.Errorf("shown then: %q, %v", text, err)
	}
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	shown, ok, err := snap.Notice(opened.Notice.ID, opened.Notice.Version)
	if err != nil || !ok {
		t.Fatal(err)
	}
	if then, err := showNotice(snap, shown); err != nil || !reflect.DeepEqual(then.Facts, fullFacts()) {
		t.Errorf("facts then: %+v, %v", then, err)
	}
	purpose, _, err := snap.PurposeAt(offers, ledger.Size(list[0].ID)+1)
	if err != nil {
		t.Fatal(err)
	}
	if then, err := f.s.showPurpose(snap, purpose); err != nil || then.Title != "Offers" || then.MinimumAge != 0 || then.Version != 1 {
		t.Errorf("the purpose then: %+v, %v", then, err)
	}
}

func TestBadNotices(t *testing.T) {
	t.Parallel()
	f := newService(t)
	before := f.size()
	list := func(n int) (list []string) {
		for i := range n {
			list = append(list, strings.Repeat("x", i+1))
		}
		return list
	}
	for _, test := range []struct {
		at     string
		change func(*NoticePublication)
	}{
		{"id", func(n *NoticePublication) { n.ID = "Offers" }},
		{"id", func(n *NoticePublication) { n.ID = "erika.mustermann" }},
		{"language", func(n *NoticePublication) { n.Language = "deutsch" }},
		{"language", func(n *NoticePublication) { n.Language = "" }},
		{"text", func(n *NoticePublication) { n.Text = "\n" }},
		{"text", func(n *NoticePublication) { n.Text = "a\x00" }},
		{"text", func(n *NoticePublication) { n.Text = strings.Repeat("a", 256<<10+1) }},
		{"purposes", func(n *NoticePublication) { n.Purposes = nil }},
		{"purposes[1]", func(n *NoticePublication) { n.Purposes = []string{offers, offers} }},
		{"purposes[1]", func(n *NoticePublication) { n.Purposes = []string{offers, "unknown"} }},
		{"purposes[0]", func(n *NoticePublication) { n.Purposes = []string{ledger.AllMarketing} }},
		{"use", func(n *NoticePublication) { n.Use = "imprint" }},
		{"checkbox_default", func(n *NoticePublication) { n.CheckboxDefault = "ticked" }},
		{"checkbox_default", func(n *NoticePublication) { n.CheckboxDefault = "checked" }},
		{"checkbox_default", func(n *NoticePublication) { n.Use = "mail" }},
		{"checkbox_default", func(n *NoticePublication) { n.Use, n.CheckboxDefault = "mail", "none" }},
		{"conditional_on", func(n *NoticePublication) { n.ConditionalOn = "purchase" }},
		{"facts.controller", func(n *NoticePublication) { n.Facts.Controller = strings.Repeat("c", 4097) }},
		{"facts.contact", func(n *NoticePublication) { n.Facts.Contact = "\xff" }},
		{"facts.retention", func(n *NoticePublication) { n.Facts.Retention = " " }},
		{"facts.rights", func(n *NoticePublication) { n.Facts.Rights = "a\x07" }},
		{"facts.refusal", func(n *NoticePublication) { n.Facts.Refusal = "\n" }},
		{"facts.automated_decisions", func(n *NoticePublication) { n.Facts.AutomatedDecisions = "\x00" }},
		{"facts.authority", func(n *NoticePublication) { n.Facts.Authority = "\x00" }},
		{"facts.contents", func(n *NoticePublication) { n.Facts.Contents = "\x00" }},
		{"facts.frequency", func(n *NoticePublication) { n.Facts.Frequency = "\x00" }},
		{"facts.justification", func(n *NoticePublication) { n.Facts.Justification = "\x00" }},
		{"facts.recipients", func(n *NoticePublication) { n.Facts.Recipients = list(65) }},
		{"facts.recipients[1]", func(n *NoticePublication) { n.Facts.Recipients = []string{"a", ""} }},
		{"facts.recipients[1]", func(n *NoticePublication) { n.Facts.Recipients = []string{"a", "none"} }},
		{"facts.third_countries[0]", func(n *NoticePublication) { n.Facts.ThirdCountries = []string{"none", "US"} }},
		{"facts.third_countries[1]", func(n *NoticePublication) { n.Facts.ThirdCountries = []string{"US", "US"} }},
		{"facts.companies[0]", func(n *NoticePublication) { n.Facts.Companies = []string{"none"} }},
		{"facts.companies", func(n *NoticePublication) { n.Facts.Companies = list(65) }},
		{"facts.products[0]", func(n *NoticePublication) { n.Facts.Products = []string{strings.Repeat("p", 4097)} }},
		{"facts", func(n *NoticePublication) {
			for i := range 16 {
				n.Facts.Products = append(n.Facts.Products, strings.Repeat("p", 4096-i))
			}
		}},
	} {
		n := fullNotice()
		test.change(&n)
		_, _, err := f.s.PublishNotice(ctx, admin, n)
		refused(t, err, refusal.InvalidArgument, test.at)
		var no *refusal.Error
		if errors.As(err, &no) && n.CheckboxDefault == "ticked" && !strings.Contains(no.Reason, "C-673/17") {
			t.Errorf("the refusal of a ticked box gives no reason: %s", no.Reason)
		}
	}
	f.wrote(before, "")
	n := fullNotice()
	n.Facts.Products = list(64)
	if shown := f.publish(n); len(shown.Facts.Products) != 64 {
		t.Errorf("%d products", len(shown.Facts.Products))
	}
}

// A notice is used for what it was published for: only a wording opens a request.
func TestNoticeUse(t *testing.T) {
	t.Parallel()
	f := newService(t)
	for use, rule := range map[string]string{"wording": "", "privacy": "notice_use", "mail": "notice_use"} {
		n := f.publish(NoticePublication{ID: "use-" + use, Language: "de", Text: use, Purposes: []string{newsletter}, Use: use})
		ask := asking("a@example.com")
		ask.Notice = n.Name
		before := f.size()
		_, err := f.s.RequestConsent(ctx, shop, ask)
		if rule == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		refused(t, err, refusal.FailedPrecondition, rule)
		f.wrote(before, "")
	}
}
