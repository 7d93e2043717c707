package ledger

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// TestStateProofGolden holds the format to the bytes that were written once: a consent
// that was confirmed, used and withdrawn, its entries and the state that shows that
// nothing followed; and the state of before the withdrawal, which is as true.
func TestStateProofGolden(t *testing.T) {
	l := newLogForTest(t)
	ref := l.prelude()
	id := l.request(1, ref)
	other := l.request(2, ref)
	l.reveal(ConsentConfirmed, 1, id)
	l.change(ConsentUsed, id)
	l.commitState()
	l.reveal(ConfirmationRejected, 2, other)
	withdrawn := l.changed(ConsentWithdrawn, id)
	withdrawn.Method = "one_click"
	l.add(withdrawn)
	l.commitState()
	l.change(RestrictionSet, id) // no part of either state
	list := committedStates(t, l)
	files := filesForTest{}
	for i, name := range []string{"before", "after"} {
		c := list[i]
		proof, err := c.tree.Prove(id, c.each)
		if err != nil {
			t.Fatal(err)
		}
		text := proof.Text()
		files[name+"/state-proof.txt"] = text
		files[name+"/committed.txt"] = l.texts[c.entry.Index]
		if _, err := VerifyStateProof(text, c.entry); err != nil {
			t.Error(err)
		}
		if got := rootByHand(t, string(text)); got != c.entry.StateRoot.String() {
			t.Errorf("%s: by hand the root is %s, the entry's is %s", name, got, c.entry.StateRoot)
		}
		v, err := FollowConsent(id, entriesOf(t, l, Consent{ID: id, Last: proof.Last}))
		if err != nil || v.State != proof.State || v.Last != proof.Last {
			t.Errorf("%s: its entries lead to %+v, %v", name, v, err)
		}
	}
	for _, e := range entriesOf(t, l, Consent{ID: id, Last: list[1].entry.Index}) {
		files[fmt.Sprintf("entries/%d.txt", e.Index)] = l.texts[e.Index]
	}
	if len(files) != 7 {
		t.Errorf("%d files", len(files))
	}
	checkFiles(t, "testdata/state", files)
}

// rootByHand follows a proof to its root as RFC 6962 § 2.1.1 has it, from the text and
// with nothing but SHA-256.
func rootByHand(t *testing.T, text string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var index, size int
	if _, err := fmt.Sscanf(lines[1]+" "+lines[2], "consent %d size %d", &index, &size); err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte("\x00" + lines[3] + "\n"))
	// The leaf's side at each height, and the heights at which a lone last subtree has
	// no sibling, follow from index and size.
	hashes := lines[4:]
	for last := size - 1; last > 0; index, last = index/2, last/2 {
		if index == last && index%2 == 0 {
			continue
		}
		if len(hashes) == 0 {
			t.Fatal("too few hashes")
		}
		sibling, err := base64.StdEncoding.DecodeString(hashes[0])
		if err != nil {
			t.Fatal(err)
		}
		if hashes = hashes[1:]; index%2 == 1 {
			hash = sha256.Sum256([]byte("\x01" + string(sibling) + string(hash[:])))
		} else {
			hash = sha256.Sum256([]byte("\x01" + string(hash[:]) + string(sibling)))
		}
	}
	if len(hashes) > 0 {
		t.Fatalf("%d hashes are left over", len(hashes))
	}
	return base64.StdEncoding.EncodeToString(hash[:])
}
