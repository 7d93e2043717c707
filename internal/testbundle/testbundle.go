// Package testbundle checks proof bundles in tests as somebody would who has them and
// none of our programs.
//
// [ByHand] does what a bundle's instructions say; [Without] looks for what must not be
// in it.
package testbundle

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ByHand runs every command of docs/VERIFY.txt in a shell, but those of our own
// verifier, and demands the output that stands there: that of `base64 -d`, for which
// none stands there, must hold a disclosure. It gives how many commands were run. The
// test is skipped where a program is missing.
func ByHand(t testing.TB, asice []byte) (ran int) {
	t.Helper()
	for _, tool := range []string{"sh", "unzip", "sha256sum", "base64", "openssl", "grep", "tr"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "FILE.asice"), asice, 0o600); err != nil {
		t.Fatal(err)
	}
	text, _, german := strings.Cut(string(unpacked(t, asice)["docs/VERIFY.txt"]), "SO WIRD DIESES PAKET")
	_, again, _ := strings.Cut(text, "cd bundle")
	if !german || !strings.Contains(again, "\n    ") {
		t.Fatalf("these are no instructions:\n%s", text)
	}
	var commands, wants []string // of a command, what it prints; "" for nothing said
	for line := range strings.Lines(text) {
		line, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "    ")
		if !ok {
			continue
		}
		if want, ok := strings.CutPrefix(line, "= "); ok {
			wants[len(wants)-1] = want
			continue
		}
		commands, wants = append(commands, line), append(wants, "")
	}
	for i, command := range commands {
		if strings.HasPrefix(command, "verify ") {
			continue
		}
		if command == "cd bundle" { // of the shell in which the next ones run
			dir = filepath.Join(dir, "bundle")
			continue
		}
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = dir
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		got := strings.TrimSuffix(string(out), "\n")
		switch {
		case err != nil:
			t.Errorf("%s: %v\n%s%s", command, err, out, &said)
		case strings.HasSuffix(command, "base64 -d") && strings.HasPrefix(got, `["`) && strings.HasSuffix(got, `"]`):
		case got != wants[i]:
			t.Errorf("%s\nprints %q, the instructions say %q", command, got, wants[i])
		}
		ran++
	}
	return ran
}

// Without demands that no file of a bundle holds a value of at least eight bytes: not as
// it is, nor in hex, in base64 at any place of a longer text, or in what a PDF has
// compressed.
func Without(t testing.TB, asice []byte, values ...string) {
	t.Helper()
	for _, v := range values {
		if len(v) < 8 {
			t.Fatalf("%q is found by chance", v)
		}
	}
	files := unpacked(t, asice)
	files["the container"] = asice
	for name, content := range files {
		if strings.HasSuffix(name, ".pdf") {
			content = append(content, inflated(content)...)
		}
		for _, v := range values {
			for _, spelling := range spellings(v) {
				if bytes.Contains(content, []byte(spelling)) {
					t.Errorf("%s holds %q, as %q", name, v, spelling)
				}
			}
		}
	}
}

// spellings are those of a value. Of base64, the letters that do not depend on what
// stands beside it, at each of three places.
func spellings(v string) []string {
	list := []string{v, hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v)))}
	for before := range 3 {
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			s := e.EncodeToString(append(make([]byte, before), v...))
			list = append(list, s[(before*8+5)/6:len(s)-1])
		}
	}
	// A PDF writes text by the numbers of its letters, or in UTF-16.
	var wide strings.Builder
	for _, r := range v {
		wide.WriteByte(byte(r >> 8))
		wide.WriteByte(byte(r))
	}
	return append(list, wide.String())
}

// unpacked gives the files of a container.
func unpacked(t testing.TB, asice []byte) map[string][]byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(asice), int64(len(asice)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// inflated gives what the streams of a PDF hold.
func inflated(pdf []byte) (all []byte) {
	for {
		_, rest, ok := bytes.Cut(pdf, []byte("stream\n"))
		if !ok {
			return all
		}
		pdf = rest
		if z, err := zlib.NewReader(bytes.NewReader(rest)); err == nil {
			part, err := io.ReadAll(z)
			if _, wrong := err.(flate.CorruptInputError); err == nil || wrong {
				all = append(all, part...)
			}
		}
	}
}
