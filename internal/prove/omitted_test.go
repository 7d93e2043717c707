package prove

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/internal/testbundle/exported"
	"github.com/consentledger/consentledger/ledger"
)

// allowed lets the operator answer that consent stands.
func (s *sample) allowed(t *testing.T, files testbundle.Files) testbundle.Files {
	t.Helper()
	x, err := bundle.ParseIndex(files.Get(t, "evidence/bundle.json"))
	if err != nil {
		t.Fatal(err)
	}
	q := &x.Questions[0]
	q.Allowed, q.Reason, q.Hindsight, q.Consent = true, "confirmed", true, &s.Newsletter
	return files.With(t, "evidence/bundle.json", x.Text())
}

// wrong demands that a bundle is INVALID for a reason.
func wrong(t *testing.T, err error, because string) {
	t.Helper()
	if ledger.VerdictOf(err) != ledger.Invalid || !strings.Contains(err.Error(), because) {
		t.Errorf("the bundle is %v, want INVALID because %q: %v", ledger.VerdictOf(err), because, err)
	}
}

// A server that leaves out a withdrawal is caught by the state proof: it names the entry
// that changed the record last.
func TestOmittedByState(t *testing.T) {
	t.Parallel()
	s := theSample(t)
	files := s.allowed(t, s.without(t, s.without(t, s.brief(t), s.Withdrawn), s.Withdrawn+1))
	_, err := judge(files.Signed(t, s.Signer).Zip(t), s.opt)
	wrong(t, err, "state")
	// It can prove no other state: not that of before, and not as of before.
	early := testbundle.Open(t, s.Early)
	swapped := files.With(t, bundle.StatePath(s.Newsletter), early.Get(t, bundle.StatePath(s.Newsletter)))
	_, err = judge(swapped.Signed(t, s.Signer).Zip(t), s.opt)
	wrong(t, err, "state")
	x, err := bundle.ParseIndex(early.Get(t, "evidence/bundle.json"))
	if err != nil {
		t.Fatal(err)
	}
	y := s.index(t)
	y.Committed = x.Committed
	swapped = swapped.With(t, "evidence/bundle.json", y.Text())
	_, err = judge(s.allowed(t, swapped).Signed(t, s.Signer).Zip(t), s.opt)
	wrong(t, err, "")
}

// The state is that of after the export: an older one, which nothing has changed since,
// would leave room for what came between.
func TestOlderState(t *testing.T) {
	t.Parallel()
	story := exported.Tell(t)
	opt, request := options(t, story.Ledger), service.BundleRequest{ConsentIDs: []ledger.ConsentID{story.Tips}}
	old, newer := testbundle.Open(t, story.Export(request)), testbundle.Open(t, story.Export(request))
	var index [2]*bundle.Index
	for i, files := range []testbundle.Files{old, newer} {
		var err error
		if index[i], err = bundle.ParseIndex(files.Get(t, "evidence/bundle.json")); err != nil {
			t.Fatal(err)
		}
	}
	at := *index[0].Committed
	receipt, _, err := story.Service.Log().ReceiptWith(at, index[1].Size, newer.Get(t, "checkpoint.note"))
	if err != nil {
		t.Fatal(err)
	}
	state := bundle.StatePath(story.Tips)
	files := newer.With(t, state, old.Get(t, state)).With(t, bundle.EntryPath(at), old.Get(t, bundle.EntryPath(at))).With(t, bundle.ProofPath(at), receipt.Text())
	index[1].Committed = &at
	_, err = judge(files.With(t, "evidence/bundle.json", index[1].Text()).Signed(t, story.Signer).Zip(t), opt)
	wrong(t, err, fmt.Sprintf("committed with entry %d", at))
}

// And by the after link of whatever changed the record later.
func TestOmittedByLink(t *testing.T) {
	t.Parallel()
	story := exported.Tell(t)
	_, err := story.Service.SetRestriction(ctx, exported.Shop, service.Restriction{Subject: exported.Erika.Subject(), Ground: "art18_1_a"})
	if err == nil {
		_, err = story.Service.LiftRestriction(ctx, exported.Legal, service.Restriction{Subject: exported.Erika.Subject(), InformedAt: time.Now()})
	}
	if err != nil {
		t.Fatal(err)
	}
	s := newSample(t, story)
	files := s.allowed(t, s.without(t, s.without(t, s.brief(t), s.Withdrawn), s.Withdrawn+1))
	_, err = judge(files.Signed(t, s.Signer).Zip(t), s.opt)
	wrong(t, err, fmt.Sprintf("follows entry %d", s.Withdrawn))
}

// A server that keeps a second history, in which she never withdrew, makes bundles that
// nothing is wrong with. Whoever holds them against the log that others have is told.
func TestOmittedByLog(t *testing.T) {
	t.Parallel()
	s := exported.Begin(t)
	fork := s.Fork()
	s.End()
	opt := options(t, s.Ledger)
	lie := fork.Export(service.BundleRequest{ConsentIDs: []ledger.ConsentID{s.Newsletter}, Disclose: exported.Disclosed})
	if report := sound(t, lie, opt); len(report.Questions) != 1 || !report.Questions[0].Allowed {
		t.Fatalf("the second history answers %+v", report.Questions)
	}
	s.Anchor() // the true log gets longer than the other one
	if report, err := judge(lie, against(s.Copy(), opt)); ledger.VerdictOf(err) != ledger.Diverged {
		t.Errorf("held against the log: %s: %v", report.Verdict, err)
	}
	// What was true stays so: the bundle of before she withdrew is of both.
	for _, l := range []*exported.Ledger{s.Ledger, fork} {
		sound(t, s.Early, against(l.Copy(), opt))
	}
	// The true bundle has the other answer.
	if report := sound(t, s.Lawsuit(), against(s.Copy(), opt)); report.Questions[0].Allowed || report.Questions[0].Reason != "withdrawn" {
		t.Errorf("the log answers %+v", report.Questions)
	}
}
