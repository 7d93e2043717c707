package service_test

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/evidence"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// personal are the kinds of entries that can be in a report: those that name records,
// but for subject.erased, which leaves none of those that it names, and what recipients
// were told.
var personal = []ledger.Kind{
	ledger.ConsentRequested, ledger.ConfirmationSent, ledger.ConfirmationResent, ledger.ConfirmationFailed, ledger.ConfirmationOpened,
	ledger.ConfirmationAttached, ledger.ConsentGiven, ledger.ConsentRefused, ledger.ConsentImported, ledger.ConsentRenewed, ledger.BasisAsserted,
	ledger.ConsentConfirmed, ledger.ConfirmationRejected, ledger.RequestExpired, ledger.ConsentExpired, ledger.ConsentWithdrawn, ledger.ConsentRevoked,
	ledger.ConsentInvalidated, ledger.ObjectionRecorded, ledger.RestrictionSet, ledger.RestrictionLifted, ledger.ConsentUsed, ledger.SubjectLocked,
	ledger.SubjectRectified, ledger.HoldSet, ledger.HoldLifted, ledger.RetentionApplied, ledger.TrackingChanged, ledger.GuardianAuthorised,
	ledger.SignalReceived, ledger.WithdrawalEffected, ledger.IdentityVerified, ledger.RequestReceived, ledger.RequestExtended, ledger.RequestAnswered,
	ledger.RequestRefused, ledger.RecipientNotified, ledger.RecipientAcknowledged, ledger.EntryCorrected, ledger.EvidenceDisclosed,
}

// A report holds every claim, entry and notice of the person and nothing of another,
// whatever happened to them, in both formats.
func TestAccessReports(t *testing.T) {
	t.Parallel()
	kinds := map[ledger.Kind]bool{}
	asked, strangers := 0, 0
	service.EachAccessCase(t, func(t *testing.T, c *service.AccessCase) {
		asked++
		if len(c.IDs) == 0 {
			strangers++
		}
		checkDossier(t, c)
		checkFormats(t, c)
		for _, e := range c.Dossier.Entries {
			kinds[e.Kind] = true
		}
		if t.Failed() {
			t.Fatalf("in the report of %s, after %d entries", c.Who, len(c.Log))
		}
	})
	var never []ledger.Kind
	for _, k := range personal {
		if !kinds[k] {
			never = append(never, k)
		}
	}
	t.Logf("%d reports, %d of strangers, %d kinds of entries; never %v", asked, strangers, len(kinds), never)
	if strangers == 0 || len(never) > 10 {
		t.Error("these histories are poor")
	}
}

// checkDossier compares a dossier with the log.
func checkDossier(t *testing.T, c *service.AccessCase) {
	t.Helper()
	d := c.Dossier
	var got []ledger.ConsentID
	for _, held := range d.Consents {
		got = append(got, held.ID)
	}
	if !slices.Equal(got, c.IDs) {
		t.Errorf("the report is about %v, want %v", got, c.IDs)
	}
	if d.Held() != (len(c.IDs) > 0) || d.Unverified != 0 || (len(d.Disclosed) > 0) != d.Held() {
		t.Errorf("held %v, %d unverified, %d entries record it", d.Held(), d.Unverified, len(d.Disclosed))
	}
	want := entriesAbout(c)
	have := map[ledger.Index]bool{}
	for _, e := range d.Entries {
		if have[e.Index] = true; !slices.Contains(want, e.Index) {
			t.Errorf("entry %d, a %s, is not about the person", e.Index, e.Kind)
		}
		checkEntry(t, c, &e)
	}
	for _, i := range want {
		if !have[i] {
			t.Errorf("entry %d, a %s, is missing", i, c.Log[i].Kind)
		}
	}
	shown := map[string]bool{}
	for _, n := range d.Notices {
		if shown[n.Name] = true; ledger.TextHash([]byte(n.Text)) != n.SHA256 {
			t.Errorf("the text of %s is another", n.Name)
		}
	}
	for i := range have {
		if n := c.Log[i].Notice; n.ID != "" && !shown[n.Name()] {
			t.Errorf("entry %d: the notice %s is missing", i, n.Name())
		}
	}
}

// entriesAbout gives the entries about a person, from the log alone.
func entriesAbout(c *service.AccessCase) (list []ledger.Index) {
	own := map[ledger.ConsentID]bool{}
	for _, id := range c.IDs {
		own[id] = true
	}
	about := map[ledger.Index]bool{}
	for _, e := range c.Log {
		names := own[ledger.ConsentID(e.Index)]
		for _, id := range e.About {
			names = names || own[id]
		}
		for _, l := range e.Consents {
			names = names || own[l.Consent]
		}
		if (e.Kind == ledger.RecipientNotified || e.Kind == ledger.RecipientAcknowledged) && about[e.Refers[0]] {
			names = true
		}
		if names {
			about[e.Index] = true
			if e.Part > 1 { // what a list commits to stands in its first part
				about[e.Index-ledger.Index(e.Part-1)] = true
			}
		}
	}
	for i := range c.Log {
		if about[ledger.Index(i)] {
			list = append(list, ledger.Index(i))
		}
	}
	return list
}

// checkEntry checks that an entry is whole but for what names others, and that every
// claim is open.
func checkEntry(t *testing.T, c *service.AccessCase, e *service.HeldEntry) {
	t.Helper()
	logged := c.Log[e.Index]
	if e.Leaf != c.Leaves[e.Index] || (e.Omitted == 0) != (ledger.LeafHash([]byte(e.Text)) == e.Leaf) {
		t.Errorf("entry %d: leaf hash %v, %d lines left out", e.Index, e.Leaf, e.Omitted)
	}
	text, err := logged.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n") - strings.Count(e.Text, "\n"); lines != e.Omitted {
		t.Errorf("entry %d: %d lines are left out, it says %d", e.Index, lines, e.Omitted)
	}
	for _, line := range strings.Split(e.Text, "\n") {
		var id ledger.ConsentID
		word, rest, _ := strings.Cut(line, " ")
		if (word == "consent" || word == "about") && !slices.Contains(c.IDs, parseID(t, rest, &id)) {
			t.Errorf("entry %d names record %d of somebody else", e.Index, id)
		}
	}
	if len(e.Of) == 0 || slices.ContainsFunc(e.Of, func(id ledger.ConsentID) bool { return !slices.Contains(c.IDs, id) }) {
		t.Errorf("entry %d is said to be about %v", e.Index, e.Of)
	}
	if len(e.Claims) != len(logged.Commits) {
		t.Errorf("entry %d: %d claims, it commits to %d", e.Index, len(e.Claims), len(logged.Commits))
		return
	}
	for i, k := range logged.Commits {
		if got := e.Claims[i]; got.Claim != k.Claim || got.Digest() != k.Digest {
			t.Errorf("entry %d: the claim %s is not what it commits to", e.Index, k.Claim)
		}
	}
}

func parseID(t *testing.T, text string, id *ledger.ConsentID) ledger.ConsentID {
	t.Helper()
	if _, err := fmt.Sscan(text, id); err != nil {
		t.Fatal(err)
	}
	return *id
}

// document is what the tests read of a report.
type document struct {
	Format  string   `json:"format"`
	Summary []string `json:"summary"`
	Made    struct {
		RecordedBy []ledger.Index `json:"recorded_by"`
	} `json:"made"`
	Consents []struct {
		ID      ledger.ConsentID `json:"consent_id"`
		InWords string           `json:"in_words"`
		History []struct {
			Entry   ledger.Index `json:"entry"`
			InWords string       `json:"in_words"`
		} `json:"history"`
	} `json:"consents"`
	Entries []struct {
		Entry   ledger.Index `json:"entry"`
		InWords string       `json:"in_words"`
		Text    string       `json:"text"`
		Claims  []struct {
			Claim, Value, Salt string
			File               *struct {
				SHA256 string `json:"sha256"`
				Kept   bool   `json:"kept"`
			} `json:"file"`
		} `json:"claims"`
	} `json:"entries"`
	Files []struct {
		SHA256 string `json:"sha256"`
		Size   int    `json:"size"`
		Bytes  []byte `json:"bytes"`
	} `json:"files"`
}

// checkFormats looks for the values in both formats.
func checkFormats(t *testing.T, c *service.AccessCase) {
	t.Helper()
	var asJSON, asCSV bytes.Buffer
	if err := evidence.WriteAccessJSON(&asJSON, c.Dossier); err != nil {
		t.Fatal(err)
	}
	if err := evidence.WriteAccessCSV(&asCSV, c.Dossier); err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(asJSON.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&asCSV).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, row := range rows {
		table.WriteString(strings.Join(row, "\t") + "\n")
	}
	files := map[string]string{}
	all := asJSON.String()
	for _, f := range doc.Files {
		if sum := ledger.TextHash(f.Bytes); f.Size != len(f.Bytes) || files[f.SHA256] != "" || hex.EncodeToString(sum[:]) != f.SHA256 {
			t.Errorf("the file %s has %d bytes, want %d, or stands there twice", f.SHA256, len(f.Bytes), f.Size)
		}
		files[f.SHA256] = string(f.Bytes)
		all += string(f.Bytes)
	}
	for _, value := range c.Own {
		if !strings.Contains(asJSON.String(), value) || !strings.Contains(table.String(), value) {
			t.Errorf("%s is missing", value)
		}
	}
	for _, value := range c.OwnFiles {
		if !strings.Contains(all, value) {
			t.Errorf("%s is in no file", value)
		}
	}
	for _, value := range c.Foreign {
		if strings.Contains(all, value) || strings.Contains(table.String(), value) {
			t.Errorf("%s is somebody else's", value)
		}
	}
	checkWords(t, c, &doc)
	for _, e := range doc.Entries {
		for _, k := range e.Claims {
			if k.File != nil && k.File.Kept != (files[k.File.SHA256] != "") {
				t.Errorf("entry %d: the file of %s is kept: %v, and it is not there", e.Entry, k.Claim, k.File.Kept)
			}
			salt, err := base64.RawURLEncoding.DecodeString(k.Salt)
			digest, ok := c.Log[e.Entry].Commit(k.Claim)
			if err != nil || !ok || (ledger.Disclosure{Salt: [32]byte(salt), Claim: k.Claim, Value: k.Value}).Digest() != digest {
				t.Errorf("entry %d: the claim %s as printed is not what it commits to", e.Entry, k.Claim)
			}
		}
	}
}

// checkWords checks what is there for people to read.
func checkWords(t *testing.T, c *service.AccessCase, doc *document) {
	t.Helper()
	if doc.Format != "consent-ledger/access-report/v1" || len(doc.Summary) == 0 || len(doc.Made.RecordedBy) != len(c.Dossier.Disclosed) {
		t.Errorf("format %q, summary %q", doc.Format, doc.Summary)
	}
	if len(c.IDs) == 0 && doc.Summary[0] != "Nothing is held about you in this ledger." {
		t.Errorf("about a stranger it says %q", doc.Summary)
	}
	for _, e := range doc.Entries {
		if e.InWords == "" || strings.Contains(e.InWords, "An entry of the kind") || strings.Contains(e.InWords, "  ") || !strings.HasSuffix(e.InWords, ".") {
			t.Errorf("entry %d in words: %q", e.Entry, e.InWords)
		}
	}
	for _, held := range doc.Consents {
		if held.InWords == "" || len(held.History) == 0 || held.History[0].Entry > ledger.Index(held.ID) {
			t.Errorf("record %d: %+v", held.ID, held)
		}
	}
}
