package prove

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/evidence"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/internal/testbundle/exported"
)

// The commands of docs/VERIFY.txt print what stands there, with the tools that everybody
// has; `openssl ts` over a token that openssl made.
func TestByHand(t *testing.T) {
	t.Parallel()
	s := theSample(t)
	instructions := string(s.files.Get(t, "docs/VERIFY.txt"))
	for _, want := range []string{"unzip ", "sha256sum", "base64", "openssl ts -verify"} {
		if !strings.Contains(instructions, want) {
			t.Errorf("the instructions do not say %q", want)
		}
	}
	n := testbundle.ByHand(t, s.bundle)
	if n < 8 {
		t.Errorf("%d commands were run", n)
	}
	// And the token over the whole bundle.
	dir := t.TempDir()
	for name, content := range map[string][]byte{"manifest": s.files.Get(t, manifest), "token": s.files.Get(t, stamp), "authority.pem": s.files.Get(t, "trust/tsa/1.pem")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openssl := func() (string, error) {
		cmd := exec.Command("openssl", "ts", "-verify", "-data", "manifest", "-in", "token", "-token_in", "-CAfile", "authority.pem")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := openssl(); err != nil || !strings.Contains(out, "Verification: OK") {
		t.Errorf("openssl ts: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest"), append(s.files.Get(t, manifest), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := openssl(); err == nil {
		t.Errorf("openssl ts accepts another manifest:\n%s", out)
	}
}

// The reports open; page one has the question and the answer.
func TestPDF(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"pdftotext", "pdftoppm", "pdfinfo"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	s := theSample(t)
	for language, want := range map[string][]string{"de": {"Lag am ", "„Newsletter“", "Nein"}, "en": {"Was there consent", "“Newsletter”", "No"}} {
		dir := t.TempDir()
		path := filepath.Join(dir, "report.pdf")
		if err := os.WriteFile(path, s.files.Get(t, "docs/report."+language+".pdf"), 0o600); err != nil {
			t.Fatal(err)
		}
		run := func(name string, args ...string) string {
			t.Helper()
			var said bytes.Buffer
			cmd := exec.Command(name, args...)
			cmd.Stderr = &said
			out, err := cmd.Output()
			if err != nil || said.Len() > 0 {
				t.Errorf("%s: %v\n%s", name, err, &said)
			}
			return string(out)
		}
		first := strings.Join(strings.Fields(run("pdftotext", "-f", "1", "-l", "1", "-layout", path, "-")), " ")
		for _, w := range want {
			if !strings.Contains(first, w) {
				t.Errorf("%s: page 1 does not say %q:\n%s", language, w, first)
			}
		}
		run("pdftoppm", "-r", "40", "-gray", path, filepath.Join(dir, "page"))
		pages, err := filepath.Glob(filepath.Join(dir, "page*.pgm"))
		if err != nil || len(pages) < 2 {
			t.Errorf("%s: %d pages: %v", language, len(pages), err)
		}
		for _, page := range pages {
			b, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			if white := bytes.Count(b, []byte{0xff}); len(b) < 1000 || white > len(b)*999/1000 {
				t.Errorf("%s: %s is blank", language, filepath.Base(page))
			}
		}
	}
}

// A bundle that is written twice is the same but for the signatures, whose randomness is
// fresh, and with signatures without randomness it is the same.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	s := exported.Tell(t)
	b, err := s.Service.ExportBundle(ctx, exported.Legal, service.BundleRequest{Subject: exported.Erika.Subject(), Disclose: exported.Disclosed, Reason: "Klage", Recipient: "Gericht"})
	if err != nil {
		t.Fatal(err)
	}
	var written [2]bytes.Buffer
	var containers [2][]byte
	for i := range written {
		if err := evidence.WriteBundle(&written[i], b, evidence.BundleOptions{Tool: "ledgerd test"}); err != nil {
			t.Fatal(err)
		}
		files := testbundle.Open(t, written[i].Bytes())
		containers[i] = files.Signed(t, s.Signer.Deterministic()).Deflate(t)
		sound(t, containers[i], options(t, s.Ledger))
	}
	if !bytes.Equal(containers[0], containers[1]) {
		t.Error("with the same signatures the bundles differ")
	}
	one, two := written[0].Bytes(), written[1].Bytes()
	if bytes.Equal(one, two) || len(one) != len(two) {
		t.Fatalf("of %d and %d bytes; they are equal: %v", len(one), len(two), bytes.Equal(one, two))
	}
	for _, p := range parts(t, one) {
		for i := p.from; i < p.to; i++ {
			checksum := p.name == "" // of the file of signatures, in two headers
			if one[i] != two[i] && p.name != signature && !checksum {
				t.Fatalf("byte %d, of %q, differs", i, p.name)
			}
		}
	}
}
