package testledger

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// NoticeText is the text of the one notice that [Fill] publishes.
const NoticeText = "Ja, ich möchte den Newsletter erhalten.\n"

// NoticeFacts is the document of its facts.
const NoticeFacts = `{"controller":"Shop GmbH"}`

// Prelude is how many entries [Fill] writes before the first consent.
const Prelude = 4

// Fill appends n entries in groups of up to 256. In a log that holds nothing but
// entry 0, the first [Prelude] of them declare keys, a purpose and a notice; all
// others are consents that are requested and confirmed, every other one used and
// withdrawn.
func Fill(t testing.TB, s *store.Store, n int) {
	t.Helper()
	for n > 0 {
		g, err := s.Begin()
		if err != nil {
			t.Fatal(err)
		}
		for ; n > 0 && g.Count() < 256; n-- {
			if _, err := g.Append(g.Last().Add(time.Millisecond), Next(t, g)); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
}

// Next gives the entry of Fill's history that follows what the group holds, and
// stores the notice's documents with it. It looks at the group alone, so that a
// history can be continued after the log was opened anew.
func Next(t testing.TB, g *store.Group) *ledger.Entry {
	t.Helper()
	i := g.Next()
	switch i {
	case 1:
		return &ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "admin", Role: "admin"}
	case 2:
		return &ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "newsletter", Version: 1,
			Marketing: "yes", DoubleOptIn: "yes", Lifetime: 604800}
	case 3:
		ref, facts := noticeRef(), ledger.TextHash([]byte(NoticeFacts))
		g.PutNotice(ref.SHA256, []byte(NoticeText))
		g.PutNotice(facts, []byte(NoticeFacts))
		return &ledger.Entry{Kind: ledger.NoticePublished, Source: "admin", Notice: ref, Language: "de", Covers: []string{"newsletter"}, Facts: facts}
	case 4:
		return &ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "shop", Role: "app"}
	}
	// The newest consent stands at most three entries back.
	for back := ledger.Index(1); back <= 3 && i-back > Prelude; back++ {
		c, ok, err := g.Consent(ledger.ConsentID(i - back))
		if err != nil {
			t.Fatal(err)
		} else if ok {
			return follow(t, c, i)
		}
	}
	return Requested(i)
}

// follow gives the entry at index i that follows on the newest consent.
func follow(t testing.TB, c ledger.Consent, i ledger.Index) *ledger.Entry {
	t.Helper()
	links := []ledger.Link{{Consent: c.ID, After: c.Last}}
	switch c.State {
	case ledger.Requested:
		return &ledger.Entry{Kind: ledger.ConsentConfirmed, Source: "shop", Consents: links, Token: Token(ledger.Index(c.ID)),
			Commits: []ledger.Commitment{{Claim: "ip", Digest: sha256.Sum256(fmt.Append(nil, "ip", i))}}}
	case ledger.Confirmed:
		if c.ID%12 < 6 && i == c.Last+1 {
			return &ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: []ledger.ConsentID{c.ID}}
		}
		if c.ID%12 < 6 {
			return &ledger.Entry{Kind: ledger.ConsentWithdrawn, Source: "shop", Consents: links, Method: "link"}
		}
	}
	return Requested(i)
}

func noticeRef() ledger.NoticeRef {
	return ledger.NoticeRef{ID: "newsletter-de", Version: 1, SHA256: ledger.TextHash([]byte(NoticeText))}
}

// Requested gives the request of a consent that will stand at index i. Its token
// is Token(i), good for a hundred years.
func Requested(i ledger.Index) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.ConsentRequested, Source: "shop", Purpose: "newsletter", Channel: "email",
		Notice: noticeRef(), Method: "web_form", Lock: ledger.Lock(Token(i)), Expires: Began.AddDate(100, 0, 0), IPPolicy: "none",
		Commits: []ledger.Commitment{{Claim: "email", Digest: sha256.Sum256(fmt.Append(nil, "email", i))}}}
}

// Token is the token of the request at index i.
func Token(i ledger.Index) string {
	sum := sha256.Sum256(fmt.Append(nil, "token", i))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
