package evidence

import (
	"bytes"
	"fmt"
	"html"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/ledger"
)

// asice is a bundle as somebody gets it, taken apart.
type asice struct {
	*testing.T
	raw []byte
	c   *bundle.Container
}

func (f *fixture) export(r service.BundleRequest) *service.Bundle {
	f.t.Helper()
	if r.Reason == "" {
		r.Reason, r.Recipient = "Klage wegen unerlaubter Werbung (§ 7 UWG)", "Landgericht Köln, Az. 31 O 12/27"
	}
	b, err := f.s.ExportBundle(ctx, legal, r)
	f.must(err)
	return b
}

// written writes a bundle and opens it.
func (f *fixture) written(b *service.Bundle) asice {
	f.t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	f.must(err)
	var raw bytes.Buffer
	f.must(WriteBundle(&raw, b, BundleOptions{Zone: berlin, Tool: "ledgerd test"}))
	c, err := bundle.Open(bytes.NewReader(raw.Bytes()), int64(raw.Len()))
	f.must(err)
	signer, err := b.Signer()
	f.must(err)
	f.must(c.VerifySignature(signer.Keys()))
	return asice{f.t, raw.Bytes(), c}
}

func (a asice) file(name string) string {
	a.Helper()
	content, err := a.c.File(name)
	if err != nil {
		a.Fatal(err)
	}
	return string(content)
}

// says demands that both forms of a report say something.
func (a asice) says(language string, want ...string) {
	a.Helper()
	page := html.UnescapeString(a.file("docs/report." + language + ".html"))
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		a.Skip("there is no pdftotext (poppler-utils)")
	}
	cmd := exec.Command(tool, "-raw", "-enc", "UTF-8", "-", "-")
	cmd.Stdin = strings.NewReader(a.file("docs/report." + language + ".pdf"))
	printed, err := cmd.Output()
	if err != nil {
		a.Fatal(err)
	}
	// Where lines are broken says nothing.
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
	for _, w := range want {
		if !strings.Contains(page, w) {
			a.Errorf("%s: the page does not say %q", language, w)
		}
		if !strings.Contains(squeeze(string(printed)), squeeze(w)) {
			a.Errorf("%s: the PDF does not say %q", language, w)
		}
	}
}

// What is chosen is in the bundle, what is not chosen is not, and by hand it is what the
// instructions say.
func TestBundle(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.confirmed("erika@example.com")
	f.confirmed("otto@example.com")
	_, _, err := f.s.RecordUses(ctx, shop, service.Uses{ConsentIDs: []ledger.ConsentID{id}, Reference: "mailing forty-eight", Processor: "mailhouse"})
	f.must(err)
	asked := f.now()
	f.pass(time.Hour)
	_, err = f.s.WithdrawConsent(ctx, shop, service.Withdrawal{ConsentIDs: []ledger.ConsentID{id}, Method: "one_click"})
	f.must(err)
	b := f.export(service.BundleRequest{Subject: email("erika@example.com"), Purposes: []string{"newsletter"}, Disclose: []string{"email", "form_snapshot"}, At: asked})
	a := f.written(b)
	testbundle.Without(t, a.raw, "Erika Mustermann", "203.0.113.77", "203.0.113.0", "Mozilla/5.0 (Erika)", "otto@example.com", "mailing forty-eight", "on your instructions")
	if n := testbundle.ByHand(t, a.raw); n != 9 {
		t.Errorf("%d commands were run", n)
	}
	a.says("de", "Lag am ", "Ja – nach dem, was in diesem Protokoll", "erika@example.com", "Landgericht Köln, Az. 31 O 12/27", "<form>Erika</form>", "Die Person widerrief, durch Abmelden mit einem Klick.",
		"Shop GmbH, Hauptstr. 1, 10115 Berlin (shop.example.com)", "Mail House GmbH (mailhouse)", "Ja, ich möchte den Newsletter.", "UTC+01:00", "„Newsletter“", "UNANCHORED: ")
	a.says("en", "Was there consent", "Yes – by what had been recorded", "The person withdrew, by unsubscribing with one click.", "A proof bundle was made; to: Landgericht Köln, Az. 31 O 12/27; the reason: Klage",
		fmt.Sprintf("That the log up to entry %d has no later change of this record is proven by the state tree.", b.Committed), fmt.Sprintf("In the log as: entry %d", b.Exported))
	index, err := bundle.ParseIndex([]byte(a.file("evidence/bundle.json")))
	f.must(err)
	custody, err := bundle.ParseCustody([]byte(a.file("custody.json")))
	f.must(err)
	q := index.Questions
	if len(q) != 1 || !q[0].Allowed || !q[0].Hindsight || q[0].Reason != "confirmed" || *q[0].Consent != id || !q[0].At.Equal(asked) {
		t.Errorf("questions: %+v", q)
	}
	if len(index.Consents) != 1 || index.Consents[0].ID != id || index.Size != b.Size || *index.Exported != b.Exported || *index.Committed != b.Committed || index.About != bundle.AboutConsents {
		t.Errorf("index: %+v", index)
	}
	if custody.Exporter != "counsel" || custody.Tool != "ledgerd test" || *custody.Exported != b.Exported || len(custody.Disclosed) != 1 || custody.Recipient != "Landgericht Köln, Az. 31 O 12/27" {
		t.Errorf("custody: %+v", custody)
	}
	a.accounted(b)
}

// accounted demands that the container has the files of the bundle and no others.
func (a asice) accounted(b *service.Bundle) {
	a.Helper()
	want := map[string]bool{}
	for _, k := range []bundle.Kind{bundle.KindCheckpoint, bundle.KindCustody, bundle.KindVerify, bundle.KindHTMLDe, bundle.KindPDFDe, bundle.KindHTMLEn, bundle.KindPDFEn, bundle.KindIndex, bundle.KindKeys} {
		want[string(k)] = true
	}
	for _, e := range b.Entries {
		want[bundle.EntryPath(e.Index)], want[bundle.ProofPath(e.Index)] = true, true
		if got := a.file(bundle.EntryPath(e.Index)); got != string(e.Text) {
			a.Errorf("entry %d is\n%s", e.Index, got)
		}
		for _, d := range e.Disclosed {
			want[bundle.DisclosurePath(e.Index, d.Claim)] = true
			if got := a.file(bundle.DisclosurePath(e.Index, d.Claim)); got != d.Text() {
				a.Errorf("entry %d discloses %s", e.Index, got)
			}
			if d.File != nil && d.File.Kept {
				want["evidence/files/"+d.File.SHA256] = true
			}
		}
	}
	for _, n := range b.Notices {
		want[bundle.NoticePath(n.SHA256)] = true
		if n.Facts != nil {
			want[bundle.NoticePath(ledger.TextHash(n.Facts))] = true
		}
	}
	for _, r := range b.Consents {
		want[bundle.StatePath(r.ID)] = true
		if got := a.file(bundle.StatePath(r.ID)); got != string(r.State) {
			a.Errorf("the state of %d is\n%s", r.ID, got)
		}
	}
	for _, s := range b.Stamped {
		want[bundle.BoundPath(s.Size)] = true
	}
	for _, file := range a.c.Files() {
		switch file.Kind {
		case bundle.KindMimetype, bundle.KindManifest, bundle.KindSignature, bundle.KindBoundToken, bundle.KindConsistency, bundle.KindAuthority:
		default:
			if !want[file.Name] {
				a.Errorf("%s is in the bundle", file.Name)
			}
		}
		delete(want, file.Name)
	}
	for name := range want {
		a.Errorf("%s is not in the bundle", name)
	}
}

// Two bundles of the same are equal but for the signatures, whose randomness is fresh.
func TestBundleIsTheSame(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.confirmed("erika@example.com")
	b := f.export(service.BundleRequest{Subject: email("erika@example.com"), Disclose: []string{"email", "form_snapshot"}})
	one, two := f.written(b), f.written(b)
	if one.c.Manifest() != two.c.Manifest() {
		t.Error("the manifests differ")
	}
	for _, file := range one.c.Files() {
		if same := one.file(file.Name) == two.file(file.Name); same == (file.Kind == bundle.KindSignature) {
			t.Errorf("%s: the same is %v", file.Name, same)
		}
	}
}

// After an erasure the bundle proves that the evidence was shredded, and discloses
// nothing but why it was made and for whom.
func TestBundleOfErased(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.confirmed("erika@example.com")
	before := f.written(f.export(service.BundleRequest{Subject: email("erika@example.com"), Disclose: []string{"email"}}))
	_, err := f.s.EraseSubject(ctx, shop, service.Erasure{Subject: email("erika@example.com"), Reason: "art17", Mode: "shred_now"})
	f.must(err)
	b := f.export(service.BundleRequest{ConsentIDs: []ledger.ConsentID{id}, Reason: "the authority asks", Recipient: "the authority"})
	a := f.written(b)
	a.accounted(b)
	testbundle.Without(t, a.raw, "erika@example.com", "Erika Mustermann", "<form>Erika", "Landgericht")
	testbundle.ByHand(t, a.raw)
	a.says("de", "Gelöscht – die Nachweise sind vernichtet", "dieses Paket legt davon nichts offen", "the authority asks")
	a.says("en", "Erased – the evidence is destroyed", "nobody can read what was erased", "erasure was asked for (Art. 17 GDPR)", "This cannot be told")
	var disclosed []string
	for _, file := range a.c.Files() {
		if file.Kind == bundle.KindDisclosure || file.Kind == bundle.KindFile {
			disclosed = append(disclosed, file.Name)
		}
	}
	if want := []string{bundle.DisclosurePath(b.Exported, "reason"), bundle.DisclosurePath(b.Exported, "recipient")}; !slices.Equal(disclosed, want) {
		t.Errorf("it discloses %v", disclosed)
	}
	if shredded := slices.ContainsFunc(b.Entries, func(e service.BundleEntry) bool {
		return strings.Contains(string(e.Text), "\nkind evidence.shredded\n")
	}); !shredded {
		t.Error("it does not prove that the evidence was shredded")
	}
	testbundle.ByHand(t, before.raw) // what was handed out stays what it was
}

// A bundle that is written while somebody is erased is none.
func TestBundleWhileErased(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.confirmed("erika@example.com")
	b := f.export(service.BundleRequest{Subject: email("erika@example.com"), Disclose: []string{"email"}})
	erase := func(ledger.Hash) ([]byte, error) {
		_, err := f.s.EraseSubject(ctx, shop, service.Erasure{Subject: email("erika@example.com"), Reason: "art17", Mode: "shred_now"})
		return nil, err
	}
	var raw bytes.Buffer
	if err := WriteBundle(&raw, b, BundleOptions{Stamp: erase}); err == nil {
		t.Error("it was written")
	}
	if _, err := bundle.Open(bytes.NewReader(raw.Bytes()), int64(raw.Len())); err == nil {
		t.Error("what was written is a bundle")
	}
}

// Of many records and long words the reports are made, too.
func TestBundleOfMany(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 12 {
		text := fmt.Sprintf("Ja (%d). %s\n", i, strings.Repeat("Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft ", 40))
		_, _, err := f.s.PublishNotice(ctx, admin, service.NoticePublication{ID: fmt.Sprintf("long-%d", i), Language: "de", Text: text, Purposes: []string{"newsletter"}, Facts: facts})
		f.must(err)
		_, err = f.s.RequestConsent(ctx, shop, service.ConsentRequest{Subject: email("erika@example.com"), Purposes: []string{"newsletter"}, Channel: "email",
			Notice: fmt.Sprintf("long-%d@1", i), Method: "web_form", Claims: map[string]string{"name": "Łukasz Größe 中文 " + strings.Repeat("ß", 3000)}})
		f.must(err)
		f.pass(48 * time.Hour)
	}
	a := f.written(f.export(service.BundleRequest{Subject: email("erika@example.com"), Disclose: []string{"name", "email"}}))
	testbundle.ByHand(t, a.raw)
	a.says("de", "long-11@1", "Łukasz Größe ", strings.Repeat("ß", 50), "elektrizitätenhauptbetriebswerk")
}
