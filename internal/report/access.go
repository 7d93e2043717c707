package report

import (
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Access says who had personal values shown, and on what occasion. A disclosure is
// one evidence.disclosed, all parts together.
type Access struct {
	Disclosures int64 `json:"disclosures"`
	// Records counts how often a record was among what was shown.
	Records    int64            `json:"records_shown"`
	BySource   map[string]int64 `json:"by_source"`
	ByOccasion map[string]int64 `json:"by_occasion"`
	// ByClaim counts the disclosures that showed a claim. An access report shows
	// every claim of the person and is counted in Everything alone.
	ByClaim    map[string]int64 `json:"by_claim_shown"`
	Everything int64            `json:"showing_everything"`
	// Exports are the access reports and bundles among them: what left as a file.
	Exports      int64 `json:"exports"`
	WithReason   int64 `json:"with_reason"`    // that commit to why
	ToRecipients int64 `json:"to_a_recipient"` // that commit to somebody else than the person
	// Sources counts in more detail: by source, then occasion.
	Sources map[string]map[string]int64 `json:"occasions_by_source"`
	// Identities counts how persons were identified, by means.
	Identities map[string]int64 `json:"identities_verified_by_means"`
}

func newAccess() *Access {
	return &Access{BySource: map[string]int64{}, ByOccasion: map[string]int64{}, ByClaim: map[string]int64{},
		Sources: map[string]map[string]int64{}, Identities: map[string]int64{}}
}

func (a *Access) each(e *ledger.Entry, _ *ledger.Effects, _ ledger.History, within bool) error {
	switch {
	case !within:
	case e.Kind == ledger.IdentityVerified && isFirst(e):
		a.Identities[e.Means]++
	case e.Kind == ledger.EvidenceDisclosed:
		a.Records += int64(len(e.About))
		if isFirst(e) {
			a.disclosed(e)
		}
	}
	return nil
}

func (a *Access) disclosed(e *ledger.Entry) {
	a.Disclosures++
	a.BySource[e.Source]++
	a.ByOccasion[e.Occasion]++
	if a.Sources[e.Source] == nil {
		a.Sources[e.Source] = map[string]int64{}
	}
	a.Sources[e.Source][e.Occasion]++
	for _, claim := range e.Shown {
		a.ByClaim[claim]++
	}
	switch e.Occasion {
	case "access_report":
		a.Everything++
		a.Exports++
	case "bundle":
		a.Exports++
	}
	if _, ok := e.Commit("reason"); ok {
		a.WithReason++
	}
	if _, ok := e.Commit("recipient"); ok {
		a.ToRecipients++
	}
}

func (*Access) finish(ledger.Size, time.Time) {}

func (a *Access) text(w *printer) {
	w.Line("Disclosures of personal values: %d, of %d records; %d with a reason, %d to a recipient who is named.", a.Disclosures, a.Records, a.WithReason, a.ToRecipients)
	w.Line("Exports among them (access reports and bundles): %d.", a.Exports)
	w.counts("By who asked (API key)", a.BySource)
	w.counts("By occasion", a.ByOccasion)
	var rows []string
	for _, source := range sorted(a.Sources) {
		for _, occasion := range sorted(a.Sources[source]) {
			rows = append(rows, countLine(source+", "+occasion, a.Sources[source][occasion]))
		}
	}
	w.List("By who asked and occasion", rows)
	shown := map[string]int64{}
	for name, n := range a.ByClaim {
		shown[name] = n
	}
	if a.Everything > 0 {
		shown["(everything held)"] = a.Everything
	}
	w.counts("By claim shown", shown)
	w.counts("Persons identified, by means", a.Identities)
}

func (*Access) cannotShow() []string {
	return []string{
		"which person held the API key, unless each has one of their own",
		"why, and to whom: reasons and recipients are in the vault; the log commits to them",
		"what somebody reads who has the machine and its keys, past the ledger",
	}
}
