package evidence

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// receipt gives the receipt of a consent, checked against the published fields and
// terms, and that nothing personal is in it.
func (f *fixture) receipt(id ledger.ConsentID) map[string]any {
	f.t.Helper()
	facts, err := f.s.ConsentReceipt(ctx, shop, id)
	f.must(err)
	text, err := ConsentReceipt(facts)
	f.must(err)
	again, err := ConsentReceipt(facts)
	f.must(err)
	if !bytes.Equal(text, again) {
		f.t.Error("a receipt is not the same text when it is made again")
	}
	var doc map[string]any
	f.must(json.Unmarshal(text, &doc))
	f.checkFields(doc)
	f.checkTerms(doc)
	for _, personal := range []string{"erika", "Erika", "Mustermann", "203.0.113", "Mozilla"} {
		if bytes.Contains(text, []byte(personal)) {
			f.t.Errorf("a receipt holds the personal value %s", personal)
		}
	}
	return doc
}

// lines gives the lines of a file of test data that are no comments.
func (f *fixture) lines(name string) (list []string) {
	f.t.Helper()
	file, err := os.Open(name)
	f.must(err)
	defer file.Close()
	for s := bufio.NewScanner(file); s.Scan(); {
		if line := strings.TrimSpace(s.Text()); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	if len(list) == 0 {
		f.t.Fatalf("%s is empty", name)
	}
	return list
}

// checkFields checks that every field that must be present is.
func (f *fixture) checkFields(doc map[string]any) {
	f.t.Helper()
	for _, line := range f.lines("testdata/dpv-27560-fields.txt") {
		field, path, _ := strings.Cut(line, "|")
		if where, ok := present([]any{doc}, strings.Fields(path)); !ok {
			f.t.Errorf("%s is missing at %s", strings.TrimSpace(field), where)
		}
	}
}

// present reports whether every node has a value at the end of a path: properties, of
// which the nodes of one type may be meant, and of which one of several is enough.
func present(nodes []any, path []string) (string, bool) {
	if len(path) == 0 {
		return "", len(nodes) > 0 && !slices.Contains(nodes, any(""))
	}
	step, kind, _ := strings.Cut(path[0], "@dpv:")
	if strings.HasPrefix(path[0], "@") {
		step, kind = path[0], ""
	}
	if len(nodes) == 0 {
		return step, false
	}
	for _, n := range nodes {
		props, _ := n.(map[string]any)
		var values []any
		for _, property := range strings.Split(step, "/") {
			switch v := props[property].(type) {
			case nil:
			case []any:
				values = append(values, v...)
			default:
				values = append(values, v)
			}
		}
		if kind != "" {
			values = slices.DeleteFunc(values, func(v any) bool { return !isA(v, "dpv:"+kind) })
		}
		if where, ok := present(values, path[1:]); !ok {
			return path[0] + " " + where, false
		}
	}
	return "", true
}

func isA(v any, kind string) bool {
	props, _ := v.(map[string]any)
	types, ok := props["@type"].([]any)
	return ok && slices.Contains(types, any(kind)) || props["@type"] == kind
}

// checkTerms checks that every term of the vocabulary is published, and that its
// prefix is declared.
func (f *fixture) checkTerms(doc map[string]any) {
	f.t.Helper()
	var known []string
	for _, line := range f.lines("testdata/dpv-terms.txt") {
		known = append(known, strings.Fields(line)...)
	}
	prefixes := doc["@context"].(map[string]any)
	eachText(doc, func(text string) {
		prefix, _, ok := strings.Cut(text, ":")
		if !ok || strings.ContainsAny(prefix, " /.") || prefix == "ni" || prefix == "https" || prefix == "http" {
			return
		}
		if prefix != "dpv" && prefix != "pd" && prefix != "loc" && prefix != "eu-gdpr" {
			if prefixes[prefix] == nil && len(prefix) < 8 && !strings.Contains(text, " ") && !strings.HasPrefix(text, "20") {
				f.t.Errorf("the prefix of %s is not declared", text)
			}
			return
		}
		if prefixes[prefix] == nil || !slices.Contains(known, text) {
			f.t.Errorf("%s is no published term", text)
		}
	})
}

// eachText calls yield with every key and every text of a document but its context.
func eachText(v any, yield func(string)) {
	switch v := v.(type) {
	case string:
		yield(v)
	case []any:
		for _, e := range v {
			eachText(e, yield)
		}
	case map[string]any:
		for k, e := range v {
			if k != "@context" {
				yield(k)
				eachText(e, yield)
			}
		}
	}
}

// states lists the states of a receipt: status, by whom, until when.
func states(doc map[string]any) (list []string) {
	record := doc["dpv:hasRecordOfActivity"].(map[string]any)
	for _, s := range record["dpv:hasConsentStatus"].([]any) {
		n := s.(map[string]any)
		status := strings.TrimPrefix(n["@type"].([]any)[0].(string), "dpv:")
		by := "controller"
		switch b := n["dpv:isIndicatedBy"].(type) {
		case []any:
			by = "person and guardian"
		case string:
			if b == "dpv:DataSubject" {
				by = "person"
			}
		}
		until := strings.TrimPrefix(n["dpv:hasDuration"].(map[string]any)["@type"].(string), "dpv:")
		list = append(list, status+" by "+by+" "+until)
	}
	return list
}

// All states stay in a receipt, each until the next, and nothing but what happens to
// the consent changes it.
func TestReceiptKeepsPastStates(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.confirmed("erika@example.com")
	first := f.receipt(id)
	if first2 := f.receipt(id); first2["@id"] != first["@id"] || first2["dct:created"] != first["dct:created"] {
		t.Error("a receipt changes though nothing happened")
	}
	f.pass(24 * time.Hour)
	_, err := f.s.RenewConsent(ctx, shop, service.Renewal{ConsentIDs: []ledger.ConsentID{id}, Method: "app", Notice: wording})
	f.must(err)
	f.pass(24 * time.Hour)
	_, err = f.s.WithdrawConsent(ctx, shop, service.Withdrawal{ConsentIDs: []ledger.ConsentID{id}, Method: "one_click", Claims: map[string]string{"reason": "Erika"}})
	f.must(err)
	doc := f.receipt(id)
	want := []string{"ConsentRequested by controller UntilTimeDuration", "ConsentGiven by person UntilTimeDuration",
		"RenewedConsentGiven by person UntilTimeDuration", "ConsentWithdrawn by person EndlessDuration"}
	if got := states(doc); !slices.Equal(got, want) {
		t.Errorf("states %q, want %q", got, want)
	}
	if doc["@id"] == first["@id"] || doc["dct:created"] == first["dct:created"] {
		t.Error("the receipt of a consent that was withdrawn has the name of the one before")
	}
	record, before := doc["dpv:hasRecordOfActivity"].(map[string]any), first["dpv:hasRecordOfActivity"].(map[string]any)
	if record["@id"] != before["@id"] {
		t.Error("the record has another name than before")
	}
	// Another record of the person has another pseudonym.
	other := f.receipt(f.confirmed("erika@example.com"))["dpv:hasRecordOfActivity"].(map[string]any)
	if a, b := record["dpv:hasDataSubject"].(map[string]any)["@id"], other["dpv:hasDataSubject"].(map[string]any)["@id"]; a == b {
		t.Errorf("two receipts name the person %s", a)
	}
}

// Whatever a consent is, its receipt has all the fields.
func TestReceiptsOfEveryState(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	give := func(g service.Giving) ledger.ConsentID {
		t.Helper()
		g.Subject, g.Channel, g.Notice, g.Method = email("erika@example.com"), "email", wording, "paper"
		given, err := f.s.GiveConsent(ctx, shop, g)
		f.must(err)
		return given.Consents[0].ID
	}
	for name, test := range map[string]struct {
		make func() ledger.ConsentID
		want string
	}{
		"requested": {func() ledger.ConsentID { return f.request("a-erika@example.com").Consents[0].ID }, "ConsentRequested by controller UntilTimeDuration"},
		"rejected": {func() ledger.ConsentID {
			r := f.request("b-erika@example.com")
			_, err := f.s.RejectConfirmation(ctx, shop, service.Click{Token: r.Token})
			f.must(err)
			return r.Consents[0].ID
		}, "ConsentStatusInvalidForProcessing by person EndlessDuration"},
		"confirmed": {func() ledger.ConsentID { return f.confirmed("c-erika@example.com") }, "ConsentGiven by person UntilTimeDuration"},
		"explicit": {func() ledger.ConsentID {
			return give(service.Giving{Purposes: []string{"health"}, Explicit: true, Age: "old_enough"})
		}, "ConsentGiven by person UntilEventDuration"},
		"child": {func() ledger.ConsentID {
			id := give(service.Giving{Purposes: []string{"health"}, Explicit: true, Age: "child"})
			_, _, err := f.s.AuthoriseGuardian(ctx, shop, service.Guardian{ConsentIDs: []ledger.ConsentID{id}, Method: "in_person",
				Claims: map[string]string{"guardian": "Erika Mustermann"}})
			f.must(err)
			return id
		}, "ConsentGiven by person and guardian UntilEventDuration"},
		"refused": {func() ledger.ConsentID {
			list, err := f.s.RefuseConsent(ctx, shop, service.Refusal{Subject: email("d-erika@example.com"), Purposes: []string{"newsletter"}, Channel: "email", Method: "app"})
			f.must(err)
			return list[0].ID
		}, "ConsentRefused by person EndlessDuration"},
		"imported without a notice": {func() ledger.ConsentID {
			done, err := f.s.ImportConsent(ctx, shop, service.Import{Subject: email("e-erika@example.com"), Purpose: "newsletter", Channel: "email", Method: "import",
				OccurredAt: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)})
			f.must(err)
			return done.Consent.ID
		}, "ConsentUnknown by controller UntilTimeDuration"},
		"objected": {func() ledger.ConsentID {
			id := f.confirmed("f-erika@example.com")
			_, err := f.s.RecordObjection(ctx, shop, service.Objection{Subject: email("f-erika@example.com"), Article: "art21_2"})
			f.must(err)
			return id
		}, "ConsentStatusInvalidForProcessing by person EndlessDuration"},
		"revoked": {func() ledger.ConsentID {
			id := f.confirmed("g-erika@example.com")
			_, err := f.s.EndConsents(ctx, admin, service.Ending{Kind: ledger.ConsentRevoked, ConsentIDs: []ledger.ConsentID{id}, Cause: "other"})
			f.must(err)
			return id
		}, "ConsentRevoked by controller EndlessDuration"},
	} {
		t.Run(name, func(t *testing.T) {
			got := states(f.receipt(test.make()))
			if last := got[len(got)-1]; last != test.want {
				t.Errorf("the newest state is %s, want %s", last, test.want)
			}
		})
	}
	c, err := f.s.AssertBasis(ctx, shop, service.Assertion{Subject: email("h-erika@example.com"), Purpose: "invoices", Channel: "email", Basis: "contract"})
	f.must(err)
	if _, err := f.s.ConsentReceipt(ctx, shop, c.ID); err == nil || !strings.Contains(err.Error(), "does not rest on consent") {
		t.Errorf("the receipt of what is no consent: %v", err)
	}
}

// A receipt without one of its fields, or with a word that is no term, is found.
func TestReceiptChecksSee(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	facts, err := f.s.ConsentReceipt(ctx, shop, f.confirmed("erika@example.com"))
	f.must(err)
	text, err := ConsentReceipt(facts)
	f.must(err)
	whole := func() map[string]any {
		var doc map[string]any
		f.must(json.Unmarshal(text, &doc))
		return doc
	}
	for _, line := range f.lines("testdata/dpv-27560-fields.txt") {
		_, path, _ := strings.Cut(line, "|")
		doc := whole()
		remove(doc, strings.Fields(path))
		if _, ok := present([]any{doc}, strings.Fields(path)); ok {
			t.Errorf("a receipt without %s passes", path)
		}
	}
}

// remove removes what stands at the end of a path.
func remove(v any, path []string) {
	if list, ok := v.([]any); ok {
		for _, e := range list {
			remove(e, path)
		}
		return
	}
	props, ok := v.(map[string]any)
	if !ok {
		return
	}
	step := path[0]
	if !strings.HasPrefix(step, "@") {
		step, _, _ = strings.Cut(step, "@")
	}
	for _, property := range strings.Split(step, "/") {
		if len(path) == 1 {
			delete(props, property)
		} else {
			remove(props[property], path[1:])
		}
	}
}
