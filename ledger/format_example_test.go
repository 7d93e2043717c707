package ledger

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// exampleLog is the log of the worked example in FORMAT.md.
func exampleLog(t testing.TB) *logForTest {
	l := newLogForTest(t)
	l.create()
	l.source("admin", "admin")
	l.purpose("newsletter", 1)
	ref := l.notice("newsletter-de", 1, "newsletter")
	l.source("shop-frontend", "app")
	id := l.request(1, ref)
	l.reveal(ConsentConfirmed, 1, id)
	l.commitState()
	return l
}

// exampleFiles is the example as files: those of an export, and what is told
// about it besides.
func exampleFiles(t testing.TB) filesForTest {
	l := exampleLog(t)
	f := l.files()
	f["trust.policy"] = NewPolicy(l.signer.Keys())
	f["entry-6.txt"] = l.texts[6]
	f["entry-6.tlog-proof"] = l.receipt(6)
	return f
}

// receipt gives the receipt of an entry in the log as it stands.
func (l *logForTest) receipt(index Index) []byte {
	var hashes storedHashesForTest
	for _, text := range l.texts {
		hashes.append(l, text)
	}
	proof, err := tlog.ProveRecord(int64(len(l.texts)), int64(index), &hashes)
	if err != nil {
		l.Fatal(err)
	}
	return Receipt{Index: index, Proof: proof, Checkpoint: l.sign()}.Text()
}

// exampleText prints the worked example.
func exampleText(t testing.TB) string {
	l := exampleLog(t)
	var b strings.Builder
	block := func(text string) { b.WriteString("```\n" + strings.TrimSuffix(text, "\n") + "\n```\n\n") }
	for i, text := range l.texts {
		fmt.Fprintf(&b, "Entry %d, %d bytes, leaf hash `%s`:\n\n", i, len(text), hexOf(LeafHash(text)))
		block(string(text))
		if i == 0 {
			first, err := ParseEntry(text)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString("Both keys signed this text:\n\n")
			block(string(first.KeyText()))
		}
	}
	d := disclosureForTest(5, "email")
	fmt.Fprintf(&b, "The disclosure of `email` in entry 5, whose SHA-256 is the value of its `commit email` line, and what it decodes to:\n\n")
	block(d.Text() + "\n" + string(decodeForExample(t, d.Text())))
	fmt.Fprintf(&b, "The SHA-256 of the characters `%s` is `%s`, in base64 the lock of entry 5.\n\n", tokenForTest(1), hexOf(Lock(tokenForTest(1))))
	b.WriteString("`state_root` in entry 7 is the root over seven leaves: five empty ones, then this one, then an empty one:\n\n")
	c, _, _ := l.replay.Consent(5)
	block(string(AppendStateLeaf(nil, c)))
	fmt.Fprintf(&b, "Root of the tree over all eight entries: `%s`. The Ed25519 key signs the first three lines of the checkpoint, "+
		"the ML-DSA-44 key these bytes (in hex):\n\n", hexOf(l.tree.Root()))
	block(wrapForExample(hex.EncodeToString(cosignedMessage(originForLog, uint64(l.now.Unix()), l.checkpoint())), 128))
	b.WriteString("The file `checkpoint`:\n\n")
	block(string(l.sign()))
	b.WriteString("The first lines of the receipt of entry 6; a blank line and the same checkpoint follow:\n\n")
	head, _, _ := strings.Cut(string(l.receipt(6)), "\n\n")
	block(head)
	b.WriteString("The other files: `tile/0/000.p/8` is the eight leaf hashes, 256 bytes; `tile/entries/000.p/8` the eight entries, each with its\n" +
		"length before it; `trust.keys` is entry 0; the notice is\n\n")
	for path, text := range l.notices {
		fmt.Fprintf(&b, "`%s`:\n\n", path)
		block(string(text))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func hexOf(h Hash) string { return hex.EncodeToString(h[:]) }

func wrapForExample(s string, width int) string {
	var b strings.Builder
	for ; len(s) > width; s = s[width:] {
		b.WriteString(s[:width] + "\n")
	}
	return b.String() + s
}
