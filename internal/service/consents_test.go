package service

import (
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Purposes beside the fixture's, each covered by the notice groundsText.
const (
	mailings  = "mailings"       // marketing, above digest
	digest    = "mailings-items" // above daily
	daily     = "mailings-daily"
	catalogue = "catalogue" // marketing that may rest on anything
	invoices  = "invoices"  // no marketing; may rest on anything but existing_customer
	grounds   = "more-de@1"
)

// withGrounds makes a ledger with these purposes, too.
func withGrounds(t testing.TB) *fixture {
	t.Helper()
	f := newService(t)
	f.define(PurposeDefinition{ID: mailings, Marketing: true})
	f.define(PurposeDefinition{ID: digest, Marketing: true, Parent: mailings})
	f.define(PurposeDefinition{ID: daily, Marketing: true, Parent: digest})
	f.define(PurposeDefinition{ID: catalogue, Marketing: true, Bases: ledger.Bases()})
	f.define(PurposeDefinition{ID: invoices, Bases: []string{"consent", "contract", "legal_obligation", "legitimate_interest"}})
	if name := f.covering(mailings, digest, daily, catalogue, invoices, newsletter, offers, account); name != grounds {
		t.Fatalf("the notice is %s", name)
	}
	return f
}

// giving is consent as a form on paper gives it.
func giving(who Subject, channel string, purposes ...string) Giving {
	return Giving{Subject: who, Purposes: purposes, Channel: channel, Notice: grounds, Method: "paper"}
}

func (f *fixture) give(who Subject, channel string, purposes ...string) []Consent {
	f.t.Helper()
	g, err := f.s.GiveConsent(ctx, shop, giving(who, channel, purposes...))
	if err != nil {
		f.t.Fatal(err)
	}
	return g.Consents
}

// importing is an item of old stock.
func importing(who Subject, purpose, channel string) Import {
	return Import{Subject: who, Purpose: purpose, Channel: channel, Method: "import",
		OccurredAt: time.Date(2019, 2, 28, 23, 59, 59, 0, time.FixedZone("", 3600))}
}

// imports imports an item and checks whether it was skipped, and that an import
// that was skipped wrote nothing.
func (f *fixture) imports(i Import, skipped string) Consent {
	f.t.Helper()
	before := f.size()
	done, err := f.s.ImportConsent(ctx, shop, i)
	if err != nil {
		f.t.Fatal(err)
	}
	if done.Skipped != skipped {
		f.t.Errorf("import of %s/%s: skipped %q, want %q", i.Purpose, i.Channel, done.Skipped, skipped)
	}
	if skipped != "" {
		f.wrote(before, "")
	} else if f.wrote(before, "consent.imported"); done.Consent.State != ledger.Imported {
		f.t.Errorf("imported %+v", done.Consent)
	}
	return done.Consent
}

// balancing weighs an interest against the person's (Art. 6(1)(f) GDPR).
var balancing = Attachment{Claim: "document", FileName: "lia.txt", MediaType: "text/plain", Bytes: []byte("They have asked before; no less will do.")}

// asserting is a ground, with the conditions or the document that it demands.
func asserting(who Subject, purpose, channel, basis string) Assertion {
	a := Assertion{Subject: who, Purpose: purpose, Channel: channel, Basis: basis}
	if basis == "existing_customer" {
		a.Conditions = ledger.Conditions()
	}
	if basis == "legitimate_interest" {
		a.Attachments = []Attachment{balancing}
	}
	return a
}

func (f *fixture) asserted(who Subject, purpose, channel, basis string) *Consent {
	f.t.Helper()
	c, err := f.s.AssertBasis(ctx, shop, asserting(who, purpose, channel, basis))
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// object records an objection and checks what it wrote.
func (f *fixture) object(o Objection, kinds string) []Consent {
	f.t.Helper()
	before := f.size()
	done, err := f.s.RecordObjection(ctx, shop, o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.wrote(before, kinds)
	return done.Consents
}

// ofObjection gives the consents of an answer.
func ofObjection(o *Objected, err error) ([]Consent, error) {
	if err != nil {
		return nil, err
	}
	return o.Consents, nil
}

// states is the states of somebody's records in their order.
func (f *fixture) states(who Subject) string {
	f.t.Helper()
	list, err := f.s.ListConsents(ctx, who)
	if err != nil {
		f.t.Fatal(err)
	}
	text := ""
	for i, c := range list {
		if i > 0 {
			text += ", "
		}
		text += c.Purpose + "/" + c.Channel + " " + c.State.String()
		for _, o := range c.Overlays {
			text += " " + o
		}
	}
	return text
}

// isNow checks the states of somebody's records.
func (f *fixture) isNow(who Subject, want string) {
	f.t.Helper()
	if got := f.states(who); got != want {
		f.t.Errorf("records: %s\nwant %s", got, want)
	}
}
