package prove

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/internal/testbundle/exported"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
)

var ctx = context.Background()

// sample is a story with a bundle, which tests change, and by what it is judged.
type sample struct {
	*exported.Story
	bundle []byte // of her newsletter alone
	ottos  []byte // of his
	files  testbundle.Files
	opt    verdict.Options // trusts the log's keys and the authority
	report *verdict.Report
}

var shared struct {
	sync.Mutex
	*sample
}

// theSample gives the one story of the tests that need nothing of it but what lies in
// memory: its ledger ends with the first of them.
func theSample(t *testing.T) *sample {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.sample == nil {
		shared.sample = newSample(t, exported.Tell(t))
	}
	return shared.sample
}

func newSample(t *testing.T, story *exported.Story) *sample {
	t.Helper()
	s := &sample{Story: story, ottos: story.Export(service.BundleRequest{Subject: exported.Otto.Subject(), Disclose: exported.Disclosed}), bundle: story.Lawsuit()}
	s.files, s.opt = testbundle.Open(t, s.bundle), options(t, story.Ledger)
	s.report = sound(t, s.bundle, s.opt)
	return s
}

// sound demands that a bundle is verified.
func sound(t *testing.T, b []byte, opt verdict.Options) *verdict.Report {
	t.Helper()
	report, err := judge(b, opt)
	if err != nil {
		t.Fatalf("the bundle is %s: %v", report.Verdict, err)
	}
	return report
}

// brief gives the bundle's files with documents of one letter: what they say is no
// evidence, and they are most of its bytes.
func (s *sample) brief(t *testing.T) testbundle.Files {
	t.Helper()
	files := s.files
	for _, name := range files.Names("docs/") {
		files = files.With(t, name, []byte("x"))
	}
	return files
}

// options trust a ledger's keys and its authority.
func options(t *testing.T, l *exported.Ledger) verdict.Options {
	t.Helper()
	policy, err := ledger.ParsePolicy(l.Policy)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(l.Authority.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pins, err := timestamp.ParsePins(pem)
	if err != nil {
		t.Fatal(err)
	}
	return verdict.Options{Policy: policy, Stamps: timestamp.Trust{timestamp.Authority{Pins: pins}}.Stamp}
}

// against holds bundles against a copy of a log, too.
func against(dir string, opt verdict.Options) verdict.Options {
	opt.Verify = func(ctx context.Context, opt ledger.VerifyOptions) (*ledger.LogReport, error) {
		return ledger.VerifyLog(ctx, testledger.Dir(dir), opt)
	}
	return opt
}

func verify(f io.ReaderAt, size int64, opt verdict.Options) (*verdict.Report, error) {
	return verdict.Verify(ctx, f, size, opt)
}

// judge verifies a bundle that lies in memory.
func judge(b []byte, opt verdict.Options) (*verdict.Report, error) {
	return verify(memory(b), int64(len(b)), opt)
}

// file is a file in memory, some bytes of which are others: a change costs no copy.
type file struct {
	bytes   []byte
	patches []patch
}

// patch is what stands at a place instead. Patches do not overlap.
type patch struct {
	at    int
	bytes []byte
}

func memory(b []byte, patches ...patch) *file { return &file{b, patches} }

// ReadAt implements [io.ReaderAt].
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(f.bytes)) {
		return 0, errors.New("outside")
	}
	n := copy(p, f.bytes[off:])
	for _, c := range f.patches {
		for i, b := range c.bytes {
			if at := c.at + i - int(off); at >= 0 && at < n {
				p[at] = b
			}
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// says is a report in JSON: two that say the same are equal.
func says(t testing.TB, r *verdict.Report) string {
	t.Helper()
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
