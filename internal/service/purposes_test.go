package service

import (
	"crypto/sha256"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// full is a definition with every field.
func full() PurposeDefinition {
	return PurposeDefinition{ID: "review_request", Title: "Bewertungen", Marketing: true, Parent: newsletter,
		Bases: []string{"existing_customer", "consent"}, DoubleOptIn: true, DoubleOptInChannels: []string{"sms", "email"},
		TokenLifetime: 3 * time.Hour, MinimumGrade: "B", MinimumAge: 16, IPPolicy: "none", ValidityDays: 1, LockDays: 2, LapsedDays: 3,
		UnusedDays: 5, UnusedMeasure: "block", UnusedWarnDays: 4, EvidenceDays: 6, EffectHours: 48}
}

// A definition says what was defined, in its one form, in the answer, in the
// list and in the rules that are in force, also after a start.
func TestPurposeWithAllTerms(t *testing.T) {
	t.Parallel()
	f := newService(t)
	before := f.size()
	d := full()
	p, e, err := f.s.DefinePurpose(ctx, admin, d)
	if err != nil {
		t.Fatal(err)
	}
	want := full()
	want.Bases, want.DoubleOptInChannels = []string{"consent", "existing_customer"}, []string{"email", "sms"}
	if !reflect.DeepEqual(*p, Purpose{PurposeDefinition: want, Version: 1, Index: ledger.Index(before)}) || e.Index != p.Index {
		t.Errorf("answered %+v", p)
	}
	snap := f.s.Log().Snapshot()
	text, err := snap.Entry(p.Index)
	snap.Release()
	_, lines, ok := strings.Cut(string(text), "source admin\n")
	lines, _, _ = strings.Cut(lines, "commit ")
	const written = "purpose review_request\nversion 1\nmarketing yes\ndouble_opt_in yes\ndouble_opt_in_channel email\ndouble_opt_in_channel sms\n" +
		"token_lifetime 10800\nlock_days 2\nlapsed_days 3\nunused_days 5\nunused_measure block\nevidence_days 6\nvalidity_days 1\n" +
		"unused_warn_days 4\nminimum_grade B\nminimum_age 16\nip_policy none\nparent newsletter\nbasis consent\nbasis existing_customer\neffect_hours 48\n"
	if err != nil || !ok || lines != written {
		t.Errorf("the entry says %q, want %q; %v", lines, written, err)
	}
	for range 2 {
		// Another spelling of the same: nothing is written.
		again := full()
		again.Bases, again.DoubleOptInChannels = []string{"consent", "existing_customer", "consent"}, []string{"email", "sms", "email"}
		if p, e, err := f.s.DefinePurpose(ctx, admin, again); err != nil || p.Version != 1 || e.Index != ledger.Index(before) || !reflect.DeepEqual(p.PurposeDefinition, want) {
			t.Errorf("again: %+v, %+v, %v", p, e, err)
		}
		list, err := f.s.ListPurposes()
		if err != nil || len(list) != 4 || !reflect.DeepEqual(*list[3], Purpose{PurposeDefinition: want, Version: 1, Index: ledger.Index(before)}) {
			t.Errorf("list %+v, %v", list, err)
		}
		f.reopen()
	}
	f.wrote(before, "purpose.defined")
}

// What is the default is not written, whether it was left out or said.
func TestPurposeDefaults(t *testing.T) {
	t.Parallel()
	f := newService(t)
	before := f.size()
	said := PurposeDefinition{ID: "invoice", Title: "Rechnungen", Bases: []string{"consent"}, IPPolicy: "truncated",
		TokenLifetime: 7 * 24 * time.Hour, LockDays: 30, LapsedDays: 30}
	for range 2 {
		for _, d := range []PurposeDefinition{{ID: "invoice", Title: "Rechnungen"}, said} {
			p, _, err := f.s.DefinePurpose(ctx, admin, d)
			if err != nil || !reflect.DeepEqual(p.PurposeDefinition, said) || p.Version != 1 {
				t.Errorf("%+v, %v; want %+v", p, err, said)
			}
		}
		f.reopen()
	}
	f.wrote(before, "purpose.defined")
	if e := f.entriesFrom(before)[0]; e.Bases != nil || e.IPPolicy != "" || e.Explicit != "" || e.Parent != "" || e.TrackingMode != "" || e.MinimumGrade != "" {
		t.Errorf("written %+v", e)
	}
}

// Each single change is a new version that differs in just that; the versions
// before it stay as they were.
func TestPurposeSuperseded(t *testing.T) {
	t.Parallel()
	f := newService(t)
	changes := []func(*PurposeDefinition){
		func(d *PurposeDefinition) { d.Title = "Andere" },
		func(d *PurposeDefinition) { d.Bases = []string{"consent"} },
		func(d *PurposeDefinition) { d.Explicit = true },
		func(d *PurposeDefinition) { d.DoubleOptInChannels = nil },
		func(d *PurposeDefinition) { d.DoubleOptIn = false },
		func(d *PurposeDefinition) { d.TokenLifetime = time.Hour },
		func(d *PurposeDefinition) { d.MinimumGrade = "" },
		func(d *PurposeDefinition) { d.MinimumAge = 0 },
		func(d *PurposeDefinition) { d.IPPolicy = "full" },
		func(d *PurposeDefinition) { d.ValidityDays = 0 },
		func(d *PurposeDefinition) { d.LockDays = 20 },
		func(d *PurposeDefinition) { d.LapsedDays = 21 },
		func(d *PurposeDefinition) { d.UnusedDays = 22 },
		func(d *PurposeDefinition) { d.UnusedMeasure = "expire" },
		func(d *PurposeDefinition) { d.UnusedWarnDays = 0 },
		func(d *PurposeDefinition) { d.EvidenceDays = 0 },
		func(d *PurposeDefinition) { d.EffectHours = 0 },
	}
	var versions []*Purpose
	d := full()
	for i := -1; i < len(changes); i++ {
		if i >= 0 {
			changes[i](&d)
		}
		p, _, err := f.s.DefinePurpose(ctx, admin, d)
		if err != nil || p.Version != int64(i+2) {
			t.Fatalf("change %d: %+v, %v", i, p, err)
		}
		versions = append(versions, p)
	}
	f.reopen()
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	for i, want := range versions {
		old, _, err := snap.PurposeAt(d.ID, ledger.Size(want.Index)+1)
		if err != nil {
			t.Fatal(err)
		}
		if shown, err := f.s.showPurpose(snap, old); err != nil || !reflect.DeepEqual(shown, want) {
			t.Errorf("version %d is %+v, %v; was %+v", i+1, shown, err, want)
		}
		if i > 0 && reflect.DeepEqual(want.PurposeDefinition, versions[i-1].PurposeDefinition) {
			t.Errorf("version %d is what the one before it is", i+1)
		}
	}
}

func TestBadPurposes(t *testing.T) {
	t.Parallel()
	f := newService(t)
	before := f.size()
	for _, test := range []struct {
		at     string
		change func(*PurposeDefinition)
	}{
		{"id", func(d *PurposeDefinition) { d.ID = "" }},
		{"id", func(d *PurposeDefinition) { d.ID = "Reviews" }},
		{"id", func(d *PurposeDefinition) { d.ID = ledger.AllMarketing }},
		{"id", func(d *PurposeDefinition) { d.ID = "erika.mustermann" }},
		{"id", func(d *PurposeDefinition) { d.ID = "0171-1234567" }},
		{"title", func(d *PurposeDefinition) { d.Title = " " }},
		{"title", func(d *PurposeDefinition) { d.Title = strings.Repeat("t", 257) }},
		{"title", func(d *PurposeDefinition) { d.Title = "a\nb" }},
		{"parent", func(d *PurposeDefinition) { d.Parent = "News" }},
		{"parent", func(d *PurposeDefinition) { d.Parent = d.ID }},
		{"parent", func(d *PurposeDefinition) { d.Parent = "unknown" }},
		{"bases[1]", func(d *PurposeDefinition) { d.Bases = []string{"consent", "vital_interest"} }},
		{"bases[0]", func(d *PurposeDefinition) { d.Marketing, d.Parent = false, "" }},
		{"explicit", func(d *PurposeDefinition) { d.Explicit = true }},
		{"explicit", func(d *PurposeDefinition) { d.Explicit, d.Bases = true, []string{"contract"} }},
		{"double_opt_in_channels[1]", func(d *PurposeDefinition) { d.DoubleOptInChannels = []string{"email", "any"} }},
		{"double_opt_in_channels", func(d *PurposeDefinition) { d.DoubleOptIn = false }},
		{"token_lifetime", func(d *PurposeDefinition) { d.TokenLifetime = -time.Second }},
		{"token_lifetime", func(d *PurposeDefinition) { d.TokenLifetime = time.Millisecond }},
		{"token_lifetime", func(d *PurposeDefinition) { d.TokenLifetime = 90*24*time.Hour + time.Second }},
		{"minimum_grade", func(d *PurposeDefinition) { d.MinimumGrade = "F" }},
		{"minimum_grade", func(d *PurposeDefinition) { d.MinimumGrade = "b" }},
		{"minimum_age", func(d *PurposeDefinition) { d.MinimumAge = -1 }},
		{"minimum_age", func(d *PurposeDefinition) { d.MinimumAge = 22 }},
		{"ip_policy", func(d *PurposeDefinition) { d.IPPolicy = "hashed" }},
		{"tracking_mode", func(d *PurposeDefinition) { d.TrackingMode = "personal" }},
		{"tracking_mode", func(d *PurposeDefinition) { d.ID, d.TrackingMode = "web.tracking", "some" }},
		{"validity_days", func(d *PurposeDefinition) { d.ValidityDays = -1 }},
		{"validity_days", func(d *PurposeDefinition) { d.ValidityDays = 36501 }},
		{"lock_days", func(d *PurposeDefinition) { d.LockDays = 36501 }},
		{"lapsed_days", func(d *PurposeDefinition) { d.LapsedDays = -1 }},
		{"evidence_days", func(d *PurposeDefinition) { d.EvidenceDays = 36501 }},
		{"effect_hours", func(d *PurposeDefinition) { d.EffectHours = -1 }},
		{"effect_hours", func(d *PurposeDefinition) { d.EffectHours = 8785 }},
		{"balancing", func(d *PurposeDefinition) { d.Balancing = &balancing }}, // nothing rests on it
		{"balancing.bytes", func(d *PurposeDefinition) { d.Bases, d.Balancing = []string{"legitimate_interest"}, &Attachment{} }},
		{"unused_days", func(d *PurposeDefinition) { d.UnusedDays = 36501 }},
		{"unused_measure", func(d *PurposeDefinition) { d.UnusedMeasure = "forget" }},
		{"unused_measure", func(d *PurposeDefinition) { d.UnusedDays = 0 }},
		{"unused_warn_days", func(d *PurposeDefinition) { d.UnusedWarnDays = 36501 }},
		{"unused_warn_days", func(d *PurposeDefinition) { d.UnusedWarnDays = d.UnusedDays }},
		{"unused_warn_days", func(d *PurposeDefinition) { d.UnusedMeasure = "warn" }},
		{"unused_warn_days", func(d *PurposeDefinition) { d.UnusedMeasure = "" }},
		{"unused_warn_days", func(d *PurposeDefinition) { d.UnusedDays, d.UnusedMeasure = 0, "" }},
	} {
		d := full()
		test.change(&d)
		_, _, err := f.s.DefinePurpose(ctx, admin, d)
		refused(t, err, refusal.InvalidArgument, test.at)
	}
	f.wrote(before, "")
}

// Limits that are still accepted.
func TestPurposeLimits(t *testing.T) {
	t.Parallel()
	f := newService(t)
	d := PurposeDefinition{ID: "far", Title: strings.Repeat("t", 256), MinimumGrade: "E", MinimumAge: 21, IPPolicy: "full", TokenLifetime: 90 * 24 * time.Hour,
		ValidityDays: 36500, LockDays: 36500, LapsedDays: 36500, UnusedDays: 36500, UnusedMeasure: "expire", UnusedWarnDays: 36499, EvidenceDays: 36500, EffectHours: 8784,
		Bases: []string{"consent", "contract", "legal_obligation", "legitimate_interest"}}
	for _, change := range []func(){
		func() {},
		func() { d.MinimumAge, d.TokenLifetime = 1, time.Second },
		func() { d.UnusedMeasure, d.UnusedWarnDays = "warn", 0 },
		func() { d.Bases, d.Explicit = []string{"consent"}, true },
	} {
		change()
		if p, _, err := f.s.DefinePurpose(ctx, admin, d); err != nil || !reflect.DeepEqual(p.PurposeDefinition, d) {
			t.Errorf("%+v, %v; want %+v", p, err, d)
		}
	}
	for _, id := range ledger.TrackingPurposes() {
		for _, mode := range ledger.Modes() {
			if p, _, err := f.s.DefinePurpose(ctx, admin, PurposeDefinition{ID: id, Title: "Tracking", TrackingMode: mode}); err != nil || p.TrackingMode != mode {
				t.Errorf("%s %s: %+v, %v", id, mode, p, err)
			}
		}
	}
}

// The document that balances interests stands once with the purpose.
func TestBalancedPurpose(t *testing.T) {
	t.Parallel()
	f := newService(t)
	d := PurposeDefinition{ID: "surveys", Title: "Surveys", Bases: []string{"legitimate_interest"}}
	plain, _, err := f.s.DefinePurpose(ctx, admin, d)
	if err != nil || plain.BalancingSHA256 != (ledger.Hash{}) {
		t.Fatalf("%+v, %v", plain, err)
	}
	a := asserting(email("a@example.com"), "surveys", "post", "legitimate_interest")
	a.Attachments = nil
	_, err = f.s.AssertBasis(ctx, shop, a)
	refused(t, err, refusal.FailedPrecondition, "balancing")
	a.Attachments = []Attachment{balancing}
	if _, err := f.s.AssertBasis(ctx, shop, a); err != nil {
		t.Error(err)
	}

	file := balancing
	d.Balancing = &file
	before := f.size()
	for range 2 { // the second time nothing is written
		p, e, err := f.s.DefinePurpose(ctx, admin, d)
		if err != nil || p.Version != 2 || p.BalancingSHA256 != sha256.Sum256(balancing.Bytes) || p.Balancing != nil || e.Index != p.Index {
			t.Fatalf("%+v, %v", p, err)
		}
		f.reopen()
	}
	f.wrote(before, "purpose.defined")
	list, err := f.s.ListPurposes()
	if err != nil || list[3].BalancingSHA256 != sha256.Sum256(balancing.Bytes) {
		t.Errorf("%+v, %v", list[3], err)
	}
	kept, err := f.s.Document(list[3].Index)
	if err != nil || !reflect.DeepEqual(*kept, balancing) {
		t.Errorf("%+v, %v", kept, err)
	}
	a.Attachments, a.Subject = nil, email("b@example.com")
	if _, err := f.s.AssertBasis(ctx, shop, a); err != nil {
		t.Error(err)
	}
	// Another text is another version, and so is none: then each assertion needs its own.
	file.Bytes = []byte("On second thoughts.")
	if p, _, err := f.s.DefinePurpose(ctx, admin, d); err != nil || p.Version != 3 {
		t.Errorf("%+v, %v", p, err)
	}
	d.Balancing = nil
	if p, _, err := f.s.DefinePurpose(ctx, admin, d); err != nil || p.Version != 4 {
		t.Errorf("%+v, %v", p, err)
	}
	a.Subject = email("c@example.com")
	_, err = f.s.AssertBasis(ctx, shop, a)
	refused(t, err, refusal.FailedPrecondition, "balancing")
	f.checked()
}

// The tree of purposes: a parent is defined and of the same sort, and a purpose
// keeps the place that its first version had.
func TestPurposeTree(t *testing.T) {
	t.Parallel()
	f := newService(t)
	sport := PurposeDefinition{ID: "newsletter-sport", Title: "Sport", Marketing: true, Parent: newsletter}
	f.define(sport)
	f.define(PurposeDefinition{ID: "newsletter-sport-live", Title: "Live", Marketing: true, Parent: sport.ID})
	f.define(PurposeDefinition{ID: "account-mail", Title: "Mails", Parent: account})
	before := f.size()
	for name, d := range map[string]PurposeDefinition{
		"marketing below what is none":        {ID: "new", Title: "New", Marketing: true, Parent: account},
		"no marketing below marketing":        {ID: "new", Title: "New", Parent: newsletter},
		"the parent left out":                 {ID: sport.ID, Title: "Sport 2", Marketing: true},
		"another parent":                      {ID: sport.ID, Title: "Sport 2", Marketing: true, Parent: offers},
		"a parent for what had none":          {ID: offers, Title: "Offers 2", Marketing: true, Parent: newsletter},
		"its own descendant":                  {ID: newsletter, Title: "Newsletter 2", Marketing: true, Parent: sport.ID},
		"no marketing any more, with a child": {ID: newsletter, Title: "Newsletter"},
		"no marketing any more, as a child":   {ID: sport.ID, Title: "Sport", Parent: newsletter},
		"marketing from now on, with a child": {ID: account, Title: "Account", Marketing: true},
	} {
		if _, _, err := f.s.DefinePurpose(ctx, admin, d); err == nil {
			t.Errorf("%s was accepted", name)
		} else {
			refused(t, err, refusal.FailedPrecondition, "parent")
		}
	}
	f.wrote(before, "")
	sport.Title = "Sport 2"
	f.define(sport)
	f.define(PurposeDefinition{ID: offers, Title: "Offers"}) // no children: it may change its sort
	f.wrote(before, "purpose.defined purpose.defined")
}

// Within one group a definition sees the one before it.
func TestPurposesInOneGroup(t *testing.T) {
	t.Parallel()
	f := newService(t)
	var errs [4]error
	var shown [4]*Purpose
	define := func(i int, d PurposeDefinition) func() {
		return func() { shown[i], _, errs[i] = f.s.DefinePurpose(ctx, admin, d) }
	}
	child := PurposeDefinition{ID: "child", Title: "Child", Marketing: true, Parent: "top"}
	f.together(define(0, PurposeDefinition{ID: "top", Title: "Top", Marketing: true}), define(1, child), define(2, child),
		define(3, PurposeDefinition{ID: "top", Title: "Top"}))
	if err := errors.Join(errs[:3]...); err != nil {
		t.Fatal(err)
	}
	refused(t, errs[3], refusal.FailedPrecondition, "parent")
	if shown[1].Version != 1 || !reflect.DeepEqual(shown[1], shown[2]) {
		t.Errorf("twice the same: %+v, %+v", shown[1], shown[2])
	}
	// The children are found, among other purposes.
	var children []string
	list, err := f.s.ListPurposes()
	for _, p := range list {
		if p.Parent == "top" {
			children = append(children, p.ID)
		}
	}
	if err != nil || !slices.Equal(children, []string{"child"}) {
		t.Errorf("below top: %v, %v", children, err)
	}
}

// A declaration that changed nothing is remembered under its key like any other:
// its retry answers with what stood then, and writes nothing.
func TestDeclaredAgainUnderAKey(t *testing.T) {
	t.Parallel()
	f := newService(t)
	d := PurposeDefinition{ID: "review_request", Title: "Reviews"}
	n := NoticePublication{ID: "reviews-de", Language: "de", Text: "Ja.", Purposes: []string{newsletter}}
	f.define(d)
	f.publish(n)
	d.IdempotencyKey, n.IdempotencyKey = "define", "publish"
	f.define(d)
	f.publish(n)
	newer, text := d, n
	newer.Title, newer.IdempotencyKey, text.Text, text.IdempotencyKey = "Other", "", "Nein.", ""
	f.define(newer)
	f.publish(text)
	before := f.size()
	p, _, err := f.s.DefinePurpose(ctx, admin, d)
	if err != nil || p.Version != 1 || p.Title != "Reviews" {
		t.Errorf("%+v, %v", p, err)
	}
	if shown := f.publish(n); shown.Name != "reviews-de@1" {
		t.Errorf("%+v", shown)
	}
	f.wrote(before, "")
}

// What looks personal is no id, unless the administrator insists: ids stand in the
// log for ever.
func TestIDsThatLookPersonal(t *testing.T) {
	t.Parallel()
	f := newService(t)
	for _, id := range []string{"anna.schmidt", "4915112345678", "0151-123-456", "newsletter.sport"} {
		d := PurposeDefinition{ID: id, Title: "Sports"}
		_, _, err := f.s.DefinePurpose(ctx, admin, d)
		refused(t, err, refusal.InvalidArgument, "id")
		d.Insist = true
		if p, _, err := f.s.DefinePurpose(ctx, admin, d); err != nil || p.ID != id || p.Version != 1 {
			t.Errorf("%s: %+v, %v", id, p, err)
		}
		d.Insist = false
		_, _, err = f.s.DefinePurpose(ctx, admin, d)
		refused(t, err, refusal.InvalidArgument, "id")
		n := NoticePublication{ID: id, Language: "en", Text: "Yes.", Purposes: []string{id}}
		_, _, err = f.s.PublishNotice(ctx, admin, n)
		refused(t, err, refusal.InvalidArgument, "id")
		n.Insist = true
		if _, _, err := f.s.PublishNotice(ctx, admin, n); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, id := range []string{"email.open_tracking", "newsletter-sport", "news24", "a.b"} {
		f.define(PurposeDefinition{ID: id})
	}
	d := PurposeDefinition{ID: "Anna@Example.com", Title: "no identifier", Insist: true}
	_, _, err := f.s.DefinePurpose(ctx, admin, d)
	refused(t, err, refusal.InvalidArgument, "id")
}
