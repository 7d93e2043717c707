package report

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzValues: what a report reads out of a claim or out of a notice's facts stands
// there, and what cannot be read tells nothing.
func FuzzValues(f *testing.F) {
	f.Add(`{"name":"form.html","media_type":"text/html","sha256":"` + strings.Repeat("0a", 32) + `"}`)
	f.Add(`{"sha256":"` + strings.Repeat("0a", 31) + `"}`)
	f.Add(`{"sha256":"` + strings.Repeat("0a", 33) + `"}`)
	f.Add(`{"sha256":"` + strings.Repeat("0a", 32) + `"}]`)
	f.Add(`{"controller":"Shop GmbH","recipients":["a","b"],"advertising_free":true}`)
	f.Add(`{"a":{"b":["c",1,null]},"d":"e"}`)
	f.Add(`{"a":"b"`)
	f.Fuzz(func(t *testing.T, s string) {
		if n, ok := namesFile(s); ok {
			var m map[string]any
			if err := json.Unmarshal([]byte(s), &m); err != nil || !strings.EqualFold(hex.EncodeToString(n.sum[:]), n.SHA256) {
				t.Errorf("%q names the bytes %x, %v", s, n.sum, err)
			}
		}
		for _, fact := range (&Notice{Facts: []byte(s)}).facts() {
			// Escapes apart, both stand in the document.
			if plain := !strings.ContainsAny(s, "\\\xef\xbf\xbd") && strings.ToValidUTF8(s, "") == s; plain && (!strings.Contains(s, `"`+fact.name+`"`) || fact.value != "yes" && fact.value != "no" && !strings.Contains(s, `"`+fact.value+`"`)) {
				t.Errorf("%q has the fact %+v", s, fact)
			}
		}
	})
}
