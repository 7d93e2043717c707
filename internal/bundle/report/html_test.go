package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/consentledger/consentledger/ledger"
)

// nodes parses HTML as a browser does and gives its elements in order.
func nodes(t testing.TB, page string) (list []*html.Node) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			list = append(list, n)
		}
	}
	return list
}

func inside(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// The attributes that the page may have, by element.
var allowed = map[string]string{
	"html": "lang", "head": "", "meta": "charset http-equiv content name", "title": "", "style": "", "body": "", "h1": "", "h2": "", "h3": "id", "p": "class",
	"section": "class", "table": "class", "thead": "", "tbody": "", "tr": "", "th": "scope", "td": "dir", "br": "", "span": "class", "bdi": "", "a": "href",
	"pre": "dir class", "ul": "", "li": "class", "div": "class", "svg": "role aria-label viewBox", "rect": "fill stroke stroke-width x y width height",
	"circle": "fill stroke stroke-width cx cy r", "line": "stroke stroke-width stroke-dasharray x1 y1 x2 y2", "text": "text-anchor font-family fill x y font-size",
}

// checkPage demands that a page loads nothing, runs nothing and leads nowhere else.
func checkPage(t testing.TB, page string) {
	t.Helper()
	ids, style, policy := map[string]bool{}, "", ""
	list := nodes(t, page)
	for _, n := range list {
		attributes, known := allowed[n.Data]
		if !known {
			t.Errorf("there is an element %q", n.Data)
		}
		for _, a := range n.Attr {
			if !slices.Contains(strings.Fields(attributes), a.Key) {
				t.Errorf("%s has the attribute %q", n.Data, a.Key)
			}
		}
		switch n.Data {
		case "style":
			style = inside(n)
		case "meta":
			if attr(n, "http-equiv") != "" {
				policy = attr(n, "content")
			}
		}
		ids[attr(n, "id")] = true
	}
	sum := sha256.Sum256([]byte(style))
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	if strings.Contains(style, "url(") || strings.Contains(style, "@import") {
		t.Error("the style loads something")
	}
	for _, n := range list {
		if to := attr(n, "href"); n.Data == "a" && (to == "" || to[0] != '#' || !ids[to[1:]]) {
			t.Errorf("a link leads to %q", to)
		}
	}
}

func TestHTML(t *testing.T) {
	s := newStory(t)
	s.newsletter()
	for _, l := range Languages() {
		page := s.html(l)
		checkPage(t, page)
		if page != s.html(l) {
			t.Errorf("%s: the same case gives other bytes", l)
		}
	}
}

// The entries and the notice stand in the page byte for byte.
func TestVerbatim(t *testing.T) {
	s := newStory(t)
	s.newsletter()
	var quoted []string
	for _, n := range nodes(t, s.html(English)) {
		if n.Data == "pre" {
			quoted = append(quoted, inside(n))
		}
	}
	for _, e := range s.c.Entries {
		if !slices.Contains(quoted, string(e.Text)) {
			t.Errorf("this entry is not quoted:\n%s", e.Text)
		}
	}
	if !slices.Contains(quoted, wording) {
		t.Error("the notice is not quoted")
	}
}

// hostile is a text that tries what texts can try.
const hostile = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\" onload='x' &amp; {purpose} %s %d \u202egnp.exe\u202c \x00\x1b[31m \xff 中文 " +
	"שלום مرحبا 😀 e\u0301 \u200b\u2066x\u2069 ⟨U+0041⟩ ﬁ ‚Größe‘ Привет Ωμέγα €"

// hostileFact is a text that a JSON document can have.
var hostileFact = strings.NewReplacer(`"`, `\"`, "\x00", "", "\x1b", "", "\xff", "").Replace(hostile)

// attacked is a case whose every free text is hostile.
func attacked(t testing.TB) *story {
	s := newStory(t)
	n := s.notice("n", hostile)
	id := ledger.ConsentID(s.next)
	s.add(ledger.Entry{Kind: ledger.ConsentGiven, Purpose: "newsletter", Channel: "email", Notice: n, Method: "paper", IPPolicy: "full"}, 3,
		"document", s.file(strings.Repeat("\\u003cb>", 20), "text/html", hostile), "email", strings.ToValidUTF8(hostile, "?"), "name", strings.Repeat("Ü", 5000))
	s.c.Consents = []Consent{{ID: id}}
	s.c.Notices[0].Facts = []byte(`{"` + hostileFact + `":"` + hostileFact + `"}`)
	s.c.Purposes["newsletter"], s.c.Company, s.c.Origin, s.c.Controller = hostile, hostile, hostile, hostile
	s.c.Custody.Recipient, s.c.Custody.Reason, s.c.Custody.Exporter, s.c.Custody.Tool = hostile, hostile, hostile, hostile
	s.c.Trust = []string{hostile}
	s.c.Entries[0].Irregular = []string{hostile}
	at := &ledger.Anchored{Time: s.now, Authority: hostile}
	s.c.Entries[0].Interval = ledger.Interval{NotInLogAt: at, InLogAt: at}
	s.c.Questions = []Question{{Purpose: "newsletter", Channel: "email", At: s.now, Reason: "given", Consent: id}}
	return s
}

func TestHostileHTML(t *testing.T) {
	s := attacked(t)
	for _, l := range Languages() {
		page := s.html(l)
		checkPage(t, page)
		for _, n := range nodes(t, page) {
			if n.Data == "pre" && strings.Contains(inside(n), "alert(1)") {
				for _, want := range []string{"<script>alert(1)</script>", "⟨U+202E⟩gnp.exe⟨U+202C⟩", "⟨U+0000⟩⟨U+001B⟩[31m", "⟨FF⟩", "中文 שלום مرحبا 😀", "⟨U+200B⟩⟨U+2066⟩", "⟨U+27E8⟩U+0041⟨U+27E9⟩"} {
					if !strings.Contains(inside(n), want) {
						t.Errorf("the notice does not show %q: %s", want, inside(n))
					}
				}
			}
		}
		if bytes.ContainsAny([]byte(page), "\x00\x1b\u202e\u2066\u200b") {
			t.Error("the page holds characters that cannot be seen")
		}
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"Größe 12 €\n": "Größe 12 €\n", "a\r\nb": "a\nb", "a\rb": "a⟨U+000D⟩b", "\u00a0": "\u00a0", "x\ufeff": "x⟨U+FEFF⟩",
		"\xc3": "⟨C3⟩", "\xed\xa0\x80": "⟨ED⟩⟨A0⟩⟨80⟩", "\ufffd": "\ufffd", "क\u200dष": "क\u200dष", "\U000e0041": "⟨U+E0041⟩", "⟨": "⟨U+27E8⟩",
	} {
		if got := visible(in, func(rune) bool { return true }); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}
