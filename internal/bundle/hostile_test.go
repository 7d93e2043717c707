package bundle

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

func deflated(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestHostileZip: each way of making two zip readers see different files, or of
// costing them dearly, is refused for its own reason. The container that is not
// changed is accepted.
func TestHostileZip(t *testing.T) {
	le := binary.LittleEndian
	const victim = 9 // evidence/entries/2.txt
	one := func(change func(e *rawEntry)) func([]rawEntry) []rawEntry {
		return func(list []rawEntry) []rawEntry {
			change(&list[victim])
			return list
		}
	}
	both := func(change func(fields []byte)) func([]rawEntry) []rawEntry { // the fields that both headers have
		return one(func(e *rawEntry) {
			e.local = func(h []byte) { change(h[4:]) }
			e.central = func(h []byte) { change(h[6:]) }
		})
	}
	central := func(change func(h []byte)) func([]rawEntry) []rawEntry {
		return one(func(e *rawEntry) { e.central = change })
	}
	rename := func(name string) func([]rawEntry) []rawEntry { return one(func(e *rawEntry) { e.name = name }) }
	add := func(at int, e rawEntry) func([]rawEntry) []rawEntry {
		return func(list []rawEntry) []rawEntry { return slices.Insert(list, at, e) }
	}
	for _, test := range []struct {
		name   string
		change func([]rawEntry) []rawEntry
		want   string
	}{
		{"encrypted", both(func(f []byte) { f[2] |= 1 }), "flags are 0x0001"},
		{"strongly encrypted", both(func(f []byte) { f[2] |= 0x40 }), "flags"},
		{"encrypted directory", both(func(f []byte) { f[3] |= 0x20 }), "flags"},
		{"UTF-8 flag", both(func(f []byte) { f[3] |= 0x08 }), "flags"},
		{"patch data", both(func(f []byte) { f[2] |= 0x20 }), "flags"},
		{"data descriptor", one(func(e *rawEntry) {
			sum, size := crc32.ChecksumIEEE([]byte(e.content)), uint32(len(e.content))
			e.behind = string(le.AppendUint32(le.AppendUint32(le.AppendUint32([]byte("PK\x07\x08"), sum), size), size))
			e.local = func(h []byte) { h[6] |= 8; clear(h[14:26]) }
			e.central = func(h []byte) { h[8] |= 8 }
		}), "flags are 0x0008"},
		{"descriptor without a flag", one(func(e *rawEntry) { e.behind = strings.Repeat("x", 16) }), "the one before ends"},
		{"method bzip2", both(func(f []byte) { le.PutUint16(f[4:], 12) }), "method is 12"},
		{"method LZMA", both(func(f []byte) { le.PutUint16(f[4:], 14) }), "method is 14"},
		{"method deflate64", both(func(f []byte) { le.PutUint16(f[4:], 9) }), "method is 9"},
		{"version 4.5", both(func(f []byte) { f[0] = 45 }), "version 45"},
		{"local extra field", one(func(e *rawEntry) { e.extra[0] = "UT\x01\x00x" }), "local header"},
		{"central extra field", one(func(e *rawEntry) { e.extra[1] = "UT\x01\x00x" }), "extra field"},
		{"zip64 sizes", one(func(e *rawEntry) {
			e.extra[1] = "\x01\x00\x10\x00" + strings.Repeat("\x00", 16)
			e.central = func(h []byte) { le.PutUint32(h[20:], 1<<32-1); le.PutUint32(h[24:], 1<<32-1) }
		}), "extra field"},
		{"4 GiB without zip64", both(func(f []byte) { le.PutUint32(f[14:], 1<<32-1); le.PutUint32(f[18:], 1<<32-1) }), "more than 67108864"},
		{"comment", one(func(e *rawEntry) { e.comment = "c" }), "comment"},
		{"second disk", central(func(h []byte) { h[34] = 1 }), "disk"},
		{"symbolic link", central(func(h []byte) { le.PutUint32(h[38:], 0xa1ff<<16); h[5] = 3 }), "link"},
		{"Unix directory", central(func(h []byte) { le.PutUint32(h[38:], 0x41ed<<16); h[5] = 3 }), "directory"},
		{"DOS directory", central(func(h []byte) { h[38] = 0x10 }), "directory"},
		{"volume label", central(func(h []byte) { h[38] = 0x08 }), "directory"},
		{"directory entry", add(9, rawEntry{name: "evidence/"}), "directory"},
		{"offset of another file", central(func(h []byte) { le.PutUint32(h[42:], 0) }), "begins at byte 0"},
		{"offset behind the file", central(func(h []byte) { le.PutUint32(h[42:], le.Uint32(h[42:])+1) }), "begins at byte"},
		{"bytes between", one(func(e *rawEntry) { e.behind = "hidden" }), "the one before ends"},
		{"bytes before the directory", func(list []rawEntry) []rawEntry { list[len(list)-1].behind = "hidden"; return list }, "belong to no file"},
		{"local size", one(func(e *rawEntry) { e.local = func(h []byte) { h[22]++ } }), "local header"},
		{"local CRC", one(func(e *rawEntry) { e.local = func(h []byte) { h[14]++ } }), "local header"},
		{"local method", one(func(e *rawEntry) { e.local = func(h []byte) { h[8] = 8 } }), "local header"},
		{"local time", one(func(e *rawEntry) { e.local = func(h []byte) { h[10]++ } }), "local header"},
		{"local signature", one(func(e *rawEntry) { e.local = func(h []byte) { h[0]++ } }), "local header"},
		{"central signature", central(func(h []byte) { h[0]++ }), "does not begin as one"},
		{"both CRC", both(func(f []byte) { f[10]++ }), "CRC-32"},
		{"stored with two sizes", both(func(f []byte) { f[18]++ }), "two sizes"},
		{"deflate is none", both(func(f []byte) { f[4] = 8 }), "unpacked"},
		{"bytes behind deflate", one(func(e *rawEntry) { e.method, e.packed = 8, deflated(t, e.content)+"x" }), "bytes stand behind"},
		{"deflate cut off", one(func(e *rawEntry) { p := deflated(t, e.content); e.method, e.packed = 8, p[:len(p)-1] }), "unpacked"},
		{"deflate of more", one(func(e *rawEntry) { e.method, e.packed = 8, deflated(t, e.content+"x") }), "size"},
		{"deflate of less", one(func(e *rawEntry) { e.method, e.packed = 8, deflated(t, e.content[1:]) }), "size"},
		{"empty blocks", one(func(e *rawEntry) {
			e.method, e.packed = 8, strings.Repeat("\x00\x00\x00\xff\xff", 1000)+deflated(t, e.content)
		}), "it takes"},
		{"bomb", one(func(e *rawEntry) {
			e.content = strings.Repeat("\x00", 16<<20)
			e.method, e.packed = 8, deflated(t, e.content)
		}), "more than 1000 to one"},
		{"entry too large", one(func(e *rawEntry) { e.content = strings.Repeat("x", ledger.MaxEntrySize+1); e.packed = e.content }), "more than 16384"},
		{"empty entry", one(func(e *rawEntry) { e.content, e.packed = "", "" }), "is empty"},
		{"twice", add(10, rawEntry{name: EntryPath(2), packed: "x", content: "x"}), "twice"},
		{"twice by case", add(10, rawEntry{name: "evidence/Entries/2.TXT", packed: "x", content: "x"}), "twice"},
		{"below a file", add(10, rawEntry{name: "custody.json/a", packed: "x", content: "x"}), "below another file"},
		{"absolute", rename("/etc/entry"), "absolute"},
		{"parent", rename("evidence/../../x"), "dots"},
		{"backslash", rename(`evidence\entries`), "characters"},
		{"drive", rename("C:x"), "characters"},
		{"NUL", rename("evidence/entries/2.txt\x00.pdf"), "characters"},
		{"not ASCII", rename("evidence/entries/２.txt"), "characters"},
		{"long name", rename(strings.Repeat("a", MaxPath+1)), "201 bytes"},
		{"no name", rename(""), "0 bytes"},
		{"other spelling", rename("evidence/entries/02.txt"), "which the container lacks"},
		{"unlisted", add(9, rawEntry{name: EntryPath(1), packed: "1", content: "1"}), "out of place, or does not list"},
		{"unlisted, unknown", add(9, rawEntry{name: "evidence/x", packed: "1", content: "1"}), "out of place, or does not list"},
		{"unlisted at the end", func(l []rawEntry) []rawEntry {
			return append(l, rawEntry{name: "META-INF/x", packed: "1", content: "1"})
		}, "no manifest lists it"},
		{"unlisted, last", func(l []rawEntry) []rawEntry {
			return slices.Insert(l, len(l)-2, rawEntry{name: AuthorityPath(2), packed: "1", content: "1"})
		}, "does not list"},
		{"reaching beyond the container", func(l []rawEntry) []rawEntry {
			for i := range l[victim:] {
				l[victim+i].local = func(h []byte) {
					le.PutUint32(h[18:], le.Uint32(h[18:])+1<<20)
					le.PutUint32(h[22:], le.Uint32(h[22:])+1<<20)
				}
				l[victim+i].central = func(h []byte) {
					le.PutUint32(h[20:], le.Uint32(h[20:])+1<<20)
					le.PutUint32(h[24:], le.Uint32(h[24:])+1<<20)
					le.PutUint32(h[42:], le.Uint32(h[42:])+uint32(i)<<20)
				}
			}
			return l
		}, "into the zip directory"},
		{"second manifest", func(l []rawEntry) []rawEntry {
			return append(l, rawEntry{name: "META-INF/ASiCManifest002.xml", packed: "1", content: "1"})
		}, "no manifest lists it"},
		{"token that the manifest does not name", func(l []rawEntry) []rawEntry {
			return append(l, rawEntry{name: string(KindToken), packed: "1", content: "1"})
		}, "does not begin as the template"},
		{"two files in each other's place", func(l []rawEntry) []rawEntry { l[9], l[10] = l[10], l[9]; return l }, "not in its place"},
		{"mimetype second", func(l []rawEntry) []rawEntry { l[0], l[1] = l[1], l[0]; return l }, "not in its place"},
		{"other type", func(l []rawEntry) []rawEntry {
			l[0].content = "application/vnd.etsi.asic-s+zip"
			l[0].packed = l[0].content
			return l
		}, "mimetype is"},
		{"mimetype deflated", func(l []rawEntry) []rawEntry { l[0].method, l[0].packed = 8, deflated(t, MediaType); return l }, "not stored"},
		{"no files", func(l []rawEntry) []rawEntry { return nil }, `"mimetype" is missing`},
		{"no manifest", func(l []rawEntry) []rawEntry { return slices.Delete(l, len(l)-2, len(l)-1) }, "is missing"},
		{"no signature", func(l []rawEntry) []rawEntry { return l[:len(l)-1] }, "is missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := open(t, rezip(t, sample("alpha"), nil)); err != nil {
				t.Fatal(err)
			}
			wantInvalid(t, rezip(t, sample("alpha"), test.change), test.want)
		})
	}
}

// TestHostileEnd: the end of the zip file.
func TestHostileEnd(t *testing.T) {
	good := rezip(t, sample("alpha"), nil)
	le := binary.LittleEndian
	edit := func(at int, by uint16) []byte {
		b := slices.Clone(good)
		h := b[len(b)-22:]
		le.PutUint16(h[at:], le.Uint16(h[at:])+by)
		return b
	}
	for name, b := range map[string][]byte{
		"empty": {}, "short": good[:21], "cut off": good[:len(good)-1], "added to": append(slices.Clone(good), 0),
		"comment": append(edit(20, 1), 'c'),
		"text":    []byte(strings.Repeat("no zip file at all ", 10)),
		"disk":    edit(4, 1), "disk of the directory": edit(6, 1),
		"count on this disk": edit(8, 1), "count": edit(10, 1), "directory size": edit(12, 1), "directory offset": edit(16, 1),
		"prefix": append([]byte("#!/bin/sh\n"), good...),
		"fewer": func() []byte {
			b := edit(8, 0xffff)
			h := b[len(b)-22:]
			le.PutUint16(h[10:], le.Uint16(h[8:]))
			return b
		}(),
		"more": func() []byte { b := edit(8, 1); h := b[len(b)-22:]; le.PutUint16(h[10:], le.Uint16(h[8:])); return b }(),
		"zip64 end record": func() []byte { // valid, and yet not needed
			b, h := slices.Clone(good[:len(good)-22]), slices.Clone(good[len(good)-22:])
			at, directory, size := uint64(len(b)), uint64(le.Uint32(h[16:])), uint64(le.Uint32(h[12:]))
			n := uint64(le.Uint16(h[8:]))
			z := append([]byte("PK\x06\x06"), 44, 0, 0, 0, 0, 0, 0, 0, 45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
			for _, v := range []uint64{n, n, size, directory} {
				z = le.AppendUint64(z, v)
			}
			z = append(append(z, "PK\x06\x07\x00\x00\x00\x00"...), le.AppendUint64(nil, at)...)
			return append(append(append(b, z...), 1, 0, 0, 0), h...)
		}(),
		"bytes behind the directory's entries": func() []byte {
			return slices.Insert(edit(12, 4), len(good)-22, []byte("PK\x01\x02")...)
		}(),
		"two zip files": append(slices.Clone(good), good...),
	} {
		t.Run(name, func(t *testing.T) { wantInvalid(t, b, "") })
	}
}

// endless is a zip file too large to have: what is not said is zero.
type endless struct {
	size int64
	tail []byte
}

func (e endless) ReadAt(p []byte, offset int64) (int, error) {
	clear(p)
	if begin := e.size - int64(len(e.tail)); offset+int64(len(p)) > begin {
		if offset < begin {
			copy(p[begin-offset:], e.tail)
		} else {
			copy(p, e.tail[offset-begin:])
		}
	}
	return len(p), nil
}

// TestBounds: what a hostile container costs is bounded, in time and in memory.
func TestBounds(t *testing.T) {
	le := binary.LittleEndian
	end := func(count uint16, size, offset uint32) []byte {
		h := make([]byte, 22)
		le.PutUint32(h, endSignature)
		le.PutUint16(h[8:], count)
		le.PutUint16(h[10:], count)
		le.PutUint32(h[12:], size)
		le.PutUint32(h[16:], offset)
		return h
	}
	many := func(count, size int, method uint16, packed string) []rawEntry {
		list := []rawEntry{{name: "mimetype", packed: MediaType, content: MediaType}}
		for i := range count {
			list = append(list, rawEntry{name: FilePath(ledger.Hash{byte(i >> 8), byte(i)}), method: method, packed: packed, local: func(h []byte) {
				le.PutUint32(h[22:], uint32(size))
			}, central: func(h []byte) { le.PutUint32(h[24:], uint32(size)) }})
		}
		return list
	}
	type input struct {
		r    io.ReaderAt
		size int64
		want string
	}
	inMemory := func(b []byte, want string) input { return input{bytes.NewReader(b), int64(len(b)), want} }
	for name, in := range map[string]input{
		"1 TiB":                      {endless{1 << 40, end(1, 0, 0)}, 1 << 40, "more than 301989888"},
		"ten million files":          {endless{MaxPacked, end(0xffff, 0, MaxPacked-22)}, MaxPacked, "65535 files, more than 20000"},
		"directory of zeros":         {endless{MaxPacked, end(MaxFiles, MaxPacked-22, 0)}, MaxPacked, "does not begin as one"},
		"20,001 tiny files":          inMemory(rawZip(many(MaxFiles, 0, 0, ""), nil), "20001 files, more than 20000"),
		"20,000 tiny files unlisted": inMemory(rawZip(many(MaxFiles-1, 0, 0, ""), nil), "is missing"),
		"four GiB together":          inMemory(rawZip(many(100, MaxFileSize, 8, strings.Repeat("\x00", MaxFileSize/MaxRatio+1)), nil), "more than 268435456 bytes together"),
		"wrong sizes":                inMemory(rawZip(many(3, MaxFileSize, 8, strings.Repeat("\x00", MaxFileSize/MaxRatio+1)), nil), "is missing"),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			c, err := Open(in.r, in.size)
			runtime.ReadMemStats(&after)
			if c != nil || ledger.VerdictOf(err) != ledger.Invalid || !strings.Contains(err.Error(), in.want) {
				t.Errorf("%v, want %q", err, in.want)
			}
			t.Logf("%v, %d KiB allocated: %v", time.Since(begin).Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>10, err)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 48<<20 {
				t.Errorf("%d bytes were allocated", grown)
			}
		})
	}
}

// TestFull: a container at the limit of files is accepted, and what it costs to
// read does not hang on its size.
func TestFull(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	files := sample("alpha")[:8]
	for i := range MaxFiles - 4 - len(files) {
		files = append(files, testFile{EntryPath(ledger.Index(i)), fmt.Sprintf("entry %d\n", i)})
	}
	b := pack(t, files, "")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := time.Now()
	c, err := open(t, b)
	if err != nil {
		t.Fatal(err)
	}
	spent := time.Since(begin)
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d files, %d bytes: opened in %v, %d KiB allocated, %d KiB kept", len(c.Files()), len(b), spent.Round(time.Millisecond),
		(after.TotalAlloc-before.TotalAlloc)>>10, (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>10)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > MaxFiles<<10 {
		t.Errorf("%d bytes are kept", kept)
	}
	if _, err := packWith(append(files, testFile{EntryPath(MaxFiles), "x"}), testSigner(t, 1), ""); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one file more: %v", err)
	}
}
