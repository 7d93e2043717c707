package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// nextSigner gives the pair that follows another one in a test.
func nextSigner(t testing.TB, n byte) *Signer {
	t.Helper()
	s, err := NewSigner(originForLog, [32]byte{n, 'e'}, [32]byte{n, 'm'})
	if err != nil {
		t.Fatal(err)
	}
	return s.Deterministic()
}

// rotateTo appends a rotation to the log, which then signs with next.
func rotateTo(l *logForTest, next *Signer, before Index) Index {
	l.Helper()
	e, err := Rotate(l.signer, next, before, Index(len(l.texts)), l.prev)
	if err != nil {
		l.Fatal(err)
	}
	e.Source = "admin"
	l.signer = next
	return l.add(e)
}

// rotatedForTest gives a log with two rotations: its files, its first policy, the
// checkpoints before, between and after, and the indexes of the key entries.
func rotatedForTest(t *testing.T) (l *logForTest, first *Policy, signed [3][]byte, at [3]Index) {
	t.Helper()
	l = newLogForTest(t)
	l.prelude()
	first = l.policy()
	signed[0] = l.sign()
	for n := range 2 {
		at[n+1] = rotateTo(l, nextSigner(t, byte(n+1)), at[n])
		l.source(fmt.Sprintf("key-%d", n), "app")
		signed[n+1] = l.sign()
	}
	return l, first, signed, at
}

func trustKeys(l *logForTest, at ...Index) (file []byte) {
	for _, i := range at {
		file = append(file, l.texts[i]...)
	}
	return file
}

// TestRotation follows a log through two rotations, from each of its three pairs.
func TestRotation(t *testing.T) {
	l, first, signed, at := rotatedForTest(t)
	file := trustKeys(l, at[:]...)
	ring, err := ParseKeyRing(file)
	if err != nil {
		t.Fatal(err)
	}
	if list := ring.Entries(); len(list) != 3 || list[1].Index != at[1] || list[2].Index != at[2] {
		t.Fatalf("key entries %+v, want those of %v", list, at)
	}
	files := l.files()
	files["trust.keys"] = file
	pairs := []KeyPair{first.Keys(), nextSigner(t, 1).Keys(), nextSigner(t, 2).Keys()}
	for n, pair := range pairs {
		p, err := ParsePolicy(NewPolicy(pair))
		if err != nil {
			t.Fatal(err)
		}
		followed, err := p.WithKeys(file)
		if err != nil {
			t.Fatalf("pair %d: %v", n, err)
		}
		for m, note := range signed {
			kept, err := ParseKept(note)
			if err == nil {
				err = kept.Verify(followed) // the log is held to whatever it signed
			}
			if err != nil {
				t.Errorf("pair %d, kept checkpoint %d: %v", n, m, err)
			}
			o, err := OpenCheckpoint(note, followed)
			if m < n { // whoever names a newer pair may have reason to distrust the older
				if !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), "were retired") {
					t.Errorf("pair %d, checkpoint %d: %v", n, m, err)
				}
			} else if err != nil {
				t.Errorf("pair %d, checkpoint %d: %v", n, m, err)
			} else if len(o.Witnesses) != 1 || o.Witnesses[0] != p.LogWitness() || len(o.Unchecked) != 0 {
				t.Errorf("pair %d, checkpoint %d: witnesses %v, unchecked %v", n, m, o.Witnesses, o.Unchecked)
			}
			_, err = OpenCheckpoint(note, p)
			if n == m && err != nil || n != m && !errors.Is(err, ErrPolicy) {
				t.Errorf("pair %d alone, checkpoint %d: %v", n, m, err)
			}
		}
		// The log's own file is enough, and so is one that was given; from the newest pair
		// on, none is needed.
		bare := l.files()
		delete(bare, "trust.keys")
		for name, v := range map[string]struct {
			files filesForTest
			keys  []byte
			want  Verdict
		}{
			"the log's own file": {files, nil, Verified},
			"a file given":       {bare, file, Verified},
			"no file":            {bare, nil, map[bool]Verdict{true: Verified, false: CannotTell}[n == 2]},
			"an older file":      {bare, trustKeys(l, at[0], at[1]), CannotTell},
		} {
			if _, err := VerifyLog(t.Context(), v.files, VerifyOptions{Policy: p, Keys: v.keys}); VerdictOf(err) != v.want {
				t.Errorf("pair %d, %s: %v, want %v", n, name, err, v.want)
			}
		}
		// A checkpoint that was kept from before a rotation counts, with a word about it.
		for m, note := range signed {
			rep, err := VerifyLog(t.Context(), files, VerifyOptions{Policy: p, Since: note})
			said := slices.ContainsFunc(rep.NotChecked, func(s string) bool { return strings.HasPrefix(s, "who signed the checkpoint you hold") })
			if err != nil || said != (m < 2) {
				t.Errorf("pair %d, --since checkpoint %d: %v, %q", n, m, err, rep.NotChecked)
			}
		}
		// The older file, and the log's own that goes on from there.
		if n < 2 {
			if _, err := VerifyLog(t.Context(), files, VerifyOptions{Policy: p, Keys: trustKeys(l, at[0], at[1])}); err != nil {
				t.Errorf("pair %d, an older file beside the log's own: %v", n, err)
			}
		}
	}
}

// TestRotationInForce: a pair signs exactly the sizes between its own key entry and
// the next one's. Whoever stole one that was retired cannot go on with it.
func TestRotationInForce(t *testing.T) {
	l, first, _, at := rotatedForTest(t)
	file := trustKeys(l, at[:]...)
	p, err := first.WithKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	signers := []*Signer{newLogForTest(t).signer, nextSigner(t, 1), nextSigner(t, 2)}
	// An old copy of the log, under the policy of a newer pair.
	old := newLogForTest(t)
	old.prelude()
	newer, err := ParsePolicy(NewPolicy(signers[2].Keys()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyLog(t.Context(), old.files(), VerifyOptions{Policy: newer, Keys: file}); VerdictOf(err) != CannotTell {
		t.Errorf("a copy from before the policy's keys: %v", err)
	}
	for size := range len(l.texts) + 2 {
		c := Checkpoint{Origin: originForLog, Size: Size(size)}
		if size == 0 {
			c.Root = emptyRoot
		}
		inForce := 0
		for n := range at {
			if n > 0 && Index(size) > at[n] {
				inForce = n
			}
		}
		if got := p.KeysAt(c.Size); got.Ed25519.String() != signers[inForce].Keys().Ed25519.String() {
			t.Errorf("size %d: keys of another pair than %d are in force", size, inForce)
		}
		for n, s := range signers {
			signed, err := s.SignCheckpoint(c, 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := OpenCheckpoint(signed, p); (err == nil) != (n == inForce) || err != nil && errors.Is(err, ErrPolicy) {
				t.Errorf("size %d signed by pair %d: %v", size, n, err)
			}
		}
	}
}

// TestKeyRingRefuses has files of key entries that nobody may follow.
func TestKeyRingRefuses(t *testing.T) {
	l, first, _, at := rotatedForTest(t)
	zero, one, two := l.texts[at[0]], l.texts[at[1]], l.texts[at[2]]
	signers := []*Signer{newLogForTest(t).signer, nextSigner(t, 1), nextSigner(t, 2)}
	// forged edits the second rotation after it was signed, or signs it anew.
	forged := func(edit func(*Entry)) []byte {
		e, err := ParseEntry(two)
		if err != nil {
			t.Fatal(err)
		}
		edit(e)
		text, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return slices.Concat(zero, one, text)
	}
	signedBy := func(e *Entry, a, b *Signer) {
		e.Sign = nil
		a.sign(e)
		b.sign(e)
	}
	for _, v := range []struct {
		name, want string
		file       []byte
	}{
		{"half an entry", "key entry 1", zero[:50]},
		{"without entry 0", "not a key entry", slices.Concat(one, two)},
		{"entry 0 twice", "not a rotation", slices.Concat(zero, zero)},
		{"a rotation is missing", "refers to entry", slices.Concat(zero, two)},
		{"a rotation twice", "refers to entry", slices.Concat(zero, one, one)},
		{"another entry", "not a rotation", slices.Concat(zero, l.texts[1])},
		{"bytes behind it", "key entry 3", slices.Concat(zero, one, two, []byte("x\n"))},
		{"index changed", "does not verify", forged(func(e *Entry) { e.Index++ })},
		{"prev changed", "does not verify", forged(func(e *Entry) { e.Prev[0]++ })},
		{"refers to entry 0", "refers to entry 0", forged(func(e *Entry) { e.Refers[0] = 0; signedBy(e, signers[1], signers[2]) })},
		{"retires the first pair", "not those in force", forged(func(e *Entry) { e.Retire = signers[0].Keys().vkeys(); signedBy(e, signers[0], signers[2]) })},
		{"not signed by the old pair", "not by the keys", forged(func(e *Entry) { signedBy(e, signers[2], signers[2]) })},
		{"signed by a retired pair", "not by the keys", forged(func(e *Entry) { signedBy(e, signers[0], signers[2]) })},
		{"not signed by the new pair", "not by the keys", forged(func(e *Entry) { signedBy(e, signers[1], signers[1]) })},
		{"signatures in another order", "not by the keys", forged(func(e *Entry) { signedBy(e, signers[2], signers[1]) })},
		{"ids of the keys over other signatures", "does not verify", forged(func(e *Entry) { e.Sign[0].Signature = make([]byte, ed25519.SignatureSize) })},
		{"an ML-DSA-44 signature of another text", "does not verify", forged(func(e *Entry) {
			before, _ := ParseEntry(one)
			e.Sign[1].Signature = before.Sign[3].Signature
		})},
		{"the first pair comes back", "comes back", forged(func(e *Entry) { e.Add = signers[0].Keys().vkeys(); signedBy(e, signers[1], signers[0]) })},
		{"one key stays", "is one that it retires", forged(func(e *Entry) {
			mixed, _ := NewSigner(originForLog, [32]byte{1, 'e'}, [32]byte{9})
			e.Add = mixed.Keys().vkeys()
			signedBy(e, signers[1], mixed)
		})},
		{"another origin", "another origin", forged(func(e *Entry) {
			other, _ := NewSigner("ledger.example.org", [32]byte{8}, [32]byte{9})
			e.Add = other.Keys().vkeys()
			signedBy(e, signers[1], other)
		})},
		{"too large", "more than", make([]byte, MaxKeyRingSize+1)},
	} {
		if _, err := ParseKeyRing(v.file); err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%s: %v, want %q", v.name, err, v.want)
		}
		if _, err := first.WithKeys(v.file); !errors.Is(err, ErrPolicy) {
			t.Errorf("%s: the policy takes it: %v", v.name, err)
		}
	}
	if _, err := otherPolicy(t).WithKeys(slices.Concat(zero, one, two)); !errors.Is(err, ErrPolicy) {
		t.Errorf("a policy of other keys: %v", err)
	}
	if p, err := first.WithKeys(nil); p != first || err != nil {
		t.Errorf("no file gives %v, %v", p, err)
	}
}

func otherPolicy(t *testing.T) *Policy {
	t.Helper()
	p, err := ParsePolicy(NewPolicy(nextSigner(t, 7).Keys()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRotationForged has logs whose entries and files about keys do not agree.
func TestRotationForged(t *testing.T) {
	l, first, _, at := rotatedForTest(t)
	files := l.files()
	files["trust.keys"] = trustKeys(l, at[:]...)
	verdict := func(f filesForTest, keys []byte) (Verdict, error) {
		_, err := VerifyLog(t.Context(), f, VerifyOptions{Policy: first, Keys: keys})
		return VerdictOf(err), err
	}

	// A stolen first pair goes on without the rotations. Without the rotations at hand
	// nothing shows it; with them everything does.
	stolen := newLogForTest(t)
	stolen.prelude()
	for range 5 {
		stolen.source(fmt.Sprintf("stolen-%d", len(stolen.texts)), "app")
	}
	if v, err := verdict(stolen.files(), nil); v != Verified {
		t.Errorf("a history of the first pair alone: %v", err)
	}
	if v, err := verdict(stolen.files(), files["trust.keys"]); v != Invalid {
		t.Errorf("a stolen pair's history, with the rotations: %v, %v", v, err)
	}

	// A file about keys that the log does not hold.
	other := newLogForTest(t)
	other.prelude()
	other.source("another", "app")
	i := rotateTo(other, nextSigner(t, 5), 0)
	if v, err := verdict(files, trustKeys(other, 0, i)); v != CannotTell {
		t.Errorf("a rotation of another history: %v, %v", v, err)
	}
	shipped := bytes.Clone(trustKeys(other, 0, i))
	swapped := l.files()
	swapped["trust.keys"] = shipped
	if v, err := verdict(swapped, files["trust.keys"]); v != Invalid || !strings.Contains(err.Error(), "trust.keys holds other key entries") {
		t.Errorf("another history's trust.keys: %v, %v", v, err)
	}

	// An older copy of the log, and newer keys.
	old := newLogForTest(t)
	old.prelude()
	if v, err := verdict(old.files(), files["trust.keys"]); v != Verified {
		t.Errorf("a copy from before the rotations, with today's keys: %v, %v", v, err)
	}
}

// TestRotateRefuses has pairs that cannot follow another.
func TestRotateRefuses(t *testing.T) {
	old := nextSigner(t, 1)
	other, err := NewSigner("ledger.example.org", [32]byte{8}, [32]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	for name, next := range map[string]*Signer{"itself": old, "a pair of another origin": other} {
		if _, err := Rotate(old, next, 0, 5, Hash{}); err == nil {
			t.Errorf("%s takes its place", name)
		}
	}
	// The largest origin leaves room for it in an entry.
	origin := strings.Repeat("a", MaxOrigin)
	a, err1 := NewSigner(origin, [32]byte{1}, [32]byte{2})
	b, err2 := NewSigner(origin, [32]byte{3}, [32]byte{4})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	e, err := Rotate(a, b, 0, 1<<40, Hash{})
	if err != nil {
		t.Fatal(err)
	}
	e.Time, e.Source = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), strings.Repeat("s", 64)
	if text, err := e.Encode(); err != nil || len(text) > MaxEntrySize {
		t.Errorf("%d bytes: %v", len(text), err)
	}
}
