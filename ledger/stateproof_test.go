package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// committedForTest is a state that a log committed, and what it was made of.
type committedForTest struct {
	entry    *Entry
	tree     *CommittedState
	consents []Consent
}

func (c *committedForTest) each(from, to ConsentID, yield func(Consent)) error {
	for _, v := range c.consents {
		if from <= v.ID && v.ID < to {
			yield(v)
		}
	}
	return nil
}

// committedStates gives the states that a log committed, with the consents as they
// were then.
func committedStates(t testing.TB, l *logForTest) (list []*committedForTest) {
	t.Helper()
	r := NewReplay()
	tree := new(StateTree)
	for _, text := range l.texts {
		e, err := ParseEntry(text)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == StateCommitted {
			c := &committedForTest{entry: e}
			if err := r.Consents(0, ConsentID(e.Index), func(v Consent) { c.consents = append(c.consents, v) }); err != nil {
				t.Fatal(err)
			}
			if c.tree, err = tree.Commit(Size(e.Index), c.each); err != nil || c.tree.Root() != e.StateRoot {
				t.Fatalf("entry %d: %v", e.Index, err)
			}
			list = append(list, c)
		}
		eff, err := r.Add(e, LeafHash(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range eff.Changed {
			tree.Touch(v.ID)
		}
	}
	return list
}

// TestStateProofOfStory proves every consent in every state that the story committed,
// and follows the consent's own entries to the same state.
func TestStateProofOfStory(t *testing.T) {
	l := storyForTest(t)
	l.commitState()
	list := committedStates(t, l)
	if len(list) < 2 {
		t.Fatalf("the story committed %d states", len(list))
	}
	for _, c := range list {
		for _, v := range c.consents {
			proof, err := c.tree.Prove(v.ID, c.each)
			if err != nil {
				t.Fatal(err)
			}
			p, err := VerifyStateProof(proof.Text(), c.entry)
			if err != nil || p.Consent != v.ID || p.Last != v.Last || p.State != v.State || p.Overlays != v.Overlays {
				t.Errorf("size %d, consent %d: %+v, %v", p.Size, v.ID, p, err)
			}
			for _, other := range list {
				if _, err := VerifyStateProof(proof.Text(), other.entry); (err == nil) != (other == c) {
					t.Errorf("the proof of %d entries under entry %d: %v", c.tree.Size(), other.entry.Index, err)
				}
			}
			followed, err := FollowConsent(v.ID, entriesOf(t, l, v))
			if err != nil || followed.Last != v.Last || followed.State != v.State || followed.Overlays != v.Overlays ||
				followed.Purpose != v.Purpose || followed.Channel != v.Channel || followed.Kept != v.Kept || followed.Basis != v.Basis {
				t.Errorf("size %d, consent %d: followed to %+v, want %+v (%v)", c.tree.Size(), v.ID, followed, v, err)
			}
			if err := p.Compare(followed); err != nil {
				t.Error(err)
			}
			// What was left out at the end, the proof tells.
			if entries := entriesOf(t, l, v); len(entries) > 1 {
				less, err := FollowConsent(v.ID, entries[:len(entries)-1])
				if err != nil || p.Compare(less) == nil {
					t.Errorf("size %d, consent %d: nobody noticed that entry %d was left out (%v)", c.tree.Size(), v.ID, v.Last, err)
				}
			}
			for i, change := range []func(c *Consent){func(c *Consent) { c.ID++ }, func(c *Consent) { c.Last++ },
				func(c *Consent) { c.State = c.State%Invalidated + 1 }, func(c *Consent) { c.Overlays ^= Locked }} {
				if change(&followed); p.Compare(followed) == nil {
					t.Errorf("size %d, consent %d: change %d was not noticed", c.tree.Size(), v.ID, i)
				}
				followed = v
			}
		}
	}
}

// entriesOf gives the entries that opened a consent and changed it, found by looking
// at all of them.
func entriesOf(t testing.TB, l *logForTest, v Consent) (list []*Entry) {
	t.Helper()
	for _, text := range l.texts[:v.Last+1] {
		e, err := ParseEntry(text)
		if err != nil {
			t.Fatal(err)
		}
		if ConsentID(e.Index) == v.ID || slices.ContainsFunc(e.Consents, func(k Link) bool { return k.Consent == v.ID }) {
			list = append(list, e)
		}
	}
	return list
}

// TestFollowConsent leaves entries out and adds others: whatever is missing before
// the last is noticed.
func TestFollowConsent(t *testing.T) {
	l := storyForTest(t)
	l.commitState()
	list := committedStates(t, l)
	longest := 0
	for _, v := range list[len(list)-1].consents {
		all := entriesOf(t, l, v)
		longest = max(longest, len(all))
		for i := range all {
			less := slices.Delete(slices.Clone(all), i, i+1)
			got, err := FollowConsent(v.ID, less)
			if last := i == len(all)-1 && i > 0; (err == nil) != last || last && got.Last == v.Last {
				t.Errorf("consent %d without entry %d: %+v, %v", v.ID, all[i].Index, got, err)
			}
			twice := slices.Insert(slices.Clone(all), i, all[i])
			if _, err := FollowConsent(v.ID, twice); err == nil {
				t.Errorf("consent %d with entry %d twice", v.ID, all[i].Index)
			}
		}
		if _, err := FollowConsent(v.ID+1, all); err == nil {
			t.Errorf("the entries of consent %d are those of the next", v.ID)
		}
	}
	if longest < 4 {
		t.Errorf("no consent has more than %d entries", longest)
	}
	first, err := ParseEntry(l.texts[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := FollowConsent(0, []*Entry{first}); err == nil {
		t.Error("entry 0 opens a consent")
	}
	// What objects to a consent that is there does not open another.
	found := false
	for _, text := range l.texts {
		e, err := ParseEntry(text)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == ObjectionRecorded && len(e.Consents) > 0 {
			found = true
			if c, err := FollowConsent(ConsentID(e.Index), []*Entry{e}); err == nil {
				t.Errorf("entry %d opens a consent: %+v", e.Index, c)
			}
		}
	}
	if !found {
		t.Error("nobody objects to a consent")
	}
}

// proofForTest is the proof of a consent that the story leaves with overlays, and the
// entry that committed its state.
func proofForTest(t testing.TB) (*StateProof, *Entry) {
	l := storyForTest(t)
	l.commitState()
	list := committedStates(t, l)
	c := list[len(list)-1]
	for _, v := range c.consents {
		if v.Overlays != 0 && v.Last > Index(v.ID) {
			p, err := c.tree.Prove(v.ID, c.each)
			if err != nil {
				t.Fatal(err)
			}
			return p, c.entry
		}
	}
	t.Fatal("no consent has an overlay")
	return nil, nil
}

// TestStateProofFlipped changes every byte in every bit, drops and doubles every
// line: nothing of that is verified.
func TestStateProofFlipped(t *testing.T) {
	p, committed := proofForTest(t)
	text := p.Text()
	if _, err := VerifyStateProof(text, committed); err != nil {
		t.Fatal(err)
	}
	refuse := func(what string, b []byte) {
		t.Helper()
		if got, err := VerifyStateProof(b, committed); err == nil || got != nil {
			t.Errorf("%s: verified as %+v", what, got)
		}
	}
	for i := range text {
		for bit := range 8 {
			b := bytes.Clone(text)
			b[i] ^= 1 << bit
			refuse(fmt.Sprintf("byte %d, bit %d", i, bit), b)
		}
		refuse(fmt.Sprintf("cut at %d", i), text[:i])
	}
	refuse("one byte more", append(bytes.Clone(text), '\n'))
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines = lines[:len(lines)-1]
	for i := range lines {
		refuse(fmt.Sprintf("without line %d", i+1), bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil))
		refuse(fmt.Sprintf("line %d twice", i+1), bytes.Join(slices.Insert(slices.Clone(lines), i, lines[i]), nil))
		if i > 0 {
			swapped := slices.Clone(lines)
			swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
			refuse(fmt.Sprintf("lines %d and %d swapped", i, i+1), bytes.Join(swapped, nil))
		}
	}
}

// TestStateProofForged changes what a proof says and writes it in its one spelling.
func TestStateProofForged(t *testing.T) {
	p, committed := proofForTest(t)
	for name, change := range map[string]func(p *StateProof){
		"another state":          func(p *StateProof) { p.State = p.State%Invalidated + 1 },
		"no overlay":             func(p *StateProof) { p.Overlays = 0 },
		"more overlays":          func(p *StateProof) { p.Overlays ^= Restricted },
		"an earlier last":        func(p *StateProof) { p.Last-- },
		"a later last":           func(p *StateProof) { p.Last++ },
		"the consent beside it":  func(p *StateProof) { p.Consent++ },
		"a smaller size":         func(p *StateProof) { p.Size-- },
		"a larger size":          func(p *StateProof) { p.Size++ },
		"twice the size":         func(p *StateProof) { p.Size *= 2 },
		"a hash less":            func(p *StateProof) { p.Hashes = p.Hashes[1:] },
		"a hash less at the end": func(p *StateProof) { p.Hashes = p.Hashes[:len(p.Hashes)-1] },
		"a hash more":            func(p *StateProof) { p.Hashes = append(p.Hashes, Hash{}) },
		"no hashes":              func(p *StateProof) { p.Hashes = nil },
		"another hash":           func(p *StateProof) { p.Hashes[0][5] ^= 1 },
	} {
		forged := *p
		forged.Hashes = slices.Clone(p.Hashes)
		change(&forged)
		if _, err := VerifyStateProof(forged.Text(), committed); VerdictOf(err) != Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(e *Entry){
		"another kind":    func(e *Entry) { e.Kind = CheckpointAnchored },
		"another index":   func(e *Entry) { e.Index++ },
		"an index before": func(e *Entry) { e.Index-- },
		"another root":    func(e *Entry) { e.StateRoot[0] ^= 1 },
		"no root":         func(e *Entry) { e.StateRoot = Hash{} },
	} {
		forged := *committed
		change(&forged)
		if _, err := VerifyStateProof(p.Text(), &forged); VerdictOf(err) != Invalid {
			t.Errorf("the entry has %s: %v", name, err)
		}
	}
}

func TestParseStateProof(t *testing.T) {
	const head, hash = "consent-ledger/state-proof/v1\nconsent 5\nsize 9\n", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
	good := []string{
		head + "consent 5 last 5 state requested\n",
		head + "consent 5 last 8 state withdrawn restricted locked erased\n" + hash,
		strings.Replace(head, "5", "0", 1) + "consent 0 last 0 state objected\n" + strings.Repeat(hash, MaxProofHashes),
		"consent-ledger/state-proof/v1\nconsent 999999999999999998\nsize 999999999999999999\n" +
			"consent 999999999999999998 last 999999999999999998 state invalidated restricted locked erased\n" + strings.Repeat(hash, MaxProofHashes),
	}
	for _, text := range good {
		if p, err := ParseStateProof([]byte(text)); err != nil || string(p.Text()) != text {
			t.Errorf("%q: %v", text, err)
		}
	}
	const leaf = "consent 5 last 8 state confirmed"
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "not a state proof"},
		{"another file", "consent-ledger/fork/v1\n", "not a state proof"},
		{"version 0", "consent-ledger/state-proof/v0\n", "not a state proof"},
		{"a version with a zero before it", "consent-ledger/state-proof/v02\n", "not a state proof"},
		{"a carriage return", strings.Replace(head, "\n", "\r\n", 1) + leaf + "\n", "not a state proof"},
		{"magic alone", "consent-ledger/state-proof/v1\n", "not all there"},
		{"no leaf", head, "not all there"},
		{"no line end", head + leaf, "not all there"},
		{"no line end after a hash", head + leaf + "\n" + hash[:44], "not all there"},
		{"no size", strings.Replace(head, "size", "sise", 1) + leaf + "\n", "no size line"},
		{"a size that is no number", strings.Replace(head, "size 9", "size nine", 1) + leaf + "\n", "size: want a decimal number"},
		{"a size with a sign", strings.Replace(head, "size 9", "size +9", 1) + leaf + "\n", "size: want a decimal number"},
		{"size 0", strings.Replace(head, "size 9", "size 0", 1) + leaf + "\n", "entry 8 in a state of 0"},
		{"a size that the last entry is not below", strings.Replace(head, "size 9", "size 8", 1) + leaf + "\n", "entry 8 in a state of 8"},
		{"a last entry before the consent", head + "consent 5 last 4 state confirmed\n", "cannot have changed"},
		{"another consent above", strings.Replace(head, "consent 5", "consent 6", 1) + leaf + "\n", "one spelling"},
		{"another consent below", head + "consent 6 last 8 state confirmed\n", "one spelling"},
		{"a zero before the consent", head + "consent 05 last 8 state confirmed\n", "consent: want a decimal number"},
		{"a zero before last", head + "consent 5 last 08 state confirmed\n", "last: want a decimal number"},
		{"no state", head + "consent 5 last 8 state\n", "not a leaf"},
		{"an empty state", head + "consent 5 last 8 state \n", "no such state"},
		{"the state that is none", head + "consent 5 last 8 state " + NoState.String() + "\n", "no such state"},
		{"an unknown state", head + "consent 5 last 8 state frozen\n", "no such state"},
		{"an unknown overlay", head + leaf + " frozen\n", "no such overlay"},
		{"overlays in another order", head + leaf + " locked restricted\n", "one spelling"},
		{"an overlay twice", head + leaf + " locked locked\n", "one spelling"},
		{"four overlays", head + leaf + " restricted locked erased erased\n", "not a leaf"},
		{"two spaces", head + "consent 5 last 8 state  confirmed\n", "no such state"},
		{"a space at the end", head + leaf + " \n", "no such overlay"},
		{"another word", head + "consent 5 after 8 state confirmed\n", "not a leaf"},
		{"an empty line", head + leaf + "\n\n", "hash 1"},
		{"a short hash", head + leaf + "\n" + hash[1:], "hash 1"},
		{"a hash in another spelling", head + leaf + "\n" + strings.Replace(hash, "U=", "V=", 1), "one spelling"},
		{"64 hashes", head + leaf + "\n" + strings.Repeat(hash, 64), "64 hashes are more than 63"},
		{"too long", head + leaf + "\n" + strings.Repeat(hash, 91), "bytes are more than 4096"},
	} {
		p, err := ParseStateProof([]byte(c.text))
		if p != nil || err == nil || !strings.Contains(err.Error(), c.want) || VerdictOf(err) != Invalid {
			t.Errorf("%s: %v, want …%s…", c.name, err, c.want)
		}
	}
	for _, text := range []string{"consent-ledger/state-proof/v2\n", "consent-ledger/state-proof/v10", "consent-ledger/state-proof/v2\nwhatever\n"} {
		if _, err := ParseStateProof([]byte(text)); !errors.Is(err, ErrNewer) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzParseStateProof: what parses has one spelling, and is proven by no root but the
// one that it leads to.
func FuzzParseStateProof(f *testing.F) {
	p, committed := proofForTest(f)
	f.Add(p.Text())
	f.Add([]byte("consent-ledger/state-proof/v1\nconsent 5\nsize 9\nconsent 5 last 8 state withdrawn restricted locked erased\n"))
	f.Add([]byte("consent-ledger/state-proof/v2\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ParseStateProof(text)
		if err != nil {
			return
		}
		if !bytes.Equal(got.Text(), text) {
			t.Fatal("two spellings")
		}
		if _, err := VerifyStateProof(text, committed); (err == nil) != bytes.Equal(text, p.Text()) {
			t.Fatalf("verified: %v", err)
		}
	})
}
