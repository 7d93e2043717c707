package service

import (
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/idna"
	"pgregory.net/rapid"

	"github.com/consentledger/consentledger/ledger"
)

type normaliseCase struct{ in, want, reason string }

func runNormaliseCases(t *testing.T, normalise func(string) (string, error), table []normaliseCase) {
	t.Helper()
	for _, c := range table {
		got, err := normalise(c.in)
		if c.reason != "" {
			if err == nil || !strings.Contains(err.Error(), c.reason) || got != "" {
				t.Errorf("%+q: %+q, %v; want the reason %q", c.in, got, err, c.reason)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%+q: %+q, %v; want %+q", c.in, got, err, c.want)
		}
	}
}

func TestNormaliseEmail(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	domain189 := strings.Repeat("a", 60) + "." + label63 + "." + label63 + ".x"
	runNormaliseCases(t, NormaliseEmail, []normaliseCase{
		{in: "erika@example.org", want: "erika@example.org"},
		{in: "Erika.MUSTERMANN@Example.ORG", want: "erika.mustermann@example.org"},
		{in: "erika+news@example.org", want: "erika+news@example.org"},
		{in: "e.r.i.k.a@gmail.com", want: "e.r.i.k.a@gmail.com"},
		{in: "o'neil!#$%&*/=?^_`{|}~-@example.org", want: "o'neil!#$%&*/=?^_`{|}~-@example.org"},
		{in: "a@b.co", want: "a@b.co"},

		// Unicode: composed and decomposed, case, look-alikes.
		{in: "M\u00dcLLER@example.org", want: "m\u00fcller@example.org"},
		{in: "mu\u0308ller@example.org", want: "m\u00fcller@example.org"},
		{in: "MU\u0308LLER@example.org", want: "m\u00fcller@example.org"},
		{in: "stra\u00dfe@example.org", want: "stra\u00dfe@example.org"},
		{in: "STRASSE@example.org", want: "strasse@example.org"},
		{in: "STRA\u1e9eE@example.org", want: "stra\u00dfe@example.org"},
		{in: "\u0130@example.org", want: "i\u0307@example.org"}, // Not "i": that is another person.
		{in: "\u039f\u03a3@example.org", want: "\u03bf\u03c3@example.org"},
		{in: "\u212a@example.org", want: "k@example.org"},
		{in: "\u0430@example.org", want: "\u0430@example.org"}, // Cyrillic a stays Cyrillic.
		{in: "\uff41@example.org", want: "\uff41@example.org"},
		{in: "\U0001f600@example.org", want: "\U0001f600@example.org"},

		// Domains.
		{in: "a@M\u00dcNCHEN.de", want: "a@xn--mnchen-3ya.de"},
		{in: "a@mu\u0308nchen.de", want: "a@xn--mnchen-3ya.de"},
		{in: "a@XN--MNCHEN-3YA.de", want: "a@xn--mnchen-3ya.de"},
		{in: "a@fa\u00df.de", want: "a@xn--fa-hia.de"},
		{in: "a@fass.de", want: "a@fass.de"},
		{in: "a@\u4f8b\u3048.jp", want: "a@xn--r8jz45g.jp"},
		{in: "a@example\u3002jp", want: "a@example.jp"},
		{in: "a@\uff45xample.org", want: "a@example.org"},
		{in: "a@1und1.de", want: "a@1und1.de"},
		{in: "a@123.456.de", want: "a@123.456.de"},
		{in: "a@localhost", reason: "domain has no dot"},
		{in: "a@example.org.", reason: "domain is not valid"},
		{in: "a@.example.org", reason: "domain is not valid"},
		{in: "a@example..org", reason: "domain is not valid"},
		{in: "a@-example.org", reason: "domain is not valid"},
		{in: "a@exa_mple.org", reason: "domain is not valid"},
		{in: "a@e\u2135.org", reason: "domain is not valid"}, // Alef symbol: becomes a Hebrew letter behind a Latin one.
		{in: "a@xn--a.org", reason: "domain is not valid"},
		{in: "a@192.0.2.1", reason: "domain is not valid"},
		{in: "a@" + label63 + "a.org", reason: "domain is not valid"},
		{in: "a@[192.0.2.1]", reason: "in quotes"},
		{in: "a@", reason: "nothing after the @"},

		// Structure.
		{in: "", reason: "has no @"},
		{in: "erika", reason: "has no @"},
		{in: "@example.org", reason: "nothing before the @"},
		{in: "a@b@example.org", reason: "more than one @"},
		{in: "@@", reason: "more than one @"},
		{in: ".a@example.org", reason: "misplaced dot"},
		{in: "a.@example.org", reason: "misplaced dot"},
		{in: "a..b@example.org", reason: "misplaced dot"},

		// Lengths.
		{in: strings.Repeat("a", 64) + "@example.org", want: strings.Repeat("a", 64) + "@example.org"},
		{in: strings.Repeat("a", 65) + "@example.org", reason: "more than 64 bytes"},
		{in: strings.Repeat("\u00fc", 33) + "@example.org", reason: "more than 64 bytes"},
		{in: strings.Repeat("u\u0308", 32) + "@example.org", want: strings.Repeat("\u00fc", 32) + "@example.org"},
		{in: strings.Repeat("b", 63) + "@" + domain189, want: strings.Repeat("b", 63) + "@" + domain189},
		{in: strings.Repeat("b", 64) + "@" + domain189, reason: "longer than 254 bytes"},
		{in: strings.Repeat("a", 5000), reason: "longer than 254 bytes"},

		// Characters.
		{in: " a@example.org", reason: "white space"},
		{in: "a@example.org ", reason: "white space"},
		{in: "a b@example.org", reason: "white space"},
		{in: "a\u00a0b@example.org", reason: "white space"},
		{in: "a\u3000b@example.org", reason: "white space"},
		{in: "a@example.org\n", reason: "control character"},
		{in: "a\x00@example.org", reason: "control character"},
		{in: "a\x7f@example.org", reason: "control character"},
		{in: "a\u0085@example.org", reason: "control character"},
		{in: "Erika<a@example.org>", reason: "in quotes"},
		{in: "a,b@example.org", reason: "in quotes"},
		{in: `"a"@example.org`, reason: "in quotes"},
		{in: `a\b@example.org`, reason: "in quotes"},
		{in: "a(comment)@example.org", reason: "in quotes"},
		{in: "mailto:a@example.org", reason: "in quotes"},
		{in: "a\u200b@example.org", reason: "invisible"}, // Zero width space.
		{in: "a\u00ad@example.org", reason: "invisible"}, // Soft hyphen.
		{in: "a@exam\u00adple.org", reason: "invisible"},
		{in: "\ufeffa@example.org", reason: "invisible"},
		{in: "a\u202eb@example.org", reason: "invisible"}, // Right-to-left override.
		{in: "a\u2028b@example.org", reason: "white space"},
		{in: "a\ufe0f@example.org", reason: "invisible"}, // Variation selector.
		{in: "a\u3164@example.org", reason: "invisible"}, // Hangul filler.
		{in: "a\u034f@example.org", reason: "invisible"}, // Combining grapheme joiner.
		{in: "a\ue000@example.org", reason: "invisible"}, // Private use.
		{in: "a\u0378@example.org", reason: "invisible"}, // Unassigned.
		{in: "a\xff@example.org", reason: "not valid UTF-8"},
		{in: "\u037e@example.org", reason: "in quotes"}, // Greek question mark, NFC of which is a semicolon.
	})
}

func TestNormalisePhone(t *testing.T) {
	runNormaliseCases(t, NormalisePhone, []normaliseCase{
		{in: "+493012345678", want: "+493012345678"},
		{in: "+49 (30) 1234-56.78/9", want: "+49301234567" + "89"},
		{in: "+1 202-555-0123 ", want: "+12025550123"},
		{in: "+1234567", want: "+1234567"},
		{in: "+123456789012345", want: "+123456789012345"},
		{in: "+123456", reason: "fewer than 7"},
		{in: "+1234567890123456", reason: "more than 15"},
		{in: "+0301234567", reason: "begins with 0"},
		{in: "+49 (0) 30 1234567", reason: "zero in brackets"},
		{in: "+49(0)301234567", reason: "zero in brackets"},
		{in: "+49 ( 0 ) 30 1234567", reason: "zero in brackets"},
		{in: "004930123456", reason: "does not begin with +"},
		{in: " +4930123456", reason: "does not begin with +"},
		{in: "030 123456", reason: "does not begin with +"},
		{in: "+49.30.1234567", want: "+49301234567"},
		{in: "+49 30/1234567-0", want: "+493012345670"},
		{in: "+49 (030) 1234567", want: "+490301234567"}, // What was typed: three digits in brackets are no trunk zero.
		{in: "+49" + strings.Repeat(" ", 52) + "301234567", want: "+49301234567"},
		{in: "+49" + strings.Repeat(" ", 53) + "301234567", reason: "longer than 64 bytes"},
		{in: "", reason: "does not begin with +"},
		{in: "+", reason: "fewer than 7"},
		{in: "++4930123456", reason: "neither a digit nor a separator"},
		{in: "+49301234x", reason: "neither a digit nor a separator"},
		{in: "+49\u00a0301234567", reason: "neither a digit nor a separator"},
		{in: "+49\t301234567", reason: "neither a digit nor a separator"},
		{in: "+\u0661\u0662\u0663\u0664\u0665\u0666\u0667", reason: "neither a digit nor a separator"},
		{in: "+4930123456\xff", reason: "neither a digit nor a separator"},
	})
}

func TestNormaliseExternalID(t *testing.T) {
	runNormaliseCases(t, NormaliseExternalID, []normaliseCase{
		{in: "x", want: "x"},
		{in: "Customer/4711#A~!", want: "Customer/4711#A~!"},
		{in: strings.Repeat("x", 128), want: strings.Repeat("x", 128)},
		{in: strings.Repeat("x", 129), reason: "longer than 128"},
		{in: "", reason: "is empty"},
		{in: "a b", reason: "not printable ASCII"},
		{in: " a", reason: "not printable ASCII"},
		{in: "a\n", reason: "not printable ASCII"},
		{in: "a\x7f", reason: "not printable ASCII"},
		{in: "\u00fc", reason: "not printable ASCII"},
		{in: "a\xff", reason: "not printable ASCII"},
	})
}

// emailLike draws text that often is an address, or nearly one.
func emailLike() *rapid.Generator[string] {
	part := rapid.OneOf(
		rapid.StringMatching(`[a-zA-Z0-9.+_-]{1,12}`),
		rapid.StringOfN(rapid.RuneFrom(nil, unicode.Letter), 1, 8, -1),
		rapid.StringOfN(rapid.RuneFrom(nil, unicode.Letter, unicode.Mark, unicode.Number, unicode.Symbol), 1, 8, -1),
		rapid.StringN(0, 8, -1),
	)
	domain := rapid.OneOf(
		rapid.StringMatching(`[a-zA-Z0-9-]{1,10}\.[a-zA-Z]{2,4}`),
		rapid.Custom(func(t *rapid.T) string {
			return rapid.StringOfN(rapid.RuneFrom(nil, unicode.Letter), 1, 6, -1).Draw(t, "label") + ".org"
		}),
		rapid.StringMatching(`(xn--[a-z0-9-]{1,8}\.)?[a-z]{1,5}\.org`),
		part,
	)
	return rapid.Custom(func(t *rapid.T) string {
		return part.Draw(t, "local") + rapid.SampledFrom([]string{"@", "@", "@", "@", "", "@@"}).Draw(t, "at") + domain.Draw(t, "domain")
	})
}

func TestNormalisingTwiceChangesNothing(t *testing.T) {
	for _, c := range []struct {
		name      string
		normalise func(string) (string, error)
		input     *rapid.Generator[string]
		least     int // Accepted draws, so that the property is not empty.
	}{
		{"email", NormaliseEmail, emailLike(), 10},
		{"phone", NormalisePhone, rapid.StringMatching(`\+[1-9]([0-9][ ()./-]?){5,15}`), 10},
		{"external id", NormaliseExternalID, rapid.OneOf(rapid.StringMatching(`[!-~]{0,140}`), rapid.String()), 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			accepted := 0
			rapid.Check(t, func(t *rapid.T) {
				in := c.input.Draw(t, "input")
				once, err := c.normalise(in)
				if err != nil {
					if once != "" {
						t.Fatalf("%+q is refused and %+q returned", in, once)
					}
					return
				}
				accepted++
				if twice, err := c.normalise(once); err != nil || twice != once {
					t.Fatalf("%+q became %+q and then %+q, %v", in, once, twice, err)
				}
			})
			least := c.least
			if testing.Short() {
				least = 1 // rapid draws a fifth
			}
			if accepted < least {
				t.Errorf("only %d inputs were accepted", accepted)
			}
		})
	}
}

// The same for every character there is, alone, behind a letter that it may
// combine with, and in a domain.
func TestNormalisingTwiceEveryCharacter(t *testing.T) {
	accepted := 0
	for r := range rune(unicode.MaxRune + 1) {
		if !unicode.IsGraphic(r) {
			continue
		}
		c := string(r)
		for _, in := range []string{c + "@example.org", "E" + c + "@example.org", "a@e" + c + ".org"} {
			once, err := NormaliseEmail(in)
			if err != nil {
				continue
			}
			accepted++
			if twice, err := NormaliseEmail(once); err != nil || twice != once {
				t.Errorf("%+q became %+q and then %+q, %v", in, once, twice, err)
			}
		}
	}
	if accepted < 100_000 {
		t.Errorf("only %d addresses were accepted", accepted)
	}
}

// Capital and small spellings of an address are one person; a tag is another.
func TestEmailCaseAndTags(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		local := rapid.StringMatching(`[a-zA-Z0-9][a-zA-Z0-9_-]{0,20}`).Draw(t, "local")
		domain := rapid.StringMatching(`[a-zA-Z]{1,10}\.[a-zA-Z]{2,4}`).Draw(t, "domain")
		got, err := NormaliseEmail(local + "@" + domain)
		if want := strings.ToLower(local + "@" + domain); err != nil || got != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
		for _, other := range []string{local + "+tag", local + ".x"} {
			if tagged, err := NormaliseEmail(other + "@" + domain); err != nil || tagged == got {
				t.Fatalf("%q became %q, %v", other, tagged, err)
			}
		}
	})
}

// The domains that are not taken through the IDNA profile would come out of it as
// they are, or be refused all the same.
func TestPlainDomains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		domain := rapid.StringMatching(`[a-z0-9.]{1,20}|([a-z0-9]{1,40}\.){1,3}[a-z0-9]{1,70}`).Draw(t, "domain")
		_, refused := NormaliseEmail("a@" + domain)
		if got, err := idna.Lookup.ToASCII(domain); err != nil && refused == nil || err == nil && got != domain {
			t.Fatalf("%q becomes %q, %v", domain, got, err)
		}
	})
}

// One person per address: spellings that mean the same mailbox find the person,
// dots and tags are other people. What was typed is kept where it differs.
func TestSpellingsOfAPerson(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		first string
		same  []string
		other []string
	}{
		{"Erika.Mustermann+News@Example.ORG", []string{"erika.mustermann+news@example.org", "ERIKA.MUSTERMANN+NEWS@EXAMPLE.ORG"},
			[]string{"erikamustermann+news@example.org", "erika.mustermann@example.org", "erika.mustermann+news2@example.org"}},
		{"Jo\u0308rg@mu\u0308nchen.example", []string{"j\u00f6rg@M\u00dcNCHEN.example", "J\u00d6RG@xn--mnchen-3ya.example"},
			[]string{"jorg@m\u00fcnchen.example", "joerg@m\u00fcnchen.example", "j\u00f6rg@muenchen.example"}},
		{"\u7528\u6237@\u4f8b\u3048.jp", []string{"\u7528\u6237@xn--r8jz45g.jp"}, []string{"\u7528@\u4f8b\u3048.jp"}},
	} {
		f := newService(t)
		id := f.confirmed(test.first).Consents[0].ID
		normal, err := NormaliseEmail(test.first)
		if err != nil {
			t.Fatal(err)
		}
		opened := f.opened(f.entry(ledger.Index(id)), id)
		if opened["email"] != normal || opened["typed"] != test.first {
			t.Errorf("%+q: the entry commits to %+q", test.first, opened)
		}
		for _, spelling := range append(test.same, normal) {
			f.checks(spelling, newsletter, "confirmed")
			id := f.request(spelling, offers).Consents[0].ID
			if typed, ok := f.opened(f.entry(ledger.Index(id)), id)["typed"]; ok != (spelling != normal) || ok && typed != spelling {
				t.Errorf("%+q: typed %+q, %v", spelling, typed, ok)
			}
		}
		for _, spelling := range test.other {
			f.checks(spelling, newsletter, "unknown_subject")
		}
	}
}

// A reason is one of a few fixed texts: the same for inputs that share nothing.
func TestReasonsDoNotQuoteTheInput(t *testing.T) {
	const mark = "zqxj"
	for _, f := range []func(string) (string, error){NormaliseEmail, NormalisePhone, NormaliseExternalID} {
		rapid.Check(t, func(t *rapid.T) {
			around := rapid.OneOf(rapid.StringMatching(`[@.+ ()<>"\[\],-]{0,4}`), rapid.StringN(0, 6, -1))
			in := around.Draw(t, "before") + mark + around.Draw(t, "middle") + mark + around.Draw(t, "after")
			if _, err := f(in); err != nil && strings.Contains(err.Error(), mark) {
				t.Fatalf("%+q: %v", in, err)
			}
		})
	}
}
