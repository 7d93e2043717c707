package service

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// strangers checks that a person is a stranger to every method: the answers are
// those of somebody who never was. It records nothing.
func (f *fixture) strangers(who string, r *Requested) {
	f.t.Helper()
	before := f.size()
	for _, p := range []string{newsletter, offers, account} {
		f.checks(who, p, "unknown_subject")
	}
	if list, err := f.s.ListConsents(ctx, email(who)); err != nil || len(list) != 0 {
		f.t.Errorf("a stranger's consents: %s, %v", shows(list), err)
	}
	_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token})
	refused(f.t, err, refusal.NotFoundCode, "token")
	_, err = f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, Claims: map[string]string{"ip": "203.0.113.9"}})
	refused(f.t, err, refusal.NotFoundCode, "token")
	_, err = f.s.RejectConfirmation(ctx, shop, Click{Token: r.Token})
	refused(f.t, err, refusal.NotFoundCode, "token")
	sent := SentMail{ConsentIDs: ids(r.Consents), SHA256: sha256.Sum256([]byte("mail"))}
	_, _, err = f.s.RecordConfirmationSent(ctx, shop, sent)
	refused(f.t, err, refusal.NotFoundCode, "consent_ids[0]")
	sent.Message = []byte("mail")
	_, _, err = f.s.RecordConfirmationSent(ctx, shop, sent)
	refused(f.t, err, refusal.NotFoundCode, "consent_ids[0]")
	_, _, err = f.s.RecordUses(ctx, shop, Uses{ConsentIDs: ids(r.Consents)})
	refused(f.t, err, refusal.NotFoundCode, "consent_ids[0]")
	_, err = f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: ids(r.Consents)})
	refused(f.t, err, refusal.NotFoundCode, "consent_ids[0]")
	_, err = f.s.WithdrawConsent(ctx, shop, Withdrawal{ManageToken: r.ManageToken})
	refused(f.t, err, refusal.NotFoundCode, "manage_token")
	_, err = f.s.SetRestriction(ctx, shop, Restriction{Subject: email(who), Ground: "art18_1_a"})
	refused(f.t, err, refusal.NotFoundCode, "subject")
	_, err = f.s.LiftRestriction(ctx, shop, f.lifting(email(who)))
	refused(f.t, err, refusal.NotFoundCode, "subject")
	_, err = f.s.EraseSubject(ctx, shop, Erasure{Subject: email(who), Reason: "art17", Mode: "shred_now"})
	refused(f.t, err, refusal.NotFoundCode, "subject")
	f.wrote(before, "")
}

func TestErasure(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b = "a@example.com", "b@example.com"
	r := f.confirmed(a, newsletter, account)
	keep := f.confirmed(b)
	f.withdraw(Withdrawal{Subject: email(a), Purposes: []string{offers}})
	for at, e := range map[string]Erasure{
		"subject":       {Reason: "art17", Mode: "shred_now"},
		"subject.email": {Subject: email("no"), Reason: "art17", Mode: "shred_now"},
		"reason":        {Subject: email(a), Mode: "shred_now"},
		"mode":          {Subject: email(a), Reason: "art17", Mode: "later"},
		"not_before":    {Subject: email(a), Reason: "art17", Mode: "shred_now", NotBefore: time.Now()},
	} {
		_, err := f.s.EraseSubject(ctx, shop, e)
		refused(t, err, refusal.InvalidArgument, at)
	}
	_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "art17"})
	refused(t, err, refusal.InvalidArgument, "mode") // one must be said
	for _, at := range []time.Time{earliest.Add(-time.Second), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)} {
		_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "art17", Mode: "lock_then_shred", NotBefore: at})
		refused(t, err, refusal.InvalidArgument, "not_before")
	}
	before := f.size()
	done, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "art17", Mode: "shred_now", Proof: true, IdempotencyKey: "erase a"})
	if err != nil || done.Consents != 3 || done.Entry.Index != ledger.Index(before) || done.Shredded.Index != ledger.Index(before)+1 ||
		done.Entry.Receipt == "" || done.ContentsDestroyedAt.IsZero() || !done.ExistenceDestroyedBy.Equal(done.ContentsDestroyedAt.Add(defaultIndexLag)) ||
		!done.LockedUntil.IsZero() || len(done.Suppressed) != 0 {
		t.Fatalf("erased %+v, %v", done, err)
	}
	f.wrote(before, "subject.erased evidence.shredded")
	f.strangers(a, r)
	_, err = f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "art17", Mode: "shred_now", IdempotencyKey: "erase a"})
	refused(t, err, refusal.NotFoundCode, "idempotency_key")
	f.reopen()
	f.strangers(a, r)
	f.checks(b, newsletter, "confirmed")
	if again := f.withdraw(Withdrawal{ManageToken: keep.ManageToken}); len(again) != 1 {
		t.Errorf("a survivor's manage token: %s", shows(again))
	}
	if rep := f.verify(); rep.PendingErasures != 0 {
		t.Errorf("%d erasures wait", rep.PendingErasures)
	}
}

// rowsOf gives the keys of the vault's rows; the ledger is closed meanwhile.
func (f *fixture) rowsOf() map[string]bool {
	f.t.Helper()
	f.close()
	rows := map[string]bool{}
	err := badgerdb.Probe(badgerdb.Options{Dir: f.opt.Dir + "/vault"}, func(db *badger.DB) error {
		return eachRow(db, func(key, _ []byte) {
			if key[0] == 'r' {
				// Without the generation: an erasure writes a shard's rows anew.
				key = append(key[:3:3], key[7:]...)
			}
			rows[string(key)] = true
		})
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.open()
	return rows
}

// The same address starts anew and leads nowhere back.
func TestErasedStartsAnew(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.confirmed("b@example.com", newsletter)
	none := f.rowsOf()
	ask := asking(a, newsletter, offers)
	ask.Claims = map[string]string{"ip": "203.0.113.7", "user_agent": "a browser"}
	ask.Attachments = []Attachment{{Claim: "form_snapshot", MediaType: "text/html", Bytes: []byte("<form>")}}
	old, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil {
		t.Fatal(err)
	}
	f.confirm(old.Token)
	with := f.rowsOf()
	f.erase(a)
	without := f.rowsOf()
	for key := range without {
		if !none[key] {
			t.Errorf("a row of kind %q is left", key[:1])
		}
	}
	if len(without) != len(none) {
		t.Errorf("%d rows before the person, %d after", len(none), len(without))
	}
	r, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil {
		t.Fatal(err)
	}
	if r.Token == old.Token || r.ManageToken == old.ManageToken {
		t.Error("a token came back")
	}
	f.checks(a, newsletter, "pending")
	list, err := f.s.ListConsents(ctx, email(a))
	if err != nil || len(list) != 2 {
		t.Errorf("consents %s, %v", shows(list), err)
	}
	for key := range f.rowsOf() {
		// The blind index has the same row for the same address until its key is
		// replaced.
		if with[key] && !none[key] && !isIndexRow(key) {
			t.Errorf("a row of kind %q is that of before the erasure", key[:1])
		}
	}
	seen := map[ledger.Hash]bool{}
	for _, e := range f.entriesFrom(0) {
		for _, c := range e.Commits {
			if e.Index < ledger.Index(r.Consents[0].ID) {
				seen[c.Digest] = true
			} else if seen[c.Digest] {
				t.Errorf("entry %d has a commitment of before the erasure", e.Index)
			}
		}
	}
	_, err = f.s.ConfirmConsent(ctx, shop, Click{Token: old.Token})
	refused(t, err, refusal.NotFoundCode, "token")
	f.confirm(r.Token)
	f.checks(a, newsletter, "confirmed")
}

// isIndexRow: 'r' shard:u16 'i' …, as rowsOf gives it.
func isIndexRow(key string) bool { return key[0] == 'r' && key[3] == 'i' }

func TestErasureOf600Consents(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.requests(a, 2*consentsPerEntry+1)
	f.withdraw(Withdrawal{Subject: email(a)})
	before := f.size()
	if done := f.erase(a); done.Consents != 2*consentsPerEntry+1 || done.Shredded.Index != done.Entry.Index+3 {
		t.Errorf("erased %+v", done)
	}
	f.wrote(before, "subject.erased subject.erased subject.erased evidence.shredded")
	f.checks(a, newsletter, "unknown_subject")
	f.confirmed(a)
	f.checks(a, newsletter, "confirmed")
}

// Erasures that wait together share a group, and one replacement of the root.
func TestErasuresShareAGroup(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const n = 20
	who := func(i int) string { return fmt.Sprintf("person%d@example.com", i) }
	var made [n + 1]*Requested
	for i := range made {
		made[i] = f.confirmed(who(i))
	}
	var mu sync.Mutex
	shredded := map[ledger.Index]bool{}
	var list []func()
	for i := range n {
		list = append(list, func() {
			done, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(who(i)), Reason: "retention", Mode: "shred_now"})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			shredded[done.Shredded.Index] = true
		})
	}
	before := f.size()
	f.together(list...)
	f.wrote(before, strings.Repeat("subject.erased ", n)+"evidence.shredded")
	if len(shredded) != 1 {
		t.Errorf("%d entries evidence.shredded", len(shredded))
	}
	for i := range n {
		f.checks(who(i), newsletter, "unknown_subject")
	}
	f.checks(who(n), newsletter, "confirmed")
}

var errPowerCut = errors.New("the power is gone")

// failAt gives a fault that comes at the n-th time a step is reached, and from
// then on at every step.
func failAt(step string, n int) func(string) error {
	gone := false
	return func(name string) error {
		if name == step {
			n--
		}
		if gone = gone || n == 0; gone {
			return errPowerCut
		}
		return nil
	}
}

// A crash between the entry and the shredding: the person is a stranger at once,
// nothing more is recorded, and the next start finishes and says so.
func TestCrashDuringErasure(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault    func(string) error
		recorded string // entries that are on disk when the ledger is opened anew
	}{
		"published, not shredded":             {failAt("before shred", 1), "subject.erased"},
		"on disk, not published":              {failAt("after log", 1), "subject.erased"},
		"in the head, not published":          {failAt("after head", 1), "subject.erased"},
		"shredded, not recorded":              {failAt("before log", 2), "subject.erased"},
		"shredded, recorded, not in the head": {failAt("after log", 2), "subject.erased evidence.shredded"},
		"not recorded":                        {failAt("before log", 1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newService(t)
			const a, b = "a@example.com", "b@example.com"
			r := f.confirmed(a)
			f.confirmed(b)
			before := f.size()
			f.setFault(test.fault)
			_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "art17", Mode: "shred_now"})
			refused(t, err, refusal.UnavailableCode, "")
			if f.size() > before {
				f.checks(a, newsletter, "unknown_subject")
				if list, err := f.s.ListConsents(ctx, email(a)); err != nil || len(list) != 0 {
					t.Errorf("consents %s, %v", shows(list), err)
				}
			} else if d, err := f.s.CheckConsent(ctx, Question{Subject: email(a), Purpose: newsletter, Channel: "email"}); err != nil ||
				d.Reason != "confirmed" && d.Reason != "unknown_subject" {
				t.Errorf("check %+v, %v", d, err)
			}
			f.checks(b, newsletter, "confirmed")
			f.nothingIsRecorded(r)
			f.setFault(nil)
			f.reopen()
			if test.recorded == "" {
				f.wrote(before, "")
				f.checks(a, newsletter, "confirmed")
				f.erase(a)
			}
			f.wrote(before, "subject.erased evidence.shredded")
			f.strangers(a, r)
			f.checks(b, newsletter, "confirmed")
			f.confirmed(a)
			if !strings.Contains(f.log.String(), "finishing an erasure") && test.recorded == "subject.erased" {
				t.Errorf("the log does not say that an erasure was finished: %s", f.log)
			}
		})
	}
}

// nothingIsRecorded checks that after a fault every method that writes refuses.
func (f *fixture) nothingIsRecorded(r *Requested) {
	f.t.Helper()
	before := f.size()
	if f.s.Fault() == nil {
		f.t.Error("there was a fault, and Fault says nothing")
	}
	_, err := f.s.RequestConsent(ctx, shop, asking("new@example.com"))
	refused(f.t, err, refusal.UnavailableCode, "")
	_, err = f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token})
	refused(f.t, err, refusal.UnavailableCode, "")
	_, err = f.s.RejectConfirmation(ctx, shop, Click{Token: r.Token})
	refused(f.t, err, refusal.UnavailableCode, "")
	_, _, err = f.s.RecordConfirmationSent(ctx, shop, SentMail{ConsentIDs: ids(r.Consents)})
	refused(f.t, err, refusal.UnavailableCode, "")
	_, _, err = f.s.RecordUses(ctx, shop, Uses{ConsentIDs: ids(r.Consents)})
	refused(f.t, err, refusal.UnavailableCode, "")
	_, err = f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email("new@example.com")})
	refused(f.t, err, refusal.UnavailableCode, "")
	_, err = f.s.SetRestriction(ctx, shop, Restriction{Subject: email("new@example.com"), Ground: "art18_1_a"})
	refused(f.t, err, refusal.UnavailableCode, "")
	_, err = f.s.LiftRestriction(ctx, shop, f.lifting(email("new@example.com")))
	refused(f.t, err, refusal.UnavailableCode, "")
	_, err = f.s.EraseSubject(ctx, shop, Erasure{Subject: email("new@example.com"), Reason: "art17", Mode: "shred_now"})
	refused(f.t, err, refusal.UnavailableCode, "")
	_, _, err = f.s.DefinePurpose(ctx, admin, PurposeDefinition{ID: "more", Title: "More"})
	refused(f.t, err, refusal.UnavailableCode, "")
	_, _, err = f.s.PublishNotice(ctx, admin, NoticePublication{ID: "more", Language: "de", Text: "Mehr.", Purposes: []string{newsletter}})
	refused(f.t, err, refusal.UnavailableCode, "")
	f.wrote(before, "")
	if strings.Contains(fmt.Sprint(f.s.Fault()), "example.com") {
		f.t.Errorf("the fault names somebody: %v", f.s.Fault())
	}
}

// A vault that cannot begin to shred: what lies in the way of the next root.
func TestShreddingFails(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	r := f.confirmed(a)
	before := f.size()
	if err := os.WriteFile(f.opt.Dir+"/root.key.next", []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "art17", Mode: "shred_now"})
	refused(t, err, refusal.UnavailableCode, "")
	f.checks(a, newsletter, "unknown_subject")
	f.nothingIsRecorded(r)
	f.wrote(before, "subject.erased")
	f.reopen()
	f.wrote(before, "subject.erased evidence.shredded")
	f.strangers(a, r)
}
