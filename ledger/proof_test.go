package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

const proofLine = "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n" // of the example in c2sp.org/tlog-proof

func TestReceiptRoundTrip(t *testing.T) {
	_, _, signed := hybridForTest(t)
	tests := []struct {
		name string
		r    Receipt
		head string
	}{
		{"no proof", Receipt{Index: 0, Checkpoint: signed}, "c2sp.org/tlog-proof@v1\nindex 0\n\n"},
		{"proof", Receipt{Index: 73894, Proof: []Hash{{0x81}, {}}, Checkpoint: signed},
			"c2sp.org/tlog-proof@v1\nindex 73894\ngQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"},
		{"extra", Receipt{Index: 1, Extra: []byte("age"), Checkpoint: signed}, "c2sp.org/tlog-proof@v1\nextra YWdl\nindex 1\n\n"},
		{"largest", Receipt{Index: 1<<63 - 1, Proof: make([]Hash, MaxProofHashes), Checkpoint: signed}, "c2sp.org/tlog-proof@v1\nindex 9223372036854775807\nAAAA"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := test.r.Text()
			if !strings.HasPrefix(string(text), test.head) {
				t.Errorf("text is %q…", text[:100])
			}
			r, err := ParseReceipt(text)
			if err != nil {
				t.Fatal(err)
			}
			if r.Index != test.r.Index || !bytes.Equal(r.Extra, test.r.Extra) || len(r.Proof) != len(test.r.Proof) || !bytes.Equal(r.Checkpoint, signed) {
				t.Errorf("parsed %+v", r)
			}
		})
	}
}

// A proof made by x/mod must lead to the checkpoint's root after its way
// through the text.
func TestReceiptProves(t *testing.T) {
	_, p, signed := hybridForTest(t)
	o, err := OpenCheckpoint(signed, p)
	if err != nil {
		t.Fatal(err)
	}
	var stored storedHashesForTest
	for i := range 5 {
		stored.append(t, fmt.Appendf(nil, "entry %d", i))
	}
	for i := range int64(5) {
		proof, err := tlog.ProveRecord(5, i, &stored)
		if err != nil {
			t.Fatal(err)
		}
		r, err := ParseReceipt(Receipt{Index: Index(i), Proof: proof, Checkpoint: signed}.Text())
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(r.Proof, int64(o.Size), o.Root, int64(r.Index), LeafHash(fmt.Appendf(nil, "entry %d", i))); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
}

func TestParseReceiptRefuses(t *testing.T) {
	const magic = "c2sp.org/tlog-proof@v1\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", "no blank line"},
		{"no blank line", magic + "index 0\n", "no blank line"},
		{"another format", "example.com/proof@v1\nindex 0\n\n" + exampleNote, "not a tlog-proof"},
		{"no index", magic + "\n" + exampleNote, "no index"},
		{"index in upper case", magic + "Index 0\n\n" + exampleNote, "no index"},
		{"index empty", magic + "index \n\n" + exampleNote, "decimal"},
		{"index negative", magic + "index -1\n\n" + exampleNote, "decimal"},
		{"index minus zero", magic + "index -0\n\n" + exampleNote, "spelling"},
		{"index with zero", magic + "index 01\n\n" + exampleNote, "spelling"},
		{"index with sign", magic + "index +1\n\n" + exampleNote, "spelling"},
		{"index with space", magic + "index  1\n\n" + exampleNote, "decimal"},
		{"index 2^63", magic + "index 9223372036854775808\n\n" + exampleNote, "decimal"},
		{"index twice", magic + "index 1\nindex 1\n\n" + exampleNote, "hash 1"},
		{"extra empty", magic + "extra \nindex 1\n\n" + exampleNote, "spelling"},
		{"extra not padded", magic + "extra YQ\nindex 1\n\n" + exampleNote, "base64"},
		{"extra with another last character", magic + "extra YR==\nindex 1\n\n" + exampleNote, "base64"},
		{"extra after index", magic + "index 1\nextra YQ==\n\n" + exampleNote, "hash 1"},
		{"extra twice", magic + "extra YQ==\nextra YQ==\nindex 1\n\n" + exampleNote, "no index"},
		{"extra only", magic + "extra YQ==\n\n" + exampleNote, "no index"},
		{"short hash", magic + "index 1\nAAAA\n\n" + exampleNote, "hash 1 is not"},
		{"hash with another last character", magic + "index 1\n" + strings.Replace(proofLine, "Q=\n", "R=\n", 1) + "\n" + exampleNote, "spelling"},
		{"64 hashes", magic + "index 1\n" + strings.Repeat(proofLine, 64) + "\n" + exampleNote, "64 hashes"},
		{"carriage return", magic + "index 1\r\n\n" + exampleNote, "decimal"},
		{"no checkpoint", magic + "index 1\n\n", "checkpoint"},
		{"broken checkpoint", magic + "index 1\n\n" + exampleNote + "x", "checkpoint"},
		{"two blank lines", magic + "index 1\n\n\n" + strings.Replace(exampleNote, "\n\n", "\n", 1), "checkpoint"},
		{"too long", magic + "extra " + strings.Repeat("AAAA", MaxReceiptSize/4) + "\nindex 1\n\n" + exampleNote, "more than 131072"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseReceipt([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) || VerdictOf(err) != Invalid {
				t.Errorf("error is %v, want INVALID with %q", err, test.want)
			}
		})
	}
	_, err := ParseReceipt([]byte("c2sp.org/tlog-proof@v2\nindex 1\n\n" + exampleNote))
	if !errors.Is(err, ErrNewer) {
		t.Errorf("version 2: error is %v, want ErrNewer", err)
	}
}

func FuzzParseReceipt(f *testing.F) {
	f.Add([]byte("c2sp.org/tlog-proof@v1\nindex 0\n\n" + exampleNote))
	f.Add([]byte("c2sp.org/tlog-proof@v1\nextra YWdl\nindex 73894\n" + proofLine + proofLine + "\n" + quasimodoNote))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReceipt(b)
		if err != nil {
			return
		}
		if got := r.Text(); !bytes.Equal(got, b) {
			t.Fatalf("%q re-encodes to %q", b, got)
		}
		if r.Index < 0 || len(r.Proof) > MaxProofHashes {
			t.Fatalf("%q: index %d, %d hashes", b, r.Index, len(r.Proof))
		}
	})
}
