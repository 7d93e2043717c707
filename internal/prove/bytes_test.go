package prove

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/ledger"
)

// everyByte lets the tests of this file change every byte in two ways, of the bundle as
// it was exported, too. That takes half an hour:
//
//	PROVE_EVERY_BYTE=1 go test ./internal/prove -run EveryByte -timeout 3h
var everyByte = os.Getenv("PROVE_EVERY_BYTE") != ""

// zipped is where a file stands in a container.
type zipped struct {
	name            string
	local, central  int // its headers
	content, packed int // where it begins, and how many bytes it has there
	deflated        bool
}

// layout takes a container apart as the zip format has it (APPNOTE 6.3), with no help of
// the code that is tested.
func layout(t *testing.T, b []byte) (list []zipped) {
	t.Helper()
	le := binary.LittleEndian
	for at := int(le.Uint32(b[len(b)-6:])); at < len(b)-22; {
		if string(b[at:at+4]) != "PK\x01\x02" {
			t.Fatalf("no entry of the directory stands at %d", at)
		}
		z := zipped{name: string(b[at+46 : at+46+int(le.Uint16(b[at+28:]))]), local: int(le.Uint32(b[at+42:])), central: at,
			packed: int(le.Uint32(b[at+20:])), deflated: le.Uint16(b[at+10:]) == 8}
		z.content = z.local + 30 + len(z.name)
		list = append(list, z)
		at += 46 + len(z.name)
	}
	return list
}

// part is a run of bytes of a container.
type part struct {
	from, to int
	name     string // of the file whose content it is; "" for what the zip format adds
	// harmless says why a change of it may leave everything as it is, or is "".
	harmless string
}

// parts are all runs of a container, from its first byte to its last.
func parts(t *testing.T, b []byte) (list []part) {
	t.Helper()
	note := func(from, to int, name, harmless string) {
		if from < to {
			list = append(list, part{from, to, name, harmless})
		}
	}
	for _, z := range layout(t, b) {
		why := ""
		if z.deflated {
			why = "deflate has several spellings of one content, and bits behind its end"
		}
		note(z.local, z.content, "", "")
		note(z.content, z.content+z.packed, z.name, why)
		note(z.central, z.central+4, "", "")
		note(z.central+4, z.central+6, "", "which program made the zip entry, on which system")
		note(z.central+6, z.central+36, "", "")
		note(z.central+36, z.central+42, "", "attributes: whether it is text, permissions")
		note(z.central+42, z.central+46+len(z.name), "", "")
	}
	note(len(b)-22, len(b), "", "")
	slices.SortFunc(list, func(a, b part) int { return a.from - b.from })
	end := 0
	for _, p := range list {
		if p.from != end {
			t.Fatalf("nothing is known of the bytes from %d to %d", end, p.from)
		}
		end = p.to
	}
	return list
}

// each calls try with the numbers below n, on all cores.
func each(n int, try func(i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				try(int(i))
			}
		})
	}
	group.Wait()
}

// counts counts what was met.
type counts struct {
	sync.Mutex
	of map[string]int
}

func (c *counts) add(what string) {
	c.Lock()
	defer c.Unlock()
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.of[what]++
}

// repeated reports whether a file says again, but for a few bytes, what another one says:
// each proof carries the same checkpoint, trust.keys are the key entries.
func repeated(name string) bool {
	switch {
	case strings.HasPrefix(name, "evidence/proofs/"):
		return name != "evidence/proofs/0.tlog-proof"
	case strings.HasPrefix(name, "evidence/checkpoints/") && strings.HasSuffix(name, ".note"), name == "trust/trust.keys":
		return true
	}
	return false
}

// TestEveryByte changes every byte of a bundle: by one bit and, with [everyByte], all of
// them. The bundle is INVALID, or the byte is none that says anything, and the report
// stays as it is, to the letter: so neither verdict nor anchors nor any answer gets
// better.
//
// In the normal run that is a container with short documents, and every 97th byte of what
// is [repeated]. Of the container as it was exported some bytes are changed besides.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	s := theSample(t)
	changeEvery(t, s.brief(t).Signed(t, s.Signer).Deflate(t), s.opt, func(p part) int {
		if repeated(p.name) {
			return 97
		}
		return 1
	})
	changeEvery(t, s.bundle, s.opt, func(p part) int {
		if strings.HasPrefix(p.name, "docs/") {
			return 61 * 32
		}
		return 4001
	})
}

// TestEveryByteOfWorse: what is not verified does not become so, whatever byte is changed.
func TestEveryByteOfWorse(t *testing.T) {
	t.Parallel()
	s := theSample(t)
	few := func(part) int { return 199 }
	lacking := s.brief(t).Less(bundle.ProofPath(0)).Signed(t, s.Signer).Zip(t)
	if _, err := judge(lacking, s.opt); ledger.VerdictOf(err) != ledger.Invalid {
		t.Fatal(err)
	}
	changeEvery(t, lacking, s.opt, few)
	demanding := s.opt
	witness, err := ledger.NewCosigner("witness.example", [32]byte{1}, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(s.Policy), "group hybrid all self-pq", "witness w "+witness.Keys().Ed25519.String()+"\ngroup hybrid all self-pq w", 1)
	if demanding.Policy, err = ledger.ParsePolicy([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := judge(s.bundle, demanding); ledger.VerdictOf(err) != ledger.CannotTell {
		t.Fatal(err)
	}
	changeEvery(t, s.brief(t).Signed(t, s.Signer).Zip(t), demanding, few)
}

// changeEvery changes of each part of a container every so-many-th byte; with
// [everyByte], every byte.
func changeEvery(t *testing.T, b []byte, opt verdict.Options, step func(part) int) {
	t.Helper()
	was, err := judge(b, opt)
	before, want := ledger.VerdictOf(err), says(t, was)
	type change struct {
		at   int
		by   byte
		part part
	}
	var changes []change
	for _, p := range parts(t, b) {
		for at := p.from; at < p.to; {
			changes = append(changes, change{at, 1 << (at % 8), p})
			if everyByte {
				changes = append(changes, change{at, 0xff, p})
				at++
			} else {
				at += step(p)
			}
		}
	}
	var harmless counts
	each(len(changes), func(i int) {
		c := changes[i]
		report, err := verify(memory(b, patch{c.at, []byte{b[c.at] ^ c.by}}), int64(len(b)), opt)
		switch v := ledger.VerdictOf(err); {
		case v == ledger.Invalid:
		case v == before && c.part.harmless != "" && says(t, report) == want:
			harmless.add(c.part.harmless)
		default:
			t.Errorf("byte %d ^ 0x%02x, of %q: %s, before %s: %v", c.at, c.by, c.part.name, v, before, err)
		}
	})
	t.Logf("%d changes of %d bytes; without effect: %v", len(changes), len(b), harmless.of)
}

// signedAnew changes one file of a container whose files are stored, and makes its
// checksum, the manifest and both signatures fit. It gives what else there is instead.
type signedAnew struct {
	bytes    []byte
	files    testbundle.Files
	place    map[string]zipped
	signer   *ledger.Signer
	manifest []byte
}

func newSignedAnew(t *testing.T, files testbundle.Files, signer *ledger.Signer) *signedAnew {
	t.Helper()
	signer = signer.Deterministic()
	s := &signedAnew{files: files.Signed(t, signer), place: map[string]zipped{}, signer: signer}
	s.bytes = s.files.Zip(t)
	for _, z := range layout(t, s.bytes) {
		s.place[z.name] = z
	}
	s.manifest = s.files.Get(t, "META-INF/ASiCManifest001.xml")
	return s
}

// put gives a file other content of the same length, and what the zip format says of it.
func (s *signedAnew) put(name string, content []byte) []patch {
	z := s.place[name]
	sum := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(content))
	return []patch{{z.content, content}, {z.local + 14, sum}, {z.central + 16, sum}}
}

func (s *signedAnew) changed(name string, content []byte) *file {
	old, sum := sha256.Sum256(s.content(name)), sha256.Sum256(content)
	manifest := []byte(strings.Replace(string(s.manifest), fmt.Sprintf(`"%s"`, name)+`><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>`+base64.StdEncoding.EncodeToString(old[:]),
		fmt.Sprintf(`"%s"`, name)+`><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>`+base64.StdEncoding.EncodeToString(sum[:]), 1))
	return memory(s.bytes, slices.Concat(s.put(name, content), s.put("META-INF/ASiCManifest001.xml", manifest),
		s.put("META-INF/manifest.sig", testbundle.Signatures(s.signer, manifest)))...)
}

func (s *signedAnew) content(name string) []byte {
	z := s.place[name]
	return s.bytes[z.content : z.content+z.packed]
}

// unheard says which change of a file that the operator signs anew leaves the bundle
// verified, and why; "" for those that must not.
func unheard(t *testing.T, name string, old, changed []byte) string {
	t.Helper()
	switch {
	case strings.HasPrefix(name, "docs/"):
		return "documents are the operator's rendering"
	case strings.HasPrefix(name, "trust/tsa/"):
		return "which authorities are trusted comes from elsewhere"
	case name == "custody.json":
		was, err := bundle.ParseCustody(old)
		is, err2 := bundle.ParseCustody(changed)
		if err == nil && err2 == nil {
			was.Tool, was.Made = is.Tool, is.Made
			if string(was.Text()) == string(changed) {
				return "when and with what it was made is the operator's word"
			}
		}
	case name == "evidence/bundle.json":
		was, err := bundle.ParseIndex(old)
		is, err2 := bundle.ParseIndex(changed)
		if err == nil && err2 == nil && len(was.Questions) == len(is.Questions) {
			for i := range was.Questions {
				was.Questions[i].At = is.Questions[i].At
			}
			if string(was.Text()) == string(changed) {
				return "the question is about another moment, and the answer is that of the entries"
			}
		}
	}
	return ""
}

// TestEveryByteSigned changes bytes of every file and signs anew, as the operator can:
// all with [everyByte], else some of every file. A file that says that its format is
// newer is the one thing that nobody can tell.
func TestEveryByteSigned(t *testing.T) {
	t.Parallel()
	s := theSample(t)
	anew := newSignedAnew(t, s.brief(t), s.Signer)
	was := sound(t, anew.bytes, s.opt)
	type change struct {
		name string
		at   int
	}
	var changes []change
	for _, f := range anew.files {
		step := 17
		switch {
		case f.Name == "mimetype", strings.HasPrefix(f.Name, "META-INF/"):
			continue // what they are is said by the container or by the signatures
		case everyByte:
			step = 1
		case strings.HasSuffix(f.Name, ".json"):
			step = 3
		case repeated(f.Name):
			step = 997
		case len(f.Content) > 2000:
			step = 199
		}
		for at := 0; at < len(f.Content); at += step {
			changes = append(changes, change{f.Name, at})
		}
	}
	var met counts
	each(len(changes), func(i int) {
		c := changes[i]
		old := anew.content(c.name)
		content := slices.Clone(old)
		content[c.at] ^= 1 << (c.at % 8)
		report, err := verify(anew.changed(c.name, content), int64(len(anew.bytes)), s.opt)
		why := unheard(t, c.name, old, content)
		switch v := ledger.VerdictOf(err); {
		case v == ledger.Invalid:
			met.add("INVALID")
		case v == ledger.CannotTell && errors.Is(err, ledger.ErrNewer):
			met.add("a later version")
		case v == ledger.Verified && why != "" && report.Anchors == was.Anchors && slices.EqualFunc(report.Questions, was.Questions, sameAnswer):
			met.add(why)
		default:
			t.Errorf("%s, byte %d becomes %q: %s: %v", c.name, c.at, content[c.at], v, err)
		}
	})
	t.Logf("%d changes: %v", len(changes), met.of)
	if met.of["INVALID"] < len(changes)/2 || len(met.of) < 4 {
		t.Errorf("some of this was not tried: %v", met.of)
	}
}

// sameAnswer compares what a report answers, but for the moment.
func sameAnswer(a, b verdict.Answered) bool {
	return a.Purpose == b.Purpose && a.Channel == b.Channel && a.Allowed == b.Allowed && a.Reason == b.Reason && a.Hindsight == b.Hindsight &&
		a.Grade == b.Grade && a.Anchors == b.Anchors && len(a.Evidence) == len(b.Evidence)
}
