package wire_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/consentledger/consentledger/ledger"
)

// tricks are texts that look like others, or like nothing, or change what stands beside
// them. spam is in each, so that a refusal that repeats one is noticed.
const spam = "zqtrick8"

var tricks = map[string]string{
	"NUL":                      spam + "\x00a",
	"an escape sequence":       spam + "\x1b[2J",
	"a line end":               spam + "\r\nx: a",
	"delete":                   spam + "\x7f",
	"C1":                       spam + "\u0085",
	"right to left":            spam + "\u202eabc",
	"an isolate":               spam + "\u2066abc",
	"a mark of direction":      "\u200f" + spam,
	"a blank of no width":      spam + "\u200babc",
	"a joiner":                 spam + "\u2060abc",
	"a byte order mark":        "\ufeff" + spam,
	"a line separator":         spam + "\u2028abc",
	"a soft hyphen":            spam + "\u00adabc",
	"a tag":                    spam + "\U000e0041",
	"a selector":               spam + "\ufe0f",
	"a filler":                 spam + "\u3164",
	"no character":             spam + "\ufffe",
	"private use":              spam + "\ue000",
	"unassigned":               spam + "\U0003ffff",
	"the last":                 spam + "\U0010ffff",
	"a replacement":            spam + "\ufffd",
	"full width":               "ｚｑtrick8" + spam,
	"Cyrillic":                 "а" + spam,
	"decomposed":               "u\u0308" + spam,
	"composed":                 "ü" + spam,
	"marks without an end":     spam + strings.Repeat("\u0301", 500),
	"a ligature":               "ﷺ" + spam,
	"capitals that grow":       strings.Repeat("ŉΐ", 200) + spam,
	"a dotless i":              "ıİ" + spam,
	"digits of another script": "٣" + spam,
	"a format string":          "%s%n%x{{.}}${a}" + spam,
	"a path":                   "../../../../etc/passwd\x00" + spam,
	"a page":                   "<script>alert(1)</script>" + spam,
	"a formula":                "=HYPERLINK(\"" + spam + "\")",
	"a long one":               strings.Repeat(spam, 5000),
}

// noUTF8 are bytes that are no text at all.
var noUTF8 = []string{spam + "\xff", "\xc0\xaf" + spam, "\xed\xa0\x80" + spam, "\xf4\x90\x80\x80" + spam, spam + "\xe2\x82", "\xf8\x88\x80\x80\x80" + spam}

// TestUnicode puts tricks into every text field of every RPC, one at a time. Each is
// recorded or refused as what the caller did wrong, and no refusal and no line of the log
// repeats one. Each field has a few of them; with UNICODE_ALL=1, all, which takes minutes.
func TestUnicode(t *testing.T) {
	t.Parallel()
	r := start(t)
	w := newWorld(t, r)
	all := os.Getenv("UNICODE_ALL") != ""
	names := slices.Sorted(maps.Keys(tricks))
	var procedures sync.WaitGroup
	turn := 0
	for _, procedure := range slices.Sorted(maps.Keys(methods())) {
		m := methods()[procedure]
		if strings.HasSuffix(procedure, "Bundle") || strings.HasSuffix(procedure, "AccessReport") {
			continue // whole documents, which take long; few are made at once
		}
		b, fields, first := &badCaller{t, r, procedure, m}, textFields(m.Input(), ""), turn
		turn += len(fields)
		procedures.Go(func() {
			for i, path := range fields {
				for n, name := range names {
					if !all && (n-first-i)%len(names)%12 != 0 { // in the end every trick was played as often as any other
						continue
					}
					req := badInputs()[procedure].good(w)
					put(req, path, tricks[name])
					b.tricked(path+", "+name, b.send(b.encode(req)))
				}
				for n, bytes := range noUTF8 {
					raw, ok := deep(m.Input(), strings.Split(path, "."), bytes)
					if !ok || !all && n != (first+i)%len(noUTF8) {
						continue // of the first kind are fields of bytes
					}
					contentType, framed := b.frame("proto", raw)
					a := r.post(procedure, r.keys[roleOf(procedure)], contentType, framed)
					if b.tricked(fmt.Sprintf("%s, %q", path, bytes), a); a.code != "invalid_argument" {
						t.Errorf("%s %s, %q: %s", procedure, path, bytes, a.code)
					}
				}
			}
		})
	}
	procedures.Wait()
	if log := r.log.String(); strings.Contains(log, spam) {
		t.Error("the server's log holds what was sent")
	}
	// What is public and was recorded is text that can be shown: no terminal obeys it.
	snap := r.service.Log().Snapshot()
	defer snap.Release()
	found := map[rune]bool{}
	err := snap.Entries(0, int(snap.Size()), func(i ledger.Index, entry []byte) error {
		if !utf8.Valid(entry) {
			t.Errorf("entry %d is no UTF-8", i)
		}
		for _, c := range string(entry) {
			if c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || c == '\u2028') && !found[c] {
				found[c] = true
				t.Errorf("entry %d holds %U:\n%s", i, c, entry)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tricked looks at the answer to a trick.
func (b *badCaller) tricked(name string, a answer) {
	b.t.Helper()
	switch a.code {
	case "ok":
		return
	case "invalid_argument", "failed_precondition", "not_found", "already_exists", "resource_exhausted":
	default:
		b.t.Errorf("%s %s: %d %s: %s", b.procedure, name, a.status, a.code, a.message)
	}
	if strings.Contains(a.body, spam) {
		b.t.Errorf("%s %s: the answer repeats what was sent: %s: %.300s", b.procedure, name, a.code, a.message)
	}
}

// deep is a message in which nothing but the text at a path is set; ok is false where
// that is no string.
func deep(m protoreflect.MessageDescriptor, path []string, text string) (raw []byte, ok bool) {
	name := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(path[0], "[]"), " key"), "{}")
	fd := m.Fields().ByName(protoreflect.Name(name))
	tag := protowire.AppendTag(nil, fd.Number(), protowire.BytesType)
	switch {
	case fd.IsMap():
		number := protowire.Number(2)
		if strings.HasSuffix(path[0], " key") {
			number = 1
		}
		return protowire.AppendBytes(tag, protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), text)), true
	case fd.Message() != nil:
		inner, ok := deep(fd.Message(), path[1:], text)
		return protowire.AppendBytes(tag, inner), ok
	}
	return protowire.AppendString(tag, text), fd.Kind() == protoreflect.StringKind
}
