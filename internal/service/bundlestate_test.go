package service

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/pack"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
)

func TestBadBundles(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b = "a@example.com", "b@example.com"
	mine, theirs := ids(f.confirmed(a).Consents), ids(f.confirmed(b).Consents)
	gone := ids(f.confirmed("gone@example.com").Consents)
	f.erase("gone@example.com")
	with := func(change func(*BundleRequest)) BundleRequest {
		r := BundleRequest{Subject: email(a), Reason: "r", Recipient: "r"}
		change(&r)
		return r
	}
	byIDs := func(ids ...ledger.ConsentID) BundleRequest {
		return with(func(r *BundleRequest) { r.Subject, r.ConsentIDs = Subject{}, ids })
	}
	before := f.size()
	for _, test := range []struct {
		code refusal.Code
		at   string
		r    BundleRequest
	}{
		{refusal.InvalidArgument, "subject", with(func(r *BundleRequest) { r.Subject = Subject{} })},
		{refusal.InvalidArgument, "subject.email", with(func(r *BundleRequest) { r.Subject = email("a") })},
		{refusal.InvalidArgument, "consent_ids", with(func(r *BundleRequest) { r.ConsentIDs = mine })},
		{refusal.InvalidArgument, "consent_ids[1]", byIDs(mine[0], mine[0])},
		{refusal.InvalidArgument, "consent_ids[0]", byIDs(0)},
		{refusal.InvalidArgument, "consent_ids", byIDs(make([]ledger.ConsentID, MaxBundled+1)...)},
		{refusal.InvalidArgument, "consent_ids[2]", byIDs(mine[0], gone[0], theirs[0])},
		{refusal.NotFoundCode, "consent_ids[1]", byIDs(mine[0], mine[0]+1)},
		{refusal.InvalidArgument, "purposes", with(func(r *BundleRequest) { *r = byIDs(mine...); r.Purposes = []string{newsletter} })},
		{refusal.InvalidArgument, "purposes", with(func(r *BundleRequest) { r.Purposes = make([]string, ledger.MaxPurposes+1) })},
		{refusal.InvalidArgument, "purposes[0]", with(func(r *BundleRequest) { r.Purposes = []string{"No!"} })},
		{refusal.InvalidArgument, "purposes[1]", with(func(r *BundleRequest) { r.Purposes = []string{newsletter, newsletter} })},
		{refusal.NotFoundCode, "purposes[1]", with(func(r *BundleRequest) { r.Purposes = []string{newsletter, offers} })},
		{refusal.NotFoundCode, "purposes[0]", with(func(r *BundleRequest) { r.Purposes = []string{"unknown"} })},
		{refusal.InvalidArgument, "disclose", with(func(r *BundleRequest) { r.Disclose = make([]string, maxClaims+1) })},
		{refusal.InvalidArgument, "disclose[0]", with(func(r *BundleRequest) { r.Disclose = []string{"shoe_size"} })},
		{refusal.InvalidArgument, "disclose[1]", with(func(r *BundleRequest) { r.Disclose = []string{"email", "email"} })},
		{refusal.NotFoundCode, "disclose[1]", with(func(r *BundleRequest) { r.Disclose = []string{"email", "ip"} })},
		{refusal.FailedPrecondition, "disclose", with(func(r *BundleRequest) { *r = byIDs(mine[0], gone[0]); r.Disclose = []string{"email"} })},
		{refusal.InvalidArgument, "reason", with(func(r *BundleRequest) { r.Reason = "" })},
		{refusal.InvalidArgument, "recipient", with(func(r *BundleRequest) { r.Recipient = "\x00" })},
		{refusal.InvalidArgument, "at", with(func(r *BundleRequest) { r.At = f.clock.now().Add(time.Minute) })},
		{refusal.InvalidArgument, "at", with(func(r *BundleRequest) { r.At = earliest.Add(-1) })},
		{refusal.InvalidArgument, "idempotency_key", with(func(r *BundleRequest) { r.IdempotencyKey = strings.Repeat("k", maxIdempotencyKey+1) })},
		{refusal.NotFoundCode, "subject", with(func(r *BundleRequest) { r.Subject = email("nobody@example.com") })},
		{refusal.NotFoundCode, "subject", with(func(r *BundleRequest) { r.Subject = email("gone@example.com") })},
	} {
		_, err := f.s.ExportBundle(ctx, legal, test.r)
		refused(t, err, test.code, test.at)
		if err != nil && (strings.Contains(err.Error(), "example.com") || strings.Contains(err.Error(), "No!")) {
			t.Errorf("%v gives away what was asked", err)
		}
	}
	_, err := f.s.ExportBundle(ctx, shop, with(func(*BundleRequest) {}))
	refused(t, err, refusal.FailedPrecondition, "role") // an app exports nothing
	f.wrote(before, "")
}

// What no container holds is refused by what there is too much of.
func TestBundleFits(t *testing.T) {
	t.Parallel()
	s := &Service{}
	entries := func(n int, e BundleEntry) (list []BundleEntry) {
		for range n {
			list = append(list, e)
		}
		return list
	}
	file := func(sum string, size int64) HeldClaim {
		return HeldClaim{File: &HeldFile{SHA256: sum, Size: size, Kept: true}}
	}
	text := BundleEntry{Text: make([]byte, 500)}
	for what, test := range map[string]struct {
		b    Bundle
		fits bool
	}{
		"many entries":         {Bundle{Entries: entries(9_000, text)}, true},
		"too many entries":     {Bundle{Entries: entries(10_000, text)}, false},
		"long entries":         {Bundle{Entries: entries(2_000, BundleEntry{Text: make([]byte, ledger.MaxEntrySize)})}, false},
		"one file often":       {Bundle{Entries: entries(100, BundleEntry{Disclosed: []HeldClaim{file("one", 60<<20)}})}, true},
		"large files":          {Bundle{Entries: []BundleEntry{{Disclosed: []HeldClaim{file("one", 60<<20), file("two", 60<<20), file("three", 60<<20), file("four", 60<<20), file("five", 60<<20)}}}}, false},
		"files that are gone":  {Bundle{Entries: []BundleEntry{{Disclosed: []HeldClaim{{File: &HeldFile{Size: bundle.MaxUnpacked}}}}}}, true},
		"many stamps":          {Bundle{Stamped: make([]BundleStamp, 7_000)}, false},
		"large stamps":         {Bundle{Stamped: []BundleStamp{{Token: make([]byte, bundle.MaxUnpacked)}}}, false},
		"many records":         {Bundle{Consents: make([]BundleConsent, bundle.MaxFiles)}, false},
		"a checkpoint of size": {Bundle{Checkpoint: make([]byte, 60<<10), Entries: entries(5_000, text)}, false},
	} {
		test.b.s = s
		if err := test.b.fits(); test.fits && err != nil {
			t.Errorf("%s: %v", what, err)
		} else if !test.fits {
			refused(t, err, refusal.ResourceExhausted, "")
		}
	}
}

// Of two people who had one address, one after the other, and of whom one entry speaks,
// each is asked about by their records, and nothing of the other is shown.
func TestBundleOfOneOfTwo(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const shared = "office@example.com"
	former := f.planted(shared, "Erika Former")
	f.use(Uses{ConsentIDs: former, Reference: "mailing 1"})
	f.lock(shared)
	if b := f.exported(BundleRequest{Subject: email(shared)}); !slices.Equal(b.has(), former) || b.answers() == "" || b.Questions[0].Allowed {
		t.Errorf("of who is locked it has %v and answers %s", b.has(), b.answers())
	}
	present := f.planted(shared, "Max Present")
	f.hold(HoldRequest{ConsentIDs: slices.Concat(former, present), Claims: map[string]string{"reason": "both"}})
	before := f.size()
	_, err := f.s.ExportBundle(ctx, legal, BundleRequest{Subject: email(shared), Reason: "r", Recipient: "r"})
	refused(t, err, refusal.FailedPrecondition, "subject")
	f.wrote(before, "")
	for _, test := range []struct {
		own        []ledger.ConsentID
		name, also string
	}{{former, "Erika Former", "bundle.exported reason 12 O 34/26\n"}, {present, "Max Present", ""}} {
		b := f.exported(BundleRequest{ConsentIDs: test.own, Disclose: []string{"name", "reason"}})
		want := "consent.requested name " + test.name + "\nconsent.requested name " + test.name + "\n" + test.also +
			"hold.set reason both\nbundle.exported reason 12 O 34/26\nbundle.exported recipient Landgericht Bonn"
		if got := f.shows(b); got != want || !slices.Equal(b.has(), test.own) {
			t.Errorf("%s: of %v it shows\n%s", test.name, b.has(), got)
		}
	}
}

// Whoever is known under a new address is asked about by that; what was recorded under
// the old one stays proven, and its value is gone with the address.
func TestBundleRectified(t *testing.T) {
	t.Parallel()
	f := newService(t)
	all := ids(f.confirmed("old@example.com", newsletter, account).Consents)
	f.rectify(Rectification{Subject: email("old@example.com"), Remove: email("old@example.com"), Add: email("new@example.com")})
	_, err := f.s.ExportBundle(ctx, legal, BundleRequest{Subject: email("old@example.com"), Reason: "r", Recipient: "r"})
	refused(t, err, refusal.NotFoundCode, "subject")
	b := f.exported(BundleRequest{Subject: email("new@example.com"), Disclose: []string{"email"}})
	if got := f.shows(b); !slices.Equal(b.has(), all) || strings.Count(got, "new@example.com") != 1 || !strings.Contains(got, "subject.rectified email new@example.com") {
		t.Errorf("of %v it shows\n%s", b.has(), got)
	}
}

// Before an erasure a bundle proves the consent, and goes on doing so. Afterwards one
// proves that it was erased, and shows nothing.
func TestBundleErased(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	r := f.confirmed(a, newsletter, offers)
	all := ids(r.Consents)
	f.send(r, []byte("a mail after the click"), time.Time{})
	b := f.exported(BundleRequest{Subject: email(a), Disclose: []string{"email", "message"}})
	c, err := packed(b)
	var file bytes.Buffer
	if err == nil {
		err = pack.Write(&file, c)
	}
	if err != nil {
		t.Fatal(err)
	}
	other := f.confirmed("b@example.com").Consents[0].ID
	erased := f.erase(a)
	at := slices.IndexFunc(b.Entries, func(e BundleEntry) bool { return f.entry(e.Index).Kind == ledger.ConfirmationSent })
	if err := b.WriteFile(b.Entries[at].Disclosed[0].File, io.Discard); !errors.Is(err, errGoneMeanwhile) {
		t.Errorf("a file of who was erased: %v", err)
	}
	if _, err := b.Signer(); !errors.Is(err, errGoneMeanwhile) {
		t.Errorf("a bundle about who was erased is signed: %v", err)
	}
	f.verifies(b.Keys, file.Bytes())

	before := f.size()
	after := f.exported(BundleRequest{ConsentIDs: all})
	f.wrote(before, "bundle.exported state.committed")
	for _, c := range after.Consents {
		if !c.Overlays.Has(ledger.Erased) || !slices.Contains(c.Entries, erased.Entry.Index) || !slices.Contains(c.Entries, erased.Shredded.Index) {
			t.Errorf("consent %d: %v, entries %v", c.ID, c.Overlays.Names(), c.Entries)
		}
	}
	if got := f.shows(after); got != "bundle.exported reason 12 O 34/26\nbundle.exported recipient Landgericht Bonn" || after.Questions[0].Allowed {
		t.Errorf("of who was erased it shows\n%s\nand answers %s", got, after.answers())
	}
	rep := f.proves(after)
	if x := rep.Consents[0].Erased; x == nil || x.Entry != erased.Entry.Index || x.ContentsDestroyed.IsZero() || !x.ExistenceDestroyed.IsZero() {
		t.Errorf("it proves of the erasure %+v", x)
	}
	// How it was before the erasure, its entries still prove.
	if then := f.exported(BundleRequest{ConsentIDs: all[:1], At: b.Questions[0].At}); !then.Questions[0].Allowed {
		t.Errorf("before the erasure it answers %s", then.answers())
	}
	// What is not erased keeps reason and recipient under its own key.
	mixed := f.exported(BundleRequest{ConsentIDs: []ledger.ConsentID{other, all[0]}, Reason: "both"})
	if got := f.shows(mixed); got != "bundle.exported reason both\nbundle.exported recipient Landgericht Bonn" {
		t.Errorf("of an erased one and another it shows\n%s", got)
	}
	if values := f.opened(f.entry(mixed.Exported), other); values["reason"] != "both" {
		t.Errorf("the reason is %q under the key of consent %d", values["reason"], other)
	}
	f.clock.advance(80 * time.Hour)
	f.rekey()
	if x := f.proves(f.exported(BundleRequest{ConsentIDs: all})).Consents[0].Erased; x == nil || x.ExistenceDestroyed.IsZero() {
		t.Errorf("after the re-key it proves of the erasure %+v", x)
	}
}

// A retry is recorded once and is about the same records, as they are then; about who
// was erased since there is none.
func TestBundleOnce(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	all := ids(f.confirmed(a, newsletter).Consents)
	r := BundleRequest{Subject: email(a), Disclose: []string{"email"}, IdempotencyKey: "bundle"}
	first := f.exported(r)
	f.confirmed(a, offers)
	f.withdraw(Withdrawal{Subject: email(a), Purposes: []string{newsletter}})
	before := f.size()
	again := f.exported(r)
	f.wrote(before, "state.committed")
	if again.Exported != first.Exported || !slices.Equal(again.Disclosed, first.Disclosed) || !slices.Equal(again.has(), all) ||
		again.Consents[0].Consent.State != ledger.Withdrawn || again.answers() != first.answers()[:len(first.answers())-len("true")]+"true" {
		t.Errorf("a retry is %d about %v, answers %s, then %s", again.Exported, again.has(), first.answers(), again.answers())
	}
	r.Reason, r.Recipient = "another", "r"
	_, err := f.s.ExportBundle(ctx, legal, r)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")

	of := BundleRequest{ConsentIDs: all, IdempotencyKey: "by id"}
	f.exported(of)
	f.erase(a)
	of.Reason, of.Recipient = "12 O 34/26", "Landgericht Bonn"
	_, err = f.s.ExportBundle(ctx, legal, of)
	refused(t, err, refusal.NotFoundCode, "idempotency_key")
	// Of who was erased before, there is.
	of.IdempotencyKey = "erased"
	gone := f.exported(of)
	before = f.size()
	if once := f.exported(of); once.Exported != gone.Exported || !slices.Equal(once.has(), all) {
		t.Errorf("a retry is %d about %v", once.Exported, once.has())
	}
	f.wrote(before, "")
}

// Whatever happens while a bundle is made, it is of one log and whole, or there is none.
func TestBundleMeanwhile(t *testing.T) {
	t.Parallel()
	const a = "a@example.com"
	for what, test := range map[string]struct {
		// meanwhile happens once when the bundle is on record and its state proven, before
		// a checkpoint is taken for it.
		meanwhile func(f *fixture, id ledger.ConsentID)
		state     ledger.State // as the bundle has it
		gone      bool
	}{
		"nothing":            {func(*fixture, ledger.ConsentID) {}, ledger.Confirmed, false},
		"the record is used": {func(f *fixture, id ledger.ConsentID) { f.use(Uses{ConsentIDs: []ledger.ConsentID{id}}) }, ledger.Confirmed, false},
		"the record changes": {func(f *fixture, _ ledger.ConsentID) { f.withdraw(Withdrawal{Subject: email(a)}) }, ledger.Withdrawn, false},
		"others ask":         {func(f *fixture, _ ledger.ConsentID) { f.confirmed("b@example.com") }, ledger.Confirmed, false},
		"the state is committed": {func(f *fixture, _ ledger.ConsentID) {
			if _, err := f.s.CommitState(ctx, ledger.ConsentID(f.confirmed("b@example.com").Consents[0].ID)); err != nil {
				f.t.Error(err)
			}
		}, ledger.Confirmed, false},
		"the keys are rotated": {func(f *fixture, _ ledger.ConsentID) {
			if _, err := f.s.RotateKey(ctx, admin, KeyRotation{}); err != nil {
				f.t.Error(err)
			}
		}, ledger.Confirmed, false},
		"the person is erased": {func(f *fixture, _ ledger.ConsentID) { f.erase(a) }, 0, true},
	} {
		for _, late := range []bool{false, true} { // the checkpoint is older than what happens
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				f := newService(t)
				id := f.confirmed(a).Consents[0].ID
				var done, called atomic.Bool
				f.s.UseCosigned(func() ([]byte, ledger.Size) {
					signed, size := f.s.Log().Checkpoint()
					if !called.Swap(true) {
						return nil, 0 // the estimate of the size asks, too
					}
					if !done.Swap(true) {
						test.meanwhile(f, id)
						if late {
							return signed, size
						}
						signed, size = f.s.Log().Checkpoint()
					}
					return signed, size
				})
				b, err := f.s.ExportBundle(ctx, legal, BundleRequest{ConsentIDs: []ledger.ConsentID{id}, Disclose: []string{"email"}, Reason: "r", Recipient: "r"})
				if test.gone {
					if !errors.Is(err, errGoneMeanwhile) {
						t.Errorf("%+v, %v", b, err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				f.proves(b)
				f.whole(b)
				want := test.state
				if late && want == ledger.Withdrawn {
					want = ledger.Confirmed // it is of the log before
				}
				if b.Consents[0].Consent.State != want || !b.Cosigned || b.Size > f.size() {
					t.Errorf("it says %v, of %d entries", b.Consents[0].Consent.State, b.Size)
				}
			})
		}
	}
}

// Nothing is on record of a bundle about somebody who was erased before it could be.
func TestBundleErasedBefore(t *testing.T) {
	t.Parallel()
	f := newService(t)
	all := ids(f.confirmed("a@example.com").Consents)
	before := f.size()
	f.s.UseCosigned(func() ([]byte, ledger.Size) { // asked for the estimate of the size
		f.erase("a@example.com")
		return nil, 0
	})
	if b, err := f.s.ExportBundle(ctx, legal, BundleRequest{ConsentIDs: all, Reason: "r", Recipient: "r"}); !errors.Is(err, errGoneMeanwhile) {
		t.Errorf("%+v, %v", b, err)
	}
	f.wrote(before, "subject.erased evidence.shredded")
}

// A mail whose bytes came later is shown with them wherever its hash is, and what was
// answered too late is called so.
func TestBundleTellsMore(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	token, lock := drawn(1)
	ask := asking(a)
	ask.Lock = lock
	r := f.ask(ask)
	mail := []byte("a mail with " + token)
	f.sent(SentMail{ConsentIDs: ids(r.Consents), SHA256: ledger.TextHash(mail)})
	f.confirm(token)
	if _, err := f.s.AttachMessage(ctx, shop, MailAttachment{ConsentIDs: ids(r.Consents), Message: mail}); err != nil {
		t.Fatal(err)
	}
	late, soon := f.demands(RightsRequest{Subject: email(a), Article: "art15"}), f.demands(RightsRequest{Subject: email(a), Article: "art16"})
	extended, err := f.s.ExtendRequest(ctx, legal, RequestStep{RequestID: soon.RequestID, Claims: because("much")})
	if err != nil {
		t.Fatal(err)
	}
	f.goTo(late.Due.Add(time.Minute))
	var answered [2]ledger.Index
	for i, id := range []ledger.Index{late.RequestID, soon.RequestID} {
		done, err := f.s.AnswerRequest(ctx, legal, RequestStep{RequestID: id})
		if err != nil {
			t.Fatal(err)
		}
		answered[i] = done.Entry.Index
	}
	b := f.exported(BundleRequest{Subject: email(a), Disclose: []string{"message"}})
	shown := "message message/rfc822 \"a mail with " + token + "\"\n"
	if got := f.shows(b); !strings.HasPrefix(got, "confirmation.sent "+shown+"confirmation.attached "+shown) {
		t.Errorf("it shows\n%s", got)
	}
	if got := b.entry(answered[0]).Irregular; !slices.Equal(got, []string{"request.answered.late"}) {
		t.Errorf("what was answered late is %v", got)
	}
	if got := b.entry(answered[1]).Irregular; len(got) > 0 {
		t.Errorf("what was answered by %v is %v", extended.Due, got)
	}
}

// Witnesses that do not answer cost time, not the bundle.
func TestBundleWithoutWitnesses(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.confirmed("a@example.com")
	old, size := f.s.Log().Checkpoint()
	f.s.UseCosigned(func() ([]byte, ledger.Size) { return old, size })
	f.s.cosignedWithin = 200 * time.Millisecond
	began := time.Now()
	if b := f.exported(BundleRequest{Subject: email("a@example.com")}); b.Cosigned || b.Size != f.size() || time.Since(began) < f.s.cosignedWithin {
		t.Errorf("cosigned %v, %d entries after %v", b.Cosigned, b.Size, time.Since(began))
	}
}

// The stamps of every authority bound the entries of the records.
func TestBundleStamped(t *testing.T) {
	t.Parallel()
	f := newService(t)
	x := testauthority.New(t, testauthority.Options{})
	y := testauthority.New(t, testauthority.Options{Signer: func(c *x509.Certificate) { c.Subject.CommonName = "another station" }})
	list, err := tlog.ParseAuthorities([]byte(x.Line("x")+y.Line("y")), os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	stamper, err := tlog.NewStamper(tlog.StamperOptions{Log: f.s.Log(), Record: f.s, Authorities: list, File: filepath.Join(t.TempDir(), "stamped"), Logger: f.opt.Logger})
	if err != nil {
		t.Fatal(err)
	}
	defer stamper.Close()
	stamp := func() {
		t.Helper()
		for _, o := range stamper.StampNow(ctx) {
			if o.Why != "" {
				t.Fatalf("%+v", o)
			}
		}
	}
	f.confirmed("b@example.com")
	stamp()
	stamp()
	id := f.confirmed("a@example.com").Consents[0].ID
	stamp()
	f.confirmed("b@example.com", offers)
	stamp()
	b := f.exported(BundleRequest{Subject: email("a@example.com")})
	if len(b.Stamped) != 6 { // two before the entries, two over them, two before the export
		t.Errorf("%d stamps bound it", len(b.Stamped))
	}
	for _, s := range b.Stamped {
		if e := f.entry(s.Entry); e.Kind != ledger.CheckpointAnchored || e.Size != s.Size || ledger.TextHash(s.Note) != e.Checkpoint ||
			ledger.TextHash(s.Token) != e.Stamp || b.entry(s.Entry) == nil {
			t.Errorf("entry %d comes with another stamp", s.Entry)
		}
		if _, err := timestamp.Unpinned(s.Token, ledger.TextHash(s.Note)); err != nil {
			t.Error(err)
		}
	}
	opened, export := b.entry(ledger.Index(id)).Interval, b.entry(b.Exported).Interval
	if opened.NotInLogAt == nil || opened.InLogAt == nil || opened.NotInLogAt.Index > ledger.Index(id) || opened.InLogAt.Index < ledger.Index(id) ||
		export.NotInLogAt == nil || export.InLogAt != nil {
		t.Errorf("the first entry lies within %+v, the export within %+v", opened, export)
	}
}

// Somebody with more records than one entry can name has a bundle, too.
func TestBundleOfMany(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, requests = "a@example.com", aboutPerEntry/3 + 10
	each(requests, func(int) {
		if _, err := f.s.RequestConsent(ctx, shop, asking(a, newsletter, offers, account)); err != nil {
			t.Error(err)
		}
	})
	before := f.size()
	b := f.exported(BundleRequest{Subject: email(a), Disclose: []string{"email"}})
	if f.parts(before, ledger.BundleExported, 2); !slices.Equal(f.parts(before, ledger.EvidenceDisclosed, 2), b.has()) || len(b.has()) != 3*requests ||
		len(b.Disclosed) != 2 || len(b.Questions) != 3 {
		t.Errorf("it is about %d records, %d entries say what was shown", len(b.has()), len(b.Disclosed))
	}
}
