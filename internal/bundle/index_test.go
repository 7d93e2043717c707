package bundle

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

func pointer[T any](v T) *T { return &v }

var (
	testMoment = time.Date(2026, 11, 21, 22, 36, 10, 0, time.UTC)
	// testIndex and testCustody have every member that one can have.
	testIndex = &Index{Format: Format, About: AboutConsents, Origin: origin, Size: 1043, Exported: pointer[ledger.Index](1040), Committed: pointer[ledger.Index](1039),
		Consents: []IndexedConsent{
			{ID: 7, Purpose: "newsletter", Channel: "email", Entries: []ledger.Index{7, 8, 12, 1040}},
			{ID: 9, Purpose: "all-marketing", Channel: "any", Entries: []ledger.Index{9, 1040}}},
		Questions: []IndexedQuestion{
			{Purpose: "newsletter", Channel: "email", At: testMoment, Allowed: true, Reason: "confirmed", Consent: pointer[ledger.ConsentID](7), Hindsight: true},
			{Purpose: "newsletter", Channel: "sms", At: testMoment, Reason: "no_consent"}},
		Range: &IndexedRange{Start: 3, End: 12}}
	testCustody = &Custody{Format: CustodyFormat, Origin: origin, Made: testMoment, Exporter: "legal-desk", Recipient: "Landgericht München I <a&b>",
		Reason: "Az. 1 O 2/26, \"Beweis\"\n\u2028", Tool: "ledgerd 1.0", Exported: pointer[ledger.Index](1040), Disclosed: []ledger.Index{1041, 1042}, Size: 1043}
)

const testIndexText = `{
  "format": "consent-ledger/bundle/v1",
  "about": "consents",
  "origin": "ledger.example.com/shop",
  "size": 1043,
  "exported": 1040,
  "committed": 1039,
  "consents": [
    {
      "consent": 7,
      "purpose": "newsletter",
      "channel": "email",
      "entries": [
        7,
        8,
        12,
        1040
      ]
    },
    {
      "consent": 9,
      "purpose": "all-marketing",
      "channel": "any",
      "entries": [
        9,
        1040
      ]
    }
  ],
  "questions": [
    {
      "purpose": "newsletter",
      "channel": "email",
      "at": "2026-11-21T22:36:10Z",
      "allowed": true,
      "reason": "confirmed",
      "consent": 7,
      "hindsight": true
    },
    {
      "purpose": "newsletter",
      "channel": "sms",
      "at": "2026-11-21T22:36:10Z",
      "allowed": false,
      "reason": "no_consent",
      "hindsight": false
    }
  ],
  "range": {
    "start": 3,
    "end": 12
  }
}
`

const testCustodyText = `{
  "format": "consent-ledger/custody/v1",
  "origin": "ledger.example.com/shop",
  "made": "2026-11-21T22:36:10Z",
  "exporter": "legal-desk",
  "recipient": "Landgericht München I <a&b>",
  "reason": "Az. 1 O 2/26, \"Beweis\"\n\u2028",
  "tool": "ledgerd 1.0",
  "exported": 1040,
  "disclosed": [
    1041,
    1042
  ],
  "size": 1043
}
`

// TestIndexText holds the two documents to the bytes that FORMAT.md describes, and
// parses them back.
func TestIndexText(t *testing.T) {
	if got := string(testIndex.Text()); got != testIndexText {
		t.Errorf("the index is\n%s", got)
	}
	if got := string(testCustody.Text()); got != testCustodyText {
		t.Errorf("custody is\n%s", got)
	}
	for _, x := range []*Index{testIndex,
		{Format: Format, About: AboutRange, Origin: origin, Size: 12, Range: &IndexedRange{Start: 3, End: 12}},
		{Format: Format, Exported: pointer[ledger.Index](0), Questions: []IndexedQuestion{{At: testMoment.Add(1500 * time.Microsecond), Consent: pointer[ledger.ConsentID](0)}}}} {
		if got, err := ParseIndex(x.Text()); err != nil || !reflect.DeepEqual(got, x) {
			t.Errorf("%s\nis read as\n%+v, %v", x.Text(), got, err)
		}
	}
	for _, c := range []*Custody{testCustody, {Format: CustodyFormat, Made: testMoment}} {
		if got, err := ParseCustody(c.Text()); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s\nis read as\n%+v, %v", c.Text(), got, err)
		}
	}
}

// TestIndexFormat: a container opens by the first member of its index, and only then.
func TestIndexFormat(t *testing.T) {
	head := func(b []byte) string { return string(b[:min(len(b), formatHead)]) }
	if err := checkFormat(head(testIndex.Text())); err != nil {
		t.Error(err)
	}
	if err := checkFormat(head(testCustody.Text())); err == nil {
		t.Error("custody.json passes for the index")
	}
	if field := reflect.TypeFor[Index]().Field(0); field.Tag.Get("json") != "format" {
		t.Errorf("the first member is %s", field.Name)
	}
}

// TestIndexRefused changes the two documents: all that is not their one spelling is
// refused.
func TestIndexRefused(t *testing.T) {
	replace := func(before, after string) func(string) string {
		return func(s string) string { return strings.Replace(s, before, after, 1) }
	}
	compact := func(s string) string {
		var b bytes.Buffer
		if err := json.Compact(&b, []byte(s)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	both := map[string]func(string) string{
		"empty":                    func(string) string { return "" },
		"null":                     func(string) string { return "null\n" },
		"an array":                 func(s string) string { return "[" + s + "]" },
		"no LF at the end":         func(s string) string { return strings.TrimSuffix(s, "\n") },
		"another LF":               func(s string) string { return s + "\n" },
		"a second document":        func(s string) string { return s + s },
		"something behind it":      func(s string) string { return s + "x" },
		"a space before":           func(s string) string { return " " + s },
		"a byte order mark":        func(s string) string { return "\ufeff" + s },
		"CR":                       func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"one line":                 compact,
		"tabs":                     func(s string) string { return strings.ReplaceAll(s, "  ", "\t") },
		"cut":                      func(s string) string { return s[:len(s)-3] },
		"an unknown member":        replace(`  "origin"`, "  \"more\": 1,\n  \"origin\""),
		"a member twice":           replace(`  "size": 1043`, "  \"size\": 1043,\n  \"size\": 1043"),
		"a member in another case": replace(`"origin"`, `"Origin"`),
		"another order": func(s string) string {
			lines := strings.SplitAfter(s, "\n")
			lines[2], lines[3] = lines[3], lines[2]
			return strings.Join(lines, "")
		},
		"an absent member spelled out": replace(`"exported": 1040`, `"exported": null`),
		"a number as a string":         replace(`"size": 1043`, `"size": "1043"`),
		"a fraction":                   replace(`"size": 1043`, `"size": 1043.0`),
		"an exponent":                  replace(`"size": 1043`, `"size": 1e3`),
		"a number out of range":        replace(`"size": 1043`, `"size": 9223372036854775808`),
		"a negative zero":              replace(`"exported": 1040`, `"exported": -0`),
		"an escape that is not needed": replace("ledger.example", `\u006cedger.example`),
		"a slash escaped":              replace("com/shop", `com\/shop`),
		"invalid UTF-8":                replace("ledger.example", "\xffedger.example"),
		"decimals that say nothing":    replace("22:36:10Z", "22:36:10.50Z"),
		"no decimals behind the point": replace("22:36:10Z", "22:36:10.Z"),
		"another zone":                 replace("22:36:10Z", "23:36:10+01:00"),
		"an offset of zero":            replace("22:36:10Z", "22:36:10+00:00"),
		"no such day":                  replace("2026-11-21T", "2026-11-31T"),
		"no time":                      replace("2026-11-21T22:36:10Z", "yesterday"),
	}
	refuse := func(what, before string, change func(string) string, parse func([]byte) error) {
		t.Helper()
		after := change(before)
		if after == before {
			t.Errorf("%s: nothing was changed", what)
		}
		if err := parse([]byte(after)); err == nil {
			t.Errorf("%s: accepted:\n%s", what, after)
		}
	}
	index := func(b []byte) error { _, err := ParseIndex(b); return err }
	custody := func(b []byte) error { _, err := ParseCustody(b); return err }
	for what, change := range both {
		refuse("index: "+what, testIndexText, change, index)
		refuse("custody: "+what, testCustodyText, change, custody)
	}
	for what, change := range map[string]func(string) string{
		"an unknown member of a consent":  replace(`      "channel": "email",`, "      \"channel\": \"email\",\n      \"state\": \"confirmed\","),
		"an unknown member of a question": replace(`      "hindsight": true`, "      \"hindsight\": true,\n      \"x\": 1"),
		"an unknown member of the range":  replace(`    "end": 12`, "    \"end\": 12,\n    \"x\": 1"),
		"an empty list":                   replace(testIndexText[strings.Index(testIndexText, `"questions"`):strings.Index(testIndexText, `  "range"`)], "\"questions\": [],\n"),
		"a false that is not said":        replace("      \"allowed\": false,\n", ""),
	} {
		refuse("index: "+what, testIndexText, change, index)
	}
	for what, change := range map[string]func(string) string{
		"another format":       replace("custody/v1", "custody/v2"),
		"no format":            replace("  \"format\": \"consent-ledger/custody/v1\",\n", ""),
		"an empty recipient":   replace("Landgericht München I <a&b>", ""),
		"characters escaped":   replace("<a&b>", `\u003ca\u0026b\u003e`),
		"a separator raw":      replace(`\u2028`, "\u2028"),
		"an escape upper-case": replace(`\u2028`, `\U2028`),
	} {
		refuse("custody: "+what, testCustodyText, change, custody)
	}
}

// FuzzIndex: what is accepted has one spelling.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(testIndexText))
	f.Add([]byte(testCustodyText))
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := ParseIndex(b); err == nil && !bytes.Equal(x.Text(), b) {
			t.Errorf("%q is read as %q", b, x.Text())
		}
		if c, err := ParseCustody(b); err == nil && !bytes.Equal(c.Text(), b) {
			t.Errorf("%q is read as %q", b, c.Text())
		}
	})
}

// TestIndexBounds: an index that would cost much more memory than it has bytes is
// refused before it is decoded; one of as many entries as fit is not.
func TestIndexBounds(t *testing.T) {
	for want, b := range map[string]string{
		"more records":            `{"consents":[{}` + strings.Repeat(",{}", 1<<20) + `]}`,
		"not in its one spelling": `{"consents":[{"entries":[0` + strings.Repeat(",0", 1<<20) + `]}]}`,
	} {
		allocated := testing.AllocsPerRun(1, func() {
			if _, err := ParseIndex([]byte(b)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		})
		if allocated > 100 {
			t.Errorf("%s: %v allocations", want, allocated)
		}
	}
	full := &Index{Format: Format, Range: &IndexedRange{}}
	for range MaxFiles {
		full.Consents = append(full.Consents, IndexedConsent{Entries: []ledger.Index{0}})
		full.Questions = append(full.Questions, IndexedQuestion{At: testMoment})
	}
	full.Consents[0].Entries = make([]ledger.Index, 1<<16)
	if _, err := ParseIndex(full.Text()); err != nil {
		t.Error(err)
	}
	full.Consents = append(full.Consents, full.Consents[1])
	if _, err := ParseIndex(full.Text()); err == nil || !strings.Contains(err.Error(), "more records") {
		t.Errorf("a record more than there can be: %v", err)
	}
}

// TestIndexDocumented holds the tables of FORMAT.md to the members of the two documents:
// the same, in the same order, and absent where they may be.
func TestIndexDocumented(t *testing.T) {
	text, err := os.ReadFile("../../ledger/FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z.\\[\\]]+)` \\| (–|may) \\| .+ \\|$")
	for head, v := range map[string]any{"evidence/bundle.json": Index{}, "custody.json": Custody{}} {
		_, table, ok := strings.Cut(string(text), "\n| member of `"+head+"` | absent | value |\n")
		table, _, _ = strings.Cut(table, "\n\n")
		var documented []string
		for _, cells := range row.FindAllStringSubmatch(table, -1) {
			documented = append(documented, cells[1]+" "+cells[2])
		}
		if want := membersOf(reflect.TypeOf(v), ""); !ok || !slices.Equal(documented, want) || strings.Count(table, "\n") != len(want) {
			t.Errorf("%s: FORMAT.md has\n%q, the document\n%q", head, documented, want)
		}
	}
}

// membersOf gives the members of a document and whether they may be absent.
func membersOf(of reflect.Type, path string) (list []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		absent := map[string]string{"": "–", "omitempty": "may"}[option]
		list = append(list, path+name+" "+absent)
		within, in := f.Type, path+name+"."
		if within.Kind() == reflect.Slice {
			within, in = within.Elem(), path+name+"[]."
		}
		if within.Kind() == reflect.Pointer {
			within = within.Elem()
		}
		if within.Kind() == reflect.Struct && within != reflect.TypeFor[time.Time]() {
			list = append(list, membersOf(within, in)...)
		}
	}
	return list
}
