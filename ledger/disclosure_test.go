package ledger

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// disclosureValues are values whose JSON is worth a look.
var disclosureValues = map[string]string{
	"ascii":        "erika@example.com",
	"empty":        "",
	"umlaut":       "Jürgen Groß, 東京, 🦔",
	"html":         "<a href=\"x\">&amp;</a>",
	"escapes":      "\"\\/\b\f\n\r\t\v\x00\x1f\x7f",
	"separators":   "a\u2028b\u2029c",
	"backslash-u":  `\u2028 \n`,
	"attachment":   `{"name":"form.pdf","media_type":"application/pdf","sha256":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}`,
	"non-BMP-edge": "\uffff\U00010000",
}

func TestDisclosureRoundTrip(t *testing.T) {
	for name, value := range disclosureValues {
		d := NewDisclosure("name", value)
		got, err := ParseDisclosure(d.Text())
		if err != nil || got != d {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		// Any JSON parser reads the same three strings.
		var parts []string
		if err := json.Unmarshal(decodeForExample(t, d.Text()), &parts); err != nil || len(parts) != 3 || parts[2] != value {
			t.Errorf("%s: JSON gives %q, %v", name, parts, err)
		}
	}
	first, second := NewDisclosure("name", "x"), NewDisclosure("name", "x")
	if first == second {
		t.Error("two disclosures have one salt")
	}
	long := NewDisclosure("name", strings.Repeat("ä", MaxClaimValue/2))
	if _, err := ParseDisclosure(long.Text()); err != nil {
		t.Error(err)
	}
	long.Value += "x"
	if _, err := ParseDisclosure(long.Text()); err == nil {
		t.Error("accepted a value of 65,537 bytes")
	}
	if _, err := ParseDisclosure(NewDisclosure("name", "\xff").Text()); err == nil {
		t.Error("accepted a value that is not UTF-8")
	}
}

// TestDisclosurePublished is the worked example's, computed with coreutils.
func TestDisclosurePublished(t *testing.T) {
	const text = "WyJCWlE4em83SlZJNGpEMld4LTdUQ3BKRTFVR1EzdGZuYWlBanY0N1pnaUNZIiwiZW1haWwiLCJ2YWx1ZSBvZiBlbWFpbCJd"
	d, err := ParseDisclosure(text)
	if err != nil || d.Claim != "email" || d.Value != "value of email" {
		t.Fatalf("%+v, %v", d, err)
	}
	if got := d.Digest().String(); got != "d8bKhhXHYwYrpdM8w0b7BGfIYGYFaB1v6OmGzrmzB5M=" {
		t.Error(got)
	}
}

// badDisclosures are texts that are not in the one spelling, or not disclosures.
func badDisclosures() map[string]string {
	salt := decodeSalt()
	enc := base64.RawURLEncoding.EncodeToString
	array := func(json string) string { return enc([]byte(json)) }
	good := array(`["` + salt + `","name","Erika"]`)
	return map[string]string{
		"empty text":                 "",
		"padding":                    good + "=",
		"line feed inside":           good[:8] + "\n" + good[8:],
		"last character unused bits": nonCanonical(array(`["` + salt + `","name","Erik"]`)),
		"standard alphabet":          array(`["` + salt + `","name","` + strings.Repeat("?", 5) + `>~~~"]`)[:20] + "+/" + good[22:],
		"space in the array":         array(`["` + salt + `", "name","Erika"]`),
		"trailing line feed":         array(`["` + salt + `","name","Erika"]` + "\n"),
		"escaped needlessly":         array(`["` + salt + `","name","\u0045rika"]`),
		"escaped slash":              array(`["` + salt + `","name","a\/b"]`),
		"escaped less-than":          array(`["` + salt + `","name","\u003c"]`),
		"upper-case escape":          array(`["` + salt + `","name","\u001F"]`),
		"long escape":                array(`["` + salt + `","name","\u000a"]`),
		"escaped line separator":     array(`["` + salt + `","name","\u2028"]`),
		"lone surrogate":             array(`["` + salt + `","name","\ud800"]`),
		"not UTF-8":                  array(`["` + salt + `","name","` + "\xff" + `"]`),
		"control character":          array(`["` + salt + `","name","` + "\t" + `"]`),
		"two elements":               array(`["` + salt + `","Erika"]`),
		"four elements":              array(`["` + salt + `","name","Erika",""]`),
		"number":                     array(`["` + salt + `","name",1]`),
		"null":                       array(`["` + salt + `","name",null]`),
		"object":                     array(`{"` + salt + `":"name"}`),
		"salt too short":             array(`["` + salt[:42] + `","name","Erika"]`),
		"salt too long":              array(`["` + enc(make([]byte, 33)) + `","name","Erika"]`),
		"salt with unused bits":      array(`["` + nonCanonical(salt) + `","name","Erika"]`),
		"unknown claim":              array(`["` + salt + `","shoe_size","44"]`),
		"empty further claim":        array(`["` + salt + `","x.","44"]`),
		"claim in upper case":        array(`["` + salt + `","Name","Erika"]`),
	}
}

func decodeSalt() string {
	seed := seedForTest("salt")
	return base64.RawURLEncoding.EncodeToString(seed[:])
}

// nonCanonical gives another spelling of unpadded base64url whose last
// character has unused bits: the next character of the alphabet.
func nonCanonical(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + alphabet[last+1:last+2]
}

func TestVectorsDisclosures(t *testing.T) {
	type row struct {
		Name       string `json:"name"`
		Disclosure string `json:"disclosure"`
		Claim      string `json:"claim,omitempty"`
		Value      string `json:"value,omitempty"`
		SHA256     string `json:"sha256,omitempty"` // base64, as in an entry
		Verdict    string `json:"verdict"`
	}
	var rows []row
	for _, name := range sortedKeys(disclosureValues) {
		d := Disclosure{seedForTest("salt " + name), "name", disclosureValues[name]}
		rows = append(rows, row{name, d.Text(), d.Claim, d.Value, d.Digest().String(), Verified.String()})
	}
	bad := badDisclosures()
	for _, name := range sortedKeys(bad) {
		rows = append(rows, row{Name: name, Disclosure: bad[name], Verdict: Invalid.String()})
	}
	text, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, vectorsDir+"/disclosures", filesForTest{"index.json": append(text, '\n')})
	for _, r := range rows {
		d, err := ParseDisclosure(r.Disclosure)
		if got := VerdictOf(err).String(); got != r.Verdict {
			t.Errorf("%s: verdict %s (%v), want %s", r.Name, got, err, r.Verdict)
		} else if err == nil && (d.Claim != r.Claim || d.Value != r.Value || d.Digest().String() != r.SHA256) {
			t.Errorf("%s: %+v", r.Name, d)
		}
	}
}

func FuzzParseDisclosure(f *testing.F) {
	for _, value := range disclosureValues {
		f.Add(NewDisclosure("x.note", value).Text())
	}
	for _, text := range badDisclosures() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDisclosure(text)
		if err == nil && d.Text() != text {
			t.Fatalf("accepted %q, writes %q", text, d.Text())
		}
	})
}
