package service

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// declaration is what an administrator declares: an entry, or the index of the
// one that says the same and stands.
type declaration struct {
	entry  *ledger.Entry
	stands ledger.Index // without an entry
	keep   func()       // is called when the group has taken the entry; nil for nothing
}

// declare records what decide declares, at most once per idempotency key, and
// gives the index of the entry that says so.
func (s *Service) declare(ctx context.Context, src Source, once once, decide func(*turn) (*declaration, error)) (ledger.Index, error) {
	var out *outcome
	err := s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		d, err := decide(t)
		if err != nil {
			return err
		}
		at := d.stands
		if d.entry != nil {
			if at, err = t.next(); err != nil {
				return err
			}
		}
		out = &outcome{Entries: []ledger.Index{at}}
		// What is declared is about nobody.
		if err := once.remember(t, s.vault.LedgerSubject(), out); err != nil {
			return err
		}
		if d.entry == nil {
			return t.vault.Keep()
		}
		if _, err = t.write(d.entry); err == nil && d.keep != nil {
			d.keep()
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return out.Entries[0], nil
}

// checkID checks the id that an administrator gives to something. One that looks
// personal is taken if the administrator insists.
func checkID(id string, insist bool) error {
	switch {
	case !ledger.IsIdentifier(id):
		return refusal.Invalid("id", "is not an identifier: lower-case letters, digits, . _ - ; at most 64 characters")
	case looksPersonal(id) && !insist:
		return refusal.Invalid("id", "looks like a person's name, an address or a number, and ids stand in the log for ever; if it is none, set insist")
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

// asSet gives the words of a list in their one order, each once; nil for none.
func asSet(words []string) []string { return slices.Compact(slices.Sorted(slices.Values(words))) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
