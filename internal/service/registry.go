package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Limits on what administrators define.
const (
	maxTitle         = 256
	defaultLifetime  = 7 * 24 * time.Hour
	minLifetime      = time.Second
	maxLifetime      = 90 * 24 * time.Hour
	maxNoticeText    = 256 << 10
	maxDays          = 36500
	looksPersonalMsg = "looks like a person's name, an address or a number; ids stand in the log for ever"
)

// PurposeDefinition is what data are used for, in the words of an administrator.
type PurposeDefinition struct {
	ID          string
	Title       string
	Marketing   bool
	DoubleOptIn bool
	// DoubleOptInChannels narrows DoubleOptIn; empty means every channel.
	DoubleOptInChannels []string
	// TokenLifetime is how long a confirmation link is good, in whole seconds
	// from 1 s to 90 days; 0 means 7 days.
	TokenLifetime time.Duration
	// Retention, in days; at most 36,500. LockDays: after a consent has ended it
	// is locked (0 means 30). LapsedDays: after a request has lapsed it is
	// shredded (0 means 30). UnusedDays: a consent that is not used for so long
	// is treated as UnusedMeasure says, warn (the default) or expire; 0 means
	// never. EvidenceDays: for how long the evidence of a locked consent is kept
	// after whatever happened last; 0 means until the end of the third calendar
	// year after it.
	LockDays, LapsedDays, UnusedDays, EvidenceDays int64
	UnusedMeasure                                  string
	IdempotencyKey                                 string `json:"-"`
	Proof                                          bool   `json:"-"`
}

// Purpose is a purpose in force.
type Purpose struct {
	PurposeDefinition
	Version int64
	Index   ledger.Index
}

// DefinePurpose defines a purpose, or supersedes it with a new version. The same
// definition again writes nothing.
func (s *Service) DefinePurpose(ctx context.Context, src Source, d PurposeDefinition) (*Purpose, *Entry, error) {
	if err := checkPurposeDefinition(&d); err != nil {
		return nil, nil, err
	}
	once, err := s.once(src, d.IdempotencyKey, []any{"DefinePurpose", d})
	if err != nil {
		return nil, nil, err
	}
	title := newClaim("title", d.Title)
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		before, ok, err := t.log.Purpose(d.ID)
		if err != nil {
			return err
		}
		next, err := t.next()
		if err != nil {
			return err
		}
		same := false
		if ok {
			if same, err = s.samePurpose(t, before, d); err != nil {
				return err
			}
		}
		if same {
			next = before.Index
		}
		out = &outcome{Entries: []ledger.Index{next}}
		if err := once.remember(t, s.vault.LedgerSubject(), out); err != nil {
			return err
		}
		if same {
			return t.vault.Keep()
		}
		if err := t.vault.AddClaims(seal(s.vault.LedgerKey(), []claim{title})...); err != nil {
			return err
		}
		_, err = t.write(&ledger.Entry{Kind: ledger.PurposeDefined, Purpose: d.ID, Version: before.Version + 1,
			Marketing: yesNo(d.Marketing), DoubleOptIn: yesNo(d.DoubleOptIn), DOIChannels: d.DoubleOptInChannels,
			Lifetime: int64(d.TokenLifetime / time.Second), LockDays: d.LockDays, LapsedDays: d.LapsedDays, UnusedDays: d.UnusedDays,
			UnusedMeasure: d.UnusedMeasure, EvidenceDays: d.EvidenceDays, Commits: commitments([]claim{title})})
		if err == nil {
			t.titles[next] = d.Title
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return s.definedPurpose(out.Entries[0], d.Proof)
}

func checkPurposeDefinition(d *PurposeDefinition) error {
	if !ledger.IsIdentifier(d.ID) {
		return refusal.Invalid("id", "is not an identifier: lower-case letters, digits, . _ - ; at most 64 characters")
	}
	if d.ID == ledger.AllMarketing {
		return refusal.Invalid("id", "is reserved")
	}
	if looksPersonal(d.ID) {
		return refusal.Invalid("id", looksPersonalMsg)
	}
	if err := checkText("title", d.Title, maxTitle, false); err != nil {
		return err
	}
	for i, c := range d.DoubleOptInChannels {
		if !ledger.IsChannel(c) {
			return refusal.Invalid(fmt.Sprintf("double_opt_in_channels[%d]", i), "is not a channel")
		}
	}
	d.DoubleOptInChannels = slices.Compact(slices.Sorted(slices.Values(d.DoubleOptInChannels)))
	if len(d.DoubleOptInChannels) > 0 && !d.DoubleOptIn {
		return refusal.Invalid("double_opt_in_channels", "narrow double_opt_in, which is not set")
	}
	if d.TokenLifetime == 0 {
		d.TokenLifetime = defaultLifetime
	}
	if d.TokenLifetime < minLifetime || d.TokenLifetime > maxLifetime || d.TokenLifetime%time.Second != 0 {
		return refusal.Invalid("token_lifetime", "must be whole seconds from %v to %v", minLifetime, maxLifetime)
	}
	return checkRetention(d)
}

// checkRetention checks the periods of a purpose and fills in what is left out.
func checkRetention(d *PurposeDefinition) error {
	for _, f := range []struct {
		path string
		days int64
	}{{"lock_days", d.LockDays}, {"lapsed_days", d.LapsedDays}, {"unused_days", d.UnusedDays}, {"evidence_days", d.EvidenceDays}} {
		if f.days < 0 || f.days > maxDays {
			return refusal.Invalid(f.path, "must lie between 0 and %d", maxDays)
		}
	}
	d.LockDays, d.LapsedDays = orDefault(d.LockDays, defaultLockDays), orDefault(d.LapsedDays, defaultLapsedDays)
	switch {
	case d.UnusedDays == 0 && d.UnusedMeasure != "":
		return refusal.Invalid("unused_measure", "belongs to unused_days, which is not set")
	case d.UnusedDays > 0 && d.UnusedMeasure == "":
		d.UnusedMeasure = measureWarn
	case d.UnusedMeasure != "" && d.UnusedMeasure != measureWarn && d.UnusedMeasure != measureExpire:
		return refusal.Invalid("unused_measure", "must be warn or expire")
	}
	return nil
}

// checkText checks a text that an administrator wrote.
func checkText(path, text string, most int, lines bool) error {
	control := func(r rune) bool { return unicode.IsControl(r) && (!lines || r != '\n' && r != '\r' && r != '\t') }
	switch {
	case strings.TrimSpace(text) == "":
		return refusal.Invalid(path, "is empty")
	case len(text) > most:
		return refusal.Invalid(path, "has %d bytes, at most %d", len(text), most)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, control):
		return refusal.Invalid(path, "is not UTF-8, or has control characters")
	}
	return nil
}

// looksPersonal reports whether an id looks like first.last or a telephone
// number. Addresses cannot be spelled in an identifier.
func looksPersonal(id string) bool {
	digits := strings.Trim(id, "0123456789-._") == "" && len(strings.Trim(id, "-._")) >= 6
	first, last, ok := strings.Cut(id, ".")
	letters := func(s string) bool { return len(s) > 1 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == "" }
	channel := ledger.IsChannel(first) // email.open_tracking and its like
	return digits || ok && letters(first) && letters(last) && !channel
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// samePurpose reports whether a definition says what stands already.
func (s *Service) samePurpose(t *turn, before ledger.Purpose, d PurposeDefinition) (bool, error) {
	title, ok := t.titles[before.Index]
	if !ok {
		text, err := t.log.Entry(before.Index)
		if err != nil {
			return false, err
		}
		if title, err = s.title(text); err != nil {
			return false, err
		}
	}
	return before.Marketing == d.Marketing && before.DoubleOptIn == d.DoubleOptIn && title == d.Title &&
		slices.Equal(before.DOIChannels, d.DoubleOptInChannels) && before.Lifetime == d.TokenLifetime &&
		before.LockDays == d.LockDays && before.LapsedDays == d.LapsedDays && before.UnusedDays == d.UnusedDays &&
		before.UnusedMeasure == d.UnusedMeasure && before.EvidenceDays == d.EvidenceDays, nil
}

// title opens the title that a purpose.defined entry committed to.
func (s *Service) title(text []byte) (string, error) {
	e, err := ledger.ParseEntry(text)
	if err != nil {
		return "", err
	}
	digest, ok := e.Commit("title")
	if !ok {
		return "", nil
	}
	d, _, ok, err := s.vault.OpenClaim(s.vault.LedgerKey(), digest)
	if err == nil && !ok {
		err = fmt.Errorf("the title of entry %d is not in the vault", e.Index)
	}
	return d.Value, err
}

func (s *Service) definedPurpose(i ledger.Index, proof bool) (*Purpose, *Entry, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	entry, parsed, err := s.entry(snap, i, proof)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.showPurpose(snap, ledger.Purpose{ID: parsed.Purpose, Version: parsed.Version, Index: i,
		Marketing: parsed.Marketing == "yes", DoubleOptIn: parsed.DoubleOptIn == "yes", DOIChannels: parsed.DOIChannels,
		Lifetime: time.Duration(parsed.Lifetime) * time.Second, LockDays: parsed.LockDays, LapsedDays: parsed.LapsedDays,
		UnusedDays: parsed.UnusedDays, UnusedMeasure: parsed.UnusedMeasure, EvidenceDays: parsed.EvidenceDays})
	return p, &entry, err
}

func (s *Service) showPurpose(snap *store.Snapshot, p ledger.Purpose) (*Purpose, error) {
	text, err := snap.Entry(p.Index)
	if err != nil {
		return nil, err
	}
	title, err := s.title(text)
	return &Purpose{PurposeDefinition{ID: p.ID, Title: title, Marketing: p.Marketing, DoubleOptIn: p.DoubleOptIn,
		DoubleOptInChannels: p.DOIChannels, TokenLifetime: p.Lifetime, LockDays: p.LockDays, LapsedDays: p.LapsedDays,
		UnusedDays: p.UnusedDays, UnusedMeasure: p.UnusedMeasure, EvidenceDays: p.EvidenceDays}, p.Version, p.Index}, err
}

// ListPurposes lists the newest version of every purpose, by id.
func (s *Service) ListPurposes() ([]*Purpose, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	var list []*Purpose
	var failed error
	snap.Purposes(func(p ledger.Purpose) {
		shown, err := s.showPurpose(snap, p)
		if err != nil {
			failed = err
		}
		list = append(list, shown)
	})
	if failed != nil {
		return nil, failed
	}
	slices.SortFunc(list, func(a, b *Purpose) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// NoticePublication is a text that will be shown, verbatim.
type NoticePublication struct {
	ID             string
	Language       string
	Text           string
	Purposes       []string
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Notice is one version of a notice.
type Notice struct {
	ledger.Notice
	Name string // `newsletter-de@3`
}

// PublishNotice publishes a text as the next version of a notice. The same text
// for the same purposes again writes nothing.
func (s *Service) PublishNotice(ctx context.Context, src Source, n NoticePublication) (*Notice, *Entry, error) {
	if err := checkNotice(n); err != nil {
		return nil, nil, err
	}
	once, err := s.once(src, n.IdempotencyKey, []any{"PublishNotice", n})
	if err != nil {
		return nil, nil, err
	}
	covers := slices.Sorted(slices.Values(n.Purposes))
	sum := ledger.TextHash([]byte(n.Text))
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		for i, p := range n.Purposes {
			if _, err := knownPurpose(t.log, fmt.Sprintf("purposes[%d]", i), p); err != nil {
				return err
			}
		}
		before, ok, err := t.log.Notice(n.ID, 0)
		if err != nil {
			return err
		}
		next, err := t.next()
		if err != nil {
			return err
		}
		same := ok && before.SHA256 == sum && before.Language == n.Language && slices.Equal(before.Covers, covers)
		if same {
			next = before.Index
		}
		out = &outcome{Entries: []ledger.Index{next}}
		if err := once.remember(t, s.vault.LedgerSubject(), out); err != nil {
			return err
		}
		if same {
			return t.vault.Keep()
		}
		_, err = t.write(&ledger.Entry{Kind: ledger.NoticePublished, Language: n.Language, Covers: covers,
			Notice: ledger.NoticeRef{ID: n.ID, Version: before.Version + 1, SHA256: sum}})
		if err == nil {
			t.log.PutNotice(sum, []byte(n.Text))
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	entry, parsed, err := s.entry(snap, out.Entries[0], n.Proof)
	if err != nil {
		return nil, nil, err
	}
	return &Notice{ledger.Notice{NoticeRef: parsed.Notice, Index: parsed.Index, Language: parsed.Language, Covers: parsed.Covers},
		parsed.Notice.Name()}, &entry, nil
}

func checkNotice(n NoticePublication) error {
	if !ledger.IsIdentifier(n.ID) {
		return refusal.Invalid("id", "is not an identifier: lower-case letters, digits, . _ - ; at most 64 characters")
	}
	if looksPersonal(n.ID) {
		return refusal.Invalid("id", looksPersonalMsg)
	}
	if !ledger.IsLanguage(n.Language) {
		return refusal.Invalid("language", "is not a language tag such as de or de-AT")
	}
	if err := checkText("text", n.Text, maxNoticeText, true); err != nil {
		return err
	}
	return checkPurposes(n.Purposes, true)
}

// ListNotices lists every version of every notice, by id and version.
func (s *Service) ListNotices() []Notice {
	snap := s.log.Snapshot()
	defer snap.Release()
	var list []Notice
	snap.Notices(func(n ledger.Notice) { list = append(list, Notice{n, n.Name()}) })
	slices.SortFunc(list, func(a, b Notice) int {
		if c := strings.Compare(a.ID, b.ID); c != 0 {
			return c
		}
		return int(a.Version - b.Version)
	})
	return list
}

// Status is how the ledger stands.
type Status struct {
	Origin, Controller string
	Size               ledger.Size
	Root               ledger.Hash
	LastEntry          time.Time
	Fault              error // why nothing is recorded, or nil
}

// Status tells how the ledger stands.
func (s *Service) Status() (*Status, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	_, first, err := readEntry(snap, 0)
	if err != nil {
		return nil, err
	}
	chain := snap.Chain()
	return &Status{s.log.Origin(), first.Controller, snap.Size(), snap.Root(), chain.Last(), s.Fault()}, nil
}
