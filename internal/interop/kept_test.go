package interop

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"net/mail"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// noteOf writes the one-line form as the note that it is a part of, without our code:
// what follows the root is the signature, in two words.
func noteOf(line string) []byte {
	f := strings.Fields(line)
	if len(f) != 5 {
		return nil
	}
	return fmt.Appendf(nil, "%s\n%s\n%s\n\n— %s %s%s\n", f[0], f[1], f[2], f[0], f[3], f[4])
}

// TestOneLine: the one-line form of a checkpoint is all of a note that x/mod verifies
// and torchwood reads; also when it went by mail.
func TestOneLine(t *testing.T) {
	l := newLog(t)
	for _, more := range []int{0, 1, 254, 44} {
		if more > 0 {
			l.grow(more)
		}
		signed, _ := l.store.Checkpoint()
		line, err := ledger.CheckpointLine(signed)
		l.must(err)
		for how, text := range map[string]string{"a line": line, "a header": l.mailed(line, " "), "a folded header": l.mailed(line, "\r\n "),
			"one folded with tabs": l.mailed(line, "\r\n\t"), "Python's mail": mailedByPython(t, line)} {
			n, err := note.Open(noteOf(strings.TrimPrefix(text, ledger.CheckpointHeader+":")), note.VerifierList(l.ed))
			if err != nil || len(n.Sigs) != 1 {
				t.Fatalf("%s: x/mod: %v\n%s", how, err, text)
			}
			c, err := torchwood.ParseCheckpoint(n.Text)
			if err != nil || c.Origin != testledger.Origin || c.N != l.size() || !bytes.Equal(c.Hash[:], l.roots[l.size()]) {
				t.Errorf("%s: torchwood reads %+v, %v", how, c, err)
			}
			kept, err := ledger.ParseKept([]byte(text))
			if err != nil || kept.Verify(l.ours) != nil || int64(kept.Size) != l.size() {
				t.Errorf("%s: we read %+v, %v", how, kept, err)
			}
		}
	}
}

// mailed sends a line as a header that is folded at spaces with fold, and gives what
// net/mail reads of it.
func (l *log) mailed(line, fold string) string {
	l.Helper()
	text := "Subject: News\r\n" + ledger.CheckpointHeader + ": " + strings.ReplaceAll(line, " ", fold) + "\r\n\r\nHello\r\n"
	m, err := mail.ReadMessage(bufio.NewReader(strings.NewReader(text)))
	l.must(err)
	return m.Header.Get(ledger.CheckpointHeader)
}

// mailedByPython sends a line with Python's email package, which folds headers and
// encodes words that are longer than a line, and gives what stands in the message's
// source: the name and all lines of the header.
func mailedByPython(t *testing.T, line string) string {
	t.Helper()
	const script = `
import sys
from email.message import EmailMessage
m = EmailMessage()
m["Subject"] = "News"
m[sys.argv[1]] = sys.argv[2]
m.set_content("Hello")
sys.stdout.buffer.write(m.as_bytes())`
	out, err := exec.Command("python3", "-c", script, ledger.CheckpointHeader, line).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(out), "Subject: News\n")
	header, _, ok := strings.Cut(rest, "\nContent-")
	if !ok || strings.Count(header, "\n") < 2 {
		t.Fatalf("Python does not fold the header:\n%s", out)
	}
	return header
}

// TestOneLineOfOthers: we take the line that others put together from a note that
// x/mod signed with the log's key, and neither side takes it with one bit flipped.
func TestOneLineOfOthers(t *testing.T) {
	l := newLog(t)
	ed, err := note.NewSigner(secret(testledger.Signer(t).Keys().Ed25519, seedEd))
	l.must(err)
	c := ledger.Checkpoint{Origin: testledger.Origin, Size: 1, Root: ledger.Hash(l.roots[1])}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, ed)
	l.must(err)
	text, signature, _ := strings.Cut(string(signed), "\n\n")
	blob := strings.Fields(signature)[2]
	line := strings.ReplaceAll(text, "\n", " ") + " " + blob[:46] + " " + blob[46:]
	if ours, err := ledger.CheckpointLine(signed); err != nil || ours != line {
		t.Errorf("our line is %s, %v, want %s", ours, err, line)
	}
	kept, err := ledger.ParseKept([]byte(line))
	if err != nil || !kept.Line || kept.Checkpoint != c || kept.Verify(l.ours) != nil {
		t.Errorf("we read %+v, %v", kept, err)
	}
	words := append(strings.Fields(text), blob)
	for word := 2; word < 4; word++ {
		blob, err := base64.StdEncoding.DecodeString(words[word])
		l.must(err)
		for bit := 0; bit < 8*len(blob); bit += 7 {
			blob[bit/8] ^= 1 << (bit % 8)
			f := slices.Clone(words)
			f[word] = base64.StdEncoding.EncodeToString(blob)
			forged := strings.Join(f[:3], " ") + " " + f[3][:46] + " " + f[3][46:]
			_, theirs := note.Open(noteOf(forged), note.VerifierList(l.ed))
			kept, ours := ledger.ParseKept([]byte(forged))
			if ours == nil {
				ours = kept.Verify(l.ours)
			}
			if theirs == nil || ours == nil {
				t.Fatalf("word %d with bit %d flipped: x/mod says %v, we %v", word+1, bit, theirs, ours)
			}
			blob[bit/8] ^= 1 << (bit % 8)
		}
	}
}
