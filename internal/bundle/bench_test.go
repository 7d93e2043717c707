package bundle

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// large gives the files of a person with 200 consents: 800 entries, a proof of
// 5 KiB each, 4,800 disclosures and four files of 10 KiB.
func large() []testFile {
	r := rand.NewChaCha8([32]byte{3})
	text := func(n int) string {
		b := make([]byte, n*3/4)
		_, _ = r.Read(b)
		return base64.StdEncoding.EncodeToString(b)
	}
	files := sample("alpha")[:8]
	for i := range 800 {
		files = append(files, testFile{EntryPath(ledger.Index(i)), strings.Repeat("commitment "+text(44)+"\n", 6)})
	}
	for i := range 800 {
		files = append(files, testFile{ProofPath(ledger.Index(i)), text(5 << 10)})
	}
	for i := range 800 {
		for n := range 6 {
			files = append(files, testFile{DisclosurePath(ledger.Index(i), fmt.Sprintf("x.claim%d", n)), text(120)})
		}
	}
	for i := range 4 {
		files = append(files, testFile{FilePath(ledger.Hash{byte(i)}), text(10 << 10)})
	}
	return files
}

func BenchmarkWrite(b *testing.B) {
	files, signer := large(), testSigner(b, 1)
	for b.Loop() {
		if _, err := packInto(io.Discard, files, signer); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	packed, keys := pack(b, large(), ""), testSigner(b, 1).Keys()
	for b.Loop() {
		c, err := Open(bytes.NewReader(packed), int64(len(packed)))
		if err == nil {
			err = c.VerifySignature(keys)
		}
		for _, f := range c.Files() {
			if err == nil {
				_, err = c.File(f.Name)
			}
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(packed)), "bytes")
}
