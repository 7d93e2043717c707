package service

import (
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

func TestMasks(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0a", 32)
	file := fileClaim("form_snapshot", fileValue{"Erika Mustermann.html", "text/html", sum}).disclosure.Value
	kept := &vault.BlobRef{Size: 12345}
	for _, test := range []struct {
		claim, value string
		blob         *vault.BlobRef
		want         string
	}{
		{"email", "erika@example.com", nil, "e•••@example.com"},
		{"email", "eri@example.com", nil, "•••@example.com"},
		{"email", "Ωmega@example.com", nil, "Ω•••@example.com"},
		{"email", "no address", nil, "n•••"},
		{"phone", "+491511234567", nil, "•••4567"},
		{"phone", "+12345678", nil, "•••"},
		{"phone", "+123456789", nil, "•••6789"},
		{"typed", "Erika@Example.COM", nil, "E•••@Example.COM"},
		{"typed", "+49 (151) 123-4567", nil, "•••4567"},
		{"typed", "4711", nil, "•••"},
		{"external_id", "4711", nil, "4•••"},
		{"external_id", "471", nil, "•••"},
		{"name", "Erika Mustermann", nil, "E••• M•••"},
		{"name", "  Li  Wu ", nil, "L••• W•••"},
		{"name", "Li", nil, "•••"},
		{"guardian", "Max Mustermann", nil, "M••• M•••"},
		{"ip", "203.0.113.0/24", nil, "203.0.113.•"},
		{"ip", "203.0.113.77", nil, "203.0.113.•"},
		{"ip", "10.0.0.1", nil, "10.0.0.•"},
		{"ip", "2001:db8:1::/48", nil, "2001:db8:1::•"},
		{"ip", "2001:db8:1:2:3:4:5:6", nil, "2001:db8:1::•"},
		{"ip", "2001:db8::1", nil, "2001:db8::•"},
		{"ip", "nowhere", nil, "n•••"},
		{"page_url", "https://shop.example:8443/konto/erika?token=x", nil, "https://shop.example/•••"},
		{"referrer", "https://erika@shop.example/a", nil, "https://shop.example/•••"},
		{"origin", "https://shop.example", nil, "https://shop.example/•••"},
		{"page_url", "/konto/erika", nil, "/•••"},
		{"scanner", "every_link fast_click", nil, "every_link fast_click"},
		{"language", "de-AT", nil, "de-AT"},
		{"language", "Deutsch, sagt Erika", nil, "D•••"},
		{"checkbox_state", "ticked", nil, "ticked"},
		{"checkbox_state", "Erika: ja", nil, "E•••"},
		{"captcha", "passed", nil, "passed"},
		{"captcha", "203.0.113.77", nil, "2•••"},
		{"captcha", "015112345678", nil, "0•••"},
		{"checkbox_state", "erika.mustermann", nil, "e•••"},
		{"user_agent", "Mozilla/5.0", nil, "M•••"},
		{"reason", "too many", nil, "t•••"},
		{"reason", "ja", nil, "•••"},
		{"reason", " secret", nil, "•••"},
		{"reason", "\nsecret", nil, "•••"},
		{"x.loyalty_card", "471112", nil, "4•••"},
		{"form_snapshot", file, kept, "text/html, 12345 bytes"},
		{"message", `{"media_type":"message/rfc822","sha256":"` + sum + `"}`, nil, "message/rfc822, only their hash is known"},
		{"message", `{"sha256":"` + sum + `"}`, nil, "bytes, only their hash is known"},
		// A text that only looks like the value of bytes is a text.
		{"form_snapshot", `{"media_type":"Erika Mustermann","sha256":"` + sum + `"}`, nil, "{•••"},
		{"form_snapshot", `{"media_type":"text/html","sha256":"erika"}`, nil, "{•••"},
		{"form_snapshot", `{"sha256":"` + sum + `","name":"Erika"}`, nil, "{•••"},
	} {
		d := ledger.Disclosure{Claim: test.claim, Value: test.value}
		if got := mask(d, test.blob); got != (MaskedClaim{test.claim, test.want}) {
			t.Errorf("%s %q is shown as %q, want %q", test.claim, test.value, got.Shown, test.want)
		}
	}
}

// Whatever the claim, nothing of a short value is shown, and of a longer one never
// all of it, unless it is a word that tells nobody who it was.
func TestMasksHide(t *testing.T) {
	t.Parallel()
	public := strings.Fields("scanner language checkbox_state captcha")
	for _, name := range append(ledger.ReservedClaims(), "x.card") {
		for _, value := range []string{"a", "äö", "abc", "+12", "a@b", "1.2", "Erika Mustermann", "erika@example.com", "+491511234567", "https://e.example/erika"} {
			shown := maskedValue(name, value, nil)
			word := strings.Contains(strings.Join(public, " "), name) && isWords(value)
			if !word && (strings.Contains(shown, value) || len([]rune(value)) <= mostHidden && strings.ContainsAny(shown, "abcäö+12")) {
				t.Errorf("%s %q is shown as %q", name, value, shown)
			}
		}
	}
}
