package verdict

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/ledger"
)

func replaced(t testing.TB, text, before, after string) string {
	t.Helper()
	if !strings.Contains(text, before) {
		t.Fatalf("no %q in %q", before, text)
	}
	return strings.Replace(text, before, after, 1)
}

// A container of a later version cannot be judged, unless somebody else signed it.
func TestNewerContainer(t *testing.T) {
	m := newStory(t).exported()
	index := string(m.index.Text())
	forged := newSigner(t, "stranger")
	for _, c := range []struct {
		name          string
		file, content string
		signer        *ledger.Signer // nil: the signatures of before
		verdict       ledger.Verdict
		words         string
	}{
		{"the same", "evidence/bundle.json", index, m.signer(m.size), ledger.Verified, ""},
		{"version 2", "evidence/bundle.json", replaced(t, index, "bundle/v1", "bundle/v2"), m.signer(m.size), ledger.CannotTell, "needs a newer verifier"},
		{"version 2, forged", "evidence/bundle.json", replaced(t, index, "bundle/v1", "bundle/v2"), nil, ledger.Invalid, "META-INF/manifest.sig"},
		{"a new file", "later/file", "x", m.signer(m.size), ledger.CannotTell, "needs a newer verifier"},
		{"signed by others", "evidence/bundle.json", index, forged, ledger.CannotTell, "signed by the keys"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := testbundle.Open(t, m.written()).With(t, c.file, []byte(c.content)).Listed(t)
			if c.signer != nil {
				files = files.Signed(t, c.signer)
			}
			b := files.Zip(t)
			_, err := Verify(context.Background(), bytes.NewReader(b), int64(len(b)), Options{Policy: m.policy(), Stamps: stamps})
			wants(t, err, c.verdict, c.words)
			if err != nil { // nor does a log help
				opt := Options{Policy: m.policy(), Stamps: stamps}
				against(m.whole())(&opt)
				_, err = Verify(context.Background(), bytes.NewReader(b), int64(len(b)), opt)
				wants(t, err, c.verdict, c.words)
			}
		})
	}
}

// A file that cannot be read says nothing against the bundle, nor does a reader who stops.
func TestUnreadable(t *testing.T) {
	m := newStory(t).exported()
	b := m.written()
	_, err := Verify(context.Background(), broken{}, int64(len(b)), Options{Policy: m.policy()})
	wants(t, err, ledger.CannotTell, "gone")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Verify(ctx, bytes.NewReader(b), int64(len(b)), Options{Policy: m.policy()})
	wants(t, err, ledger.CannotTell, "canceled")
	_, err = Verify(context.Background(), bytes.NewReader(b[:len(b)-1]), int64(len(b)-1), Options{Policy: m.policy()})
	wants(t, err, ledger.Invalid, "container")
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("gone") }
