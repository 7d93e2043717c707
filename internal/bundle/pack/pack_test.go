package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/report"
	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// story is a log that a test writes, and what of it goes into a bundle.
type story struct {
	testing.TB
	log       *store.Store
	authority *testauthority.Authority
	c         Contents
	disclosed map[ledger.Index][]ledger.Disclosure
	stamps    []ledger.Anchored
}

const (
	purpose = "newsletter"
	mail    = "From: shop@example.com\r\nTo: erika@example.com\r\n\r\nBitte bestätigen.\r\n"
)

func newStory(t testing.TB) *story {
	s := &story{TB: t, log: testledger.New(t), disclosed: map[ledger.Index][]ledger.Disclosure{}}
	testledger.Fill(t, s.log, testledger.Prelude)
	s.add(&ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "counsel", Role: "legal"})
	return s
}

func (s *story) group(do func(g *store.Group) error) {
	s.Helper()
	g, err := s.log.Begin()
	if err != nil {
		s.Fatal(err)
	}
	if err := do(g); err != nil {
		s.Fatal(err)
	}
	if err := g.Commit(nil); err != nil {
		s.Fatal(err)
	}
}

// claim is a value; one that begins with "-" is not disclosed.
type claim struct{ name, value string }

func (s *story) add(e *ledger.Entry, claims ...claim) (at ledger.Index) {
	s.Helper()
	s.group(func(g *store.Group) error {
		at = g.Next()
		for _, c := range claims {
			d := ledger.Disclosure{Salt: sha256.Sum256(fmt.Append(nil, c.name, at)), Claim: c.name, Value: strings.TrimPrefix(c.value, "-")}
			e.Commits = append(e.Commits, ledger.Commitment{Claim: c.name, Digest: d.Digest()})
			if d.Value == c.value {
				s.disclosed[at] = append(s.disclosed[at], d)
			}
		}
		_, err := g.Append(g.Last().Add(time.Second), e)
		return err
	})
	return at
}

// anchor lets the authority, if there is one, stamp the newest checkpoint.
func (s *story) anchor() {
	s.Helper()
	if s.authority == nil {
		return
	}
	snap := s.log.Snapshot()
	note, size := snap.Checkpoint(), snap.Size()
	snap.Release()
	sum := ledger.TextHash(note)
	token := stamp(s, s.authority, sum)
	said, err := timestamp.Unpinned(token, sum)
	if err != nil {
		s.Fatal(err)
	}
	s.group(func(g *store.Group) error {
		at := g.Next()
		g.PutAnchor(note, token)
		s.c.Stamped = append(s.c.Stamped, Stamped{at, size, note, token})
		s.stamps = append(s.stamps, ledger.Anchored{Index: at, Size: size, Time: said.Time, Authority: said.Authority})
		_, err := g.Append(g.Last().Add(time.Second), &ledger.Entry{Kind: ledger.CheckpointAnchored, Source: ledger.SourceLedger, Size: size,
			Checkpoint: sum, Stamp: ledger.TextHash(token), Stamped: said.Time.UTC().Truncate(time.Microsecond)})
		return err
	})
}

// stamp gives a token with its chain, as it would be kept.
func stamp(t testing.TB, by *testauthority.Authority, sum ledger.Hash) []byte {
	t.Helper()
	query, err := timestamp.NewRequest(sum, nil).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	token, err := timestamp.ParseResponse(by.Answer(query))
	if err != nil {
		t.Fatal(err)
	}
	return token.Bytes()
}

// file keeps bytes and gives the value that names them.
func (s *story) file(name, content string) string {
	sum := sha256.Sum256([]byte(content))
	s.c.Files = append(s.c.Files, File{sum, func(w io.Writer) error { _, err := io.WriteString(w, content); return err }})
	return `{"name":"` + name + `","media_type":"message/rfc822","sha256":"` + hex.EncodeToString(sum[:]) + `"}`
}

// newsletter writes a double opt-in with the mail, stamped before and after, withdrawn,
// and exported.
func (s *story) newsletter() {
	s.Helper()
	s.anchor()
	snap := s.log.Snapshot()
	request := testledger.Requested(ledger.Index(snap.Size()))
	snap.Release()
	request.Commits, request.IPPolicy = nil, "truncated"
	id := ledger.ConsentID(s.add(request, claim{"email", "erika@example.com"}, claim{"ip", "-203.0.113.0/24"}, claim{"name", "Erika <b>Größe</b>"}))
	s.add(&ledger.Entry{Kind: ledger.ConfirmationSent, Source: "shop", Mail: "kept", About: []ledger.ConsentID{id}}, claim{"message", s.file("doi.eml", mail)})
	confirm := s.add(&ledger.Entry{Kind: ledger.ConsentConfirmed, Source: "shop", Consents: []ledger.Link{{Consent: id, After: ledger.Index(id)}}, Click: "button",
		Token: testledger.Token(ledger.Index(id))}, claim{"ip", "-203.0.113.0/24"})
	s.anchor()
	s.anchor()
	s.add(&ledger.Entry{Kind: ledger.ConsentWithdrawn, Source: "shop", Consents: []ledger.Link{{Consent: id, After: confirm}}, Method: "one_click"})
	s.group(func(g *store.Group) error { return g.CommitState(g.Last().Add(time.Second)) })
	exported := s.add(&ledger.Entry{Kind: ledger.BundleExported, Source: "counsel", About: []ledger.ConsentID{id}}, claim{"reason", "Klage (§ 7 UWG)"}, claim{"recipient", "Landgericht Köln"})

	snap = s.log.Snapshot()
	s.Cleanup(snap.Release)
	state, err := snap.ConsentState(id)
	if err != nil {
		s.Fatal(err)
	}
	committed := state.Proof.Size
	at := ledger.Index(committed)
	s.whole(snap)
	s.c.States = []State{{id, state.Proof.Text()}}
	s.c.Index.Exported, s.c.Custody.Exported, s.c.Index.Committed = &exported, &exported, &at
	s.c.Index.About = bundle.AboutConsents
	s.c.Index.Consents = []bundle.IndexedConsent{{ID: id, Purpose: purpose, Channel: "email", Entries: []ledger.Index{ledger.Index(id), confirm}}}
	s.c.Case.Consents = []report.Consent{{ID: id, Proven: at}}
	s.c.Case.Questions = []report.Question{{Purpose: purpose, Channel: "email", At: s.c.Custody.Made, Reason: "withdrawn", Consent: id}}
	s.c.Custody.Recipient, s.c.Custody.Reason, s.c.Case.Custody.Export = "Landgericht Köln", "Klage (§ 7 UWG)", exported
}

// whole puts the whole log into the bundle.
func (s *story) whole(snap *store.Snapshot) {
	s.Helper()
	c := &s.c
	c.Checkpoint, c.Proof, c.Consistency, c.Signer = snap.Checkpoint(), snap.Receipt, snap.ConsistencyProof, testledger.Signer(s).Deterministic()
	var err error
	if c.Keys, err = snap.Keys(); err != nil {
		s.Fatal(err)
	}
	made := testledger.Began.AddDate(0, 1, 0)
	c.Index.Origin, c.Index.Size = testledger.Origin, snap.Size()
	c.Custody = bundle.Custody{Origin: testledger.Origin, Made: made, Exporter: "counsel", Tool: "test", Size: snap.Size()}
	c.Case.Origin, c.Case.Controller, c.Case.Size, c.Case.Root = testledger.Origin, "shop.example.com", snap.Size(), snap.Root()
	c.Case.Custody = report.Custody{Made: made, Exporter: "counsel", Tool: "test"}
	stamps := &ledger.LogReport{Stamps: s.stamps}
	err = snap.Entries(0, int(snap.Size()), func(i ledger.Index, text []byte) error {
		c.Case.Entries = append(c.Case.Entries, report.Entry{Text: bytes.Clone(text), Interval: stamps.Interval(i), Disclosed: s.disclosed[i]})
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	c.Case.Notices = []report.Notice{{NoticeRef: ledger.NoticeRef{ID: "newsletter-de", Version: 1, SHA256: ledger.TextHash([]byte(testledger.NoticeText))},
		Language: "de", Text: []byte(testledger.NoticeText), Facts: []byte(testledger.NoticeFacts)}}
}

func (s *story) written() []byte {
	s.Helper()
	var b bytes.Buffer
	if err := Write(&b, &s.c); err != nil {
		s.Fatal(err)
	}
	return b.Bytes()
}

// opened opens a bundle and checks its signatures.
func (s *story) opened(b []byte) *bundle.Container {
	s.Helper()
	c, err := bundle.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		s.Fatal(err)
	}
	if err := c.VerifySignature(testledger.Signer(s).Keys()); err != nil {
		s.Fatal(err)
	}
	return c
}

func (s *story) content(c *bundle.Container, name string) []byte {
	s.Helper()
	b, err := c.File(name)
	if err != nil {
		s.Fatal(err)
	}
	return b
}

// Everything is in the container, under its name, and nothing else.
func TestWrite(t *testing.T) {
	s := newStory(t)
	s.authority = testauthority.New(t, testauthority.Options{})
	s.newsletter()
	c := s.opened(s.written())
	var want []string
	add := func(names ...string) { want = append(want, names...) }
	add("checkpoint.note", "custody.json", "docs/VERIFY.txt", "docs/report.de.html", "docs/report.de.pdf", "docs/report.en.html", "docs/report.en.pdf", "evidence/bundle.json")
	for i := range s.c.Case.Entries {
		add(bundle.EntryPath(ledger.Index(i)))
	}
	for i := range s.c.Case.Entries {
		add(bundle.ProofPath(ledger.Index(i)))
	}
	add("evidence/disclosures/7.email.txt", "evidence/disclosures/7.name.txt", "evidence/disclosures/8.message.txt", "evidence/disclosures/14.reason.txt", "evidence/disclosures/14.recipient.txt")
	add(bundle.FilePath(sha256.Sum256([]byte(mail))))
	notices := []string{bundle.NoticePath(ledger.TextHash([]byte(testledger.NoticeText))), bundle.NoticePath(ledger.TextHash([]byte(testledger.NoticeFacts)))}
	slices.Sort(notices)
	add(notices...)
	add("evidence/state/7.txt", "evidence/checkpoints/6.note", "evidence/checkpoints/6.1.tst", "evidence/checkpoints/10.note", "evidence/checkpoints/10.1.tst",
		"evidence/checkpoints/11.note", "evidence/checkpoints/11.1.tst", "evidence/consistency/6-10.txt", "evidence/consistency/10-11.txt", "evidence/consistency/11-15.txt",
		"trust/trust.keys", "trust/tsa/1.pem", "META-INF/ASiCManifest001.xml", "META-INF/manifest.sig")
	var got []string
	for _, f := range c.Files() {
		got = append(got, f.Name)
	}
	if !slices.Equal(got, append([]string{"mimetype"}, want...)) && !slices.Equal(got, want) {
		t.Errorf("the bundle has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	policy, err := ledger.ParsePolicy(ledger.NewPolicy(testledger.Signer(t).Keys()))
	if err != nil {
		t.Fatal(err)
	}
	for n := range s.c.Case.Entries {
		i := ledger.Index(n)
		if _, err := ledger.VerifyReceipt(s.content(c, bundle.ProofPath(i)), s.content(c, bundle.EntryPath(i)), policy, nil); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	index, err := bundle.ParseIndex(s.content(c, "evidence/bundle.json"))
	if err != nil || index.Format != bundle.Format || len(index.Consents) != 1 {
		t.Errorf("%+v, %v", index, err)
	}
	if custody, err := bundle.ParseCustody(s.content(c, "custody.json")); err != nil || custody.Recipient != "Landgericht Köln" {
		t.Errorf("%+v, %v", custody, err)
	}
	old := s.checkpoint(s.content(c, "checkpoint.note"))
	for _, size := range []ledger.Size{11, 10, 6} {
		first := s.checkpoint(s.content(c, bundle.BoundPath(size)))
		var proof []ledger.Hash
		for line := range strings.Lines(string(s.content(c, bundle.ConsistencyPath(size, old.Size)))) {
			h, err := ledger.ParseHash(strings.TrimSuffix(line, "\n"))
			if err != nil {
				t.Fatal(err)
			}
			proof = append(proof, h)
		}
		if err := ledger.VerifyConsistency(first.Size, first.Root, old, proof); err != nil {
			t.Errorf("%d: %v", size, err)
		}
		old = first
	}
	if got := string(s.content(c, bundle.FilePath(sha256.Sum256([]byte(mail))))); got != mail {
		t.Errorf("the mail is %q", got)
	}
	page := string(s.content(c, "docs/report.en.html"))
	for _, want := range []string{"Bitte bestätigen.", "STAMPED: ", "Landgericht Köln", "by e-mail"} {
		if !strings.Contains(page, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	manual := string(s.content(c, "docs/VERIFY.txt"))
	for _, want := range []string{"-binary evidence/entries/7.txt | base64", "{ printf '\\000'; cat evidence/entries/7.txt; }", "grep '^notice ' evidence/entries/7.txt"} {
		if !strings.Contains(manual, want) {
			t.Errorf("the instructions have no %q, about the record", want)
		}
	}
	for _, stamped := range s.c.Stamped {
		if !bytes.Equal(s.content(c, bundle.BoundTokenPath(stamped.Size, 1)), stamped.Token) || !bytes.Equal(s.content(c, bundle.BoundPath(stamped.Size)), stamped.Note) {
			t.Errorf("the stamp of %d entries is another", stamped.Size)
		}
	}
	if _, err := timestamp.ParsePins(s.content(c, bundle.AuthorityPath(1))); err != nil {
		t.Error(err)
	}
}

func (s *story) checkpoint(signed []byte) ledger.Checkpoint {
	s.Helper()
	note, err := ledger.ParseSignedNote(signed)
	if err != nil {
		s.Fatal(err)
	}
	c, err := ledger.ParseCheckpoint(note.Text)
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// The commands of the instructions print what stands there; a token over the manifest
// changes nothing about that.
func TestByHand(t *testing.T) {
	s := newStory(t)
	s.authority = testauthority.New(t, testauthority.Options{})
	s.newsletter()
	if n := testbundle.ByHand(t, s.written()); n != 10 {
		t.Errorf("%d commands were run", n)
	}
	s.c.Stamp = func(sum ledger.Hash) ([]byte, error) { return stamp(t, s.authority, sum), nil }
	b := s.written()
	c := s.opened(b)
	if !c.Stamped() {
		t.Error("the manifest is not stamped")
	}
	if _, err := timestamp.Unpinned(s.content(c, "META-INF/timestamp001.tst"), c.Manifest()); err != nil {
		t.Error(err)
	}
	testbundle.ByHand(t, b)
}

// Equal contents give equal bytes; with hedged signatures all but these are equal.
func TestSameBytes(t *testing.T) {
	s := newStory(t)
	s.newsletter()
	first := s.written()
	slices.Reverse(s.c.Files) // their order says nothing
	if !bytes.Equal(first, s.written()) {
		t.Error("the same contents give other bytes")
	}
	s.c.Signer = testledger.Signer(t)
	one, two := s.opened(s.written()), s.opened(s.written())
	if one.Manifest() != two.Manifest() || one.Manifest() != s.opened(first).Manifest() {
		t.Error("another signature changes the manifest")
	}
	if bytes.Equal(s.content(one, "META-INF/manifest.sig"), s.content(two, "META-INF/manifest.sig")) {
		t.Error("hedged signatures are equal")
	}
}

// quiet counts what a check finds.
type quiet struct {
	testing.TB
	found []string
}

func (q *quiet) Errorf(format string, args ...any) {
	q.found = append(q.found, fmt.Sprintf(format, args...))
}

// Only what is disclosed is in a bundle. That the search finds something is shown by
// what is.
func TestNothingElse(t *testing.T) {
	s := newStory(t)
	s.newsletter()
	b := s.written()
	testbundle.Without(t, b, "203.0.113.0/24")
	q := &quiet{TB: t}
	testbundle.Without(q, b, "erika@example.com", "Größe</b>")
	all := strings.Join(q.found, "\n")
	for _, want := range []string{"docs/report.de.pdf", "docs/report.en.pdf", "docs/report.en.html", "evidence/disclosures/6.email.txt"} {
		if !strings.Contains(all, want) {
			t.Errorf("the search does not find what %s discloses:\n%s", want, all)
		}
	}
}

// A range is written alike, and discloses nothing.
func TestRange(t *testing.T) {
	s := newStory(t)
	s.authority = testauthority.New(t, testauthority.Options{})
	s.newsletter()
	c := &s.c
	c.Index = bundle.Index{About: bundle.AboutRange, Origin: testledger.Origin, Size: c.Index.Size, Range: &bundle.IndexedRange{Start: 5, End: 9}}
	c.Custody = bundle.Custody{Origin: testledger.Origin, Made: c.Custody.Made, Exporter: "auditor", Tool: "test", Size: c.Index.Size}
	c.Case.Range, c.Case.Consents, c.Case.Questions, c.States, c.Files = &report.Range{Start: 5, End: 9}, nil, nil, nil, nil
	for i := range c.Case.Entries {
		c.Case.Entries[i].Disclosed = nil
	}
	b := s.written()
	s.opened(b)
	testbundle.ByHand(t, b)
	testbundle.Without(t, b, "203.0.113.0/24", "erika@example.com", "Bitte bestätigen.", "Landgericht")
}

// What does not fit gives no bundle.
func TestRefused(t *testing.T) {
	for name, change := range map[string]func(c *Contents){
		"a file of other bytes":      func(c *Contents) { c.Files[0].SHA256[0]++ },
		"a file that cannot be read": func(c *Contents) { c.Files[0].Write = func(io.Writer) error { return io.ErrUnexpectedEOF } },
		"a file that changes":        func(c *Contents) { c.Files[0].Write = once(c.Files[0].Write) },
		"two notes of one size": func(c *Contents) {
			c.Stamped = []Stamped{{5, 3, []byte("a"), []byte("x")}, {6, 3, []byte("b"), []byte("y")}}
		},
		"a checkpoint that is none": func(c *Contents) { c.Checkpoint = []byte("x") },
		"a proof that cannot be had": func(c *Contents) {
			c.Proof = func(ledger.Index) (*ledger.Receipt, error) { return nil, io.ErrUnexpectedEOF }
		},
		"a disclosure of no commitment":      func(c *Contents) { c.Case.Entries[6].Disclosed[0].Value += "x" },
		"an entry that is none":              func(c *Contents) { c.Case.Entries[6].Text = nil },
		"a notice that no entry speaks of":   func(c *Contents) { c.Case.Notices[0].Version = 2 },
		"facts of a notice that are others'": func(c *Contents) { c.Case.Notices[0].Facts = []byte("{}") },
	} {
		s := newStory(t)
		s.newsletter()
		change(&s.c)
		if err := Write(io.Discard, &s.c); err == nil {
			t.Errorf("%s: it was written", name)
		}
	}
}

// Of a file that is printed in part, a part is held.
func TestHead(t *testing.T) {
	var h head
	for range 3 {
		if n, err := h.Write(make([]byte, report.FileHead-1)); n != report.FileHead-1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(h.bytes) != report.FileHead || h.size != 3*(report.FileHead-1) {
		t.Errorf("%d of %d bytes are held", len(h.bytes), h.size)
	}
}

// Stamps of several authorities over one checkpoint share its note.
func TestOneNote(t *testing.T) {
	s := newStory(t)
	s.newsletter()
	s.c.Stamped = []Stamped{{5, 3, []byte("a"), []byte("x")}, {6, 3, []byte("a"), []byte("y")}}
	c := s.opened(s.written())
	for i, want := range []string{"x", "y"} {
		if got := string(s.content(c, bundle.BoundTokenPath(3, i+1))); got != want {
			t.Errorf("token %d is %q", i+1, got)
		}
	}
	if strings.Contains(string(s.content(c, "docs/VERIFY.txt")), "openssl ts") {
		t.Error("what is no token is to be checked by hand")
	}
}

// once writes something else from the second time on.
func once(write func(io.Writer) error) func(io.Writer) error {
	n := 0
	return func(w io.Writer) error {
		if n++; n == 1 {
			return write(w)
		}
		_, err := io.WriteString(w, "something else")
		return err
	}
}
