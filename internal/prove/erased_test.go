package prove

import (
	"errors"
	"slices"
	"testing"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/internal/testbundle/exported"
	"github.com/consentledger/consentledger/ledger"
)

// A bundle that was made before an erasure stays what it was. One that is made after it
// proves that the evidence was shredded, and discloses nothing.
func TestErased(t *testing.T) {
	t.Parallel()
	s := exported.Tell(t)
	opt, before := options(t, s.Ledger), s.Lawsuit()
	was := says(t, sound(t, before, opt))
	if _, err := s.Service.EraseSubject(ctx, exported.Shop, service.Erasure{Subject: exported.Erika.Subject(), Reason: "art17", Mode: "shred_now"}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Service.ExportBundle(ctx, exported.Legal, service.BundleRequest{Subject: exported.Erika.Subject(), Recipient: "the court", Reason: "they ask"})
	if refused := new(refusal.Error); !errors.As(err, &refused) || refused.Code != refusal.NotFoundCode {
		t.Errorf("by her address: %v", err)
	}
	ids := []ledger.ConsentID{s.Newsletter, s.Tips}
	after := s.Export(service.BundleRequest{ConsentIDs: ids, Recipient: "the court", Reason: "it asks about two records"})
	log := s.Copy()
	if now := says(t, sound(t, before, opt)); now != was {
		t.Errorf("the bundle of before says\n%s\nit said\n%s", now, was)
	}
	sound(t, before, against(log, opt))
	report := sound(t, after, against(log, opt))
	if len(report.Consents) != 2 {
		t.Errorf("it is about %+v", report.Consents)
	}
	for i, c := range report.Consents {
		if c.Consent != ids[i] || c.Erased == nil || c.Erased.Reason != "art17" || c.Erased.Shredded == nil || *c.Erased.Shredded <= c.Erased.Entry || c.Erased.ContentsDestroyed.IsZero() ||
			!slices.Contains(c.Entries, *c.Erased.Shredded) || !slices.Contains(c.Overlays, "erased") {
			t.Errorf("consent %d: %+v, %+v", c.Consent, c, c.Erased)
		}
	}
	files := testbundle.Open(t, after)
	disclosed := append(files.Names("evidence/disclosures/"), files.Names("evidence/files/")...)
	if want := []string{bundle.DisclosurePath(*report.Exported, "reason"), bundle.DisclosurePath(*report.Exported, "recipient")}; !slices.Equal(disclosed, want) || report.Disclosed != 2 {
		t.Errorf("it discloses %v", disclosed)
	}
	testbundle.Without(t, after, exported.Erika.Values()...)
	testbundle.Without(t, after, "Landgericht Köln", "Rundbrief 48", exported.Otto.Email)
	// The entries that commit to her values are there all the same.
	if report.Undisclosed < 10 {
		t.Errorf("its entries commit to %d values", report.Undisclosed)
	}
}
