package report

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

func (s *story) instructions(tokens ...Token) string {
	return string(made(s, func(w *bytes.Buffer) error { return Instructions(w, &s.c, tokens) }))
}

// What the commands print is tested where whole bundles are written.
func TestInstructions(t *testing.T) {
	s := newStory(t)
	all := s.instructions()
	for _, want := range []string{"has no entries", "names a text", "discloses no personal values", "has no time stamp", "legt keine persönlichen Angaben offen", "verify bundle FILE.asice"} {
		if !strings.Contains(all, want) {
			t.Errorf("the instructions do not say %q", want)
		}
	}
	all = s.instructions(Token{"evidence/checkpoints/1000.note", "evidence/checkpoints/1000.1.tst", "trust/tsa/1.pem", time.Unix(1790000000, 5)})
	if want := "-data evidence/checkpoints/1000.note -in evidence/checkpoints/1000.1.tst -token_in -CAfile trust/tsa/1.pem -partial_chain -attime 1790000000\n    = Verification: OK"; strings.Count(all, want) != 2 {
		t.Errorf("the instructions do not check the stamp:\n%s", all)
	}
	words := reflect.ValueOf(manual)
	for i := range words.NumField() {
		checkText(t, words.Type().Field(i).Name, text{words.Field(i).Field(0).String(), words.Field(i).Field(1).String()})
	}
	s.newsletter()
	s.c.Entries[0].Disclosed[0].Value = "x"
	if err := Instructions(&bytes.Buffer{}, &s.c, nil); err == nil {
		t.Error("a disclosure that opens nothing is explained")
	}
}
