package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

func init() { commands["maxrss"] = maxRSS }

// maxRSS runs a command and writes to the file that is its first argument how many
// bytes of memory it had at most, of which this small process may count for some: when
// a process begins, it still has its parent's.
func maxRSS() {
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		panic(err)
	}
	rss := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	if err := os.WriteFile(os.Args[1], fmt.Append(nil, rss), 0o600); err != nil {
		panic(err)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// endless reads as zeros for ever.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// hostile is a file that somebody gives for a bundle.
type hostile struct {
	name  string
	write func(f *os.File) error // nil: an endless standard input
	code  int
	says  string
	limit int64 // bytes of memory; 0: smallRSS
}

// smallRSS bounds the memory for what is refused before its signatures are: about 300
// bytes for each of 20,000 files, and the program itself.
const smallRSS = 64 << 20

// TestHostileFiles: whatever somebody gives for a bundle costs the program little
// memory, ends, and ends with a reason.
func TestHostileFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("measures memory, of which a program under the race detector takes several times as much")
	}
	l := newBundleLog(t, time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))
	good := l.packed(l.bundleOf(l.subscribe(), "confirmed", "email"))
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy")
	writeFile(t, policy, ledger.NewPolicy(l.signer.Keys()))
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range append(unsigned(good, program), signed(t, l)...) {
		t.Run(h.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			name, memory := filepath.Join(dir, "hostile.asice"), filepath.Join(dir, "rss")
			var in io.Reader = endless{}
			if h.write == nil {
				name = "-"
			} else {
				in = nil
				f, err := os.Create(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(h.write(f), f.Close()); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(ctx, "maxrss", memory, "verify", "bundle", name, "--policy", policy)
			var out bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &out
			begin := time.Now()
			if err := cmd.Run(); cmd.ProcessState == nil {
				t.Fatal(err)
			}
			spent := time.Since(begin)
			var rss int64
			if _, err := fmt.Sscan(string(readFile(t, memory)), &rss); err != nil {
				t.Fatal(err)
			}
			line, _, _ := strings.Cut(out.String(), "\n")
			t.Logf("%v, %d MiB: %.200s", spent.Round(time.Millisecond), rss>>20, line)
			if code := cmd.ProcessState.ExitCode(); code != h.code || !strings.Contains(line, h.says) || strings.Contains(out.String(), "goroutine ") {
				t.Errorf("exit code %d, want %d and %q\n%.2000s", code, h.code, h.says, &out)
			}
			if limit := max(h.limit, smallRSS); rss > limit {
				t.Errorf("%d bytes of memory, more than %d", rss, limit)
			}
		})
	}
}

// unsigned are files that nobody signed.
func unsigned(good []byte, program string) []hostile {
	le := binary.LittleEndian
	end := func(count uint16, size, offset uint32) []byte {
		h := append([]byte("PK\x05\x06"), make([]byte, 18)...)
		le.PutUint16(h[8:], count)
		le.PutUint16(h[10:], count)
		le.PutUint32(h[12:], size)
		le.PutUint32(h[16:], offset)
		return h
	}
	text := func(b []byte) func(*os.File) error {
		return func(f *os.File) error {
			_, err := f.Write(b)
			return err
		}
	}
	sparse := func(size int64, tail []byte) func(*os.File) error {
		return func(f *os.File) error {
			_, err := f.WriteAt(tail, size-int64(len(tail)))
			return err
		}
	}
	zipped := func(names func(i int) string, files int, content []byte, change func(*zip.FileHeader)) func(*os.File) error {
		return func(f *os.File) error {
			w := zip.NewWriter(f)
			for i := range files {
				if err := raw(w, names(i), content, change); err != nil {
					return err
				}
			}
			return w.Close()
		}
	}
	entry := func(i int) string { return bundle.EntryPath(ledger.Index(i)) }
	zip64 := append(append([]byte("PK\x06\x06"), make([]byte, 52)...), append([]byte("PK\x06\x07"), make([]byte, 16)...)...)
	le.PutUint64(zip64[24:], 10_000_000)
	le.PutUint64(zip64[32:], 10_000_000)
	const invalid = int(ledger.Invalid)
	return []hostile{
		{name: "1 TiB", write: sparse(1<<40, end(1, 0, 0)), code: invalid, says: "more than 301989888"},
		{name: "the largest that is looked at", write: sparse(bundle.MaxPacked, end(0xffff, 0, bundle.MaxPacked-22)), code: invalid, says: "65535 files, more than 20000"},
		{name: "a directory of zeros", write: sparse(bundle.MaxPacked, end(bundle.MaxFiles, bundle.MaxPacked-22, 0)), code: invalid, says: "does not begin as one"},
		{name: "ten million files, zip64", write: sparse(900<<20, append(zip64, end(0xffff, 0xffffffff, 0xffffffff)...)), code: invalid, says: "more than 301989888"},
		{name: "70,000 files", write: zipped(entry, 70_000, []byte("x"), nil), code: invalid, says: "more than 20000"},
		{name: "20,000 files that nothing lists", write: zipped(entry, bundle.MaxFiles, []byte("x"), nil), code: invalid, says: "is missing"},
		{name: "4 GiB by its headers", write: zipped(entry, 3, []byte("x"), func(h *zip.FileHeader) { h.UncompressedSize64 = 1<<32 - 1 }), code: invalid},
		{name: "a bomb", write: bomb, code: invalid, says: "ASiCManifest001.xml: "},
		{name: "itself", write: zipped(func(int) string { return "mimetype" }, 1, good, nil), code: invalid},
		{name: "within a file", write: zipped(func(i int) string { return []string{"mimetype", "evidence.asice"}[i] }, 2, good, nil), code: invalid},
		{name: "cut off", write: text(good[:len(good)/2]), code: invalid, says: "does not end as a zip file"},
		{name: "twice", write: text(append(bytes.Clone(good), good...)), code: invalid},
		{name: "nothing", write: text(nil), code: invalid, says: "it is no zip file: it is too short"},
		{name: "a program", write: func(f *os.File) error {
			from, err := os.Open(program)
			if err != nil {
				return err
			}
			defer from.Close()
			_, err = io.Copy(f, from)
			return err
		}, code: invalid, says: "does not end as a zip file"},
		{name: "an endless standard input", code: invalid, says: "more than 301989888"},
	}
}

// raw adds a file to a zip as it is, as the container wants it.
func raw(w *zip.Writer, name string, content []byte, change func(*zip.FileHeader)) error {
	h := &zip.FileHeader{Name: name, CreatorVersion: 20, ReaderVersion: 20, CRC32: crc32.ChecksumIEEE(content),
		CompressedSize64: uint64(len(content)), UncompressedSize64: uint64(len(content))}
	if change != nil {
		change(h)
	}
	to, err := w.CreateRaw(h)
	if err == nil {
		_, err = to.Write(content)
	}
	return err
}

// bomb writes a container that has every file it must have, and some that unpack to as
// much as they may: a little less than a thousand times what they have.
func bomb(f *os.File) error {
	var packed bytes.Buffer
	deflate, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err != nil {
		return err
	}
	sum, zeros := crc32.NewIEEE(), make([]byte, 1<<20)
	for i := range bundle.MaxFileSize >> 20 {
		zeros[i], zeros[2*i] = byte(i), byte(3*i)
		if _, err := io.MultiWriter(deflate, sum).Write(zeros); err != nil {
			return err
		}
	}
	if err := deflate.Close(); err != nil {
		return err
	}
	unpacks := func(h *zip.FileHeader) {
		h.Method, h.UncompressedSize64, h.CRC32 = zip.Deflate, bundle.MaxFileSize, sum.Sum32()
	}
	w := zip.NewWriter(f)
	add := func(name, content string) { err = errors.Join(err, raw(w, name, []byte(content), nil)) }
	add("mimetype", bundle.MediaType)
	add(string(bundle.KindCheckpoint), "x")
	add(string(bundle.KindIndex), `{"format":"`+bundle.Format+`"}`)
	for i := range byte(3) {
		err = errors.Join(err, raw(w, bundle.FilePath(ledger.Hash{i}), packed.Bytes(), unpacks))
	}
	add(string(bundle.KindManifest), "x")
	add(string(bundle.KindSignature), "x")
	return errors.Join(err, w.Close())
}

// signed are containers that the log itself signed, so that everything in them is read.
func signed(t *testing.T, l *bundleLog) []hostile {
	size := len(l.texts)
	container := func(index, custody string, more func(w *bundle.Writer) error) func(*os.File) error {
		return func(f *os.File) error {
			w, err := bundle.NewWriter(f)
			if err != nil {
				return err
			}
			return errors.Join(w.WriteFile(string(bundle.KindCheckpoint), l.checkpoint(size)), w.WriteFile(string(bundle.KindCustody), []byte(custody)),
				w.WriteFile(string(bundle.KindIndex), []byte(index)), more(w), w.Close(l.signer, nil))
		}
	}
	keys := func(w *bundle.Writer) error { return w.WriteFile(string(bundle.KindKeys), l.keys(size)) }
	index := `{"format":"consent-ledger/bundle/v1","about":"consents","origin":"` + testOrigin + `","size":` + fmt.Sprint(size)
	return []hostile{
		{name: "an index of many numbers", write: container(index+`,"consents":[{"entries":[0`+strings.Repeat(",0", 8<<20-500)+`]}]}`, "{}", keys),
			code: int(ledger.Invalid), says: "not in its one spelling", limit: 128 << 20},
		{name: "an index of many records", write: container(index+`,"consents":[{}`+strings.Repeat(",{}", 5<<20)+`]}`, "{}", keys), code: int(ledger.Invalid), says: "more records", limit: 128 << 20},
		{name: "an index of short lines", write: container(index+`,"consents":[{"entries":[0`+strings.Repeat(",\n         0", 16<<20/12-50)+`]}]}`, "{}", keys),
			code: int(ledger.Invalid), says: "not in its one spelling", limit: 256 << 20},
		{name: "a deep index", write: container(index+`,"consents":`+strings.Repeat("[", 16<<20-500), "{}", keys), code: int(ledger.Invalid), limit: 128 << 20},
		{name: "an auditor's bundle of 5,000 entries, which is good", write: func(f *os.File) error {
			l := newBundleLog(t, time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))
			l.fill(5000)
			_, err := f.Write(l.packed(l.bundleOfRange(0, 5000)))
			return err
		}, says: "VERIFIED", limit: 256 << 20},
		{name: "key entries that are none", write: container(index+"}", "{}", func(w *bundle.Writer) error {
			return w.WriteFile(string(bundle.KindKeys), bytes.Repeat([]byte("consent-ledger/entry/v1\n"), 100_000))
		}), code: int(ledger.Invalid), limit: 256 << 20},
	}
}
