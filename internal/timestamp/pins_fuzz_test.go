package timestamp

import (
	"bytes"
	"encoding/pem"
	"testing"
)

// FuzzPins: every block counts, in the order in which they stand, or none does.
func FuzzPins(f *testing.F) {
	good := read(f, "testdata", "ca.pem")
	f.Add(good)
	f.Add(bytes.Repeat(good, 2))
	f.Add(append([]byte("a text\n"), good...))
	f.Add(append(bytes.Clone(good), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"...))
	f.Add(append(bytes.Clone(good), "-----BEGIN CERTIFICATE-----\n"...))
	f.Add(bytes.ReplaceAll(good, []byte("CERTIFICATE"), []byte("PUBLIC KEY")))
	f.Fuzz(func(t *testing.T, text []byte) {
		pins, err := ParsePins(text)
		if (err == nil) != (len(pins) > 0) {
			t.Fatalf("%d pins, %v", len(pins), err)
		}
		if err != nil {
			return
		}
		if begun := bytes.Count(text, []byte("-----BEGIN ")); begun != len(pins) {
			t.Errorf("%d of %d blocks count", len(pins), begun)
		}
		var again []byte
		for _, c := range pins {
			again = append(again, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		second, err := ParsePins(again)
		if err != nil || len(second) != len(pins) {
			t.Fatalf("written as %q: %d pins, %v", again, len(second), err)
		}
		for i, c := range pins {
			if !c.Equal(second[i]) {
				t.Errorf("pin %d became another", i)
			}
		}
	})
}
