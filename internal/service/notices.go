package service

import (
	"context"
	"slices"
	"strings"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// maxNoticeText is the longest text of a notice in bytes.
const maxNoticeText = 256 << 10

// What a notice is for, and what a consent is a condition of.
const (
	useWording = "wording" // the default
	usePrivacy = "privacy"
	useMail    = "mail"
	tieService = "service"
)

// NoticePublication is a text that will be shown, verbatim, and what is to be
// known about it.
type NoticePublication struct {
	ID       string
	Insist   bool // an ID that looks personal is none
	Language string
	Text     string
	Purposes []string
	// Use says what the text is: the wording of a consent (wording; "" means
	// this), a privacy notice (privacy) or the template of a mail (mail).
	Use string
	// CheckboxDefault says how the checkbox beside the text is shown: unticked, or
	// none if there is no checkbox; "" says nothing. A mail has none.
	CheckboxDefault string
	// ConditionalOn says what the person gets only with the consent: none, or
	// service if a service depends on it; "" says nothing.
	ConditionalOn  string
	Facts          NoticeFacts
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Notice is one version of a notice, as it was published.
type Notice struct {
	ledger.Notice
	Name  string // `newsletter-de@3`
	Facts NoticeFacts
	// Missing names the facts that Art. 13 GDPR asks for and that the notice does
	// not give; a mail need not give any.
	Missing []string
	// Findings names what makes consent under this notice doubtful, by the
	// purposes in force:
	//
	//	tied         a service depends on the consent (Art. 7(4) GDPR)
	//	companies    the wording of a marketing consent does not say for whose
	//	             advertising it is (BGH I ZR 7/16)
	//	advertising  a mail is said not to be free of advertising, which a
	//	             confirmation mail has to be (OLG Düsseldorf I-15 U 64/15)
	Findings []string
}

// PublishNotice publishes a text as the next version of a notice; the versions
// before it stay as they are, and consents opened under them keep naming them.
// The same publication again writes nothing.
func (s *Service) PublishNotice(ctx context.Context, src Source, n NoticePublication) (*Notice, *Entry, error) {
	if err := n.check(); err != nil {
		return nil, nil, err
	}
	facts := n.Facts.document()
	if len(facts) > maxFacts {
		return nil, nil, refusal.Invalid("facts", "have %d bytes as JSON, at most %d", len(facts), maxFacts)
	}
	once, err := s.once(src, n.IdempotencyKey, []any{"PublishNotice", n})
	if err != nil {
		return nil, nil, err
	}
	e := n.entry(facts)
	at, err := s.declare(ctx, src, once, func(t *turn) (*declaration, error) {
		if _, err := t.purposes(n.Purposes); err != nil {
			return nil, err
		}
		before, again, err := t.log.Notice(n.ID, 0)
		if err != nil {
			return nil, err
		}
		e.Notice.Version = before.Version
		if again && sameNotice(before, e) {
			return &declaration{stands: before.Index}, nil
		}
		e.Notice.Version++
		return &declaration{entry: e, keep: func() {
			t.log.PutNotice(e.Notice.SHA256, []byte(n.Text))
			if facts != nil {
				t.log.PutNotice(e.Facts, facts)
			}
		}}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	return s.publishedNotice(at, n.Proof)
}

// check checks a publication by itself.
func (n *NoticePublication) check() error {
	if err := checkID(n.ID, n.Insist); err != nil {
		return err
	}
	if !ledger.IsLanguage(n.Language) {
		return refusal.Invalid("language", "is not a language tag such as de or de-AT")
	}
	if err := checkText("text", n.Text, maxNoticeText, true); err != nil {
		return err
	}
	if err := checkPurposes(n.Purposes, true); err != nil {
		return err
	}
	switch {
	case n.Use != "" && !ledger.IsNoticeUse(n.Use):
		return refusal.Invalid("use", "must be wording, privacy or mail")
	case n.CheckboxDefault == "ticked":
		return refusal.Invalid("checkbox_default", "a box that is ticked already asks for no act of the person, and without one "+
			"there is no consent (recital 32 GDPR; CJEU C-673/17)")
	case n.CheckboxDefault != "" && !ledger.IsCheckbox(n.CheckboxDefault):
		return refusal.Invalid("checkbox_default", "must be unticked or none")
	case n.CheckboxDefault != "" && n.Use == useMail:
		return refusal.Invalid("checkbox_default", "belongs to a form; a mail has no checkbox")
	case n.ConditionalOn != "" && !ledger.IsTie(n.ConditionalOn):
		return refusal.Invalid("conditional_on", "must be none or service")
	}
	return n.Facts.check()
}

// entry gives the entry that publishes the notice, without its version. What is
// the default is not written.
func (n *NoticePublication) entry(facts []byte) *ledger.Entry {
	e := &ledger.Entry{Kind: ledger.NoticePublished, Notice: ledger.NoticeRef{ID: n.ID, SHA256: ledger.TextHash([]byte(n.Text))},
		Language: n.Language, Covers: asSet(n.Purposes), Use: n.Use, Checkbox: n.CheckboxDefault, ConditionalOn: n.ConditionalOn}
	if e.Use == useWording {
		e.Use = ""
	}
	if facts != nil {
		e.Facts = ledger.TextHash(facts)
	}
	return e
}

// sameNotice reports whether an entry says what a notice says.
func sameNotice(n ledger.Notice, e *ledger.Entry) bool {
	return n.NoticeRef == e.Notice && n.Language == e.Language && slices.Equal(n.Covers, e.Covers) &&
		(n.Use == e.Use || n.Use == useWording && e.Use == "") &&
		n.Checkbox == e.Checkbox && n.ConditionalOn == e.ConditionalOn && n.Facts == e.Facts
}

// publishedNotice shows the notice that the entry at i published.
func (s *Service) publishedNotice(i ledger.Index, proof bool) (*Notice, *Entry, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	entry, parsed, err := s.entry(snap, i, proof)
	if err != nil {
		return nil, nil, err
	}
	n, _, err := snap.Notice(parsed.Notice.ID, parsed.Notice.Version)
	if err != nil {
		return nil, nil, err
	}
	shown, err := showNotice(snap, n)
	return shown, &entry, err
}

func showNotice(snap *store.Snapshot, n ledger.Notice) (*Notice, error) {
	shown := &Notice{Notice: n, Name: n.Name()}
	if n.Facts != (ledger.Hash{}) {
		document, err := snap.NoticeText(n.Facts)
		if err != nil {
			return nil, err
		}
		if shown.Facts, err = parseFacts(document); err != nil {
			return nil, err
		}
	}
	if n.Use != useMail {
		shown.Missing = shown.Facts.missing()
	}
	marketing := false
	for _, id := range n.Covers {
		p, _, err := snap.Purpose(id)
		if err != nil {
			return nil, err
		}
		marketing = marketing || p.Marketing
	}
	shown.Findings = shown.findings(marketing)
	return shown, nil
}

func (n *Notice) findings(marketing bool) (names []string) {
	if n.ConditionalOn == tieService {
		names = append(names, "tied")
	}
	if n.Use == useWording && marketing && len(n.Facts.Companies) == 0 {
		names = append(names, "companies")
	}
	if free := n.Facts.AdvertisingFree; n.Use == useMail && free != nil && !*free {
		names = append(names, "advertising")
	}
	return names
}

// ListNotices lists every version of every notice, by id and version.
func (s *Service) ListNotices() ([]*Notice, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	var list []*Notice
	var failed error
	snap.Notices(func(n ledger.Notice) {
		shown, err := showNotice(snap, n)
		if err != nil {
			failed = err
			return
		}
		list = append(list, shown)
	})
	if failed != nil {
		return nil, failed
	}
	slices.SortFunc(list, func(a, b *Notice) int {
		if c := strings.Compare(a.ID, b.ID); c != 0 {
			return c
		}
		return int(a.Version - b.Version)
	})
	return list, nil
}
