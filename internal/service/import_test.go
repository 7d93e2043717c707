package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// An import fills gaps only: whatever is on record stays, and of what is skipped
// nothing is written.
func TestImportFillsGaps(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	f.request("somebody@example.com")
	who := func(name string) Subject { return email(strings.ReplaceAll(name, " ", "-") + "@example.com") }
	for name, before := range map[string]func(Subject){
		"nothing":         func(Subject) {},
		"another channel": func(s Subject) { f.give(s, "post", digest) },
		"another purpose": func(s Subject) { f.give(s, "email", newsletter) },
		"a child":         func(s Subject) { f.withdraw(Withdrawal{Subject: s, Purposes: []string{daily}}) },
		"a parent":        func(s Subject) { f.give(s, "email", mailings) },
		"somebody else's": func(s Subject) { f.give(email("x"+s.Email), "email", digest) },
		"erased": func(s Subject) {
			f.give(s, "email", digest)
			f.erase(s.Email)
		},
		"channel objected": func(s Subject) {
			f.object(Objection{Subject: s, Article: "art21_2", Channel: "sms"}, "objection.recorded")
		},
	} {
		s := who(name)
		before(s)
		i := importing(s, digest, "email")
		c := f.imports(i, "")
		f.imports(i, skippedExists) // a second time
		if e := f.entry(ledger.Index(c.ID)); e.Occurred != i.OccurredAt.UTC() || e.Grade != "D" || e.Method != "import" || e.Notice.ID != "" {
			t.Errorf("%s: entry %+v", name, e)
		}
	}
	for name, test := range map[string]struct {
		before  func(Subject)
		skipped string
		state   ledger.State // of what stands
	}{
		"requested": {func(s Subject) { f.request(s.Email, newsletter) }, skippedExists, ledger.Requested},
		"rejected": {func(s Subject) {
			if _, err := f.s.RejectConfirmation(ctx, shop, Click{Token: f.request(s.Email, newsletter).Token}); err != nil {
				t.Error(err)
			}
		}, skippedExists, ledger.Lapsed},
		"confirmed": {func(s Subject) { f.confirmed(s.Email, newsletter) }, skippedExists, ledger.Confirmed},
		"given":     {func(s Subject) { f.give(s, "email", newsletter) }, skippedExists, ledger.Given},
		"refused": {func(s Subject) {
			if _, err := f.s.RefuseConsent(ctx, shop, Refusal{Subject: s, Purposes: []string{newsletter}, Channel: "email", Method: "oral"}); err != nil {
				t.Error(err)
			}
		}, skippedExists, ledger.Refused},
		"withdrawn": {func(s Subject) {
			f.confirmed(s.Email, newsletter)
			f.withdraw(Withdrawal{Subject: s})
		}, skippedExists, ledger.Withdrawn},
		"revoked": {func(s Subject) {
			f.end(Ending{Kind: ledger.ConsentRevoked, ConsentIDs: ids(f.confirmed(s.Email, newsletter).Consents), Cause: "error"}, 1)
		}, skippedExists, ledger.Revoked},
		"objected to marketing": {func(s Subject) { f.withdraw(Withdrawal{Subject: s}) }, skippedExists, ledger.Objected},
		"objected by mail":      {func(s Subject) { f.withdraw(Withdrawal{Subject: s, Channel: "email"}) }, skippedExists, ledger.Objected},
		"objected to it":        {func(s Subject) { f.withdraw(Withdrawal{Subject: s, Purposes: []string{newsletter}}) }, skippedExists, ledger.Objected},
		"suppressed":            {func(s Subject) { f.suppress(s, "", true) }, skippedSuppressed, ledger.NoState},
		"suppressed for it":     {func(s Subject) { f.suppress(s, newsletter, true) }, skippedSuppressed, ledger.NoState},
		"erased and suppressed": {func(s Subject) {
			f.confirmed(s.Email, newsletter)
			if _, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: s, Reason: "art17", Mode: "shred_now", KeepSuppression: true}); err != nil {
				t.Error(err)
			}
		}, skippedSuppressed, ledger.NoState},
		"locked and suppressed": {func(s Subject) {
			f.confirmed(s.Email, newsletter)
			if _, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: s, Reason: "art17", Mode: "lock_then_shred", KeepSuppression: true}); err != nil {
				t.Error(err)
			}
		}, skippedSuppressed, ledger.NoState},
	} {
		s := who(name)
		test.before(s)
		i := importing(s, newsletter, "email")
		i.IdempotencyKey = name
		for range 2 {
			if c := f.imports(i, test.skipped); c.State != test.state || (c.ID == 0) != (test.state == ledger.NoState) {
				t.Errorf("%s: %s stands", name, c.State)
			}
		}
	}
	// What was withdrawn above reaches down to old stock, too.
	s := who("withdrawn above")
	f.give(s, "email", mailings)
	f.withdraw(Withdrawal{Subject: s, Purposes: []string{mailings}})
	f.imports(importing(s, daily, "email"), skippedExists)
	f.imports(importing(s, newsletter, "email"), "")
}

func TestGradesOfImports(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	f.request("somebody@example.com")
	for i, test := range []struct {
		grade  string
		claims map[string]string
		file   bool
		want   ledger.Grade
	}{
		{"", nil, false, 'D'},
		{"D", nil, false, 'D'},
		{"E", map[string]string{"reference": "a list"}, false, 'E'},
		{"C", map[string]string{"reference": "event 17 of the mail service", "ip": "203.0.113.1"}, false, 'C'},
		{"C", nil, true, 'C'},
		{"C", nil, false, 0},
		{"C", map[string]string{"ip": "203.0.113.1"}, false, 0}, // a purpose may keep none of it
	} {
		x := importing(email(fmt.Sprintf("person.%d@EXAMPLE.com", i)), newsletter, "email")
		x.Grade, x.Claims = test.grade, test.claims
		if test.file {
			x.Attachments = []Attachment{{Claim: "document", MediaType: "application/json", Bytes: []byte(`{"event":"confirmed"}`)}}
		}
		if test.want == 0 {
			_, err := f.s.ImportConsent(ctx, shop, x)
			refused(t, err, refusal.InvalidArgument, "grade")
			continue
		}
		c := f.imports(x, "")
		snap := f.s.Log().Snapshot()
		now, _, err := snap.Consent(c.ID)
		snap.Release()
		if err != nil || now.Grade() != test.want {
			t.Errorf("import %d has grade %s, want %s; %v", i, now.Grade(), test.want, err)
		}
	}
}

// One bad item spoils its own result only; the same batch again, such as after a
// connection that broke off, records nothing twice.
func TestBatchImport(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	f.request("somebody@example.com")
	const n = 300
	items := make([]Import, n)
	for i := range items {
		items[i] = importing(email(fmt.Sprintf("person%d@example.com", i)), newsletter, "email")
		items[i].IdempotencyKey = fmt.Sprint("row ", i)
	}
	bad := map[int]string{
		3:   "subject.email",
		50:  "purpose",
		120: "occurred_at",
		121: "grade",
		200: "channel",
		299: "claims.ip",
	}
	items[3].Subject = email("no address")
	items[50].Purpose = "never_defined"
	items[120].OccurredAt = time.Time{}
	items[121].Grade = "A"
	items[200].Channel = "any"
	items[299].Claims = map[string]string{"ip": "localhost"}
	items[10].Subject = items[9].Subject // the first of them fills the gap
	items[11] = items[9]
	items[11].IdempotencyKey = "row 11"
	f.suppress(items[77].Subject, "", true)
	before := f.size()
	first := f.s.BatchImport(ctx, shop, items)
	recorded := 0
	for i, r := range first {
		want := ""
		switch {
		case bad[i] != "":
			refused(t, r.Err, refusal.InvalidArgument, bad[i])
			continue
		case i == 10, i == 11:
			want = skippedExists
		case i == 77:
			want = skippedSuppressed
		default:
			recorded++
		}
		if r.Err != nil || r.Skipped != want || (want == "") != (r.Consent.State == ledger.Imported && r.Consent.Entry.Index == ledger.Index(r.Consent.ID) && i != 10 && i != 11) {
			t.Errorf("item %d: %+v, want %q", i, r, want)
		}
	}
	if first[10].Consent.ID != first[9].Consent.ID {
		t.Errorf("consent %d stands for item 10, want that of item 9", first[10].Consent.ID)
	}
	if got := f.size() - before; got != ledger.Size(recorded) || recorded != n-len(bad)-3 {
		t.Errorf("%d entries for %d consents", got, recorded)
	}
	groups := map[time.Time]bool{} // entries of one group have one time
	for _, e := range f.entriesFrom(before) {
		groups[e.Time] = true
	}
	if len(groups) > recorded/4 {
		t.Errorf("%d imports took %d commits", recorded, len(groups))
	}
	before = f.size()
	for i, r := range f.s.BatchImport(ctx, shop, items) {
		if (r.Err == nil) != (first[i].Err == nil) || r.Err == nil && (r.Skipped != first[i].Skipped || r.Consent.ID != first[i].Consent.ID) {
			t.Errorf("item %d again: %+v, first %+v", i, r, first[i])
		}
	}
	f.wrote(before, "")
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for _, r := range f.s.BatchImport(gone, shop, slices.Repeat(items[:1], 5)) {
		if !errors.Is(r.Err, context.Canceled) {
			t.Errorf("after the caller left: %v", r.Err)
		}
	}
	if results := f.s.BatchImport(ctx, shop, nil); len(results) != 0 {
		t.Errorf("of nothing: %v", results)
	}
}

func TestBadImports(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	partial := f.notice("partial-de", newsletter)
	f.define(PurposeDefinition{ID: "health", Explicit: true, MinimumAge: 16})
	f.define(PurposeDefinition{ID: "statutory", Bases: []string{"legal_obligation"}})
	before := f.size()
	with := func(change func(*Import)) Import {
		i := importing(email("a@example.com"), offers, "email")
		change(&i)
		return i
	}
	for at, i := range map[string]Import{
		"subject":      with(func(i *Import) { i.Subject.Phone = "+4930123456" }),
		"purpose":      with(func(i *Import) { i.Purpose = "No Purpose" }),
		"notice":       with(func(i *Import) { i.Notice = "newsletter-de" }),
		"notice ":      with(func(i *Import) { i.Notice = "newsletter-de@9" }),
		"method":       with(func(i *Import) { i.Method = "" }),
		"grade":        with(func(i *Import) { i.Grade = "B" }),
		"age":          with(func(i *Import) { i.Age = "old" }),
		"occurred_at":  with(func(i *Import) { i.OccurredAt = time.Time{} }),
		"occurred_at ": with(func(i *Import) { i.OccurredAt = f.clock.now().Add(time.Hour) }),
		"claims":       with(func(i *Import) { i.Claims = map[string]string{"email": "a@example.com"} }),
	} {
		_, err := f.s.ImportConsent(ctx, shop, i)
		refused(t, err, refusal.InvalidArgument, strings.TrimSpace(at))
	}
	for rule, i := range map[string]Import{
		"notice_coverage": with(func(i *Import) { i.Notice = partial }),
		"explicit":        with(func(i *Import) { i.Purpose, i.Age = "health", "old_enough" }),
		"age":             with(func(i *Import) { i.Purpose, i.Explicit = "health", true }),
		"basis":           with(func(i *Import) { i.Purpose = "statutory" }),
	} {
		_, err := f.s.ImportConsent(ctx, shop, i)
		refused(t, err, refusal.FailedPrecondition, rule)
	}
	f.wrote(before, "")
}

// Who withdrew long ago is known to the legal role only; the next import of old
// stock must not bring them back.
func TestLockedIsNoGap(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const gone, partly, asked = "gone@example.com", "partly@example.com", "asked@example.com"
	f.confirmed(gone)
	f.withdraw(Withdrawal{Subject: email(gone)})
	f.confirmed(partly, newsletter, account)
	f.withdraw(Withdrawal{Subject: email(partly)})
	cal.set(on("2027-04-01T12:00:01Z"))
	f.retain("withdrawn lock newsletter 2")
	f.confirmed(asked)
	f.lock(asked)
	for range 2 {
		for _, who := range []string{gone, partly, asked} {
			before := f.legalList(who)
			f.imports(importing(email(who), newsletter, "email"), skippedSuppressed)
			if after := f.legalList(who); after != before {
				t.Errorf("%s: what is held is %s, before %s", who, after, before)
			}
		}
		f.reopen()
	}
	// Of what they never had there is nothing that stops it.
	for _, who := range []string{gone, partly, asked} {
		f.imports(importing(email(who), offers, "email"), "")
	}
	// Once nothing is kept any more, nothing is known.
	cal.set(on("2031-01-02T00:00:00Z"))
	f.opt.AcceptClock = true
	f.reopen()
	f.retain("evidence shred newsletter 3")
	f.imports(importing(email(gone), newsletter, "email"), "")
}
