package service

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// suppress puts a subject on the list, or takes it off, and checks the entry.
func (f *fixture) suppress(who Subject, purpose string, add bool) {
	f.t.Helper()
	before := f.size()
	call, kind := f.s.AddSuppression, ledger.SuppressionAdded
	if !add {
		call, kind = f.s.RemoveSuppression, ledger.SuppressionRemoved
	}
	entry, changed, err := call(ctx, admin, Suppression{Subject: who, Purpose: purpose, Proof: true})
	if err != nil || !changed || entry.Index != ledger.Index(before) || entry.Receipt == "" {
		f.t.Fatalf("suppression: %+v, changed %v, %v", entry, changed, err)
	}
	if purpose == "" {
		purpose = ledger.AllMarketing
	}
	f.wrote(before, string(kind))
	if e := f.entriesFrom(before)[0]; e.Purpose != purpose || e.Source != admin.Name || len(e.Commits)+len(e.Consents)+len(e.About) != 0 {
		f.t.Errorf("entry %+v", e)
	}
}

// sees checks what a check answers about somebody under any identifier.
func (f *fixture) sees(who Subject, purpose, reason string) {
	f.t.Helper()
	d, err := f.s.CheckConsent(ctx, Question{Subject: who, Purpose: purpose, Channel: "email"})
	if err != nil || d.Reason != reason || d.Allowed != (reason == "confirmed") || reason == "suppressed" && (d.Consent != 0 || d.State != "") {
		f.t.Errorf("check %s: %+v, %v, want %s", purpose, d, err, reason)
	}
}

func TestSuppression(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.suppress(email(a), "", true)
	f.checks(a, newsletter, "suppressed")
	f.checks(strings.ToUpper(a), offers, "suppressed")
	f.checks(a, account, "unknown_subject") // no marketing
	f.checks(a, "never_defined", "unknown_purpose")
	f.checks("b@example.com", newsletter, "unknown_subject")
	if list, err := f.s.ListConsents(ctx, email(a)); err != nil || len(list) != 0 {
		t.Errorf("consents %s, %v", shows(list), err)
	}

	// A repeated one writes nothing; another purpose is another place on the list.
	before := f.size()
	again := func(call func() (*Entry, bool, error)) {
		t.Helper()
		if entry, changed, err := call(); entry != nil || changed || err != nil {
			t.Errorf("repeated: %+v, %v, %v", entry, changed, err)
		}
	}
	again(func() (*Entry, bool, error) {
		return f.s.AddSuppression(ctx, admin, Suppression{Subject: email("A@Example.com")})
	})
	again(func() (*Entry, bool, error) {
		return f.s.RemoveSuppression(ctx, admin, Suppression{Subject: email(a), Purpose: newsletter})
	})
	again(func() (*Entry, bool, error) {
		return f.s.RemoveSuppression(ctx, admin, Suppression{Subject: email("b@example.com")})
	})
	f.wrote(before, "")
	f.suppress(email(a), newsletter, true)
	f.reopen()
	f.checks(a, newsletter, "suppressed")
	f.suppress(email(a), "", false)
	f.checks(a, newsletter, "suppressed")
	f.checks(a, offers, "unknown_subject")
	f.suppress(email(a), newsletter, false)
	f.checks(a, newsletter, "unknown_subject")
	for range 3 {
		f.suppress(email(a), "", true)
		f.checks(a, newsletter, "suppressed")
		f.suppress(email(a), "", false)
		f.checks(a, newsletter, "unknown_subject")
	}
	f.reopen()
	f.checks(a, newsletter, "unknown_subject")
}

func TestBadSuppressions(t *testing.T) {
	t.Parallel()
	f := newService(t)
	for at, x := range map[string]Suppression{
		"subject":       {},
		"subject.email": {Subject: email("no address")},
		"purpose":       {Subject: email("a@example.com"), Purpose: account}, // no marketing
		"purpose ":      {Subject: email("a@example.com"), Purpose: "never_defined"},
		"purpose  ":     {Subject: email("a@example.com"), Purpose: "No Purpose"},
	} {
		_, _, err := f.s.AddSuppression(ctx, admin, x)
		refused(t, err, refusal.InvalidArgument, strings.TrimSpace(at))
		_, _, err = f.s.RemoveSuppression(ctx, admin, x)
		refused(t, err, refusal.InvalidArgument, strings.TrimSpace(at))
	}
	x := Suppression{Subject: email("a@example.com"), IdempotencyKey: "key"}
	entry, changed, err := f.s.AddSuppression(ctx, admin, x)
	if err != nil || !changed {
		t.Fatal(err)
	}
	f.suppress(x.Subject, "", false)
	before := f.size()
	if again, changed, err := f.s.AddSuppression(ctx, admin, x); err != nil || !changed || again.Index != entry.Index {
		t.Errorf("with the same key: %+v, %v, %v", again, changed, err)
	}
	x.Purpose = newsletter
	_, _, err = f.s.AddSuppression(ctx, admin, x)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	f.wrote(before, "")
	f.checks("a@example.com", newsletter, "unknown_subject")
}

// Somebody who is known is suppressed under every identifier when one of them is.
func TestSuppressionOfKnown(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	phone, external := Subject{Phone: "+49 30 1234567"}, Subject{ExternalID: "customer-17"}
	f.confirmed(a, newsletter, offers, account)
	for _, add := range []Subject{phone, external} {
		if _, err := f.s.LinkSubject(ctx, shop, Link{Subject: email(a), Add: add}); err != nil {
			t.Fatal(err)
		}
	}
	everywhere := func(purpose, reason string) {
		t.Helper()
		for _, who := range []Subject{email(a), phone, external} {
			f.sees(who, purpose, reason)
		}
	}
	for _, listed := range []Subject{email(a), phone, external} {
		everywhere(newsletter, "confirmed")
		f.suppress(listed, offers, true)
		everywhere(offers, "suppressed")
		everywhere(newsletter, "confirmed")
		f.suppress(listed, "", true)
		everywhere(newsletter, "suppressed")
		everywhere(account, "confirmed")
		// An operator enters nothing more for marketing, under whichever identifier.
		for _, who := range []Subject{email(a), phone, external} {
			before := f.size()
			req := asking(a)
			req.Subject, req.Channel, req.Method = who, "post", "paper"
			_, err := f.s.RequestConsent(ctx, shop, req)
			refused(t, err, refusal.FailedPrecondition, "suppressed")
			f.wrote(before, "")
		}
		f.suppress(listed, offers, false)
		f.suppress(listed, "", false)
	}
	everywhere(newsletter, "confirmed")
}

func TestSuppressionAndMethods(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.suppress(email(a), newsletter, true)
	operator := []string{"paper", "oral", "phone", "in_person", "api", "import"}
	own := []string{"web_form", "app", "preference_centre", "link", "one_click", "email_reply"}
	for _, method := range slices.Concat(operator, own) {
		if !ledger.IsMethod(method) {
			t.Fatalf("%s is not a method", method)
		}
	}
	try := func(method string, purposes ...string) error {
		req := asking(a, purposes...)
		req.Method = method
		_, err := f.s.RequestConsent(ctx, shop, req)
		return err
	}
	before := f.size()
	for _, method := range operator {
		refused(t, try(method, newsletter), refusal.FailedPrecondition, "suppressed")
		refused(t, try(method, account, newsletter), refusal.FailedPrecondition, "suppressed")
	}
	f.wrote(before, "")
	for _, method := range operator {
		if err := try(method, account, offers); err != nil {
			t.Errorf("%s, not for the purpose: %v", method, err)
		}
	}
	for _, method := range own {
		if err := try(method, newsletter); err != nil {
			t.Errorf("%s: %v", method, err)
		}
		f.checks(a, newsletter, "suppressed") // until it is confirmed
	}
	// Whichever comes first counts.
	f.together(
		func() { f.suppress(email(a), offers, true) },
		func() { refused(t, try("oral", offers), refusal.FailedPrecondition, "suppressed") })
}

// The person's own fresh double opt-in lifts it.
func TestConfirmationLifts(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b = "a@example.com", "b@example.com"
	phone := Subject{Phone: "+49 30 1234567"}
	f.suppress(email(a), "", true)
	r := f.request(a)
	f.checks(a, newsletter, "suppressed")
	before := f.size()
	f.confirm(r.Token)
	f.wrote(before, "consent.confirmed suppression.removed")
	if e := f.entriesFrom(before)[1]; e.Purpose != ledger.AllMarketing || e.Source != shop.Name {
		t.Errorf("entry %+v", e)
	}
	f.checks(a, newsletter, "confirmed")
	f.confirm(r.Token)
	f.wrote(before, "consent.confirmed suppression.removed")

	// Under every identifier and for each purpose that is confirmed, not for others.
	if _, err := f.s.LinkSubject(ctx, shop, Link{Subject: email(a), Add: phone}); err != nil {
		t.Fatal(err)
	}
	f.suppress(email(a), newsletter, true)
	f.suppress(phone, newsletter, true)
	f.suppress(phone, offers, true)
	f.suppress(phone, "", true)
	r = f.request(a, newsletter, account)
	before = f.size()
	f.confirm(r.Token)
	f.wrote(before, "consent.confirmed suppression.removed suppression.removed suppression.removed")
	f.checks(a, newsletter, "confirmed")
	f.checks(a, offers, "suppressed")
	r = f.request(a, newsletter, offers)
	before = f.size()
	f.confirm(r.Token)
	f.wrote(before, "consent.confirmed suppression.removed")
	f.checks(a, offers, "confirmed")

	// What is not marketing lifts nothing, nor does a rejection.
	f.suppress(email(b), "", true)
	f.confirmed(b, account)
	if _, err := f.s.RejectConfirmation(ctx, shop, Click{Token: f.request(b).Token}); err != nil {
		t.Fatal(err)
	}
	f.checks(b, newsletter, "suppressed")
	f.checks(b, account, "confirmed")
}

// What an operator entered before is no fresh consent of the person.
func TestOperatorsRequestDoesNotLift(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	req := asking(a, newsletter, account)
	req.Method = "paper"
	r := f.ask(req)
	f.suppress(email(a), "", true)
	before := f.size()
	f.confirm(r.Token)
	f.wrote(before, "consent.confirmed")
	f.checks(a, newsletter, "suppressed")
	f.checks(a, account, "confirmed")
	f.confirmed(a) // but this is
	f.checks(a, newsletter, "confirmed")
}

// The list outlives erasures, and is added to by one only when asked for.
func TestSuppressionAndErasure(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b, c, d = "anna.suppressed@example.com", "b@example.com", "c@example.com", "d@example.com"
	phone := Subject{Phone: "+49301234567"}
	f.confirmed(a, newsletter, account)
	if _, err := f.s.LinkSubject(ctx, shop, Link{Subject: email(a), Add: phone}); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{b, c, d} {
		f.confirmed(who)
	}
	erase := func(who, mode string, keep bool, want int, entries string) {
		t.Helper()
		before, groups := f.size(), f.vaultGroups()
		done, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(who), Reason: "objection", Mode: mode, KeepSuppression: keep, Proof: true})
		if err != nil || len(done.Suppressed) != want {
			t.Fatalf("erased %+v, %v, want %d suppressions", done, err, want)
		}
		f.wrote(before, entries)
		// Rows of one transaction would lead from the list to the person's slot.
		if written := f.vaultGroups() - groups; written != uint64(1+min(want, 1)) {
			t.Errorf("%d groups of rows in the vault", written)
		}
		for i, e := range done.Suppressed {
			if e.Index != done.Entry.Index-ledger.Index(want-i) || e.Receipt == "" {
				t.Errorf("suppression %d: %+v", i, e)
			}
		}
		for _, e := range f.entriesFrom(before) {
			if e.Kind == ledger.SuppressionAdded && (e.Purpose != ledger.AllMarketing || len(e.Commits) != 0) {
				t.Errorf("entry %+v", e)
			}
		}
	}
	erase(a, shredNow, true, 2, "suppression.added suppression.added subject.erased evidence.shredded")
	erase(b, shredNow, false, 0, "subject.erased evidence.shredded")
	erase(c, lockThenShred, true, 1, "suppression.added subject.locked")
	f.suppress(email(d), "", true)
	erase(d, shredNow, true, 0, "subject.erased evidence.shredded") // is on it already
	for range 2 {
		f.sees(email(a), newsletter, "suppressed")
		f.sees(phone, newsletter, "suppressed")
		f.sees(email(a), account, "unknown_subject")
		f.sees(email(b), newsletter, "unknown_subject")
		f.sees(email(c), newsletter, "suppressed")
		f.sees(email(d), newsletter, "suppressed")
		f.reopen()
	}
	f.checked()
	f.confirmed(a) // comes back by themselves
	f.sees(email(a), newsletter, "confirmed")
	f.sees(phone, newsletter, "suppressed") // is nobody's any more, and stays on the list

	// The address leads to nothing in the log, neither itself nor its hash.
	plain, hashed := newSearch(), newSearch()
	for _, value := range []string{a, phone.Phone} {
		sum := sha256.Sum256([]byte(value))
		plain.add(value, value)
		hashed.add("the hash of "+value, string(sum[:]))
		hashed.add("the hash of "+value+" in hex", hex.EncodeToString(sum[:]))
		hashed.add("the hash of "+value+" in base64", base64.RawStdEncoding.EncodeToString(sum[:]))
	}
	export := f.export()
	f.close()
	plain.files(t, export)
	plain.directory(t, f.opt.Dir)
	hashed.files(t, export)
	hashed.rows(t, filepath.Join(f.opt.Dir, "log"))
	hashed.rows(t, filepath.Join(f.opt.Dir, "vault"))
	for _, s := range []*search{plain, hashed} {
		for name, where := range s.found {
			t.Errorf("%s stands in %s", name, where)
		}
	}
	f.open()
}

// vaultGroups counts the groups that have written rows into the vault.
func (f *fixture) vaultGroups() uint64 {
	f.t.Helper()
	snap := f.s.log.Snapshot()
	defer snap.Release()
	record, err := decodeRecord(snap.Companion())
	if err != nil {
		f.t.Fatal(err)
	}
	return record.Seq
}
