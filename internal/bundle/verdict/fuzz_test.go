package verdict

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// FuzzVerify puts any content into any file of a good bundle and signs it: whatever it
// is, the bundle is verified only if the file carries no evidence.
func FuzzVerify(f *testing.F) {
	m := newStory(f).exported()
	m.files[string(bundle.KindIndex)], m.files[string(bundle.KindCustody)] = m.index.Text(), m.custody.Text()
	names, good := slices.Sorted(maps.Keys(m.files)), maps.Clone(m.files)
	for n, name := range names {
		f.Add(n, good[name])
		f.Add(n, bytes.TrimSuffix(good[name], []byte("\n")))
		f.Add(n, good[names[(n+1)%len(names)]])
	}
	f.Fuzz(func(t *testing.T, n int, content []byte) {
		name := names[uint(n)%uint(len(names))]
		m.TB, m.files = t, maps.Clone(good)
		m.files[name] = content
		var b bytes.Buffer
		if m.write(&b) != nil {
			return // the writer refuses it
		}
		_, err := Verify(context.Background(), bytes.NewReader(b.Bytes()), int64(b.Len()), Options{Policy: m.policy(), Stamps: stamps})
		if err == nil && !bytes.Equal(content, good[name]) && name != string(bundle.KindVerify) {
			t.Errorf("%s says something else: %q", name, content)
		}
		if ledger.VerdictOf(err) == ledger.Diverged {
			t.Error(err)
		}
	})
}
