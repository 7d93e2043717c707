package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// Notes that other implementations published.
const (
	// c2sp.org/signed-note, section "Example".
	exampleNoteKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
	exampleNote    = "This is an example message.\n\n" +
		"— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
	// golang.org/x/mod/sumdb/note, ExampleSign.
	neumannKey  = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
	neumannNote = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n" +
		"— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
	// c2sp.org/signed-note, first example: its text contains a blank line.
	quasimodoNote = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n" +
		"— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)

func TestParseSignedNotePublished(t *testing.T) {
	tests := []struct {
		name, note, text, signer string
		keyID                    uint32
	}{
		{"C2SP example", exampleNote, "This is an example message.\n", "example.com/foo", 0x530d903a},
		{"x/mod example", neumannNote, neumannNote[:strings.Index(neumannNote, "\n\n")+1], "PeterNeumann", 0xc74f20a3},
		{"text with a blank line", quasimodoNote, quasimodoNote[:strings.LastIndex(quasimodoNote, "\n\n")+1], "quasimodo.example/salvatore", 0x367ba04b},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, err := ParseSignedNote([]byte(test.note))
			if err != nil {
				t.Fatal(err)
			}
			if n.Text != test.text {
				t.Errorf("text is %q, want %q", n.Text, test.text)
			}
			if len(n.Lines) != 1 || n.Lines[0].Name != test.signer || n.Lines[0].KeyID != test.keyID || len(n.Lines[0].Signature) != 64 {
				t.Errorf("lines are %v", n.Lines)
			}
			if got := string(n.Bytes()); got != test.note {
				t.Errorf("re-encodes to %q", got)
			}
		})
	}
}

func TestParseSignedNoteRefuses(t *testing.T) {
	line := strings.TrimPrefix(exampleNote, "This is an example message.\n\n")
	blob := "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
	var many strings.Builder
	for i := range MaxNoteLines + 1 {
		fmt.Fprintf(&many, "— w%d %s\n", i, blob)
	}
	tests := []struct{ name, note, want string }{
		{"empty", "", "no blank line"},
		{"no signatures", "text\n", "no blank line"},
		{"no signature line", "text\n\n", "newline"},
		{"only a newline after the text", "text\n\n\n", "newline"},
		{"last newline missing", strings.TrimSuffix(exampleNote, "\n"), "newline"},
		{"trailing blank line", exampleNote + "\n", "newline"},
		{"trailing text", exampleNote + "more\n", "em dash"},
		{"hyphen for em dash", strings.Replace(exampleNote, "—", "-", 1), "em dash"},
		{"carriage return", strings.Replace(exampleNote, "message.", "message.\r", 1), "control character 0x0d at byte 27"},
		{"NUL", "\x00" + exampleNote, "control character"},
		{"tab", "\t" + exampleNote, "control character"},
		{"not UTF-8", "\xff" + exampleNote, "UTF-8"},
		{"name only", "text\n\n— example.com/foo\n", "no space"},
		{"no name", "text\n\n— " + blob + "\n", "no space"},
		{"empty name", "text\n\n—  " + blob + "\n", "empty"},
		{"plus in name", "text\n\n— a+b " + blob + "\n", "plus"},
		{"no-break space in name", "text\n\n— a\u00a0b " + blob + "\n", "space"},
		{"next line character in name", "text\n\n— a\u0085b " + blob + "\n", "space"},
		{"two spaces", strings.Replace(exampleNote, " Uw2", "  Uw2", 1), "base64"},
		{"trailing space", strings.Replace(exampleNote, "=\n", "= \n", 1), "base64"},
		{"base64 without padding", strings.Replace(exampleNote, "QM=\n", "QM\n", 1), "base64"},
		{"another last character", strings.Replace(exampleNote, "QM=\n", "QN=\n", 1), "base64"},
		{"base64url", strings.Replace(quasimodoNote, "+Z/i", "-Z_i", 1), "base64"},
		{"no base64", "text\n\n— a \n", "no room"},
		{"key id only", "text\n\n— a Uw2QOg==\n", "no room"},
		{"same line twice", exampleNote + line, "second line"},
		{"second line by a key", exampleNote + "— example.com/foo Uw2QOkn8\n", "second line"},
		{"too many lines", "text\n\n" + many.String(), "more than 64"},
		{"too long", strings.Repeat("x", MaxNoteSize) + "\n\n" + line, "more than 65536"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseSignedNote([]byte(test.note))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %q, want one with %q", err, test.want)
			}
		})
	}
}

// golang.org/x/mod takes all four last characters for the same signature; this
// is why our parser comes first.
func TestSignatureHasOneSpelling(t *testing.T) {
	verifier, err := note.NewVerifier(exampleNoteKey)
	if err != nil {
		t.Fatal(err)
	}
	foreign, ours := 0, 0
	for _, last := range []string{"M", "N", "O", "P"} {
		n := []byte(strings.Replace(exampleNote, "QM=\n", "Q"+last+"=\n", 1))
		if _, err := note.Open(n, note.VerifierList(verifier)); err == nil {
			foreign++
		}
		if _, err := ParseSignedNote(n); err == nil {
			ours++
		}
	}
	if foreign != 4 || ours != 1 {
		t.Errorf("x/mod accepts %d spellings, want 4; we accept %d, want 1", foreign, ours)
	}
}

func FuzzParseSignedNote(f *testing.F) {
	for _, n := range []string{exampleNote, neumannNote, quasimodoNote, "\n\n— a AAAAAAA=\n", "a\n\n— a AAAAAAA=\n— b AAAAAAA=\n"} {
		f.Add([]byte(n))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ParseSignedNote(b)
		if err != nil {
			return
		}
		if got := n.Bytes(); !bytes.Equal(got, b) {
			t.Fatalf("%q re-encodes to %q", b, got)
		}
		// x/mod must read the same text and lines.
		_, err = note.Open(b, nil)
		var unverified *note.UnverifiedNoteError
		if !errors.As(err, &unverified) {
			t.Fatalf("x/mod refuses %q: %v", b, err)
		}
		if unverified.Note.Text != n.Text || len(unverified.Note.UnverifiedSigs) != len(n.Lines) {
			t.Fatalf("x/mod reads %q differently: %+v", b, unverified.Note)
		}
		for i, s := range unverified.Note.UnverifiedSigs {
			if s.Name != n.Lines[i].Name || s.Hash != n.Lines[i].KeyID {
				t.Fatalf("x/mod reads line %d of %q differently: %+v", i, b, s)
			}
		}
	})
}
