package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// harmless names the bytes of a container that say nothing: whoever changes one
// changes no file, no name, no digest and no signature.
func harmless(t *testing.T, b []byte) map[int]string {
	t.Helper()
	le := binary.LittleEndian
	bytes := map[int]string{}
	entries, err := readDirectory(source{readerAt(b)}, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	at := int(le.Uint32(b[len(b)-6:]))
	for _, e := range entries {
		bytes[at+4] = "version of the program that wrote the zip entry"
		bytes[at+5] = "system on which the zip entry was written"
		for i := range 2 {
			bytes[at+36+i] = "internal attributes: whether the file is text"
		}
		for i := range 4 {
			bytes[at+38+i] = "external attributes: permissions, hidden, archived; never a link or a directory"
		}
		at += centralSize + len(e.name)
		if e.method == methodDeflate {
			for i := range e.packed {
				bytes[int(e.data+i)] = "another spelling of the same content by deflate, such as bits behind its end"
			}
		}
	}
	return bytes
}

func readerAt(b []byte) *bytes.Reader { return bytes.NewReader(b) }

// TestEveryByte changes every byte of a container in several ways: it is refused
// as invalid, or the byte is harmless and every file is what it was.
func TestEveryByte(t *testing.T) {
	b := pack(t, sample("alpha"), "\x30\x03abc")
	keys := testSigner(t, 1).Keys()
	allowed := harmless(t, b)
	c, err := open(t, b)
	if err != nil {
		t.Fatal(err)
	}
	met := map[string]int{}
	mine := slices.Clone(b)
	for i := range b {
		for _, pattern := range []byte{1 << (i % 8), 0xff} {
			mine[i] = b[i] ^ pattern
			changed, err := Open(readerAt(mine), int64(len(mine)))
			if changed != nil && err == nil {
				err = changed.VerifySignature(keys)
			}
			switch {
			case err != nil && ledger.VerdictOf(err) != ledger.Invalid:
				t.Errorf("byte %d ^ 0x%02x: %v", i, pattern, err)
			case err == nil && allowed[i] == "":
				t.Errorf("byte %d ^ 0x%02x is accepted", i, pattern)
			case err == nil:
				met[allowed[i]]++
				if !slices.Equal(changed.Files(), c.Files()) {
					t.Errorf("byte %d ^ 0x%02x changes a file", i, pattern)
				}
			}
		}
		mine[i] = b[i]
	}
	t.Logf("%d bytes; accepted: %v", len(b), met)
}

// TestEveryCut: no beginning of a container is one.
func TestEveryCut(t *testing.T) {
	b := pack(t, sample("alpha"), "")
	for n := 0; n < len(b); n += 7 {
		if c, err := Open(readerAt(b[:n]), int64(n)); c != nil || ledger.VerdictOf(err) != ledger.Invalid {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestEveryFile drops, doubles, empties and swaps every file. Where whoever does
// it also makes a new manifest, the signature does not fit.
func TestEveryFile(t *testing.T) {
	ours, theirs := sample("alpha"), sample("beta")
	signed := stored(t, ours)
	other := stored(t, theirs)
	if _, err := open(t, rawZip(signed, nil)); err != nil {
		t.Fatal(err)
	}
	for i, e := range signed {
		variants := map[string][]rawEntry{
			"dropped": slices.Delete(slices.Clone(signed), i, i+1),
			"doubled": slices.Insert(slices.Clone(signed), i, e),
			"renamed": func() []rawEntry { l := slices.Clone(signed); l[i].name += "x"; return l }(),
		}
		if other[i].name == e.name && other[i].content != e.content {
			variants["another bundle's"] = func() []rawEntry { l := slices.Clone(signed); l[i] = other[i]; return l }()
		}
		for name, list := range variants {
			if c, err := open(t, rawZip(list, nil)); ledger.VerdictOf(err) != ledger.Invalid {
				t.Errorf("%s %s: %v, %v", e.name, name, c, err)
			}
			// With a manifest of what is there now, but the signatures of before.
			var files []testFile
			for _, e := range list {
				if e.name != "mimetype" && e.name != string(KindManifest) && e.name != string(KindSignature) {
					files = append(files, testFile{e.name, e.content})
				}
			}
			remade := stored(t, files)
			remade[len(remade)-1] = signed[len(signed)-1]
			if i < len(signed)-2 && i > 0 {
				if _, err := open(t, rawZip(remade, nil)); err == nil || errors.Is(err, ledger.ErrMissing) {
					t.Errorf("%s %s, with a new manifest: %v", e.name, name, err)
				}
			}
		}
	}
}

// TestSignatures: who signed, and what.
func TestSignatures(t *testing.T) {
	b := pack(t, sample("alpha"), "")
	c, err := open(t, b)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := testSigner(t, 1).Keys(), testSigner(t, 2).Keys()
	if err := c.VerifySignature(theirs); !errors.Is(err, ledger.ErrPolicy) {
		t.Errorf("other keys: %v", err)
	}
	for _, keys := range []ledger.KeyPair{{Ed25519: ours.Ed25519, MLDSA44: theirs.MLDSA44}, {Ed25519: theirs.Ed25519, MLDSA44: ours.MLDSA44}} {
		if err := c.VerifySignature(keys); ledger.VerdictOf(err) != ledger.Invalid {
			t.Errorf("one other key: %v", err)
		}
	}
	text, err := c.File(string(KindSignature))
	if err != nil {
		t.Fatal(err)
	}
	good, err := parseSignatures(string(text))
	if err != nil || good.String() != string(text) {
		t.Fatal(err)
	}
	for name, change := range map[string]func(s *signatures){
		"Ed25519": func(s *signatures) { s[0].signature[3] ^= 1 }, "ML-DSA-44": func(s *signatures) { s[1].signature[3] ^= 1 },
		"short": func(s *signatures) { s[0].signature = s[0].signature[1:] }, "short ML-DSA-44": func(s *signatures) { s[1].signature = s[1].signature[1:] },
		"another id": func(s *signatures) { s[0].keyID++ }, "another id of ML-DSA-44": func(s *signatures) { s[1].keyID++ },
		"swapped":                   func(s *signatures) { s[0], s[1] = s[1], s[0] },
		"swapped but for the names": func(s *signatures) { s[0].signature, s[1].signature = s[1].signature, s[0].signature },
		"over another manifest":     func(s *signatures) { *s = sign(testSigner(t, 1), ledger.Hash{1}) },
	} {
		s, err := parseSignatures(good.String())
		if err != nil {
			t.Fatal(err)
		}
		change(&s)
		files := stored(t, sample("alpha"))
		files[len(files)-1] = rawEntry{name: string(KindSignature), packed: s.String(), content: s.String()}
		_, err = open(t, rawZip(files, nil))
		if ledger.VerdictOf(err) != ledger.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "\n\n", "0000000a AA==\n", "0000000a AA==\n0000000b AA==", "0000000a AA==\n0000000b AA==\n\n", "0000000A AA==\n0000000b AA==\n",
		"0000000a AB==\n0000000b AA==\n", "0000000a  AA==\n0000000b AA==\n", "0000000a AA==\r\n0000000b AA==\n", "00000a AA==\n0000000b AA==\n",
		"0000000a \n0000000b AA==\n", "0000000a AA\n0000000b AA==\n"} {
		if _, err := parseSignatures(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
