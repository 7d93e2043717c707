package secondreader

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/ledger"
)

// story is a log in which one person asks for two things, confirms, is mailed to and withdraws one, and another asks, too.
type story struct {
	*book
	ids                                 []ledger.ConsentID // of the person: newsletter, email.open_tracking
	other                               []ledger.ConsentID
	sent, confirmed, used, withdrawn    ledger.Index
	anchored, anchoredAgain, stateAgain ledger.Index
	confirmedAt                         time.Time
}

func newStory(t *testing.T, between ...func(*story)) *story {
	t.Helper()
	s := &story{book: newBook(t)}
	s.anchored = s.anchor()
	s.ids = s.ask("other", "newsletter", "email.open_tracking")[1:]
	s.other = s.ask("newsletter")
	sum := s.keep(mailText)
	s.sent = s.add(&ledger.Entry{Kind: ledger.ConfirmationSent, Source: "shop", Mail: "kept", About: s.ids}, "message",
		`{"name":"doi.eml","media_type":"message/rfc822","sha256":"`+hex.EncodeToString(sum[:])+`"}`)
	s.confirmed = s.change(&ledger.Entry{Kind: ledger.ConsentConfirmed, Token: tokenAt(ledger.Index(s.ids[0] - 1)), Click: "button"}, s.ids, "ip", "203.0.113.0")
	s.confirmedAt = s.now
	s.anchoredAgain = s.anchor()
	s.stateAgain = s.commitState()
	s.used = s.add(&ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: []ledger.ConsentID{s.ids[0], s.other[0]}})
	for _, f := range between {
		f(s)
	}
	s.withdrawn = s.change(&ledger.Entry{Kind: ledger.ConsentWithdrawn, Method: "link"}, s.ids[:1])
	return s
}

// questions are those of the story, with the answers that the entries lead to.
func (s *story) questions() []bundle.IndexedQuestion {
	now := s.now.Add(time.Second)
	return []bundle.IndexedQuestion{
		{Purpose: "newsletter", Channel: "email", At: now, Reason: "withdrawn", Consent: &s.ids[0]},
		{Purpose: "email.open_tracking", Channel: "email", At: now, Allowed: true, Reason: "confirmed", Consent: &s.ids[1], Hindsight: true},
	}
}

func (s *story) bundle() *made {
	return s.export(s.ids, []string{"email", "message"}, s.questions()...)
}

// repacked packs a container anew by the rules of CONTAINER.md and signs it, with another text in its index and another name for
// VERIFY.txt.
func repacked(before, after, name string) func(t *testing.T, b []byte) []byte {
	return func(t *testing.T, b []byte) []byte {
		files := testbundle.Open(t, b)
		for i := range files {
			switch f := &files[i]; f.Name {
			case "docs/VERIFY.txt":
				f.Name = cmp.Or(name, f.Name)
			case "evidence/bundle.json":
				f.Content = bytes.Replace(f.Content, []byte(before), []byte(after), 1)
			}
		}
		return files.Signed(t, pairs[0].signer).Deflate(t)
	}
}

// forged changes the files before they are signed anew, or behind.
func forged(before, behind func(l testbundle.Files) testbundle.Files) func(t *testing.T, b []byte) []byte {
	return func(t *testing.T, b []byte) []byte {
		files := testbundle.Open(t, b)
		if before != nil {
			files = before(files)
		}
		if files = files.Signed(t, pairs[0].signer); behind != nil {
			files = behind(files)
		}
		return files.Zip(t)
	}
}

// headed packs a container anew with another header, or other packed bytes, of VERIFY.txt. What is changed there the directory says, too.
func headed(edit func(h *zip.FileHeader, content []byte) (packed []byte)) func(t *testing.T, b []byte) []byte {
	return func(t *testing.T, b []byte) []byte {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		for _, f := range testbundle.Open(t, b) {
			size := uint64(len(f.Content))
			h := &zip.FileHeader{Name: f.Name, ReaderVersion: 20, CRC32: crc32.ChecksumIEEE(f.Content), CompressedSize64: size, UncompressedSize64: size}
			packed := f.Content
			if f.Name == "docs/VERIFY.txt" {
				packed = edit(h, f.Content)
				h.CompressedSize64 = uint64(len(packed))
			}
			to, err := w.CreateRaw(h)
			if err == nil {
				_, err = to.Write(packed)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
}

// with gives VERIFY.txt another header.
func with(set func(h *zip.FileHeader)) func(t *testing.T, b []byte) []byte {
	return headed(func(h *zip.FileHeader, content []byte) []byte { set(h); return content })
}

func deflated(h *zip.FileHeader, content []byte) []byte {
	h.Method = zip.Deflate
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// bent is the bundle of a story whose export is recorded otherwise than the chain demands.
func bent(bend func(s *story, e *ledger.Entry)) func(t *testing.T) *made {
	return func(t *testing.T) *made {
		s := newStory(t)
		s.bend = func(e *ledger.Entry) { bend(s, e) }
		return s.bundle()
	}
}

// split is the bundle of a story in which a list of two was split, one part for the person and one for the other or both for the person;
// bend changes the second part.
func split(others bool, bend func(e *ledger.Entry)) func(t *testing.T) *made {
	return func(t *testing.T) *made {
		s := newStory(t, func(s *story) {
			first := &ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", Part: 1, Parts: 2, About: s.ids[:1]}
			second := &ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", Part: 2, Parts: 2, About: slices.Clone(s.ids[1:])}
			if others {
				second.About = s.other
			}
			s.add(first, "reference", "Rundbrief")
			s.bend = func(e *ledger.Entry) {
				if e.Time = first.Time; bend != nil {
					bend(e)
				}
			}
			s.add(second)
		})
		return s.bundle()
	}
}

// bundleCase is a bundle that both verifiers must judge alike.
type bundleCase struct {
	name    string
	make    func(t *testing.T) *made
	bytes   func(t *testing.T, b []byte) []byte // changes the container
	policy  []byte                              // that of the first pair if nil
	keys    func(m *made) []byte
	verdict int
}

// changed gives the story's bundle, changed before it is signed.
func changed(f func(s *story, m *made)) func(t *testing.T) *made {
	return func(t *testing.T) *made {
		s := newStory(t)
		m := s.bundle()
		f(s, m)
		return m
	}
}

// edited changes one file of the story's bundle.
func edited(name func(s *story) string, edit func(content string) string) func(t *testing.T) *made {
	return changed(func(s *story, m *made) {
		m.files["evidence/bundle.json"] = m.index.Text()
		before := string(m.files[name(s)])
		after := edit(before)
		if before == after || before == "" {
			s.Fatalf("%s is not changed", name(s))
		}
		m.files[name(s)] = []byte(after)
	})
}

func whole(t *testing.T) *made { return newStory(t).bundle() }

func named(name string) func(*story) string { return func(*story) string { return name } }

func replaced(before, after string) func(string) string {
	return func(s string) string { return strings.Replace(s, before, after, 1) }
}

func flipped(s string) string { return s[:len(s)/2] + string(s[len(s)/2]^1) + s[len(s)/2+1:] }

var bundleCases = []bundleCase{
	{name: "good", make: whole},
	{name: "nothing disclosed", make: func(t *testing.T) *made { s := newStory(t); return s.export(s.ids, nil, s.questions()...) }},
	{name: "one record", make: func(t *testing.T) *made {
		s := newStory(t)
		return s.export(s.ids[:1], []string{"ip"}, s.questions()[:1]...)
	}},
	{name: "no questions", make: func(t *testing.T) *made { s := newStory(t); return s.export(s.ids, nil) }},
	{name: "with a token over the manifest", make: changed(func(_ *story, m *made) { m.token = []byte("a token") })},
	{name: "rotated", make: func(t *testing.T) *made { s := newStory(t, func(s *story) { s.rotate() }); return s.bundle() }},
	{name: "rotated, keys given", make: func(t *testing.T) *made { s := newStory(t, func(s *story) { s.rotate() }); return s.bundle() },
		keys: func(m *made) []byte { return m.files["trust/trust.keys"] }},
	{name: "rotated, an older keys file given", make: func(t *testing.T) *made { s := newStory(t, func(s *story) { s.rotate() }); return s.bundle() },
		keys: func(m *made) []byte { return m.texts[0] }},
	{name: "rotated, by the retired pair", make: func(t *testing.T) *made {
		m := newStory(t, func(s *story) { s.rotate() }).bundle()
		m.signer = pairs[0].signer
		return m
	}, verdict: 2},
	{name: "rotated, without saying so", make: func(t *testing.T) *made {
		s := newStory(t, func(s *story) { s.rotate() })
		m := s.bundle()
		m.omit(s.rotated[0])
		m.files["trust/trust.keys"] = s.texts[0]
		return m
	}, keys: func(m *made) []byte { return slices.Concat(m.texts[0], m.texts[m.rotated[0]]) }, verdict: 1},
	{name: "rotated, in another way than the keys file says", make: func(t *testing.T) *made { return newStory(t, func(s *story) { s.rotate() }).bundle() },
		keys: func(m *made) []byte {
			s := newStory(m.T, func(s *story) { s.commitState(); s.rotate() })
			return slices.Concat(s.texts[0], s.texts[s.rotated[0]])
		}, verdict: 1},
	{name: "rotated since", make: whole, keys: func(m *made) []byte {
		m.rotate()
		return slices.Concat(m.texts[0], m.texts[m.rotated[0]])
	}},
	{name: "a keys file of another log", make: whole, keys: func(*made) []byte { return []byte("none") }, verdict: 2},
	{name: "another policy", make: whole, policy: ledger.NewPolicy(pairs[2].signer.Keys()), verdict: 2},
	{name: "erased", make: func(t *testing.T) *made {
		s := newStory(t)
		erased := s.change(&ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17"}, s.ids)
		s.add(&ledger.Entry{Kind: ledger.EvidenceShredded, Source: ledger.SourceLedger, Refers: []ledger.Index{erased}, Generation: 2, Medium: "file",
			Contents: s.now, ExistenceDue: s.now.Add(time.Hour)})
		return s.export(s.ids, nil)
	}},
	{name: "erased, and disclosed", make: func(t *testing.T) *made {
		s := newStory(t)
		s.change(&ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17"}, s.ids)
		return s.export(s.ids, []string{"email"})
	}, verdict: 1},
	{name: "a range", make: func(t *testing.T) *made { s := newStory(t); return s.exportRange(ledger.Index(s.ids[0]), s.withdrawn) }},
	{name: "a range from the beginning", make: func(t *testing.T) *made { s := newStory(t); return s.exportRange(0, s.withdrawn) }},
	{name: "a range with a hole", make: func(t *testing.T) *made {
		s := newStory(t)
		m := s.exportRange(ledger.Index(s.ids[0]), s.withdrawn)
		m.omit(s.used)
		return m
	}, verdict: 1},
	{name: "a range, and more", make: func(t *testing.T) *made {
		s := newStory(t)
		m := s.exportRange(ledger.Index(s.ids[0]), s.used)
		m.put(s.used)
		return m
	}, verdict: 1},
	{name: "a range, for a reason", make: func(t *testing.T) *made {
		s := newStory(t)
		m := s.exportRange(ledger.Index(s.ids[0]), s.withdrawn)
		m.custody.Reason = "Prüfung"
		return m
	}, verdict: 1},
	{name: "a range with a question", make: func(t *testing.T) *made {
		s := newStory(t)
		m := s.exportRange(ledger.Index(s.ids[0]), s.withdrawn)
		m.index.Questions = s.questions()
		return m
	}, verdict: 1},
	{name: "a range without an end", make: func(t *testing.T) *made {
		s := newStory(t)
		m := s.exportRange(ledger.Index(s.ids[0]), s.withdrawn)
		m.index.Range.End = ledger.Index(m.size) + 1
		return m
	}, verdict: 1},
	{name: "a range without stamps", make: func(t *testing.T) *made {
		s := newStory(t)
		m := s.exportRange(ledger.Index(s.ids[0]), s.withdrawn)
		for name := range m.files {
			if strings.HasPrefix(name, "evidence/checkpoints/") || strings.HasPrefix(name, "evidence/consistency/") {
				delete(m.files, name)
			}
		}
		return m
	}},

	// The container.
	{name: "empty", make: whole, bytes: func(*testing.T, []byte) []byte { return nil }, verdict: 1},
	{name: "cut", make: whole, bytes: func(_ *testing.T, b []byte) []byte { return b[:len(b)-1] }, verdict: 1},
	{name: "a byte more", make: whole, bytes: func(_ *testing.T, b []byte) []byte { return append(b, 0) }, verdict: 1},
	{name: "a byte before", make: whole, bytes: func(_ *testing.T, b []byte) []byte { return append([]byte{0}, b...) }, verdict: 1},
	{name: "a comment", make: whole, bytes: func(_ *testing.T, b []byte) []byte { b[len(b)-2] = 1; return append(b, 'x') }, verdict: 1},
	{name: "a flag", make: whole, bytes: func(_ *testing.T, b []byte) []byte {
		for _, at := range []int{6, bytes.Index(b, []byte("PK\x01\x02")) + 8} {
			b[at] |= 8
		}
		return b
	}, verdict: 1},
	{name: "two headers", make: whole, bytes: func(_ *testing.T, b []byte) []byte { b[bytes.LastIndex(b, []byte("PK\x03\x04"))+10] ^= 1; return b }, verdict: 1},
	{name: "a date", make: whole, bytes: func(_ *testing.T, b []byte) []byte {
		b[10] ^= 1
		b[bytes.Index(b, []byte("PK\x01\x02"))+12] ^= 1
		return b
	}},
	{name: "a name in another case", make: whole, bytes: func(_ *testing.T, b []byte) []byte {
		return bytes.ReplaceAll(b, []byte("docs/VERIFY.txt"), []byte("docs/verify.txt"))
	}, verdict: 1},
	{name: "a link", make: whole, bytes: func(_ *testing.T, b []byte) []byte { b[bytes.Index(b, []byte("PK\x01\x02"))+41] = 0xa0; return b }, verdict: 1},
	{name: "another mimetype", make: whole, bytes: func(_ *testing.T, b []byte) []byte { b[40] ^= 1; return b }, verdict: 1},
	{name: "a file that nobody knows", make: changed(func(_ *story, m *made) { m.files["docs/report.de.html"] = []byte("x") }), bytes: func(_ *testing.T, b []byte) []byte {
		return bytes.ReplaceAll(b, []byte("docs/report.de.html"), []byte("docs/report.fr.html"))
	}, verdict: 1},
	{name: "stored", make: whole, bytes: with(func(*zip.FileHeader) {})},
	{name: "an extra field", make: whole, bytes: with(func(h *zip.FileHeader) { h.Extra = []byte{0x55, 0x54, 1, 0, 0} }), verdict: 1},
	{name: "a file's comment", make: whole, bytes: with(func(h *zip.FileHeader) { h.Comment = "x" }), verdict: 1},
	{name: "a later zip", make: whole, bytes: with(func(h *zip.FileHeader) { h.ReaderVersion = 45 }), verdict: 1},
	{name: "another method", make: whole, bytes: with(func(h *zip.FileHeader) { h.Method = 12 }), verdict: 1},
	{name: "a directory", make: whole, bytes: with(func(h *zip.FileHeader) { h.ExternalAttrs = 0x10 }), verdict: 1},
	{name: "permissions", make: whole, bytes: with(func(h *zip.FileHeader) { h.ExternalAttrs = 0x81a4 << 16 })},
	{name: "two sizes", make: whole, bytes: with(func(h *zip.FileHeader) { h.UncompressedSize64++ }), verdict: 1},
	{name: "deflated", make: whole, bytes: headed(deflated)},
	{name: "a byte behind what is deflated", make: whole, bytes: headed(func(h *zip.FileHeader, content []byte) []byte { return append(deflated(h, content), 0) }), verdict: 1},
	{name: "deflated, and cut", make: whole, bytes: headed(func(h *zip.FileHeader, content []byte) []byte { return deflated(h, content)[:5] }), verdict: 1},
	{name: "deflated to nothing, often", make: changed(func(_ *story, m *made) { m.files["docs/VERIFY.txt"] = make([]byte, 1<<20) }),
		bytes: headed(func(h *zip.FileHeader, content []byte) []byte { return deflated(h, content) }), verdict: 1},
	{name: "much for little", make: whole, bytes: headed(func(h *zip.FileHeader, content []byte) []byte {
		return append(bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 100), deflated(h, content)...)
	}), verdict: 1},
	{name: "a file less in the end record", make: whole, bytes: func(_ *testing.T, b []byte) []byte { b[len(b)-14]--; b[len(b)-12]--; return b }, verdict: 1},
	{name: "another disk", make: whole, bytes: func(_ *testing.T, b []byte) []byte { b[len(b)-18]++; return b }, verdict: 1},
	{name: "a byte before the directory", make: whole, bytes: func(_ *testing.T, b []byte) []byte {
		at := len(b) - 6
		start := binary.LittleEndian.Uint32(b[at:])
		binary.LittleEndian.PutUint32(b[at:], start+1)
		return slices.Insert(b, int(start), 0)
	}, verdict: 1},
	{name: "two files in another order", make: whole, bytes: forged(func(l testbundle.Files) testbundle.Files { l[2], l[3] = l[3], l[2]; return l }, nil), verdict: 1},
	{name: "mimetype is not the first", make: whole, bytes: forged(func(l testbundle.Files) testbundle.Files { l[0], l[1] = l[1], l[0]; return l }, nil), verdict: 1},
	{name: "another mimetype, signed", make: whole, bytes: forged(func(l testbundle.Files) testbundle.Files { l[0].Content = []byte("application/zip"); return l }, nil), verdict: 1},
	{name: "an empty file", make: whole, bytes: forged(func(l testbundle.Files) testbundle.Files { l[3].Content = nil; return l }, nil), verdict: 1},
	{name: "a file behind the manifest", make: whole, bytes: forged(nil, func(l testbundle.Files) testbundle.Files {
		return append(l, testbundle.File{Name: "META-INF/more.txt", Content: []byte("x")})
	}), verdict: 1},
	{name: "no manifest.sig", make: whole, bytes: forged(nil, func(l testbundle.Files) testbundle.Files { return l.Less("META-INF/manifest.sig") }), verdict: 1},
	{name: "a third signature", make: whole, bytes: forged(nil, func(l testbundle.Files) testbundle.Files {
		sig := &l[len(l)-1]
		sig.Content = append(sig.Content, sig.Content[:strings.Index(string(sig.Content), "\n")+1]...)
		return l
	}), verdict: 1},
	{name: "the first signature changed", make: whole, bytes: forged(nil, func(l testbundle.Files) testbundle.Files { l[len(l)-1].Content[20] ^= 1; return l }), verdict: 1},
	{name: "the second signature changed", make: whole, bytes: forged(nil, func(l testbundle.Files) testbundle.Files { l[len(l)-1].Content[1000] ^= 1; return l }), verdict: 1},
	{name: "packed anew", make: whole, bytes: repacked("", "", "docs/VERIFY.txt")},
	{name: "a later version", make: whole, bytes: repacked("bundle/v1", "bundle/v2", ""), verdict: 2},
	{name: "another format", make: whole, bytes: repacked("bundle/v1", "bundle/v1x", ""), verdict: 1},
	{name: "another first member", make: whole, bytes: repacked("\"format\"", "\"formal\"", ""), verdict: 1},
	{name: "a file of a later version, signed", make: whole, bytes: repacked("", "", "docs/VERIFY.fr.txt"), verdict: 2},
	{name: "a name with a dot in front", make: whole, bytes: repacked("", "", "docs/.VERIFY.txt"), verdict: 1},
	{name: "a name of a directory above", make: whole, bytes: repacked("", "", "docs/../VERIFY.txt"), verdict: 1},
	{name: "a name with a space", make: whole, bytes: repacked("", "", "docs/VERIFY fr.txt"), verdict: 1},
	{name: "a name that is too long", make: whole, bytes: repacked("", "", "docs/"+strings.Repeat("a", 196)), verdict: 1},
	{name: "an absolute name", make: whole, bytes: repacked("", "", "/docs/VERIFY.txt"), verdict: 1},
	{name: "a name below a file", make: whole, bytes: repacked("", "", "checkpoint.note/VERIFY.txt"), verdict: 1},
	{name: "a name out of its place", make: whole, bytes: repacked("", "", "evidence/entries/999.txt"), verdict: 1},
	{name: "a name twice but for its case", make: whole, bytes: repacked("", "", "Custody.json"), verdict: 1},
	{name: "signed by another log's keys", make: changed(func(_ *story, m *made) { m.signer = pairs[2].signer }), verdict: 2},

	// The index and custody.
	{name: "the index with another member", make: edited(named("evidence/bundle.json"), replaced(`"size"`, `"sizes"`)), verdict: 1},
	{name: "the index in one line", make: edited(named("evidence/bundle.json"), func(s string) string { return strings.ReplaceAll(s, "\n ", "") }), verdict: 1},
	{name: "another size", make: changed(func(_ *story, m *made) { m.index.Size-- }), verdict: 1},
	{name: "another origin", make: changed(func(_ *story, m *made) { m.custody.Origin = "ledger.example.com/other" }), verdict: 1},
	{name: "about nothing known", make: changed(func(_ *story, m *made) { m.index.About = "everything" }), verdict: 1},
	{name: "a range besides", make: changed(func(_ *story, m *made) { m.index.Range = &bundle.IndexedRange{End: 1} }), verdict: 1},
	{name: "consents in another order", make: changed(func(_ *story, m *made) { slices.Reverse(m.index.Consents) }), verdict: 1},
	{name: "an entry not listed", make: changed(func(s *story, m *made) { m.index.Consents[0].Entries = m.index.Consents[0].Entries[1:] }), verdict: 1},
	{name: "an entry listed that is none of its own", make: changed(func(s *story, m *made) {
		m.index.Consents[0].Entries = append([]ledger.Index{1}, m.index.Consents[0].Entries...)
	}), verdict: 1},
	{name: "another purpose", make: changed(func(_ *story, m *made) { m.index.Consents[0].Purpose = "other" }), verdict: 1},
	{name: "another exporter", make: changed(func(_ *story, m *made) { m.custody.Exporter = "shop" }), verdict: 1},
	{name: "another reason", make: changed(func(_ *story, m *made) { m.custody.Reason = "Neugier" }), verdict: 1},
	{name: "no recipient", make: changed(func(_ *story, m *made) { m.custody.Recipient = "" }), verdict: 1},
	{name: "made before it was recorded", make: changed(func(_ *story, m *made) { m.custody.Made = m.entries[*m.index.Exported].Time.Add(-time.Second) }), verdict: 1},
	{name: "made in another zone", make: changed(func(_ *story, m *made) { m.custody.Made = m.custody.Made.In(time.FixedZone("", 3600)) }), verdict: 1},
	{name: "another entry exported it", make: changed(func(s *story, m *made) { m.index.Exported, m.custody.Exported = &s.withdrawn, &s.withdrawn }), verdict: 1},
	{name: "what was disclosed is not said", make: changed(func(_ *story, m *made) { m.custody.Disclosed = nil }), verdict: 1},

	// Entries.
	{name: "the withdrawal left out", make: changed(func(s *story, m *made) { m.omit(s.withdrawn) }), verdict: 1},
	{name: "the withdrawal left out, and the state of before", make: changed(func(s *story, m *made) {
		m.omit(*m.index.Committed)
		m.index.Committed = &s.stateAgain
		m.put(s.stateAgain)
		m.omit(s.withdrawn)
		m.index.Questions = nil
		for _, id := range s.ids {
			m.files[bundle.StatePath(id)] = s.states[s.stateAgain](id)
		}
	}), verdict: 1},
	{name: "a confirmation left out", make: changed(func(s *story, m *made) { m.omit(s.confirmed) }), verdict: 1},
	{name: "the mail left out", make: changed(func(s *story, m *made) { m.omit(s.sent) }), verdict: 1},
	{name: "the first entry left out", make: changed(func(s *story, m *made) { m.omit(0) }), verdict: 1},
	{name: "a source left out", make: changed(func(s *story, m *made) { m.omit(2) }), verdict: 1},
	{name: "a purpose left out", make: changed(func(s *story, m *made) { m.omit(5) }), verdict: 1},
	{name: "the notice left out", make: changed(func(s *story, m *made) { m.omit(8) }), verdict: 1},
	{name: "another record's entry", make: changed(func(s *story, m *made) { m.put(ledger.Index(s.other[0])) }), verdict: 1},
	{name: "another record's change", make: func(t *testing.T) *made {
		s := newStory(t)
		i := s.change(&ledger.Entry{Kind: ledger.ConsentWithdrawn, Method: "link"}, s.other)
		m := s.bundle()
		m.put(i)
		return m
	}, verdict: 1},
	{name: "no state asked for", make: changed(func(_ *story, m *made) { m.index.Committed = nil }), verdict: 1},
	{name: "an entry of another history", make: edited(func(s *story) string { return bundle.EntryPath(s.used) }, replaced("consent.used", "hold.set")), verdict: 1},
	{name: "an entry in another's place", make: changed(func(s *story, m *made) { m.files[bundle.EntryPath(s.sent)] = m.files[bundle.EntryPath(s.used)] }), verdict: 1},
	{name: "no proof", make: changed(func(s *story, m *made) { delete(m.files, bundle.ProofPath(s.sent)) }), verdict: 1},
	{name: "a proof alone", make: changed(func(s *story, m *made) { delete(m.files, bundle.EntryPath(s.sent)) }), verdict: 1},
	{name: "a proof of another entry", make: changed(func(s *story, m *made) { m.files[bundle.ProofPath(s.sent)] = m.files[bundle.ProofPath(s.used)] }), verdict: 1},
	{name: "a hash of a proof", make: edited(func(s *story) string { return bundle.ProofPath(s.sent) }, func(text string) string {
		lines := strings.SplitAfter(text, "\n")
		lines[2], lines[3] = lines[3], lines[2]
		return strings.Join(lines, "")
	}), verdict: 1},
	{name: "a proof with more", make: edited(func(s *story) string { return bundle.ProofPath(s.sent) }, replaced("index", "extra aGVsbG8=\nindex")), verdict: 1},
	{name: "a proof under an earlier checkpoint", make: changed(func(s *story, m *made) {
		earlier := m.size - 1
		m.files[bundle.ProofPath(s.sent)] = bytes.Replace(m.files[bundle.ProofPath(s.sent)], m.files["checkpoint.note"], s.checkpoint(earlier), 1)
	}), verdict: 1},
	{name: "a proof of a later version", make: edited(func(s *story) string { return bundle.ProofPath(s.sent) }, replaced("proof@v1", "proof@v2")), verdict: 2},
	{name: "an earlier checkpoint", make: changed(func(s *story, m *made) { m.files["checkpoint.note"] = s.checkpoint(m.size - 1) }), verdict: 1},
	{name: "a checkpoint without its second signature", make: edited(named("checkpoint.note"), func(s string) string { return s[:strings.LastIndex(s, "\u2014")] }), verdict: 1},
	{name: "other key entries", make: edited(named("trust/trust.keys"), func(s string) string { return s + s }), verdict: 1},
	{name: "no key entries", make: changed(func(_ *story, m *made) { delete(m.files, "trust/trust.keys") }), verdict: 1},
	{name: "another prev", make: bent(func(_ *story, e *ledger.Entry) { e.Prev[3] ^= 1 }), verdict: 1},
	{name: "an earlier time", make: bent(func(s *story, e *ledger.Entry) { e.Time = s.entries[s.withdrawn].Time.Add(-time.Second) }), verdict: 1},
	{name: "a list split", make: split(false, nil)},
	{name: "a list split, half of it about another", make: split(true, nil)},
	{name: "half of a list left out", make: func(t *testing.T) *made {
		m := split(false, nil)(t)
		m.omit(m.index.Consents[0].Entries[4])
		return m
	}, verdict: 1},
	{name: "a list split in another way", make: split(false, func(e *ledger.Entry) { e.Parts = 3 }), verdict: 1},
	{name: "a list split over two times", make: split(false, func(e *ledger.Entry) { e.Time = e.Time.Add(time.Microsecond) }), verdict: 1},
	{name: "a list split, whose second part is the first", make: split(false, func(e *ledger.Entry) { e.Part = 1 }), verdict: 1},
	{name: "a list split, and not ascending", make: split(false, func(e *ledger.Entry) { e.About[0]-- }), verdict: 1},
	{name: "a list cut off", make: bent(func(_ *story, e *ledger.Entry) { e.Part, e.Parts = 1, 9 }), verdict: 1},
	{name: "a rule is broken", make: func(t *testing.T) *made {
		s := newStory(t)
		s.change(&ledger.Entry{Kind: ledger.ConsentConfirmed, Token: tokenAt(ledger.Index(s.ids[0] - 1)), Click: "button"}, s.ids[:1])
		return s.export(s.ids[:1], nil)
	}, verdict: 1},
	{name: "a rule is broken of a record of another", make: func(t *testing.T) *made {
		s := newStory(t)
		s.change(&ledger.Entry{Kind: ledger.ConsentConfirmed, Token: tokenAt(ledger.Index(s.ids[0] - 1)), Click: "button"}, s.ids[:1])
		return s.export(s.other, nil)
	}},
	{name: "a notice's version is skipped", make: changed(func(s *story, m *made) { m.omit(7) })},

	// State.
	{name: "no state", make: changed(func(s *story, m *made) { delete(m.files, bundle.StatePath(s.ids[0])) }), verdict: 1},
	{name: "another's state", make: changed(func(s *story, m *made) { m.files[bundle.StatePath(s.ids[0])] = m.files[bundle.StatePath(s.ids[1])] }), verdict: 1},
	{name: "an earlier state", make: changed(func(s *story, m *made) { m.files[bundle.StatePath(s.ids[0])] = s.states[s.stateAgain](s.ids[0]) }), verdict: 1},
	{name: "a state of nobody here", make: changed(func(s *story, m *made) {
		m.files[bundle.StatePath(s.other[0])] = s.states[*m.index.Committed](s.other[0])
	}), verdict: 1},
	{name: "the state says otherwise", make: edited(func(s *story) string { return bundle.StatePath(s.ids[0]) }, replaced("withdrawn", "confirmed")), verdict: 1},
	{name: "no state.committed", make: changed(func(s *story, m *made) { m.omit(*m.index.Committed) }), verdict: 1},

	// What is shown.
	{name: "a disclosure changed", make: edited(func(s *story) string { return bundle.DisclosurePath(ledger.Index(s.ids[0]), "email") }, flipped), verdict: 1},
	{name: "a disclosure of another entry", make: changed(func(s *story, m *made) {
		m.files[bundle.DisclosurePath(ledger.Index(s.ids[0]), "email")] = []byte(s.opened[ledger.Index(s.ids[1])][0].Text())
	}), verdict: 1},
	{name: "a disclosure under another claim", make: changed(func(s *story, m *made) {
		at := bundle.DisclosurePath(ledger.Index(s.ids[0]), "email")
		m.files[bundle.DisclosurePath(ledger.Index(s.ids[0]), "phone")] = m.files[at]
		delete(m.files, at)
	}), verdict: 1},
	{name: "more is disclosed than was recorded", make: changed(func(s *story, m *made) {
		d := s.opened[ledger.Index(s.ids[0])][2]
		m.files[bundle.DisclosurePath(ledger.Index(s.ids[0]), d.Claim)] = []byte(d.Text())
	}), verdict: 1},
	{name: "less is disclosed than was recorded", make: changed(func(s *story, m *made) {
		delete(m.files, bundle.DisclosurePath(s.sent, "message"))
		for name := range m.files {
			if strings.HasPrefix(name, "evidence/files/") {
				delete(m.files, name)
			}
		}
	}), verdict: 1},
	{name: "the reason is not disclosed", make: changed(func(s *story, m *made) { delete(m.files, bundle.DisclosurePath(*m.index.Exported, "reason")) }), verdict: 1},
	{name: "a notice changed", make: edited(func(s *story) string { return bundle.NoticePath(s.notice().SHA256) }, flipped), verdict: 1},
	{name: "no notice", make: changed(func(s *story, m *made) { delete(m.files, bundle.NoticePath(s.notice().SHA256)) }), verdict: 1},
	{name: "no facts", make: changed(func(s *story, m *made) { delete(m.files, bundle.NoticePath(ledger.TextHash([]byte(noticeFacts)))) }), verdict: 1},
	{name: "a notice that nobody published", make: changed(func(s *story, m *made) { m.files[bundle.NoticePath(ledger.TextHash([]byte("x")))] = []byte("x") }), verdict: 1},
	{name: "a file changed", make: edited(func(s *story) string { return bundle.FilePath(ledger.TextHash([]byte(mailText))) }, flipped), verdict: 1},
	{name: "a file that nothing names", make: changed(func(s *story, m *made) { m.files[bundle.FilePath(ledger.TextHash([]byte("x")))] = []byte("x") }), verdict: 1},
	{name: "a file that was not kept", make: changed(func(s *story, m *made) { delete(m.files, bundle.FilePath(ledger.TextHash([]byte(mailText)))) })},

	// When.
	{name: "a stamped checkpoint changed", make: edited(func(s *story) string { return bundle.BoundPath(s.entries[s.anchored].Size) }, flipped), verdict: 1},
	{name: "a token changed", make: edited(func(s *story) string { return bundle.BoundTokenPath(s.entries[s.anchored].Size, 1) }, flipped), verdict: 1},
	{name: "no token", make: changed(func(s *story, m *made) { delete(m.files, bundle.BoundTokenPath(s.entries[s.anchored].Size, 1)) }), verdict: 1},
	{name: "a token of nothing", make: changed(func(s *story, m *made) { m.files[bundle.BoundTokenPath(s.entries[s.anchored].Size, 2)] = []byte("x") }), verdict: 1},
	{name: "a stamp left out", make: changed(func(s *story, m *made) { m.omit(s.anchored) }), verdict: 1},
	{name: "no consistency", make: changed(func(s *story, m *made) {
		delete(m.files, bundle.ConsistencyPath(s.entries[s.anchored].Size, s.entries[s.anchoredAgain].Size))
	}), verdict: 1},
	{name: "consistency changed", make: edited(func(s *story) string {
		return bundle.ConsistencyPath(s.entries[s.anchored].Size, s.entries[s.anchoredAgain].Size)
	}, flipped), verdict: 1},
	{name: "a consistency that nothing needs", make: changed(func(s *story, m *made) { m.continues(s.entries[s.anchored].Size, m.size) }), verdict: 1},
	{name: "what was stamped is another history", make: func(t *testing.T) *made {
		s := newStory(t, func(s *story) {
			fork := newBook(t)
			fork.now = fork.now.Add(time.Hour)
			for range 20 {
				fork.ask("newsletter")
			}
			note := fork.checkpoint(12)
			e := &ledger.Entry{Kind: ledger.CheckpointAnchored, Source: ledger.SourceLedger, Size: 12, Checkpoint: ledger.TextHash(note), Stamp: ledger.TextHash([]byte("t")), Stamped: s.now}
			s.anchors[s.add(e)] = [2][]byte{note, []byte("t")}
		})
		return s.bundle()
	}, verdict: 1},
	{name: "a cosigned checkpoint was stamped", make: func(t *testing.T) *made {
		s := newStory(t, func(s *story) {
			note := append(s.checkpoint(15), "\u2014 witness.example "+"AAAAAAAA\n"...)
			e := &ledger.Entry{Kind: ledger.CheckpointAnchored, Source: ledger.SourceLedger, Size: 15, Checkpoint: ledger.TextHash(note), Stamp: ledger.TextHash([]byte("t")), Stamped: s.now}
			s.anchors[s.add(e)] = [2][]byte{note, []byte("t")}
		})
		return s.bundle()
	}, verdict: 1},
}

// judges asks both verifiers about a bundle, which lies in the file path.
func (r *reader) judges(b []byte, path, policy string, keys []byte) (first, second int, said, text string) {
	r.t.Helper()
	write(r.t, path, b)
	args := []string{"bundle", path, "--policy", policy}
	if keys != nil {
		args = append(args, "--keys", path+".keys")
		write(r.t, path+".keys", keys)
	}
	trusted, err := os.ReadFile(policy)
	if err != nil {
		r.t.Fatal(err)
	}
	opt := verdict.Options{Keys: keys}
	if opt.Policy, err = ledger.ParsePolicy(trusted); err != nil {
		r.t.Fatal(err)
	}
	rep, err := verdict.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), opt)
	second, text = r.run(args...)
	return slices.Index(verdicts, ledger.VerdictOf(err).String()), second, rep.Reason, text
}

// TestBundles has both verifiers judge bundles that are good, and others that their maker signed as they should be signed.
func TestBundles(t *testing.T) {
	r, dir := startReader(t), t.TempDir()
	seen := map[int]int{}
	for _, c := range bundleCases {
		m := c.make(t)
		b := m.written()
		if c.bytes != nil {
			b = c.bytes(t, b)
		}
		policy, keys := filepath.Join(dir, "trust.policy"), []byte(nil)
		if write(t, policy, ledger.NewPolicy(pairs[0].signer.Keys())); c.policy != nil {
			write(t, policy, c.policy)
		}
		if c.keys != nil {
			keys = c.keys(m)
		}
		code, again, said, text := r.judges(b, filepath.Join(dir, "b.asice"), policy, keys)
		if code != c.verdict || again != c.verdict {
			t.Errorf("%s: the first verifier %s (%s), verify.py %s (%s), want %s", c.name, verdicts[code], said, verdicts[again], text, verdicts[c.verdict])
		}
		seen[again]++
	}
	t.Logf("exit codes and how often: %v", seen)
}

// TestDisclosures has the second verifier read the golden disclosures.
func TestDisclosures(t *testing.T) {
	r, path := startReader(t), filepath.Join(t.TempDir(), "disclosure.txt")
	var list []struct{ Name, Disclosure, Claim, Value, SHA256, Verdict string }
	data, err := os.ReadFile(filepath.Join(vectors, "disclosures", "index.json"))
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil || len(list) == 0 {
		t.Fatalf("%d disclosures: %v", len(list), err)
	}
	for _, v := range list {
		write(t, path, []byte(v.Disclosure))
		code, text := r.run("disclosure", path)
		var told struct{ Claim, Value, Commit string }
		if verdicts[code] != v.Verdict || code == 0 && (json.Unmarshal([]byte(text), &told) != nil || told.Claim != v.Claim || told.Value != v.Value || told.Commit != v.SHA256) {
			t.Errorf("%s: %s: %s, want %s: %+v", v.Name, verdicts[code], text, v.Verdict, v)
		}
	}
}
