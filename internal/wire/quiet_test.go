package wire_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/authn"
)

// TestQuiet: what is right passes as it is, what is wrong is refused as Connect
// refuses it, without being repeated.
func TestQuiet(t *testing.T) {
	t.Parallel()
	r := start(t)
	procedure := audit + "GetInclusionProof"
	for _, c := range []struct{ header, value, code string }{
		{"Content-Encoding", "gzip", "ok"},
		{"Content-Encoding", "identity", "ok"},
		{"Content-Encoding", "", "ok"},
		{"Content-Encoding", canary, "unimplemented"},
		{"Connect-Protocol-Version", "1", "ok"},
		{"Connect-Protocol-Version", canary, "invalid_argument"},
		{"Connect-Timeout-Ms", "5000", "ok"},
		{"Connect-Timeout-Ms", "9999999999", "ok"},
		{"Connect-Timeout-Ms", "0", "deadline_exceeded"},
		{"Connect-Timeout-Ms", "49301234567", "invalid_argument"},
		{"Connect-Timeout-Ms", "-4930123", "invalid_argument"},
		{"Connect-Timeout-Ms", canary, "invalid_argument"},
	} {
		body := []byte("{}")
		if c.value == "gzip" {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write(body)
			z.Close()
			body = b.Bytes()
		}
		req, err := http.NewRequest(http.MethodPost, r.url+procedure, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+r.keys[authn.Auditor])
		req.Header.Set(c.header, c.value)
		a := r.send(req)
		if a.code != c.code || c.code != "ok" && strings.Contains(a.body, c.value+`"`) {
			t.Errorf("%s: %s: %s: %s, want %s", c.header, c.value, a.code, a.message, c.code)
		}
	}
	for query, code := range map[string]string{
		"?connect=v1&encoding=json&message=%7B%7D":                         "ok",
		"?encoding=json&message=%7B%7D&compression=identity":               "ok",
		"?encoding=proto&message=":                                         "ok",
		"?connect=" + canary + "&encoding=json&message=%7B%7D":             "invalid_argument",
		"?connect=v1&encoding=json&message=%7B%7D&compression=" + canary:   "unimplemented",
		"?connect=v1&encoding=" + canary + "&message=%7B%7D":               "http Unsupported Media Type",
		"?connect=v1&encoding=json&message=%7B%22" + canary + "%22:1%7D":   "invalid_argument",
		"?connect=v1&encoding=json&base64=1&message=%7B%7D" + canary + "=": "unknown",
	} {
		if a := r.get(procedure+query, r.keys[authn.Auditor]); a.code != code || strings.Contains(a.body, canary) {
			t.Errorf("GET %s: %s: %s, want %s", query, a.code, a.message, code)
		}
	}
	for _, path := range []string{audit + "/" + canary, audit + "../" + canary, "/log//" + canary, "/log/./checkpoint", "/log/../log/checkpoint"} {
		if a := r.get(path+"?"+canary, r.keys[authn.Auditor]); a.status != http.StatusNotFound || strings.Contains(a.body, canary) {
			t.Errorf("GET %s: %d: %s", path, a.status, a.body)
		}
	}
}
