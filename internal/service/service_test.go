package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// fixture is a ledger in a directory of its own. Every test's ledger is checked,
// exported and verified when the test ends.
type fixture struct {
	t   testing.TB
	opt Options
	s   *Service
	log *logLines
	// damaged: the test makes log and vault disagree.
	damaged bool

	clock *testClock
	mu    sync.Mutex
	fault func(step string) error // guarded by mu; what the seam answers
}

var (
	shop  = Source{Name: "shop-frontend", Role: "app"}
	other = Source{Name: "mailer", Role: "app"}
	admin = Source{Name: "admin", Role: "admin"}
	legal = Source{Name: "counsel", Role: "legal"}
)

var ctx = context.Background()

// The registry of every fixture.
const (
	newsletter = "newsletter" // marketing, double opt-in
	offers     = "offers"     // marketing, double opt-in
	account    = "account"    // no marketing, double opt-in
	wording    = "newsletter-de@1"
)

const wordingText = "Ja, ich möchte E-Mails erhalten. Ich kann jederzeit widerrufen.\n"

// newService makes a ledger with three purposes and a notice, and opens it.
func newService(t testing.TB, change ...func(*Options)) *fixture {
	t.Helper()
	f := newFixture(t, change...)
	for _, d := range []PurposeDefinition{
		{ID: newsletter, Title: "Newsletter", Marketing: true, DoubleOptIn: true},
		{ID: offers, Title: "Offers", Marketing: true, DoubleOptIn: true},
		{ID: account, Title: "Account", DoubleOptIn: true},
	} {
		if _, _, err := f.s.DefinePurpose(ctx, admin, d); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := f.s.PublishNotice(ctx, admin, NoticePublication{ID: "newsletter-de", Language: "de", Text: wordingText,
		Purposes: []string{newsletter, offers, account}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// newFixture makes a ledger that holds entry 0 alone, and opens it.
func newFixture(t testing.TB, change ...func(*Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, log: new(logLines), clock: new(testClock)}
	f.opt = Options{Dir: filepath.Join(t.TempDir(), "data"), Logger: slog.New(slog.NewTextHandler(f.log, nil)),
		testOnlyClock: f.clock.now, testOnlyStep: f.step, Memory: MinMemory,
		MaxConfirmationMails: -1} // what it forbids has tests of its own
	for _, c := range change {
		c(&f.opt)
	}
	if err := Create(f.opt.Dir, "ledger.example.com/test", "shop.example.com", nil); err != nil {
		t.Fatal(err)
	}
	f.open()
	t.Cleanup(f.finish)
	return f
}

// asServed gives a ledger as much memory as a server takes, for requests as large.
func asServed(o *Options) { o.Memory = 0 }

func (f *fixture) open() {
	f.t.Helper()
	s, err := Open(f.opt)
	if err != nil {
		f.t.Fatal(err)
	}
	f.s = s
}

func (f *fixture) close() {
	f.t.Helper()
	if err := f.s.Close(); err != nil {
		f.t.Error(err)
	}
	f.s = nil
}

// reopen closes the ledger and opens it anew.
func (f *fixture) reopen() {
	f.t.Helper()
	f.close()
	f.open()
}

// finish verifies the ledger and closes it. What a fault left is opened anew
// first: the ledger on disk is what counts.
func (f *fixture) finish() {
	f.setFault(nil)
	if f.s == nil {
		return
	}
	if f.s.Fault() != nil {
		f.opt.AcceptClock = true
		f.reopen()
	}
	testledger.Verify(f.t, f.s.Log())
	if _, err := f.s.Check(nil); err != nil && !f.damaged {
		f.t.Errorf("checking the ledger: %v", err)
	}
	f.close()
}

// verify gives the verifier's report on an export.
func (f *fixture) verify() *ledger.LogReport {
	f.t.Helper()
	return testledger.VerifyDir(f.t, f.export())
}

// export writes the static copy for auditors into a directory of its own.
func (f *fixture) export() string {
	f.t.Helper()
	dir := f.t.TempDir()
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	if err := snap.Export(dir); err != nil {
		f.t.Fatal(err)
	}
	return dir
}

// setFault says what the seam between the steps of a commit answers.
func (f *fixture) setFault(fault func(step string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *fixture) step(name string) error {
	f.mu.Lock()
	fault := f.fault
	f.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(name)
}

// size is the number of published entries.
func (f *fixture) size() ledger.Size {
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	return snap.Size()
}

// entriesFrom parses the entries from a size on.
func (f *fixture) entriesFrom(from ledger.Size) (list []*ledger.Entry) {
	f.t.Helper()
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	err := snap.Entries(ledger.Index(from), 1<<20, func(_ ledger.Index, b []byte) error {
		e, err := ledger.ParseEntry(b)
		list = append(list, e)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

// kindsFrom names the kinds of the entries from a size on.
func (f *fixture) kindsFrom(from ledger.Size) string {
	f.t.Helper()
	var kinds []string
	for _, e := range f.entriesFrom(from) {
		kinds = append(kinds, string(e.Kind))
	}
	return strings.Join(kinds, " ")
}

// wrote checks which kinds of entries were written since a size.
func (f *fixture) wrote(from ledger.Size, want string) {
	f.t.Helper()
	if got := f.kindsFrom(from); got != want {
		f.t.Errorf("entries written: %q, want %q", got, want)
	}
}

func email(address string) Subject { return Subject{Email: address} }

// asking is a request as a form makes it.
func asking(address string, purposes ...string) ConsentRequest {
	if len(purposes) == 0 {
		purposes = []string{newsletter}
	}
	return ConsentRequest{Subject: email(address), Purposes: purposes, Channel: "email", Notice: wording, Method: "web_form"}
}

func (f *fixture) request(address string, purposes ...string) *Requested {
	f.t.Helper()
	r, err := f.s.RequestConsent(ctx, shop, asking(address, purposes...))
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

func (f *fixture) confirm(token string) *Confirmed {
	f.t.Helper()
	c, err := f.s.ConfirmConsent(ctx, shop, Click{Token: token})
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// confirmed makes a person who has confirmed.
func (f *fixture) confirmed(address string, purposes ...string) *Requested {
	f.t.Helper()
	r := f.request(address, purposes...)
	if c := f.confirm(r.Token); c.AlreadyConfirmed || len(c.Consents) != len(r.Consents) {
		f.t.Fatalf("the first click answers %+v", c)
	}
	return r
}

func (f *fixture) withdraw(w Withdrawal) []Consent {
	f.t.Helper()
	list, err := ofWithdrawal(f.s.WithdrawConsent(ctx, shop, w))
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

func (f *fixture) erase(address string) *Erased {
	f.t.Helper()
	e, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(address), Reason: "art17", Mode: "shred_now"})
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

// checks checks what CheckConsent answers on the channel email: the reason, and
// that exactly the reasons that allow do.
func (f *fixture) checks(address, purpose, reason string) *Decision {
	f.t.Helper()
	return f.checksOn(address, purpose, "email", reason)
}

func (f *fixture) checksOn(address, purpose, channel, reason string) *Decision {
	f.t.Helper()
	d, err := f.s.CheckConsent(ctx, Question{Subject: email(address), Purpose: purpose, Channel: channel})
	if err != nil {
		f.t.Fatal(err)
	}
	if d.Reason != reason || d.Allowed != (reason == "confirmed") {
		f.t.Errorf("check %s: allowed %v, reason %s, want %s", purpose, d.Allowed, d.Reason, reason)
	}
	return d
}

// refused checks that an error is a refusal with this code at this path or rule.
func refused(t testing.TB, err error, code refusal.Code, at string) {
	t.Helper()
	var no *refusal.Error
	switch {
	case err == nil:
		t.Errorf("was accepted, want %s at %q", code, at)
	case !errors.As(err, &no):
		t.Errorf("%v: is no refusal, want %s at %q", err, code, at)
	case no.Code != code || no.At != at:
		t.Errorf("refused with %s at %q (%s), want %s at %q", no.Code, no.At, no.Reason, code, at)
	}
}

// ids gives the consent ids of an answer.
func ids(list []Consent) (all []ledger.ConsentID) {
	for _, c := range list {
		all = append(all, c.ID)
	}
	return all
}

// shows is an answer about consents in short: purpose, state and entry of each.
func shows(list []Consent) string {
	var parts []string
	for _, c := range list {
		parts = append(parts, fmt.Sprintf("%s/%s %s at %d", c.Purpose, c.Channel, c.State, c.Entry.Index))
	}
	return strings.Join(parts, ", ")
}

// logLines collects what is logged.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// testClock is the real clock, moved.
type testClock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// copyDir copies a closed ledger's directory.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	// CopyFS makes files as open as the umask allows.
	for _, name := range []string{"root.key", signingKeysName} {
		if err := os.Chmod(filepath.Join(to, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestCreateAndOpen(t *testing.T) {
	f := newService(t)
	for range 2 {
		if err := Create(f.opt.Dir, "ledger.example.com/test", "", nil); err == nil {
			t.Error("a second ledger was made over the first")
		}
		f.reopen()
	}
	st, err := f.s.Status()
	if err != nil || st.Origin != "ledger.example.com/test" || st.Controller != "shop.example.com" || st.Size != f.size() || st.Fault != nil {
		t.Errorf("status %+v, %v", st, err)
	}
	list, err := f.s.ListPurposes()
	if err != nil || len(list) != 3 || list[0].ID != account || list[2].Title != "Offers" && list[1].Title != "Newsletter" {
		t.Errorf("purposes %+v, %v", list, err)
	}
	if notices, err := f.s.ListNotices(); err != nil || len(notices) != 1 || notices[0].Name != wording {
		t.Errorf("notices %+v, %v", notices, err)
	}
	f.wrote(0, "ledger.created source.declared purpose.defined purpose.defined purpose.defined notice.published")
}
