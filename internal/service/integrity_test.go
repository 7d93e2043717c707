package service

import (
	"bytes"
	"crypto/sha256"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// checked runs Check and demands that it finds nothing wrong.
func (f *fixture) checked() *CheckReport {
	f.t.Helper()
	calls := 0
	r, err := f.s.Check(func(done, total ledger.Size) {
		if calls++; done > total {
			f.t.Errorf("%d of %d done", done, total)
		}
	})
	if err != nil || calls < 2 {
		f.t.Fatalf("check after %d calls of progress: %v", calls, err)
	}
	return r
}

// eventful makes a ledger in which every kind of claim occurs: one person with
// two consents, attachments and a mail, one who objected, one who was erased and
// came back.
func eventful(t *testing.T) *fixture {
	f := newService(t)
	req := asking("anna@example.org", newsletter, account)
	req.Claims = map[string]string{"ip": "203.0.113.42", "user_agent": "a browser"}
	req.Attachments = []Attachment{{Claim: "form_snapshot", FileName: "form.html", MediaType: "text/html", Bytes: bytes.Repeat([]byte("form"), 300_000)}}
	r, err := f.s.RequestConsent(ctx, shop, req)
	if err != nil {
		t.Fatal(err)
	}
	mail := []byte("Subject: please confirm\r\n\r\n" + r.Token)
	if _, _, err := f.s.RecordConfirmationSent(ctx, shop, SentMail{ConsentIDs: ids(r.Consents), SHA256: sha256.Sum256(mail), Message: mail,
		MTAResponse: "250 ok"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, Claims: map[string]string{"ip": "203.0.113.42"}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.s.RecordUses(ctx, shop, Uses{Reference: "spring", ConsentIDs: ids(r.Consents)}); err != nil {
		t.Fatal(err)
	}
	f.withdraw(Withdrawal{Subject: email("anna@example.org"), Claims: map[string]string{"reason": "too many"}})
	f.withdraw(Withdrawal{Subject: email("stranger@example.org")})
	f.confirmed("berta@example.org")
	f.erase("berta@example.org")
	f.request("berta@example.org")
	return f
}

func TestCheckCounts(t *testing.T) {
	t.Parallel()
	f := eventful(t)
	for range 2 {
		r := f.checked()
		want := CheckReport{Origin: r.Origin, Size: f.size(), Root: r.Root,
			Consents: 5, Held: 4, Erased: 1, People: 3,
			// Titles 3; Anna: 2 × (email, ip, user_agent, form_snapshot; message, mta_response; ip, scanner for the click
			// at once), reference, reason; an objection's email; Berta's email, once destroyed.
			Claims: 3 + 2*8 + 2 + 1 + 1, Destroyed: 1, Attachments: 4,
			Purposes: 3, Notices: 1, Sources: 2}
		if *r != want {
			t.Errorf("check reports %+v, want %+v", *r, want)
		}
		f.reopen()
	}
}

// TestCheckVaultAgainstLog appends entries to the log that the vault knows
// nothing of.
func TestCheckVaultAgainstLog(t *testing.T) {
	t.Parallel()
	erased := func(f *fixture, c Consent) []*ledger.Entry {
		return []*ledger.Entry{{Kind: ledger.SubjectErased, Source: shop.Name, Reason: "art17",
			Consents: []ledger.Link{{Consent: c.ID, After: c.Entry.Index}}}}
	}
	for _, test := range []struct {
		name    string
		entries func(*fixture, Consent) []*ledger.Entry
		want    string // in the error; "" for none
	}{
		{"an erasure that waits", erased, ""},
		{"an erasure that was not carried out", func(f *fixture, c Consent) []*ledger.Entry {
			at := time.Now().UTC().Truncate(time.Second)
			return append(erased(f, c), &ledger.Entry{Kind: ledger.EvidenceShredded, Source: ledger.SourceLedger,
				Refers: []ledger.Index{ledger.Index(f.size())}, Generation: 2, Medium: "file", Contents: at, ExistenceDue: at.Add(defaultIndexLag)})
		}, "is recorded as shredded and its person is still there"},
		{"a lock that was not carried out", func(_ *fixture, c Consent) []*ledger.Entry {
			return []*ledger.Entry{{Kind: ledger.SubjectLocked, Source: shop.Name, Reason: "art17", Until: time.Now().UTC().Truncate(time.Second),
				Consents: []ledger.Link{{Consent: c.ID, After: c.Entry.Index}}}}
		}, "an identifier of kind email does not lead back"},
		{"a consent of nobody", func(f *fixture, c Consent) []*ledger.Entry {
			opened := f.entriesFrom(ledger.Size(c.ID))[0]
			return []*ledger.Entry{{Kind: ledger.ConsentRequested, Source: shop.Name, Purpose: c.Purpose, Channel: c.Channel, Notice: opened.Notice,
				Method: "web_form", Lock: ledger.Lock("another"), Expires: opened.Expires, IPPolicy: "none", Commits: opened.Commits}}
		}, "has no person"},
		{"a commitment that nothing opens", func(f *fixture, c Consent) []*ledger.Entry {
			return []*ledger.Entry{{Kind: ledger.ConsentWithdrawn, Source: shop.Name, Consents: []ledger.Link{{Consent: c.ID, After: c.Entry.Index}},
				Commits: []ledger.Commitment{{Claim: "reason", Digest: sha256.Sum256(nil)}}}}
		}, "the claim reason: the vault is damaged: it is not there"},
		{"a commitment under another name", func(f *fixture, c Consent) []*ledger.Entry {
			opened := f.entriesFrom(ledger.Size(c.ID))[0]
			return []*ledger.Entry{{Kind: ledger.ConsentWithdrawn, Source: shop.Name, Consents: []ledger.Link{{Consent: c.ID, After: c.Entry.Index}},
				Commits: []ledger.Commitment{{Claim: "reason", Digest: opened.Commits[0].Digest}}}}
		}, "the vault has it under another name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newService(t)
			f.damaged = true
			r := f.request("anna@example.org")
			g, err := f.s.log.Begin() // the recorder is idle
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.Append(g.Last(), test.entries(f, r.Consents[0])...); err != nil {
				t.Fatal(err)
			}
			if err := g.Commit(nil); err != nil {
				t.Fatal(err)
			}
			rep, err := f.s.Check(nil)
			switch {
			case test.want == "" && (err != nil || rep.Fenced != 1 || rep.Held != 0):
				t.Errorf("check: %v, %+v", err, rep)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("check: %v, want %q", err, test.want)
			case err != nil && strings.Contains(err.Error(), "anna"):
				t.Errorf("the error holds personal data: %v", err)
			}
		})
	}
}

// TestCheckNoticesWrongRegister moves somebody whose consent is in force to the
// register of those who are locked.
func TestCheckNoticesWrongRegister(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.damaged = true
	f.confirmed("anna@example.org", newsletter, account)
	f.withdraw(Withdrawal{Subject: email("anna@example.org")})
	f.clock.advance(31 * 24 * time.Hour)
	f.retain("withdrawn lock newsletter 1")
	f.checked()
	err := f.s.do(ctx, shop, func(t *turn) error {
		who, err := t.person(Identifier{Email, "anna@example.org"})
		if err != nil {
			return err
		}
		if err := t.vault.Plan(who.subject, vault.Change{Lock: true}); err != nil {
			return err
		}
		return t.vault.Keep()
	})
	if err == nil {
		err = f.s.eraser.wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.s.Check(nil); err == nil || !strings.Contains(err.Error(), "an identifier of kind email does not lead back") {
		t.Errorf("check: %v", err)
	}
}

// TestCheckNoticesLostRows takes rows out of the vault, one at a time. Rows that
// the log leads to are missed; how many of each kind those are is counted,
// because a row's key does not say what it is.
func TestCheckNoticesLostRows(t *testing.T) {
	t.Parallel()
	f := newService(t)
	req := asking("anna@example.org", newsletter, account)
	req.Attachments = []Attachment{{Claim: "form_snapshot", MediaType: "text/html", Bytes: bytes.Repeat([]byte("form"), 200_000)}}
	if _, err := f.s.RequestConsent(ctx, shop, req); err != nil {
		t.Fatal(err)
	}
	f.request("anna@example.org")
	claims := f.checked().Claims // the ledger's own in a row each, those of a record in one
	f.close()
	for _, test := range []struct {
		prefix string
		missed int // rows without which a check fails
	}{
		{"k", 1},          // the key of the later consent
		{"v", claims - 2}, // two records with two claims each, one with one
		{"b", 2},          // 800 KB in chunks of 512 KiB
	} {
		t.Run(test.prefix, func(t *testing.T) {
			missed := 0
			for _, key := range f.vaultKeys(test.prefix) {
				value := f.changeVault(key, nil)
				if f.unsound() {
					missed++
				}
				f.changeVault(key, value)
			}
			if missed != test.missed {
				t.Errorf("%d rows are missed, want %d", missed, test.missed)
			}
		})
	}
	f.open()
	f.checked()
}

// unsound reports whether the closed ledger fails to open or to pass the check.
func (f *fixture) unsound() bool {
	f.t.Helper()
	s, err := Open(f.opt)
	if err != nil {
		return true
	}
	_, err = s.Check(nil)
	if err := s.Close(); err != nil {
		f.t.Error(err)
	}
	return err != nil
}

func (f *fixture) vaultDB(use func(txn *badger.Txn) error) {
	f.t.Helper()
	db, err := badgerdb.Open(badgerdb.Options{Dir: filepath.Join(f.opt.Dir, "vault")})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := db.Update(use); err != nil {
		f.t.Error(err)
	}
	if err := db.Close(); err != nil {
		f.t.Fatal(err)
	}
}

// vaultKeys gives the keys of the rows with a prefix; the ledger is closed.
func (f *fixture) vaultKeys(prefix string) (keys [][]byte) {
	f.vaultDB(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefix)})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			keys = append(keys, it.Item().KeyCopy(nil))
		}
		return nil
	})
	return keys
}

// changeVault sets a row, or deletes it, and gives what it was.
func (f *fixture) changeVault(key, value []byte) (was []byte) {
	f.vaultDB(func(txn *badger.Txn) error {
		if value != nil {
			return txn.Set(key, value)
		}
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		if was, err = item.ValueCopy(nil); err != nil {
			return err
		}
		return txn.Delete(key)
	})
	return was
}
