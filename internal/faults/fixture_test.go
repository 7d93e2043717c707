// Package faults holds no code but its tests: what becomes of a ledger's directory
// that a disk, a copy or a hand has damaged. Start with [TestEveryByte] and
// [TestFaults].
//
// What must hold: each fault is noticed, by a start that refuses, says why and what
// to do, and changes nothing, or by `ledgerd check`; or it is harmless, because the
// ledger answers and is checked as before. Nothing that was acknowledged is lost in
// silence.
package faults

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
)

var ctx = context.Background()

var (
	shop  = service.Source{Name: "shop", Role: "app"}
	legal = service.Source{Name: "counsel", Role: "legal"}
	admin = service.Source{Name: "admin", Role: "admin"}
)

const origin = "ledger.example.com/faults"

func email(who string) service.Subject { return service.Subject{Email: who + "@example.org"} }

// life is a ledger that is written to, and where the directories of its life are kept.
type life struct {
	t   testing.TB
	dir string
	s   *service.Service
}

func (l *life) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *life) open() {
	l.t.Helper()
	var err error
	l.s, err = service.Open(service.Options{Dir: l.dir})
	l.must(err)
}

func (l *life) close() {
	l.t.Helper()
	l.must(l.s.Close())
}

// kept copies the directory as it lies on the disk now: with an open ledger that is
// idle, what a killed process leaves.
func (l *life) kept(name string) string {
	l.t.Helper()
	to := filepath.Join(filepath.Dir(l.dir), name)
	copyTree(l.t, l.dir, to)
	return to
}

func (l *life) confirmed(who string) *service.Requested {
	l.t.Helper()
	r, err := l.s.RequestConsent(ctx, shop, service.ConsentRequest{Subject: email(who), Purposes: []string{"newsletter"}, Channel: "email",
		Notice: "newsletter-en@1", Method: "web_form", Claims: map[string]string{"ip": "203.0.113.7"}, IdempotencyKey: "ask " + who,
		Attachments: []service.Attachment{{Claim: "form_snapshot", FileName: "form.html", MediaType: "text/html", Bytes: bytes.Repeat([]byte("form "), 200)}}})
	l.must(err)
	_, err = l.s.ConfirmConsent(ctx, shop, service.Click{Token: r.Token})
	l.must(err)
	return r
}

// events records something of every kind of row that log and vault have.
func (l *life) events(round int) {
	l.t.Helper()
	name := func(who string) string { return fmt.Sprintf("%s%d", who, round) }
	anna := l.confirmed(name("anna"))
	var ids []ledger.ConsentID
	for _, c := range anna.Consents {
		ids = append(ids, c.ID)
	}
	mail := []byte("Subject: thank you\r\n\r\nfor " + name("anna"))
	_, _, err := l.s.RecordConfirmationSent(ctx, shop, service.SentMail{ConsentIDs: ids, SHA256: sha256.Sum256(mail), Message: mail, MTAResponse: "250 ok"})
	l.must(err)
	_, _, err = l.s.RecordUses(ctx, shop, service.Uses{Reference: "spring", ConsentIDs: ids})
	l.must(err)
	_, err = l.s.OpenRequest(ctx, legal, service.RightsRequest{Subject: email(name("anna")), Article: "art15"})
	l.must(err)
	_, err = l.s.SetHold(ctx, legal, service.HoldRequest{ConsentIDs: ids, Claims: map[string]string{"reason": "a lawsuit"}})
	l.must(err)
	_, err = l.s.NotifyRecipient(ctx, legal, service.Notification{Index: ledger.Index(ids[0]), Claims: map[string]string{"recipient": "a mail house"}})
	l.must(err)
	_, err = l.s.GiveConsent(ctx, shop, service.Giving{Subject: service.Subject{Phone: fmt.Sprintf("+49301234567%d", round)}, Purposes: []string{"account"},
		Channel: "phone", Notice: "newsletter-en@1", Method: "oral"})
	l.must(err)
	_, err = l.s.WithdrawConsent(ctx, shop, service.Withdrawal{Subject: email(name("stranger"))})
	l.must(err)
	_, _, err = l.s.AddSuppression(ctx, admin, service.Suppression{Subject: email(name("never"))})
	l.must(err)
	l.confirmed(name("berta"))
	_, err = l.s.EraseSubject(ctx, shop, service.Erasure{Subject: email(name("berta")), Reason: "art17", Mode: "shred_now"})
	l.must(err)
	l.confirmed(name("carl"))
	_, err = l.s.EraseSubject(ctx, shop, service.Erasure{Subject: email(name("carl")), Reason: "art17", Mode: "lock_then_shred"})
	l.must(err)
	signed, size := l.s.Log().Checkpoint()
	_, err = l.s.RecordAnchor(ctx, tlog.Anchor{Size: size, Checkpoint: signed, Token: []byte(name("token")), Stamped: time.Now()})
	l.must(err)
	l.must(os.WriteFile(filepath.Join(l.dir, "anchored.checkpoint"), signed, 0o600))
	_, err = l.s.RotateKey(ctx, admin, service.KeyRotation{})
	l.must(err)
	l.confirmed(name("dora"))
}

// The directories that are damaged, in the order of their life.
type world struct {
	root   string
	fresh  string // new and closed: a table for each database
	logs   string // killed, with everything since in write-ahead logs
	tables string // closed: everything in tables
	both   string // killed again: tables and logs
}

var made struct {
	sync.Once
	world
}

func TestMain(m *testing.M) {
	// Nothing here asks whether a disk keeps what was synced, and memory is faster.
	var st unix.Statfs_t
	if unix.Statfs("/dev/shm", &st) == nil && int64(st.Bavail)*st.Bsize > 1<<30 {
		os.Setenv("TMPDIR", "/dev/shm")
	}
	code := m.Run()
	if made.root != "" {
		os.RemoveAll(made.root)
	}
	os.Exit(code)
}

// make makes the directories, once for all tests. They are only read.
func making(t testing.TB) *world {
	t.Helper()
	made.Do(func() {
		root, err := os.MkdirTemp("", "faults-")
		if err != nil {
			t.Fatal(err)
		}
		made.root = root
		l := &life{t: t, dir: filepath.Join(root, "live")}
		l.must(service.Create(l.dir, origin, "", func(dir string) error {
			keys := filepath.Join(dir, "apikeys")
			if err := authn.Create(keys); err != nil {
				return err
			}
			_, err := authn.Add(keys, "admin", authn.Admin, authn.Options{})
			return err
		}))
		made.fresh = l.kept("fresh")
		l.open()
		for _, p := range []service.PurposeDefinition{{ID: "newsletter", Title: "Newsletter", Marketing: true, DoubleOptIn: true}, {ID: "account", Title: "Account"}} {
			_, _, err := l.s.DefinePurpose(ctx, admin, p)
			l.must(err)
		}
		_, _, err = l.s.PublishNotice(ctx, admin, service.NoticePublication{ID: "newsletter-en", Language: "en", Text: "Yes, write to me.\n", Purposes: []string{"newsletter", "account"}})
		l.must(err)
		_, _, err = l.s.DeclareClaim(ctx, admin, service.ClaimDeclaration{ID: "x.card", Title: "Loyalty card"})
		l.must(err)
		l.events(1)
		made.logs = l.kept("logs")
		l.close()
		made.tables = l.kept("tables")
		l.open()
		l.events(2)
		made.both = l.kept("both")
		l.close()
		l.must(os.RemoveAll(l.dir))
	})
	if made.both == "" {
		t.Fatal("the directories could not be made")
	}
	return &made.world
}

// copyTree copies a directory; holes stay holes.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		data, err := content(path)
		if err == nil {
			err = os.WriteFile(target, data, info.Mode().Perm())
		}
		if err == nil {
			err = os.Truncate(target, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// content reads a file without the hole at its end.
func content(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	end := int64(0)
	for at := int64(0); at < info.Size(); {
		if at, err = unix.Seek(int(f.Fd()), at, unix.SEEK_DATA); err != nil {
			break // no data behind
		}
		if at, err = unix.Seek(int(f.Fd()), at, unix.SEEK_HOLE); err != nil {
			return nil, err
		}
		end = min(at, info.Size())
	}
	data := make([]byte, end)
	_, err = f.ReadAt(data, 0)
	return bytes.TrimRight(data, "\x00"), err
}

// files gives a digest of every file below dir, and its size.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || e.IsDir() {
			return err
		}
		data, err := content(path)
		out[strings.TrimPrefix(path, dir+"/")] = fmt.Sprintf("%x %d %v", sha256.Sum256(data), info.Size(), info.Mode())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// answers says what a ledger answers to whoever asks, and what its check counts.
func answers(s *service.Service) (string, error) {
	report, err := s.Check(nil)
	if err != nil {
		return "", fmt.Errorf("check: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", *report)
	for _, who := range []string{"anna1", "berta1", "carl1", "dora1", "never1", "stranger1", "anna2", "berta2", "carl2", "dora2"} {
		d, err := s.CheckConsent(ctx, service.Question{Subject: email(who), Purpose: "newsletter", Channel: "email"})
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&b, who, d.Allowed, d.Reason, d.State)
	}
	return b.String(), nil
}
