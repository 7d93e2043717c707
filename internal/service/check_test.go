package service

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Every reason for which a check does not allow.
func TestChecksFailClosed(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.checks("nobody@example.com", newsletter, "unknown_subject")
	a := "a@example.com"
	f.confirmed(a)
	d := f.checks(a, newsletter, "confirmed")
	if d.Consent == 0 || d.State != "confirmed" || d.Notice != wording || d.Size != f.size() {
		t.Errorf("decision %+v", d)
	}
	f.checks(a, "never_defined", "unknown_purpose")
	f.checks(a, ledger.AllMarketing, "unknown_purpose")
	f.checks("nobody@example.com", "never_defined", "unknown_purpose")
	f.checks(a, account, "no_consent")
	f.checks(a, offers, "no_consent")
	f.checksOn(a, newsletter, "phone", "no_consent")

	f.request("pending@example.com")
	f.checks("pending@example.com", newsletter, "pending")
	rejected := f.request("rejected@example.com")
	if _, err := f.s.RejectConfirmation(ctx, shop, Click{Token: rejected.Token}); err != nil {
		t.Error(err)
	}
	f.checks("rejected@example.com", newsletter, "lapsed")

	f.confirmed("restricted@example.com", newsletter, offers)
	f.restrict("restricted@example.com")
	f.checks("restricted@example.com", newsletter, "restricted")
	f.checks("restricted@example.com", account, "restricted")
	f.confirmed("restricted@example.com") // a new consent does not lift it
	f.checks("restricted@example.com", newsletter, "restricted")
	f.lift("restricted@example.com")
	f.checks("restricted@example.com", newsletter, "confirmed")
	f.checks("restricted@example.com", account, "no_consent")

	f.confirmed("withdrawn@example.com", newsletter, offers)
	f.withdraw(Withdrawal{Subject: email("withdrawn@example.com"), Purposes: []string{offers}})
	f.checks("withdrawn@example.com", newsletter, "confirmed")
	f.checks("withdrawn@example.com", offers, "withdrawn")

	f.withdraw(Withdrawal{Subject: email("objected@example.com")})
	f.checks("objected@example.com", newsletter, "objected")
	f.checks("objected@example.com", account, "no_consent")

	f.confirmed("erased@example.com")
	f.erase("erased@example.com")
	f.checks("erased@example.com", newsletter, "unknown_subject")

	f.clock.advance(7*24*time.Hour + time.Second)
	f.checks("pending@example.com", newsletter, "lapsed")
	f.checks(a, newsletter, "confirmed")
}

func TestBadQuestions(t *testing.T) {
	t.Parallel()
	f := newService(t)
	ask := func(at string, q Question) {
		t.Helper()
		_, err := f.s.CheckConsent(ctx, q)
		refused(t, err, refusal.InvalidArgument, at)
	}
	good := Question{Subject: email("a@example.com"), Purpose: newsletter, Channel: "email"}
	for _, bad := range []Subject{{}, {Email: "a@example.com", ExternalID: "17"}} {
		q := good
		q.Subject = bad
		ask("subject", q)
	}
	q := good
	q.Subject = email("not an address")
	ask("subject.email", q)
	q.Subject = Subject{Phone: "0171"}
	ask("subject.phone", q)
	q.Subject = Subject{ExternalID: "with space"}
	ask("subject.external_id", q)
	q = good
	q.Purpose = "No Purpose"
	ask("purpose", q)
	q = good
	q.Channel = ledger.AnyChannel
	ask("channel", q)
}

func (f *fixture) restrict(address string) []Consent {
	f.t.Helper()
	list, err := f.s.SetRestriction(ctx, shop, Restriction{Subject: email(address), Ground: "art18_1_a"})
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

// lifting lifts somebody's restriction, of which they were just told.
func (f *fixture) lifting(who Subject) Restriction {
	return Restriction{Subject: who, InformedAt: f.clock.now()}
}

func (f *fixture) lift(address string) []Consent {
	f.t.Helper()
	list, err := f.s.LiftRestriction(ctx, shop, f.lifting(email(address)))
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

// A restriction that came and went leaves what it found: also a consent that
// was given after an objection.
func TestRestrictionLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	_, err := f.s.SetRestriction(ctx, shop, Restriction{Subject: email(a), Ground: "art18_1_a"})
	refused(t, err, refusal.NotFoundCode, "subject")
	f.withdraw(Withdrawal{Subject: email(a)})
	f.checks(a, newsletter, "objected")
	f.confirmed(a, newsletter)
	f.checks(a, newsletter, "confirmed")
	f.checks(a, offers, "objected")
	before := f.size()
	if set := f.restrict(a); len(set) != 2 || set[0].Overlays[0] != "restricted" {
		t.Errorf("restricted %+v", set)
	}
	f.wrote(before, "restriction.set restriction.set") // one per request
	f.checks(a, newsletter, "restricted")
	f.restrict(a)
	f.wrote(before, "restriction.set restriction.set")
	f.lift(a)
	f.lift(a)
	f.wrote(before, "restriction.set restriction.set restriction.lifted restriction.lifted")
	f.checks(a, newsletter, "confirmed")
	f.checks(a, offers, "objected")
}

// A consent that is given while an objection stands for another channel, or
// that is older than the objection.
func TestObjectionsAndConsents(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.withdraw(Withdrawal{Subject: email(a), Channel: "phone"})
	f.checksOn(a, newsletter, "phone", "objected")
	f.checks(a, newsletter, "no_consent")
	f.confirmed(a, account)
	f.withdraw(Withdrawal{Subject: email(a), Channel: "email"})
	f.checks(a, account, "confirmed") // no marketing
	f.checks(a, newsletter, "objected")
	f.withdraw(Withdrawal{Subject: email(a), Purposes: []string{account}})
	f.checks(a, account, "withdrawn")
}

// What cannot be read is not allowed, and not taken for a stranger either.
func TestUnreadableVault(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b = "a@example.com", "b@example.com"
	f.request(a)
	f.confirmed(a)
	f.checks(a, newsletter, "confirmed")
	f.close()
	good := f.opt.Dir
	for name, damage := range map[string]func(key []byte) bool{
		"index":   func(key []byte) bool { return isShardRow(key, 'i') },
		"list":    func(key []byte) bool { return key[0] == 'k' },
		"subject": isPersons,
	} {
		f.opt.Dir = copyDir(t, good)
		if n := damageRows(t, filepath.Join(f.opt.Dir, "vault"), damage); n == 0 {
			t.Fatalf("%s: there is no such row", name)
		}
		f.open()
		d := f.checks(a, newsletter, "unavailable")
		if d.Consent != 0 || d.State != "" || d.Size != f.size() {
			t.Errorf("%s: %+v", name, d)
		}
		if _, err := f.s.ListConsents(ctx, email(a)); err == nil {
			t.Errorf("%s: a list of consents came out of a damaged vault", name)
		}
		f.checks(b, newsletter, "unknown_subject")
		if _, err := f.s.Check(nil); err == nil {
			t.Errorf("%s: a check found nothing", name)
		}
		before := f.size()
		if _, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email(a)}); err == nil {
			t.Errorf("%s: a withdrawal took the person for a stranger", name)
		}
		f.wrote(before, "")
		f.close()
	}
	if strings.Contains(f.log.String(), "example.com/") || strings.Contains(f.log.String(), a) {
		t.Errorf("the log names somebody: %s", f.log)
	}
}

// isShardRow tells whether a row of the vault is a shard row of this type:
// 'r' shard:u16 generation:u32 type id.
func isShardRow(key []byte, typ byte) bool {
	return key[0] == 'r' && len(key) > 7 && key[7] == typ
}

// isPersons tells whether a row of the vault is that of a person, who is not the
// ledger.
func isPersons(key []byte) bool {
	return isShardRow(key, 'k') && strings.Trim(string(key[8:]), "\x00") != ""
}

// damageRows flips a bit in the values of chosen rows of a closed database.
func damageRows(t testing.TB, dir string, chosen func(key []byte) bool) (n int) {
	t.Helper()
	db, err := badgerdb.Open(badgerdb.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	txn := db.NewTransaction(true)
	err = eachRow(db, func(key, value []byte) {
		if !chosen(key) {
			return
		}
		value[len(value)-1] ^= 1
		if err := txn.SetEntry(badger.NewEntry(key, value)); err != nil {
			t.Error(err)
		}
		n++
	})
	if err == nil {
		err = txn.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}
