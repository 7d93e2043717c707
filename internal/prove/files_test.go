package prove

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/internal/testbundle/exported"
	"github.com/consentledger/consentledger/ledger"
)

// The files that say what the others are.
const (
	mimetype  = "mimetype"
	manifest  = "META-INF/ASiCManifest001.xml"
	signature = "META-INF/manifest.sig"
	stamp     = "META-INF/timestamp001.tst"
)

// changedFile is what may become of a file.
type changedFile struct {
	how   string
	files testbundle.Files
}

// changes are all that is done to a file. others are bundles from which the file of the
// same name is taken.
func changes(t *testing.T, files testbundle.Files, name string, others map[string]testbundle.Files) (list []changedFile) {
	t.Helper()
	content := files.Get(t, name)
	renamed := slices.Clone(files)
	place := slices.IndexFunc(files, func(f testbundle.File) bool { return f.Name == name })
	renamed[place].Name = strings.Replace(name, ".", "9.", 1)
	if !strings.Contains(name, ".") {
		renamed[place].Name = name[:len(name)-1] + map[bool]string{true: "1", false: "0"}[strings.HasSuffix(name, "0")]
	}
	list = []changedFile{{"dropped", files.Less(name)}, {"doubled", slices.Insert(slices.Clone(files), place, files[place])}, {"renamed", renamed},
		{"emptied", files.With(t, name, nil)}, {"appended to", files.With(t, name, append(slices.Clone(content), '\n'))}}
	for whose, other := range others {
		i := slices.IndexFunc(other, func(f testbundle.File) bool { return f.Name == name })
		if i >= 0 && !bytes.Equal(other[i].Content, content) {
			list = append(list, changedFile{"swapped with that of " + whose, files.With(t, name, other[i].Content)})
		}
	}
	return list
}

// outsiders says which changes of a file that somebody makes who has no keys end otherwise
// than INVALID, and why.
func outsiders(name, how string) (ledger.Verdict, string) {
	switch {
	case name == stamp && how == "appended to":
		return ledger.Verified, "nothing but the authority covers it; it counts for nothing, and the report says so"
	case name == signature && how == "swapped with that of another ledger's":
		return ledger.CannotTell, "it names keys that nobody here knows"
	}
	return ledger.Invalid, ""
}

// operators says which changes of a file that the operator signs anew end otherwise than
// INVALID, and why.
func operators(name, how string) (ledger.Verdict, string) {
	switch made := name == signature || name == manifest; {
	case made && how != "doubled" && how != "renamed", name == stamp && how != "renamed":
		return ledger.Verified, "it is made anew"
	case strings.HasPrefix(name, "docs/") && (how == "dropped" || how == "appended to" || strings.HasPrefix(how, "swapped")):
		return ledger.Verified, "documents are the operator's rendering"
	case strings.HasPrefix(name, "trust/tsa/") && how != "emptied" && how != "doubled":
		return ledger.Verified, "which authorities are trusted comes from elsewhere"
	case strings.HasPrefix(name, "evidence/files/") && how == "dropped":
		return ledger.Verified, "its hash stays disclosed, and the report counts what is not here"
	case how == "renamed" && (strings.HasPrefix(name, "docs/") || name == "custody.json" || name == bundle.EntryPath(0) || name == bundle.ProofPath(0)):
		return ledger.CannotTell, "a later version may know the name"
	case name == "checkpoint.note" && how == "swapped with that of another ledger's":
		return ledger.CannotTell, "it is signed by keys that nobody here knows"
	}
	return ledger.Invalid, ""
}

// TestEveryFile drops, doubles, renames, empties and swaps every file, and appends to it.
// Whoever has no keys makes an invalid bundle, also with a manifest that fits. The
// operator, who signs anew, can change what is no evidence.
func TestEveryFile(t *testing.T) {
	t.Parallel()
	s := theSample(t)
	files := s.brief(t).Signed(t, s.Signer)
	files = files.With(t, stamp, s.files.Get(t, stamp)).Listed(t)
	files = files.With(t, signature, testbundle.Signatures(s.Signer, files.Get(t, manifest)))
	others := map[string]testbundle.Files{"an earlier bundle": testbundle.Open(t, s.Early), "another person's": testbundle.Open(t, s.ottos),
		"another ledger's": testbundle.Open(t, exported.Tell(t).Lawsuit())}
	type trial struct {
		name string
		changedFile
	}
	var trials []trial
	swapped := map[string]int{}
	for _, f := range files {
		for _, c := range changes(t, files, f.Name, others) {
			trials = append(trials, trial{f.Name, c})
			if _, whose, ok := strings.Cut(c.how, "that of "); ok {
				swapped[whose]++
			}
		}
	}
	if len(swapped) < len(others) {
		t.Errorf("nothing is swapped with some of the others: %v", swapped)
	}
	var met counts
	each(len(trials), func(i int) {
		c := trials[i]
		for by, asice := range map[string]testbundle.Files{"": c.files, ", listed": c.files.Listed(t), ", signed anew": c.files.Signed(t, s.Signer)} {
			want, why := outsiders(c.name, c.how)
			if by == ", signed anew" {
				want, why = operators(c.name, c.how)
			} else if by != "" && c.name == manifest {
				continue // it is made anew
			}
			report, err := judge(asice.Zip(t), s.opt)
			if v := ledger.VerdictOf(err); v != want {
				t.Errorf("%s %s%s: %s, want %s: %v", c.name, c.how, by, v, want, err)
			} else if v == ledger.Verified && (report.Anchors != s.report.Anchors || !slices.EqualFunc(report.Questions, s.report.Questions, sameAnswer) ||
				report.ManifestStamp != nil && report.ManifestStamp.NotCounted == "") {
				t.Errorf("%s %s%s: the report is another one", c.name, c.how, by)
			}
			met.add(want.String() + " " + why)
		}
	})
	t.Logf("%d changes of %d files; %v; %v", len(trials), len(files), swapped, met.of)
}

// TestEveryLine removes, doubles and changes every line of every entry, and signs anew.
// The entry is another one then, which the tree does not have.
func TestEveryLine(t *testing.T) {
	t.Parallel()
	s := theSample(t)
	files := s.brief(t)
	type trial struct {
		name, how string
		text      string
	}
	var trials []trial
	for _, name := range files.Names("evidence/entries/") {
		lines := strings.SplitAfter(strings.TrimSuffix(string(files.Get(t, name)), "\n"), "\n")
		lines[len(lines)-1] += "\n"
		for n, line := range lines {
			for how, with := range map[string]string{"removed": "", "doubled": line + line, "changed": other(line)} {
				trials = append(trials, trial{name, fmt.Sprintf("line %d %s", n+1, how), strings.Join(slices.Concat(lines[:n], []string{with}, lines[n+1:]), "")})
			}
		}
	}
	each(len(trials), func(i int) {
		c := trials[i]
		changed := files.With(t, c.name, []byte(c.text))
		for by, asice := range map[string][]byte{"": changed.Listed(t).Zip(t), ", signed anew": changed.Signed(t, s.Signer).Zip(t)} {
			if report, err := judge(asice, s.opt); ledger.VerdictOf(err) != ledger.Invalid {
				t.Errorf("%s, %s%s: %s: %v", c.name, c.how, by, report.Verdict, err)
			}
		}
	})
	t.Logf("%d changes of lines", len(trials))
}

// other changes a line so that it is still of its form, mostly.
func other(line string) string {
	last := line[len(line)-2]
	switch {
	case last >= '0' && last < '9', last >= 'a' && last < 'z':
		last++
	default:
		last--
	}
	return line[:len(line)-2] + string(last) + "\n"
}

// leftOut says who notices that the operator leaves an entry out of a bundle of which it
// makes everything else fit: "alone" the bundle does not verify, "log" only with a copy of
// the log, "nobody": what it showed is shown no more, and nothing else.
var leftOut = map[ledger.Kind]string{
	ledger.LedgerCreated: "alone", ledger.SourceDeclared: "alone", ledger.PurposeDefined: "alone", ledger.NoticePublished: "alone", ledger.ProcessorEngaged: "alone",
	ledger.ConsentRequested: "alone", ledger.ConsentConfirmed: "alone", ledger.ConsentWithdrawn: "alone", ledger.StateCommitted: "alone",
	// They mention the record, and nothing chains them.
	ledger.ConfirmationSent: "log", ledger.ConsentUsed: "log", ledger.WithdrawalEffected: "log",
	// The bundle's own are demanded; those of earlier bundles mention the record.
	ledger.BundleExported: "log", ledger.EvidenceDisclosed: "log",
	ledger.CheckpointAnchored: "nobody",
}

// TestLeftOut leaves out each entry in turn.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	story := exported.Tell(t)
	s := newSample(t, story)
	s.bundle = story.Export(service.BundleRequest{ConsentIDs: []ledger.ConsentID{story.Newsletter}, Disclose: []string{"email"}})
	s.files, s.report = testbundle.Open(t, s.bundle), sound(t, s.bundle, s.opt)
	held := against(story.Copy(), s.opt)
	sound(t, s.bundle, held)
	index := s.index(t)
	found := map[string]int{}
	for _, name := range s.files.Names("evidence/entries/") {
		e, err := ledger.ParseEntry(s.files.Get(t, name))
		if err != nil {
			t.Fatal(err)
		}
		want := leftOut[e.Kind]
		if e.Index >= *index.Exported && e.Kind != ledger.CheckpointAnchored {
			want = "alone" // the bundle's own
		}
		asice := s.without(t, s.brief(t), e.Index).Signed(t, s.Signer).Zip(t)
		alone, err := judge(asice, s.opt)
		_, byLog := judge(asice, held)
		got := "nobody"
		switch {
		case ledger.VerdictOf(err) == ledger.Invalid:
			got = "alone"
		case err != nil:
			t.Errorf("entry %d (%s): %v", e.Index, e.Kind, err)
		case ledger.VerdictOf(byLog) == ledger.Invalid && strings.Contains(byLog.Error(), fmt.Sprintf("entry %d (%s)", e.Index, e.Kind)):
			got = "log"
		case byLog != nil:
			t.Errorf("entry %d (%s), with the log: %v", e.Index, e.Kind, byLog)
		}
		found[got]++
		if got != want {
			t.Errorf("entry %d (%s) is missed by %q, the table says %q: %v; %v", e.Index, e.Kind, got, want, err, byLog)
		}
		if got != "alone" && !slices.EqualFunc(alone.Questions, s.report.Questions, func(a, b verdict.Answered) bool {
			return a.Allowed == b.Allowed && a.Reason == b.Reason && a.Hindsight == b.Hindsight
		}) {
			t.Errorf("without entry %d (%s) the answer is another one: %+v", e.Index, e.Kind, alone.Questions)
		}
	}
	if len(found) != 3 {
		t.Errorf("found: %v", found)
	}
	t.Log(found)
}

// index is what the bundle lists.
func (s *sample) index(t *testing.T) *bundle.Index {
	t.Helper()
	x, err := bundle.ParseIndex(s.files.Get(t, "evidence/bundle.json"))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// without leaves an entry out as the operator can: with everything that is about it alone.
func (s *sample) without(t *testing.T, files testbundle.Files, i ledger.Index) testbundle.Files {
	t.Helper()
	e, err := ledger.ParseEntry(files.Get(t, bundle.EntryPath(i)))
	if err != nil {
		t.Fatal(err)
	}
	files = files.Less(bundle.EntryPath(i), bundle.ProofPath(i)).Less(files.Names(fmt.Sprintf("evidence/disclosures/%d.", i))...)
	x, err := bundle.ParseIndex(files.Get(t, "evidence/bundle.json"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range x.Consents {
		x.Consents[n].Entries = slices.DeleteFunc(x.Consents[n].Entries, func(j ledger.Index) bool { return i == j })
	}
	files = files.With(t, "evidence/bundle.json", x.Text())
	if e.Kind == ledger.CheckpointAnchored {
		files = files.Less(files.Names(fmt.Sprintf("evidence/checkpoints/%d.", e.Size))...)
		files = s.consistent(t, files)
	}
	// Files that nothing names any more.
	for _, name := range files.Names("evidence/files/") {
		digest := strings.TrimPrefix(name, "evidence/files/")
		if !slices.ContainsFunc(files.Names("evidence/disclosures/"), func(d string) bool { return strings.Contains(value(t, files.Get(t, d)), digest) }) {
			files = files.Less(name)
		}
	}
	return files
}

// consistent makes the proofs between the checkpoints that are there.
func (s *sample) consistent(t *testing.T, files testbundle.Files) testbundle.Files {
	t.Helper()
	files = files.Less(files.Names("evidence/consistency/")...)
	var sizes []ledger.Size
	for _, name := range files.Names("evidence/checkpoints/") {
		if p, err := bundle.ParsePath(name); err == nil && p.Kind == bundle.KindBound {
			sizes = append(sizes, ledger.Size(p.Numbers[0]))
		}
	}
	sizes = append(sizes, s.report.Size)
	for n, from := range sizes[:len(sizes)-1] {
		proof, err := s.Service.Log().ConsistencyProof(from, sizes[n+1])
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		for _, h := range proof {
			fmt.Fprintln(&b, h)
		}
		files = files.With(t, bundle.ConsistencyPath(from, sizes[n+1]), b.Bytes())
	}
	return files
}

// value is what a disclosure's file discloses.
func value(t *testing.T, text []byte) string {
	t.Helper()
	d, err := ledger.ParseDisclosure(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return d.Value
}
