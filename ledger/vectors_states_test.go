package ledger

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// stateVector changes what a good state proof says, its text, or the entry that it
// belongs to.
type stateVector struct {
	name    string
	edit    func(p *StateProof)
	text    func(proof string) string
	entry   func(l *logForTest, p *StateProof) []byte
	verdict Verdict
	err     string
	reason  string
}

const (
	notProven    = "does not prove that the state of consent"
	notSpelled   = "state proof: not in its one spelling"
	notStateLeaf = "state proof: leaf: "
)

// replaced gives a change of text; the vector is refused if there is nothing to change.
func replaced(before, after string) func(string) string {
	return func(text string) string { return strings.Replace(text, before, after, 1) }
}

var stateVectors = []stateVector{
	{name: "good", reason: "a consent that was confirmed and restricted, as the newest state.committed has it"},
	{name: "other-state", edit: func(p *StateProof) { p.State = Withdrawn }, verdict: Invalid, err: notProven, reason: "another state than the committed one"},
	{name: "withdrawal-omitted", edit: func(p *StateProof) { p.Last, p.Overlays = p.Last-1, 0 }, verdict: Invalid, err: notProven,
		reason: "the last entry is kept back, and what it led to"},
	{name: "later-last", edit: func(p *StateProof) { p.Last++ }, verdict: Invalid, err: notProven, reason: "another last entry"},
	{name: "no-overlay", edit: func(p *StateProof) { p.Overlays = 0 }, verdict: Invalid, err: notProven, reason: "the restriction is left out"},
	{name: "more-overlays", edit: func(p *StateProof) { p.Overlays |= Erased }, verdict: Invalid, err: notProven, reason: "an overlay that was not there"},
	{name: "other-consent", edit: func(p *StateProof) { p.Consent-- }, verdict: Invalid, err: notProven, reason: "the leaf beside it"},
	{name: "hash-flipped", edit: func(p *StateProof) { p.Hashes[1][9] ^= 4 }, verdict: Invalid, err: notProven, reason: "one bit of a hash"},
	{name: "hash-less", edit: func(p *StateProof) { p.Hashes = p.Hashes[1:] }, verdict: Invalid, err: notProven, reason: "a hash too few"},
	{name: "hash-more", edit: func(p *StateProof) { p.Hashes = append(p.Hashes, Hash{}) }, verdict: Invalid, err: notProven, reason: "a hash too many"},
	{name: "hashes-swapped", edit: func(p *StateProof) { p.Hashes[0], p.Hashes[1] = p.Hashes[1], p.Hashes[0] }, verdict: Invalid, err: notProven,
		reason: "the leaf's sibling comes first"},
	{name: "no-hashes", edit: func(p *StateProof) { p.Hashes = nil }, verdict: Invalid, err: notProven, reason: "a leaf alone"},
	{name: "too-many-hashes", edit: func(p *StateProof) { p.Hashes = make([]Hash, MaxProofHashes+1) }, verdict: Invalid,
		err: "64 hashes are more than 63", reason: "no tree is that high"},
	{name: "too-long", text: func(text string) string { return text + strings.Repeat("A", MaxStateProofSize) }, verdict: Invalid,
		err: "bytes are more than 4096", reason: "longer than a proof may be"},
	{name: "smaller-size", edit: func(p *StateProof) { p.Size-- }, verdict: Invalid, err: "the state was committed with entry", reason: "the size is the index of the state.committed"},
	{name: "earlier-commit", entry: func(l *logForTest, p *StateProof) []byte {
		for i := p.Size - 1; ; i-- {
			if bytes.Contains(l.texts[i], []byte("\nkind state.committed\n")) {
				return l.texts[i]
			}
		}
	}, verdict: Invalid, err: "the state was committed with entry", reason: "the entry of an earlier state"},
	{name: "other-root", entry: func(l *logForTest, p *StateProof) []byte {
		e, err := ParseEntry(l.texts[p.Size])
		if err != nil {
			l.Fatal(err)
		}
		e.StateRoot[3] ^= 1
		text, err := e.Encode()
		if err != nil {
			l.Fatal(err)
		}
		return text
	}, verdict: Invalid, err: notProven, reason: "an entry with another root"},
	{name: "other-kind", entry: func(l *logForTest, p *StateProof) []byte {
		return []byte(strings.Replace(string(l.texts[1]), "index 1\n", fmt.Sprintf("index %d\n", p.Size), 1))
	}, verdict: Invalid, err: "is no state.committed", reason: "an entry of another kind in its place"},
	{name: "last-not-below-size", edit: func(p *StateProof) { p.Last = Index(p.Size) }, verdict: Invalid, err: "in a state of", reason: "the last entry is one of those that the state is of"},
	{name: "last-below-consent", edit: func(p *StateProof) { p.Last = Index(p.Consent) - 1 }, verdict: Invalid, err: "cannot have changed consent",
		reason: "nothing changes a consent before it is opened"},
	{name: "two-consents", text: replaced("\nconsent 1", "\nconsent 2"), verdict: Invalid, err: notSpelled, reason: "the second line and the leaf name different consents"},
	{name: "size-leading-zero", text: replaced("\nsize ", "\nsize 0"), verdict: Invalid, err: "state proof: size", reason: "a number has no leading zeros"},
	{name: "no-size", text: replaced("\nsize ", "\nsizes "), verdict: Invalid, err: "no size line", reason: "another line in its place"},
	{name: "unknown-state", text: replaced(" confirmed ", " conformed "), verdict: Invalid, err: notStateLeaf + "no such state", reason: "no word of § 4"},
	{name: "unknown-overlay", text: replaced(" restricted\n", " constricted\n"), verdict: Invalid, err: notStateLeaf + "no such overlay", reason: "no word of § 4"},
	{name: "overlay-twice", text: replaced(" restricted\n", " restricted restricted\n"), verdict: Invalid, err: notSpelled, reason: "each overlay stands once"},
	{name: "two-spaces", text: replaced(" last ", "  last "), verdict: Invalid, err: notStateLeaf, reason: "one space"},
	{name: "hash-unused-bits", text: func(text string) string {
		return text[:len(text)-3] + string(text[len(text)-3]+1) + text[len(text)-2:]
	}, verdict: Invalid, err: "state proof: ", reason: "the unused bits of the last character are zero"},
	{name: "blank-line", text: func(text string) string { return text + "\n" }, verdict: Invalid, err: "state proof: ", reason: "nothing follows the last hash"},
	{name: "last-line-not-ended", text: func(text string) string { return strings.TrimSuffix(text, "\n") }, verdict: Invalid, err: "state proof: ", reason: "every line is ended"},
	{name: "cr", text: func(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }, verdict: Invalid, err: "not a state proof", reason: "lines end with LF"},
	{name: "receipt", text: func(string) string { return "c2sp.org/tlog-proof@v1\nindex 6\n" }, verdict: Invalid, err: "not a state proof", reason: "a receipt"},
	{name: "version-0", text: replaced("state-proof/v1", "state-proof/v0"), verdict: Invalid, err: "not a state proof", reason: "versions count from 1"},
	{name: "version-2", text: replaced("state-proof/v1", "state-proof/v2"), verdict: CannotTell, err: "needs a newer verifier: version 2", reason: "a later format"},
}

func TestVectorsStates(t *testing.T) {
	var index []vector
	files := filesForTest{}
	for _, v := range stateVectors {
		l := newLogForTest(t)
		ref := l.prelude()
		l.commitState()
		var id ConsentID
		for n := range 3 {
			id = l.request(n+1, ref)
		}
		l.reveal(ConsentConfirmed, 3, id)
		l.change(RestrictionSet, id)
		l.add(declared("desk"))
		l.commitState()
		list := committedStates(t, l)
		c := list[len(list)-1]
		p, err := c.tree.Prove(id, c.each)
		if err != nil {
			t.Fatal(err)
		}
		entry := l.texts[c.entry.Index]
		if v.entry != nil {
			entry = v.entry(l, p)
		}
		if v.edit != nil {
			v.edit(p)
		}
		text := string(p.Text())
		if v.text != nil {
			before := text
			if text = v.text(before); text == before {
				t.Fatalf("%s is not bad", v.name)
			}
		}
		row := vector{Name: v.name, Files: []string{v.name + ".state.txt", v.name + ".txt"}, Verdict: v.verdict.String(), Error: v.err, Reason: v.reason}
		files[row.Files[0]], files[row.Files[1]] = []byte(text), entry
		index = append(index, row)
	}
	checkFamily(t, "states", index, files)
	rows, read := readFamily(t, "states")
	for _, v := range rows {
		e, err := ParseEntry(read(v.Files[1]))
		if err != nil {
			t.Fatal(err)
		}
		p, err := VerifyStateProof(read(v.Files[0]), e)
		v.check(t, err, p)
	}
}
