package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestEntryRoundTrip parses every entry of the story, which has all kinds and all
// lines, and demands the same bytes back.
func TestEntryRoundTrip(t *testing.T) {
	kinds, lines := map[Kind]bool{}, map[string]bool{}
	for i, text := range storyForTest(t).texts {
		e, err := ParseEntry(text)
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		kinds[e.Kind] = true
		for line := range strings.Lines(string(text)) {
			name, _, _ := strings.Cut(line, " ")
			lines[name] = true
		}
		again, err := e.Encode()
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if !bytes.Equal(again, text) {
			t.Errorf("entry %d is\n%s\nand was\n%s", i, again, text)
		}
		for _, c := range e.Commits {
			if h, ok := e.Commit(c.Claim); !ok || h != c.Digest {
				t.Errorf("entry %d: Commit(%s) gives %v, %v", i, c.Claim, h, ok)
			}
		}
		if _, ok := e.Commit("captcha"); ok {
			t.Errorf("entry %d has a commitment that it has not", i)
		}
	}
	for k := range kindTable {
		if !kinds[k] {
			t.Errorf("the story lacks the kind %s", k)
		}
	}
	for _, f := range fields {
		if !lines[f.name] {
			t.Errorf("the story lacks the line %s", f.name)
		}
	}
}

// TestEncodeRefuses makes entries that Encode must not write: it writes nothing
// that ParseEntry would refuse.
func TestEncodeRefuses(t *testing.T) {
	at := time.Date(2026, 11, 21, 22, 36, 0, 0, time.UTC)
	good := func() *Entry {
		return &Entry{Index: 3, Time: at, Kind: SourceDeclared, Source: "ledger", Name: "shop", Role: "app"}
	}
	if _, err := good().Encode(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Entry){
		"unknown kind":       func(e *Entry) { e.Kind = "consent.guessed" },
		"no kind":            func(e *Entry) { e.Kind = "" },
		"negative index":     func(e *Entry) { e.Index = -1 },
		"no source":          func(e *Entry) { e.Source = "" },
		"line feed":          func(e *Entry) { e.Source = "shop\nname x" },
		"not ASCII":          func(e *Entry) { e.Source = "läden" },
		"no time":            func(e *Entry) { e.Time = time.Time{} },
		"year 10000":         func(e *Entry) { e.Time = at.AddDate(8000, 0, 0) },
		"no name":            func(e *Entry) { e.Name = "" },
		"reserved name":      func(e *Entry) { e.Name = "ledger" },
		"consents":           func(e *Entry) { e.Consents = []Link{{1, 1}} },
		"about":              func(e *Entry) { e.About = []ConsentID{1} },
		"occurred":           func(e *Entry) { e.Occurred = at },
		"commit":             func(e *Entry) { e.Commits = []Commitment{{Claim: "email"}} },
		"part without parts": func(e *Entry) { e.Part, e.Parts = 2, 1 },
		"part of no list":    func(e *Entry) { e.Part, e.Parts = 1, 2 },
	} {
		e := good()
		change(e)
		if text, err := e.Encode(); err == nil {
			t.Errorf("%s: Encode wrote\n%s", name, text)
		}
	}
}

// TestEntrySizeLimit stands right at the limit, from both sides.
func TestEntrySizeLimit(t *testing.T) {
	e := &Entry{Index: 1 << 40, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Kind: ConsentUsed, Source: "shop"}
	for id := ConsentID(1e10); ; id++ {
		e.About = append(e.About, id)
		if text, err := e.Encode(); err == nil {
			if len(text) > MaxEntrySize {
				t.Fatalf("wrote %d bytes", len(text))
			}
			continue
		} else if !strings.Contains(err.Error(), "at most 16384") {
			t.Fatal(err)
		}
		break
	}
	e.About = e.About[:len(e.About)-1]
	text, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	// The source fills up to the last byte.
	for len(text) < MaxEntrySize {
		e.Source += "x"
		if text, err = e.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	e.Source += "x"
	if _, err := e.Encode(); err == nil {
		t.Error("wrote an entry of 16,385 bytes")
	}
}

// TestUnprintable puts every byte at every place of a text, with every remainder of the
// sixteen bytes that are looked at together.
func TestUnprintable(t *testing.T) {
	text := []byte(strings.Repeat("az ~\n0", 7))
	for size := range len(text) {
		for at := range size {
			for c := range 256 {
				changed := bytes.Clone(text[:size])
				changed[at] = byte(c)
				want := at
				if c >= ' ' && c <= '~' || c == '\n' {
					want = -1
				}
				if got := unprintable(changed); got != want {
					t.Fatalf("%q: %d, want %d", changed, got, want)
				}
			}
		}
	}
	if got := unprintable([]byte("0123456789abcdef\x00123456789\x80")); got != 16 {
		t.Errorf("the first of two is at %d, want 16", got)
	}
}

// TestParseErrorQuotesNothing plants a value in every line and demands that no
// error repeats it: what does not parse may be personal.
func TestParseErrorQuotesNothing(t *testing.T) {
	const canary = "Erika.Mustermann"
	for _, text := range storyForTest(t).texts {
		lines := strings.SplitAfter(string(text), "\n")
		for i := range lines {
			name, _, _ := strings.Cut(strings.TrimSuffix(lines[i], "\n"), " ")
			changed := strings.Join(lines[:i], "") + name + " " + canary + "\n" + strings.Join(lines[i+1:], "")
			_, err := ParseEntry([]byte(changed))
			if err == nil {
				t.Fatalf("line %d was accepted: %s", i+1, changed)
			}
			var p *ParseError
			if strings.Contains(strings.ToLower(err.Error()), "mustermann") || !errors.As(err, &p) {
				t.Errorf("line %d: %v", i+1, err)
			}
		}
	}
}

// TestParseNewer tells an unknown kind and a later format from what is broken,
// and gives what could be read.
func TestParseNewer(t *testing.T) {
	text := string(exampleLog(t).texts[6])
	e, err := ParseEntry([]byte(strings.Replace(text, "consent.confirmed", "consent.pondered", 1)))
	if !errors.Is(err, ErrNewer) || e.Index != 6 || e.Kind != "consent.pondered" || e.Source != "shop-frontend" || len(e.Consents) != 0 {
		t.Errorf("unknown kind: %v, %+v", err, e)
	}
	e, err = ParseEntry([]byte(strings.Replace(text, "entry/v1", "entry/v2", 1)))
	if !errors.Is(err, ErrNewer) || e.Kind != "" {
		t.Errorf("later format: %v, %+v", err, e)
	}
	_, err = ParseEntry([]byte(strings.Replace(text, "consent.confirmed", "Consent.pondered", 1)))
	if err == nil || errors.Is(err, ErrNewer) {
		t.Errorf("a kind that is no identifier: %v", err)
	}
}

func FuzzParseEntry(f *testing.F) {
	for _, text := range storyForTest(f).texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseEntry(text)
		if e == nil {
			t.Fatal("no entry")
		}
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("accepted %q, writes %q, %v", text, again, err)
		}
	})
}
