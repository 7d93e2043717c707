package report

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// unpacked writes the files of a case as the bundle has them.
func (s *story) unpacked() (dir string) {
	dir = s.TempDir()
	put := func(name, content string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			s.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	all, err := s.c.read()
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range all {
		put(fmt.Sprintf("evidence/entries/%d.txt", e.Index), string(e.of.Text))
		for _, x := range e.of.Disclosed {
			put(fmt.Sprintf("evidence/disclosures/%d.%s.txt", e.Index, x.Claim), x.Text())
		}
	}
	return dir
}

func (s *story) instructions(tokens ...Token) string {
	return string(made(s, func(w *bytes.Buffer) error { return Instructions(w, &s.c, tokens) }))
}

// The commands print what the instructions say, with coreutils and openssl.
func TestByHand(t *testing.T) {
	for _, tool := range []string{"sh", "openssl", "sha256sum", "base64", "grep", "tr"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	s := newStory(t)
	s.newsletter()
	dir := s.unpacked()
	ran := 0
	command := ""
	for line := range strings.Lines(s.instructions()) {
		line, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "    ")
		if !ok || strings.HasPrefix(line, "verify ") {
			continue
		}
		want, ok := strings.CutPrefix(line, "= ")
		if !ok {
			command = line
			if !strings.HasSuffix(command, "base64 -d") {
				continue
			}
		}
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || ok && got != want || !ok && !strings.Contains(got, `"email","erika.mustermann@example.com"]`) {
			t.Errorf("%s\nprints %q, %v, want %q", command, out, err, want)
		}
		ran++
	}
	if ran != 2*4 {
		t.Errorf("%d commands were run", ran)
	}
}

func TestInstructions(t *testing.T) {
	s := newStory(t)
	all := s.instructions()
	for _, want := range []string{"has no entries", "discloses no personal values", "has no time stamp", "legt keine persönlichen Angaben offen", "verify bundle FILE.asice"} {
		if !strings.Contains(all, want) {
			t.Errorf("the instructions do not say %q", want)
		}
	}
	all = s.instructions(Token{"evidence/checkpoints/1000.note", "evidence/checkpoints/1000.1.tst", "trust/tsa/1.pem"})
	if want := "openssl ts -verify -data evidence/checkpoints/1000.note -in evidence/checkpoints/1000.1.tst -token_in -CAfile trust/tsa/1.pem\n    = Verification: OK"; strings.Count(all, want) != 2 {
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
