package ledger

import (
	"errors"
	"testing"
	"time"
)

// errHistory fails at every question, to see that Step passes errors on.
type errHistory struct {
	historyForTest
	fail string
}

var errUnreadable = errors.New("unreadable")

func (h errHistory) Consent(id ConsentID) (Consent, bool, error) {
	if h.fail == "consent" {
		return Consent{}, false, errUnreadable
	}
	return h.historyForTest.Consent(id)
}

func (h errHistory) OpenRequest(lock Hash) (OpenRequest, bool, error) {
	if h.fail == "request" {
		return OpenRequest{}, false, errUnreadable
	}
	return h.historyForTest.OpenRequest(lock)
}

func (h errHistory) Purpose(id string) (Purpose, bool, error) {
	if h.fail == "purpose" {
		return Purpose{}, false, errUnreadable
	}
	return h.historyForTest.Purpose(id)
}

func (h errHistory) Notice(id string, version int64) (Notice, bool, error) {
	if h.fail == "notice" {
		return Notice{}, false, errUnreadable
	}
	return h.historyForTest.Notice(id, version)
}

func (h errHistory) Processor(id string) (Processor, bool, error) {
	if h.fail == "processor" {
		return Processor{}, false, errUnreadable
	}
	return h.historyForTest.Processor(id)
}

func (h errHistory) Claim(name string) (bool, error) {
	if h.fail == "claim" {
		return false, errUnreadable
	}
	return h.historyForTest.Claim(name)
}

func (h errHistory) KeyEntry() (KeyEntry, error) {
	if h.fail == "keys" {
		return KeyEntry{}, errUnreadable
	}
	return h.historyForTest.KeyEntry()
}

func (h errHistory) Source(name string) (Source, bool, error) {
	if h.fail == "source" {
		return Source{}, false, errUnreadable
	}
	return h.historyForTest.Source(name)
}

// TestStepUnreadableHistory demands that what cannot be read is neither a
// violation nor passed over.
func TestStepUnreadableHistory(t *testing.T) {
	at := time.Date(2026, 11, 21, 22, 36, 0, 0, time.UTC)
	ref := NoticeRef{ID: "newsletter-de", Version: 1}
	consent := Consent{ID: 4, Last: 4, State: Requested, Purpose: "newsletter", Channel: "email", Request: 4}
	expires := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	request := &Entry{Index: 5, Time: at, Kind: ConsentRequested, Source: "shop-frontend", Purpose: "newsletter", Channel: "email",
		Notice: ref, Method: "web_form", Lock: Lock(tokenForTest(1)), Expires: expires, IPPolicy: "none", Commits: []Commitment{{Claim: "email"}}}
	confirm := &Entry{Index: 9, Time: at, Kind: ConsentConfirmed, Source: "shop-frontend", Token: tokenForTest(1), Consents: []Link{{4, 4}}}
	use := &Entry{Index: 9, Time: at, Kind: ConsentUsed, Source: "shop-frontend", About: []ConsentID{4}}
	given := *request
	given.Kind = ConsentGiven
	resent := &Entry{Index: 9, Time: at, Kind: ConfirmationResent, Source: "shop-frontend", About: []ConsentID{4},
		Former: Lock(tokenForTest(1)), Lock: Lock(tokenForTest(2)), Expires: expires}
	rotated := rotationForTest(9)
	rotated.Time = at
	for _, v := range []struct {
		e    *Entry
		fail []string
	}{
		{request, []string{"source", "purpose", "notice", "request", "consent"}},
		{confirm, []string{"source", "request", "consent"}},
		{use, []string{"source", "consent"}},
		{&given, []string{"source", "purpose", "notice"}},
		{resent, []string{"source", "request", "consent"}},
		{&Entry{Index: 9, Time: at, Kind: PurposeDefined, Source: "admin", Purpose: "p", Version: 1, Parent: "newsletter", Marketing: "no"},
			[]string{"source", "purpose"}},
		{&Entry{Index: 9, Time: at, Kind: NoticePublished, Source: "admin", Notice: NoticeRef{ID: "n", Version: 1}, Covers: []string{"newsletter"}},
			[]string{"source", "purpose", "notice"}},
		{&Entry{Index: 9, Time: expires.Add(1), Kind: RequestExpired, Source: SourceLedger, Lock: Lock(tokenForTest(1)), Consents: []Link{{4, 4}}},
			[]string{"request", "consent"}},
		{&Entry{Index: 9, Time: at, Kind: SuppressionAdded, Source: "shop-frontend", Purpose: "newsletter"}, []string{"source", "purpose"}},
		{&Entry{Kind: SourceDeclared, Source: SourceLedger, Name: "x"}, []string{"source"}},
		{rotated, []string{"source", "keys"}},
		{&Entry{Index: 9, Time: at, Kind: ClaimDeclared, Source: "admin", Claim: "x.case", Commits: []Commitment{{Claim: "x.ticket"}}}, []string{"source", "claim"}},
		{&Entry{Index: 9, Time: at, Kind: ClaimDeclared, Source: "admin", Claim: "x.case"}, []string{"claim"}},
		{&Entry{Index: 9, Time: at, Kind: ProcessorEngaged, Source: "admin", Processor: "mail-house", Covers: []string{"newsletter"}},
			[]string{"source", "processor", "purpose"}},
		{&Entry{Index: 9, Time: at, Kind: ProcessorEnded, Source: "admin", Processor: "mail-house"}, []string{"processor"}},
		{&Entry{Index: 9, Time: at, Kind: WithdrawalEffected, Source: "shop-frontend", System: "mail-house", About: []ConsentID{4}},
			[]string{"source", "processor", "consent"}},
	} {
		good := historyForTest{consent, ref}
		if _, err := Step(v.e, good); err != nil {
			t.Errorf("%s: %v", v.e.Kind, err)
		}
		for _, fail := range v.fail {
			if _, err := Step(v.e, errHistory{good, fail}); !errors.Is(err, errUnreadable) {
				t.Errorf("%s, %s unreadable: %v", v.e.Kind, fail, err)
			}
		}
	}
}
