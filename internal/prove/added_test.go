package prove

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/internal/testbundle/exported"
	"github.com/consentledger/consentledger/ledger"
)

// What the operator adds to a bundle is true, and does not belong in it: everything in a
// bundle has its reason there.
func TestAdded(t *testing.T) {
	t.Parallel()
	story := exported.Tell(t)
	s := newSample(t, story)
	files, x := s.brief(t), s.index(t)
	sound(t, files.Signed(t, s.Signer).Zip(t), s.opt)
	snap := story.Service.Log().Snapshot()
	defer snap.Release()
	receipt := func(i ledger.Index) *ledger.Receipt {
		r, _, err := story.Service.Log().ReceiptWith(i, s.report.Size, files.Get(t, "checkpoint.note"))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	add := func(i ledger.Index) testbundle.Files {
		text, err := snap.Entry(i)
		if err != nil {
			t.Fatal(err)
		}
		return files.With(t, bundle.EntryPath(i), bytes.Clone(text)).With(t, bundle.ProofPath(i), receipt(i).Text())
	}
	all := testbundle.Open(t, story.Case())
	index := func(files testbundle.Files, change func(x *bundle.Index)) testbundle.Files {
		y := *x
		y.Consents, y.Questions = slices.Clone(x.Consents), slices.Clone(x.Questions)
		change(&y)
		return files.With(t, "evidence/bundle.json", y.Text())
	}
	extra := receipt(0)
	extra.Extra = []byte("nobody vouches for it")
	proof, err := story.Service.Log().ConsistencyProof(1, s.report.Size)
	if err != nil {
		t.Fatal(err)
	}
	var consistency bytes.Buffer
	for _, h := range proof {
		fmt.Fprintln(&consistency, h)
	}
	stamped := files.Names("evidence/checkpoints/")[0]
	note, err := ledger.ParseSignedNote(files.Get(t, stamped))
	if err != nil {
		t.Fatal(err)
	}
	head, err := ledger.ParseCheckpoint(note.Text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Signer.SignCheckpoint(head, time.Now().Unix())
	if err != nil {
		t.Fatal(err)
	}
	// Otto's request, of a bundle of his.
	his := testbundle.Open(t, story.Export(service.BundleRequest{ConsentIDs: []ledger.ConsentID{story.Ottos}, Disclose: []string{"email"}}))
	hisEmail := bundle.DisclosurePath(ledger.Index(story.Ottos), "email")
	for what, changed := range map[string]testbundle.Files{
		"bytes that a proof carries":                  files.With(t, bundle.ProofPath(0), extra.Text()),
		"an entry about somebody else":                add(ledger.Index(story.Ottos)),
		"his entry and his address":                   add(ledger.Index(story.Ottos)).With(t, hisEmail, his.Get(t, hisEmail)),
		"a record of hers that is not listed":         add(ledger.Index(story.Tips)),
		"the state of another record":                 files.With(t, bundle.StatePath(story.Tips), all.Get(t, bundle.StatePath(story.Tips))),
		"a proof without its entry":                   files.With(t, bundle.ProofPath(9), receipt(9).Text()),
		"a notice that nobody published":              files.With(t, bundle.NoticePath(ledger.TextHash([]byte("Ja"))), []byte("Ja")),
		"a file that nothing names":                   files.With(t, bundle.FilePath(ledger.TextHash([]byte("mail"))), []byte("mail")),
		"a consistency proof from nowhere":            files.With(t, bundle.ConsistencyPath(1, s.report.Size), consistency.Bytes()),
		"a checkpoint that nobody stamped":            files.With(t, bundle.BoundPath(s.report.Size), files.Get(t, "checkpoint.note")),
		"his click":                                   add(ledger.Index(story.Ottos) + 2),
		"another answer":                              index(files, func(x *bundle.Index) { x.Questions[0].Allowed = true }),
		"another answer in hindsight":                 index(files, func(x *bundle.Index) { x.Questions[0].Hindsight = true }),
		"another reason":                              index(files, func(x *bundle.Index) { x.Questions[0].Reason = "lapsed" }),
		"another record that decided":                 index(files, func(x *bundle.Index) { x.Questions[0].Consent = nil }),
		"a record of another channel and no question": index(files, func(x *bundle.Index) { x.Consents[0].Channel, x.Questions = "sms", nil }),
		"a question about a channel of no record": index(files, func(x *bundle.Index) {
			x.Questions = append(x.Questions, bundle.IndexedQuestion{Purpose: "newsletter", Channel: "sms", At: x.Questions[0].At, Reason: "no_consent"})
		}),
		"a stamped checkpoint that is signed again": files.With(t, stamped, again),
		"a question twice":                          index(files, func(x *bundle.Index) { x.Questions = append(x.Questions, x.Questions[0]) }),
		"a question about another purpose":          index(files, func(x *bundle.Index) { x.Questions[0].Purpose = "tips" }),
		"a question about what was not yet":         index(files, func(x *bundle.Index) { x.Questions[0].At = x.Questions[0].At.Add(time.Hour) }),
		"a record of another purpose":               index(files, func(x *bundle.Index) { x.Consents[0].Purpose = "tips" }),
		"a record that has no entries": index(files, func(x *bundle.Index) {
			x.Consents = append(x.Consents, bundle.IndexedConsent{ID: 22, Purpose: "tips", Channel: "email"})
		}),
		"an entry of no record to a record":      index(files, func(x *bundle.Index) { x.Consents[0].Entries = append([]ledger.Index{0}, x.Consents[0].Entries...) }),
		"the size of another checkpoint":         index(files, func(x *bundle.Index) { x.Size-- }),
		"an export that is another bundle's":     index(files, func(x *bundle.Index) { i := *x.Exported - 1; x.Exported = &i }),
		"a state committed before it was made":   index(files, func(x *bundle.Index) { i := *x.Exported - 1; x.Committed = &i }),
		"a claim that was recorded as not shown": files.With(t, bundle.DisclosurePath(ledger.Index(story.Newsletter), "name"), s.name(t)),
	} {
		report, err := judge(changed.Signed(t, s.Signer).Zip(t), s.opt)
		if ledger.VerdictOf(err) != ledger.Invalid {
			t.Errorf("%s: %s: %v", what, report.Verdict, err)
		}
	}
	// In a bundle of two records an entry that belongs to both is listed under both.
	both, err := bundle.ParseIndex(all.Get(t, "evidence/bundle.json"))
	if err != nil {
		t.Fatal(err)
	}
	both.Consents[1].Entries = slices.DeleteFunc(both.Consents[1].Entries, func(i ledger.Index) bool { return i == *both.Exported })
	if report, err := judge(all.With(t, "evidence/bundle.json", both.Text()).Signed(t, s.Signer).Zip(t), s.opt); ledger.VerdictOf(err) != ledger.Invalid {
		t.Errorf("an export under one of two records: %s: %v", report.Verdict, err)
	}
	custody, err := bundle.ParseCustody(files.Get(t, "custody.json"))
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(c *bundle.Custody){
		"another exporter":  func(c *bundle.Custody) { c.Exporter = "shop" },
		"another recipient": func(c *bundle.Custody) { c.Recipient = "Amtsgericht" },
		"another reason":    func(c *bundle.Custody) { c.Reason = "" },
		"another size":      func(c *bundle.Custody) { c.Size++ },
		"made before":       func(c *bundle.Custody) { c.Made = c.Made.Add(-time.Hour) },
		"discloses nothing": func(c *bundle.Custody) { c.Disclosed = nil },
	} {
		c := *custody
		change(&c)
		report, err := judge(files.With(t, "custody.json", c.Text()).Signed(t, s.Signer).Zip(t), s.opt)
		if ledger.VerdictOf(err) != ledger.Invalid {
			t.Errorf("custody with %s: %s: %v", what, report.Verdict, err)
		}
	}
}

// name is the disclosure of her name, which the bundle does not hold.
func (s *sample) name(t *testing.T) []byte {
	t.Helper()
	b := testbundle.Open(t, s.Export(service.BundleRequest{ConsentIDs: []ledger.ConsentID{s.Newsletter}, Disclose: []string{"name"}}))
	return b.Get(t, bundle.DisclosurePath(ledger.Index(s.Newsletter), "name"))
}
