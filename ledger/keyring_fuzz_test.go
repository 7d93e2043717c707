package ledger

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzParseKeyRing: what parses is its entries one behind the other, which ascend, and
// of which each is in force from its own index to the next one's.
func FuzzParseKeyRing(f *testing.F) {
	l := newLogForTest(f)
	rotatedLog(l)
	for n := range len(l.keys) {
		f.Add(bytes.Join(l.keys[:n+1], nil))
		f.Add(l.keys[n])
	}
	f.Add(forgedKeys(l))
	f.Add([]byte(nil))
	f.Add([]byte("\n" + entryPrefix))
	policy := l.policy()
	f.Fuzz(func(t *testing.T, file []byte) {
		ring, err := ParseKeyRing(file)
		followed, policyErr := policy.WithKeys(file)
		if err != nil {
			if len(file) > 0 && !errors.Is(policyErr, ErrPolicy) {
				t.Fatalf("a policy follows what does not parse: %v", policyErr)
			}
			return
		}
		if !bytes.Equal(bytes.Join(ring.texts, nil), file) {
			t.Fatal("the entries are not the file")
		}
		list := ring.Entries()
		for i, e := range list {
			if i > 0 && e.Index <= list[i-1].Index || i == 0 && e.Index != 0 {
				t.Fatalf("entry %d has the index %d", i, e.Index)
			}
			if got := ring.At(Size(e.Index) + 1); got.Ed25519.String() != e.Keys.Ed25519.String() {
				t.Fatalf("size %d is signed by another pair than entry %d names", e.Index+1, e.Index)
			}
			if got := ring.At(Size(e.Index)); i > 0 && got.Ed25519.String() != list[i-1].Keys.Ed25519.String() {
				t.Fatalf("size %d is not signed by the pair before", e.Index)
			}
		}
		if policyErr == nil && followed.KeysAt(0).Ed25519.String() != list[0].Keys.Ed25519.String() {
			t.Fatal("the policy follows another chain")
		}
	})
}
