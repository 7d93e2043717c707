package report

import (
	"testing"

	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

func TestAccess(t *testing.T) {
	l := newLogbook(t)
	ids := l.gives(4)
	shows := func(source, occasion string, claims []string, commits []string, ids ...ledger.ConsentID) {
		t.Helper()
		e := ledger.Entry{Kind: ledger.EvidenceDisclosed, Source: source, Occasion: occasion, Shown: claims, About: ids}
		for _, c := range commits {
			e.Commits = append(e.Commits, ledger.Commitment{Claim: c})
		}
		l.add(e)
	}
	l.add(ledger.Entry{Kind: ledger.SourceDeclared, Name: "counsel", Role: "legal"})
	l.now = day(2)
	l.add(ledger.Entry{Kind: ledger.IdentityVerified, Means: "document", About: ids[:2]})
	shows("desk", "claims", []string{"email", "ip"}, []string{"reason"}, ids[0])
	shows("desk", "claims", []string{"email"}, []string{"reason"}, ids[1])
	shows("counsel", "access_report", nil, nil, ids[0], ids[1])
	shows("counsel", "bundle", []string{"email"}, []string{"reason", "recipient"}, ids[2])
	l.group(func(*store.Group) []*ledger.Entry {
		return []*ledger.Entry{{Kind: ledger.EvidenceDisclosed, Source: "desk", Occasion: "access_report", Part: 1, Parts: 2, About: ids[:1]},
			{Kind: ledger.EvidenceDisclosed, Source: "desk", Occasion: "access_report", Part: 2, Parts: 2, About: ids[1:]}}
	})
	l.now = day(3)
	shows("desk", "claims", []string{"name"}, []string{"reason"}, ids[0])

	r := l.report("access", Period{From: day(2), To: day(3)})
	want := `{"disclosures":5,"records_shown":9,"by_source":{"counsel":2,"desk":3},"by_occasion":{"access_report":2,"bundle":1,"claims":2},` +
		`"by_claim_shown":{"email":3,"ip":1},"showing_everything":2,"exports":3,"with_reason":3,"to_a_recipient":1,` +
		`"occasions_by_source":{"counsel":{"access_report":1,"bundle":1},"desk":{"access_report":1,"claims":2}},"identities_verified_by_means":{"document":1}}`
	if got := figures(t, r); got != want {
		t.Errorf("figures\n%s\nwant\n%s", got, want)
	}
	says(t, r, "Disclosures of personal values: 5, of 9 records; 3 with a reason, 1 to a recipient who is named.", "Exports among them (access reports and bundles): 3.",
		"2  (everything held)", "1  desk, access_report", "1  document")
	all := l.report("access", Period{}).Figures.(*Access)
	if all.Disclosures != 6 || all.ByClaim["name"] != 1 {
		t.Errorf("of everything: %+v", all)
	}
}
