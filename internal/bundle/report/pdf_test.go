package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/consentledger/consentledger/ledger"
)

// The licence that goes with the fonts is theirs.
func TestLicence(t *testing.T) {
	dir, err := exec.Command("go", "list", "-f", "{{.Module.Dir}}", "codeberg.org/go-fonts/dejavu/dejavusansmono").Output()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "LICENSE-DejaVu"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("LICENSE-DejaVu"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("LICENSE-DejaVu is not that of the module: %v", err)
	}
}

// plain gives the text of a PDF as pdftotext (poppler) reads it, page by page.
func plain(t testing.TB, pdf []byte) []string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("there is no pdftotext (poppler-utils)")
	}
	cmd := exec.Command(tool, "-enc", "UTF-8", "-layout", "-", "-")
	cmd.Stdin = bytes.NewReader(pdf)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || said.Len() > 0 {
		t.Fatalf("pdftotext: %v, %s", err, &said)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\f"), "\f")
}

// squeeze takes out everything by which lines are broken, and the codes.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '↳' {
			return -1
		}
		return r
	}, s)
}

// Whatever the document says stands in the PDF: nothing is cut off or lost.
func TestPDFSaysEverything(t *testing.T) {
	s := newStory(t)
	s.newsletter()
	for _, l := range Languages() {
		pages := plain(t, s.pdf(l))
		d, err := newDocument(&s.c, l)
		if err != nil {
			t.Fatal(err)
		}
		words := map[string]bool{}
		all := squeeze(strings.Join(pages, ""))
		for _, b := range d.blocks {
			for _, part := range strings.Fields(strings.ReplaceAll(said(b), "↳", "")) {
				words[part] = true
			}
		}
		for w := range words {
			// A long word is broken, and another column may stand between its parts.
			for _, part := range regexp.MustCompile(`.{1,24}`).FindAllString(w, -1) {
				if !strings.Contains(all, part) && len(w) < 40 {
					t.Errorf("%s: the PDF does not say %q", l, w)
				}
			}
		}
		for _, e := range s.c.Entries {
			for line := range strings.Lines(string(e.Text)) {
				if !strings.Contains(all, squeeze(line)) {
					t.Errorf("%s: this line is not printed: %s", l, line)
				}
			}
		}
		if want := d.text(texts.Yes) + " – " + d.text(texts.Recorded); !strings.Contains(squeeze(pages[0]), squeeze(want)) {
			t.Errorf("%s: the first page does not answer:\n%s", l, pages[0])
		}
		for _, want := range []string{"Müller & Söhne GmbH", "Königstraße", "12 €", "„Größe zählt“"} {
			if !strings.Contains(all, squeeze(want)) {
				t.Errorf("%s: %q is not printed", l, want)
			}
		}
	}
}

// said gives the text of a block.
func said(b any) string {
	switch b := b.(type) {
	case title:
		return b.text + " " + b.sub
	case heading:
		return b.text
	case paragraph:
		return b.text
	case verdict:
		return b.question + " " + b.head + " " + b.why
	case pairs:
		var all []string
		for _, r := range b {
			all = append(all, r.label, r.value)
		}
		return strings.Join(all, " ")
	case bullets:
		return strings.Join(b, " ")
	case quote:
		return b.text
	case events:
		var all []string
		for _, v := range b {
			all = append(all, v.sentence, v.utc, v.local, strings.Join(v.notes, " "))
		}
		return strings.Join(all, " ")
	}
	return ""
}

// The list leads to the page on which the entry is printed.
func TestPageReferences(t *testing.T) {
	s := newStory(t)
	s.newsletter()
	pages := plain(t, s.pdf(English))
	reference := regexp.MustCompile(`entry (\d+)\s*\n.*?page (\d+)`)
	seen := 0
	for _, m := range reference.FindAllStringSubmatch(strings.Join(pages, "\n"), -1) {
		var page int
		fmt.Sscan(m[2], &page)
		if page == 0 || !strings.Contains(pages[page-1], "index "+m[1]+"\n") {
			t.Errorf("entry %s is not on page %d", m[1], page)
		}
		seen++
	}
	if seen < 8 {
		t.Errorf("%d references were found", seen)
	}
	last := len(pages)
	if want := fmt.Sprintf("page %d of %d", last, last); !strings.Contains(pages[last-1], want) {
		t.Errorf("the last page is not %q:\n%s", want, pages[last-1])
	}
}

func TestSameBytes(t *testing.T) {
	s := newStory(t)
	s.newsletter()
	for _, l := range Languages() {
		first := s.pdf(l)
		for range 3 {
			if !bytes.Equal(first, s.pdf(l)) {
				t.Fatalf("%s: the same case gives other bytes", l)
			}
		}
		other := newStory(t)
		other.newsletter()
		if !bytes.Equal(first, other.pdf(l)) {
			t.Errorf("%s: a case that is made again gives other bytes", l)
		}
	}
}

// What the fonts do not have, and what would be seen in a wrong order, is printed as
// codes.
func TestHostilePDF(t *testing.T) {
	s := attacked(t)
	for _, l := range Languages() {
		all := squeeze(strings.Join(plain(t, s.pdf(l)), ""))
		for _, want := range []string{"<script>alert(1)</script>", "⟨U+202E⟩gnp.exe⟨U+202C⟩", "⟨U+0000⟩⟨U+001B⟩[31m", "⟨FF⟩", "⟨U+4E2D⟩⟨U+6587⟩", "⟨U+05E9⟩", "⟨U+0645⟩",
			"⟨U+1F600⟩", "é", "⟨U+200B⟩", "⟨U+27E8⟩U+0041⟨U+27E9⟩", "‚Größe‘", "ПриветΩμέγα€", "{purpose}%s%d", strings.Repeat("Ü", 50)} {
			if !strings.Contains(all, want) {
				t.Errorf("%s: %q is not printed", l, want)
			}
		}
		if n := strings.Count(all, "Ü"); n < 5000 {
			t.Errorf("%s: of a name with 5,000 letters %d are printed", l, n)
		}
	}
}

// Reports that are made at once, with letters of their own each, are those that are made
// one after the other.
func TestPDFsAtOnce(t *testing.T) {
	s, hostile := newStory(t), attacked(t)
	s.newsletter()
	one, other := s.pdf(German), hostile.pdf(English)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var a, b bytes.Buffer
			if err := errors.Join(PDF(&a, &s.c, German), PDF(&b, &hostile.c, English)); err != nil {
				t.Error(err)
			} else if !bytes.Equal(a.Bytes(), one) || !bytes.Equal(b.Bytes(), other) {
				t.Error("a report differs from the same one made alone")
			}
		})
	}
	wg.Wait()
}

// Every character has a look or a code, and no line is wider than its column.
func TestAnyCharacter(t *testing.T) {
	d, err := newDocument(&Case{}, German)
	if err != nil {
		t.Fatal(err)
	}
	p := newSheet(d, nil, 0)
	p.newPage()
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		var b strings.Builder
		for range random.IntN(200) {
			switch random.IntN(6) {
			case 0:
				b.WriteRune(rune(random.IntN(0x11000)))
			case 1:
				b.WriteByte(byte(random.IntN(256)))
			case 2:
				b.WriteByte(' ')
			default:
				b.WriteByte(byte('a' + random.IntN(26)))
			}
		}
		for _, look := range []face{sans, bold, mono} {
			safe := p.safe(look, b.String())
			for _, r := range safe {
				if r != '\n' && !p.faces[look].shows(r) && !strings.ContainsRune("⟨⟩", r) {
					t.Fatalf("round %d: %U has no look and no code", round, r)
				}
			}
			line := strings.ReplaceAll(safe, "\n", "")
			parts := p.breakLine(look, 9, line, 40)
			for _, part := range parts {
				if p.width(look, 9, part) > 40.01 {
					t.Fatalf("round %d: %q is %.2f mm wide", round, part, p.width(look, 9, part))
				}
			}
			if squeeze(strings.Join(parts, "")) != squeeze(line) || look == mono && strings.Join(parts, "") != line {
				t.Fatalf("round %d: %q became %q", round, line, parts)
			}
		}
	}
	if err := p.f.Error(); err != nil {
		t.Error(err)
	}
}

// A report of many records is long, and is made all the same.
func TestManyRecords(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	s := newStory(t)
	for range 60 {
		s.add(ledger.Entry{Kind: ledger.ConsentGiven, Purpose: "newsletter", Channel: "post", Notice: ledger.NoticeRef{ID: "n", Version: 1}, Method: "paper", IPPolicy: "none"}, 1,
			"email", "erika@example.com")
		id := ledger.ConsentID(s.next - 1)
		s.c.Consents = append(s.c.Consents, Consent{ID: id})
		s.add(ledger.Entry{Kind: ledger.ConsentWithdrawn, Consents: []ledger.Link{{Consent: id, After: ledger.Index(id)}}}, 0)
		s.c.Questions = append(s.c.Questions, Question{Purpose: "newsletter", Channel: "post", At: s.now, Reason: "withdrawn", Consent: id})
	}
	if err := PDF(io.Discard, &s.c, German); err != nil {
		t.Error(err)
	}
	checkPage(t, s.html(German))
}

func BenchmarkPDF(b *testing.B) {
	s := newStory(b)
	s.newsletter()
	for b.Loop() {
		if err := PDF(io.Discard, &s.c, German); err != nil {
			b.Fatal(err)
		}
	}
}
