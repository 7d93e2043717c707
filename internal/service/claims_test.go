package service

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Which of the reserved claims a caller may set, and which only the service does.
func TestSettableClaims(t *testing.T) {
	own := strings.Fields("email phone external_id typed scanner signal title message mta_response document recording")
	for _, name := range ledger.ReservedClaims() {
		value := "value"
		if name == "ip" {
			value = "203.0.113.77"
		}
		claims, addr, err := splitClaims(map[string]string{name: value})
		switch {
		case slices.Contains(own, name):
			refused(t, err, refusal.InvalidArgument, "claims")
		case name == "ip":
			if err != nil || len(claims) != 0 || addr != netip.MustParseAddr(value) {
				t.Errorf("ip: %v, %v, %v", claims, addr, err)
			}
		case err != nil || len(claims) != 1 || claims[0].disclosure.Claim != name || claims[0].disclosure.Value != value || addr.IsValid():
			t.Errorf("%s: %v, %v, %v", name, claims, addr, err)
		}
	}
}

func TestBadClaims(t *testing.T) {
	for _, test := range []struct{ name, value, at string }{
		{"reason", "", "claims.reason"},
		{"reason", strings.Repeat("r", ledger.MaxClaimValue+1), "claims.reason"},
		{"reason", "a\x00", "claims.reason"},
		{"reason", "a\xff", "claims.reason"},
		{"ip", "", "claims.ip"},
		{"ip", "203.0.113.0/24", "claims.ip"},
		{"ip", "203.0.113.77:80", "claims.ip"},
		{"ip", "[2001:db8::1]", "claims.ip"},
		{"ip", "203.0.113.077", "claims.ip"},
		{"ip", "203.0.113", "claims.ip"},
		{"ip", " 203.0.113.77", "claims.ip"},
		{"ip", "203.0.113.77, 198.51.100.1", "claims.ip"},
		{"x.", "42", "claims"},
		{"x.Shoe", "42", "claims"},
		{"x." + strings.Repeat("s", 63), "42", "claims"},
		{"x.shoe", "", "claims.x.shoe"},
		{"nonsense", "1", "claims"},
	} {
		_, _, err := splitClaims(map[string]string{test.name: test.value})
		refused(t, err, refusal.InvalidArgument, test.at)
	}
	many := map[string]string{}
	for i := range maxClaims + 1 {
		many[fmt.Sprint("x.", i)] = "1"
	}
	_, _, err := splitClaims(many)
	refused(t, err, refusal.InvalidArgument, "claims")
	for _, value := range []string{"a\nb\tc\r", strings.Repeat("r", ledger.MaxClaimValue)} {
		if claims, _, err := splitClaims(map[string]string{"reason": value}); err != nil || claims[0].disclosure.Value != value {
			t.Errorf("%d bytes: %v", len(value), err)
		}
	}
}

func TestBadAttachments(t *testing.T) {
	good := Attachment{Claim: "document", FileName: "a.pdf", MediaType: "application/pdf", Bytes: []byte("a")}
	for _, test := range []struct {
		at     string
		change func(*Attachment)
	}{
		{".name", func(a *Attachment) { a.Claim = "" }},
		{".name", func(a *Attachment) { a.Claim = "message" }},
		{".name", func(a *Attachment) { a.Claim = "name" }},
		{".name", func(a *Attachment) { a.Claim = "recording" }}, // stands before
		{".name", func(a *Attachment) { a.Claim = "reference" }}, // is among the claims
		{".bytes", func(a *Attachment) { a.Bytes = nil }},
		{".media_type", func(a *Attachment) { a.MediaType = "" }},
		{".media_type", func(a *Attachment) { a.MediaType = "pdf" }},
		{".media_type", func(a *Attachment) { a.MediaType = "text/html; charset=utf-8" }},
		{".file_name", func(a *Attachment) { a.FileName = strings.Repeat("a", 256) }},
		{".file_name", func(a *Attachment) { a.FileName = "a\n" }},
	} {
		bad := good
		test.change(&bad)
		first := good
		first.Claim = "recording"
		_, err := attachmentClaims([]Attachment{first, bad}, []claim{newClaim("reference", "7")})
		refused(t, err, refusal.InvalidArgument, "attachments[1]"+test.at)
	}
	half := make([]byte, MaxAttachment/2)
	second := good
	good.Bytes, second.Claim, second.Bytes = half, "recording", half
	if claims, err := attachmentClaims([]Attachment{good, second}, nil); err != nil || len(claims) != 2 {
		t.Errorf("%v, %v", claims, err)
	}
	second.Bytes = append(half, 0)
	_, err := attachmentClaims([]Attachment{good, second}, nil)
	refused(t, err, refusal.InvalidArgument, "attachments")
}
