package attacks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/internal/testbundle/exported"
	"github.com/consentledger/consentledger/ledger"
)

// bundlers hand out proof bundles that say something else than the log.
var bundlers = []attack{
	{by: "the operator", does: "leaves a withdrawal out of a bundle",
		not: "anybody: the state proof names it, and whatever changed the record later", ends: "`verify bundle` 1", try: bundleWithoutWithdrawal},
	{by: "the operator", does: "keeps a second history without the withdrawal, and makes bundles from it",
		not: "whoever holds the bundle against the log that others have", ends: "`verify bundle --log` 3",
		fools: "whoever has the bundle alone, and demands no witness", try: bundleOfSecondHistory},
	{by: "the operator", does: "leaves out of a bundle what mentions a record and does not change it, such as a use",
		not: "whoever holds the bundle against the log", ends: "`verify bundle --log` 1",
		fools: "whoever has the bundle alone: the verdict says that this was not checked, and no answer changes", try: bundleWithoutMention},
	{by: "the operator", does: "proves an old state, or puts an old checkpoint into a bundle",
		not: "anybody", ends: "`verify bundle` 1", try: bundleOfOldState},
	{by: "the operator", does: "gives another answer, or another reason, to the question of a bundle",
		not: "anybody", ends: "`verify bundle` 1", try: bundleOfOtherAnswer},
	{by: "the operator", does: "asks about another moment, or hands out the bundle of before the withdrawal",
		not: "whoever reads the moment, which the answer names", ends: "the answer is about the moment before",
		fools: "whoever takes it for today's", try: bundleOfOtherMoment},
	{by: "the operator", does: "lets the report in a bundle say something else than its evidence",
		not: "whoever reads the verifier's answers", ends: "the verdict says that nobody read the report",
		fools: "whoever reads the report alone", try: bundleOfOtherReport},
	{by: "a stranger", does: "makes a bundle with keys of their own, in the log's name",
		not: "anybody", ends: "`verify bundle` 2, `verify bundle` 1", try: bundleByStranger},
	{by: "whoever hands over a bundle", does: "changes a byte of any file, or leaves one out, swaps or adds one",
		not: "anybody", ends: "`verify bundle` 1", try: bundleChanged},
	{by: "whoever hands over a bundle", does: "spoils the time stamp over it, which is the one thing that the signatures do not cover",
		not: "anybody: it is no longer counted", ends: "the verdict says that the time stamp does not count", try: bundleStampSpoilt},
}

// told is the ledger of which the bundles are, told before anything is tried.
var told *story

type story struct {
	*exported.Story
	fork      *exported.Ledger // of before the withdrawal
	lawsuit   []byte           // the true bundle
	changed   []byte           // the same, once a later entry changed the record
	lie       []byte           // that of the fork
	files     testbundle.Files // of the true bundle
	log, more string           // copies of the log, when lawsuit was made and later

	withdrawnAt time.Time
}

func makeStory(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		return // the rows are skipped
	}
	s := &story{Story: exported.Begin(t)}
	request := service.BundleRequest{ConsentIDs: []ledger.ConsentID{s.Newsletter}, Disclose: exported.Disclosed}
	s.fork = s.Fork()
	s.lie = s.fork.Export(request)
	s.End()
	s.lawsuit = s.Export(request)
	s.files, s.log = testbundle.Open(t, s.lawsuit), s.Copy()
	withdrawn, err := ledger.ParseEntry(s.files.Get(t, bundle.EntryPath(s.Withdrawn)))
	if err != nil {
		t.Fatal(err)
	}
	s.withdrawnAt = withdrawn.Time
	if _, err := s.Service.SetRestriction(s.Context(), exported.Shop, service.Restriction{Subject: exported.Erika.Subject(), Ground: "art18_1_a"}); err != nil {
		t.Fatal(err)
	}
	s.changed, s.more = s.Export(request), s.Copy()
	told = s
}

// story gives it, and a policy that trusts its keys.
func (t *trial) story() (*story, string) {
	t.Helper()
	if told == nil {
		t.Skip("openssl is missing")
	}
	return told, t.file("trust.policy", told.Policy)
}

// asice writes a bundle.
func (t *trial) asice(content []byte) string {
	t.Helper()
	t.files++
	return t.file(fmt.Sprintf("bundle.%d.asice", t.files), content)
}

// signed writes a bundle that the operator signs anew.
func (t *trial) signed(s *story, files testbundle.Files) string {
	t.Helper()
	return t.asice(files.Signed(t, s.Signer).Zip(t))
}

// index changes what a bundle says of itself.
func (t *trial) index(files testbundle.Files, change func(*bundle.Index)) testbundle.Files {
	t.Helper()
	x, err := bundle.ParseIndex(files.Get(t, string(bundle.KindIndex)))
	if err != nil {
		t.Fatal(err)
	}
	change(x)
	return files.With(t, string(bundle.KindIndex), x.Text())
}

// without leaves an entry out of a bundle, and makes its lists fit.
func (t *trial) without(files testbundle.Files, entries ...ledger.Index) testbundle.Files {
	t.Helper()
	for _, i := range entries {
		files = files.Less(bundle.EntryPath(i), bundle.ProofPath(i))
	}
	return t.index(files, func(x *bundle.Index) {
		for n := range x.Consents {
			x.Consents[n].Entries = slices.DeleteFunc(x.Consents[n].Entries, func(i ledger.Index) bool { return slices.Contains(entries, i) })
		}
	})
}

// allowed lets a bundle answer that the consent stood.
func (t *trial) allowed(s *story, files testbundle.Files) testbundle.Files {
	t.Helper()
	return t.index(files, func(x *bundle.Index) {
		q := &x.Questions[0]
		q.Allowed, q.Reason, q.Hindsight, q.Consent = true, "confirmed", true, &s.Newsletter
	})
}

func bundleWithoutWithdrawal(t *trial) {
	s, policy := t.story()
	t.sound("bundle", t.asice(s.lawsuit), "--policy", policy, "--log", s.log)
	// With what took effect of it, which mentions the record.
	out := t.verify(1, "state", "bundle", t.signed(s, t.allowed(s, t.without(s.files, s.Withdrawn, s.Withdrawn+1))), "--policy", policy)
	if !strings.Contains(out, "INVALID") {
		t.Errorf("the verdict:\n%s", out)
	}
	t.sound("bundle", t.asice(s.changed), "--policy", policy, "--log", s.more)
	later := t.allowed(s, t.without(testbundle.Open(t, s.changed), s.Withdrawn, s.Withdrawn+1))
	t.verify(1, fmt.Sprintf("follows entry %d", s.Withdrawn), "bundle", t.signed(s, later), "--policy", policy)
}

func bundleOfSecondHistory(t *trial) {
	s, policy := t.story()
	lie := t.asice(s.lie)
	if out := t.sound("bundle", lie, "--policy", policy); !strings.Contains(out, "YES: confirmed") {
		t.Errorf("the second history does not say that the consent stands:\n%s", out)
	}
	t.fools("bundle", lie, "--policy", policy)
	t.verify(3, "DIVERGED", "bundle", lie, "--policy", policy, "--log", s.more)
}

func bundleWithoutMention(t *trial) {
	s, policy := t.story()
	for _, kind := range []ledger.Kind{ledger.ConsentUsed, ledger.WithdrawalEffected} {
		i := slices.IndexFunc(s.files.Names("evidence/entries/"), func(name string) bool {
			return bytes.Contains(s.files.Get(t, name), []byte("\nkind "+string(kind)+"\n"))
		})
		e, err := ledger.ParseEntry(s.files.Get(t, s.files.Names("evidence/entries/")[i]))
		if err != nil {
			t.Fatal(err)
		}
		lacking := t.signed(s, t.without(s.files, e.Index))
		if out := t.sound("bundle", lacking, "--policy", policy); !strings.Contains(out, "whether an entry was left out that mentions a record") {
			t.Errorf("the verdict does not say what was not checked:\n%s", out)
		}
		t.fools("bundle", lacking, "--policy", policy)
		t.verify(1, fmt.Sprintf("entry %d (%s)", e.Index, kind), "bundle", lacking, "--policy", policy, "--log", s.log)
	}
}

func bundleOfOldState(t *trial) {
	s, policy := t.story()
	early := testbundle.Open(t, s.Early)
	path := bundle.StatePath(s.Newsletter)
	old := s.files.With(t, path, early.Get(t, path))
	t.verify(1, "INVALID", "bundle", t.signed(s, old), "--policy", policy)
	// With the entry that committed it.
	was, err := bundle.ParseIndex(early.Get(t, string(bundle.KindIndex)))
	if err != nil {
		t.Fatal(err)
	}
	committed := t.index(old, func(x *bundle.Index) { x.Committed = was.Committed })
	t.verify(1, "INVALID", "bundle", t.signed(s, committed), "--policy", policy)
	t.verify(1, "INVALID", "bundle", t.signed(s, t.allowed(s, t.without(committed, s.Withdrawn, s.Withdrawn+1))), "--policy", policy)
	// And an old checkpoint, under which the newer entries are not.
	note := s.files.With(t, string(bundle.KindCheckpoint), early.Get(t, string(bundle.KindCheckpoint)))
	t.verify(1, "INVALID", "bundle", t.signed(s, note), "--policy", policy)
	t.verify(1, "INVALID", "bundle", t.signed(s, t.index(note, func(x *bundle.Index) { x.Size = was.Size })), "--policy", policy)
}

func bundleOfOtherAnswer(t *trial) {
	s, policy := t.story()
	for _, change := range []func(q *bundle.IndexedQuestion){
		func(q *bundle.IndexedQuestion) { q.Allowed, q.Reason, q.Hindsight = true, "confirmed", true },
		func(q *bundle.IndexedQuestion) { q.Hindsight = true },
		func(q *bundle.IndexedQuestion) { q.Reason = "lapsed" },
		func(q *bundle.IndexedQuestion) { q.Consent = nil },
		func(q *bundle.IndexedQuestion) { q.Purpose = "tips" },
		func(q *bundle.IndexedQuestion) { q.Channel = "sms" },
		func(q *bundle.IndexedQuestion) { q.At = q.At.AddDate(1, 0, 0) },
	} {
		t.verify(1, "question 1", "bundle", t.signed(s, t.index(s.files, func(x *bundle.Index) { change(&x.Questions[0]) })), "--policy", policy)
	}
}

func bundleOfOtherMoment(t *trial) {
	s, policy := t.story()
	early := testbundle.Open(t, s.Early)
	was, err := bundle.ParseIndex(early.Get(t, string(bundle.KindIndex)))
	if err != nil {
		t.Fatal(err)
	}
	before := was.Questions[0].At
	moved := t.signed(s, t.index(s.files, func(x *bundle.Index) {
		q := &x.Questions[0]
		q.At, q.Allowed, q.Reason, q.Hindsight = before, true, "confirmed", true
	}))
	for _, asice := range []string{moved, t.asice(s.Early)} {
		out := t.sound("bundle", asice, "--policy", policy, "--log", s.more, "--json")
		var report verdict.Report
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		if q := report.Questions; len(q) != 1 || !q[0].Allowed || !q[0].At.Equal(before) || !q[0].At.Before(s.withdrawnAt) {
			t.Errorf("the answers are %+v", q)
		}
		t.fools("bundle", asice, "--policy", policy)
	}
	t.ends("the answer is about the moment before")
}

func bundleOfOtherReport(t *trial) {
	s, policy := t.story()
	files := s.files
	for _, name := range files.Names("docs/") {
		files = files.With(t, name, []byte("Consent was given, and was never withdrawn.\n"))
	}
	lie := t.signed(s, files)
	out := t.sound("bundle", lie, "--policy", policy, "--log", s.log)
	if !strings.Contains(out, "withdrawn") || !strings.Contains(out, "the report in docs/: it is the operator's rendering") {
		t.Errorf("the verdict:\n%s", out)
	}
	t.fools("bundle", lie, "--policy", policy)
	t.ends("the verdict says that nobody read the report")
}

func bundleByStranger(t *trial) {
	s, policy := t.story()
	stranger := t.signerOf(exported.Origin, "stranger")
	t.verify(2, "CANNOT TELL", "bundle", t.asice(s.files.Signed(t, stranger).Zip(t)), "--policy", policy)
	// With the ids of the log's keys.
	forged := s.files.Signed(t, stranger)
	text := string(forged.Get(t, "META-INF/manifest.sig"))
	theirs, ours := stranger.Keys(), s.Signer.Keys()
	text = strings.Replace(text, fmt.Sprintf("%08x ", theirs.Ed25519.ID()), fmt.Sprintf("%08x ", ours.Ed25519.ID()), 1)
	text = strings.Replace(text, fmt.Sprintf("%08x ", theirs.MLDSA44.ID()), fmt.Sprintf("%08x ", ours.MLDSA44.ID()), 1)
	t.verify(1, "INVALID", "bundle", t.asice(forged.With(t, "META-INF/manifest.sig", []byte(text)).Zip(t)), "--policy", policy)
	// A whole ledger of the same name.
	if out := t.verify(2, "CANNOT TELL", "bundle", t.asice(s.lawsuit), "--policy", t.policy(stranger.Keys(), "")); strings.Contains(out, "withdrawn") {
		t.Errorf("whoever trusts other keys is told what the bundle says:\n%s", out)
	}
}

func bundleChanged(t *trial) {
	s, policy := t.story()
	t.sound("bundle", t.asice(s.files.Zip(t)), "--policy", policy)
	early := testbundle.Open(t, s.Early)
	for _, name := range []string{"checkpoint.note", "custody.json", "docs/report.de.pdf", "evidence/bundle.json", bundle.EntryPath(s.Withdrawn), bundle.ProofPath(s.Withdrawn),
		bundle.StatePath(s.Newsletter), "trust/trust.keys", "META-INF/manifest.sig", "META-INF/ASiCManifest001.xml"} {
		content := s.files.Get(t, name)
		flipped := bytes.Clone(content)
		flipped[len(flipped)/2] ^= 1
		variants := []testbundle.Files{s.files.With(t, name, flipped), s.files.Less(name)}
		if i := slices.IndexFunc(early, func(f testbundle.File) bool { return f.Name == name && !bytes.Equal(f.Content, content) }); i >= 0 {
			variants = append(variants, s.files.With(t, name, early[i].Content))
		}
		for _, files := range variants {
			t.verify(1, "INVALID", "bundle", t.asice(files.Zip(t)), "--policy", policy)
		}
	}
	t.verify(1, "INVALID", "bundle", t.asice(append(slices.Clone(s.files), testbundle.File{Name: "evidence/more.txt", Content: []byte("x")}).Zip(t)), "--policy", policy)
	raw := bytes.Clone(s.lawsuit)
	raw[len(raw)/2] ^= 1
	t.verify(1, "INVALID", "bundle", t.asice(raw), "--policy", policy)
}

func bundleStampSpoilt(t *trial) {
	s, policy := t.story()
	ca := s.Authority.CAFile
	const name, said = "META-INF/timestamp001.tst", "the time stamp over the whole bundle"
	if out := t.sound("bundle", t.asice(s.files.Zip(t)), "--policy", policy, "--tsa", ca); !strings.Contains(out, said) {
		t.Errorf("a good stamp does not count:\n%s", out)
	}
	token := bytes.Clone(s.files.Get(t, name))
	token[len(token)-1] ^= 1 // of the signature
	if out := t.sound("bundle", t.asice(s.files.With(t, name, token).Zip(t)), "--policy", policy, "--tsa", ca); strings.Contains(out, said) {
		t.Errorf("a spoilt stamp counts:\n%s", out)
	}
	t.ends("the verdict says that the time stamp does not count")
}
