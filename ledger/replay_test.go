package ledger

import (
	"testing"
	"time"
)

// TestReplayPurges lets the table of open requests be purged after every
// entry: what is still open must stay, what has expired must go.
func TestReplayPurges(t *testing.T) {
	l := newLogForTest(t)
	ref := l.prelude()
	var ids []ConsentID
	for request := 1; request <= 5; request++ {
		e := l.requested(request, "newsletter", ref)
		e.Expires = l.now.Add(time.Duration(request) * 20 * time.Second).Truncate(time.Second)
		l.replay.purgeAt = 0
		ids = append(ids, ConsentID(l.add(e)))
	}
	l.now = l.now.Add(50 * time.Second) // requests 1 and 2 have expired
	l.replay.purgeAt = 0
	l.request(6, ref)
	if got := len(l.replay.open); got != 4 {
		t.Errorf("%d requests are held, want the 4 open ones", got)
	}
	l.reveal(ConsentConfirmed, 5, ids[4])
	l.reveal(ConfirmationRejected, 4, ids[3])
	if l.replay == nil {
		t.Fatal("a request that is still open was purged")
	}
	if got := len(l.replay.open); got != 2 {
		t.Errorf("%d requests are held, want 2", got)
	}
}

// TestReplayStateRoot changes consents far behind the edge: the root that the
// replay keeps up to date must be the one of a fresh tree.
func TestReplayStateRoot(t *testing.T) {
	l := newLogForTest(t)
	ref := l.prelude()
	first := l.request(1_000_000, ref)
	l.fill(ref, 2*stateChunk+100)
	l.commitState()
	for _, kind := range []Kind{RestrictionSet, ConsentWithdrawn, SubjectErased} {
		l.change(kind, first)
		got, err := l.replay.StateRoot()
		if err != nil {
			t.Fatal(err)
		}
		want, err := new(StateTree).Root(l.tree.Size(), l.replay.Consents)
		if err != nil || got != want {
			t.Errorf("after %s: %v, want %v; %v", kind, got, want, err)
		}
	}
}

// TestReplayManyConsents fills more than one chunk of the table and asks for
// ranges that begin and end everywhere in it.
func TestReplayManyConsents(t *testing.T) {
	r := NewReplay()
	const n = 2*consentChunk + 10
	for i := range n {
		if err := r.consents.add(Consent{ID: ConsentID(3 * i), Last: Index(3 * i), State: Requested, Purpose: "p", Channel: "email", Request: ConsentID(3 * i)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []ConsentID{0, 1, 3, 3*consentChunk - 1, 3 * consentChunk, 3*consentChunk + 1, 3 * (n - 1), 3 * n} {
		for _, width := range []ConsentID{0, 1, 3, 10, 4 * consentChunk} {
			var got []ConsentID
			if err := r.Consents(from, from+width, func(c Consent) { got = append(got, c.ID) }); err != nil {
				t.Fatal(err)
			}
			var want []ConsentID
			for id := (from + 2) / 3 * 3; id < min(from+width, 3*n); id += 3 {
				want = append(want, id)
			}
			if len(got) != len(want) || len(got) > 0 && (got[0] != want[0] || got[len(got)-1] != want[len(want)-1]) {
				t.Errorf("from %d, width %d: %d consents, want %d", from, width, len(got), len(want))
			}
		}
	}
	if _, ok, _ := r.Consent(4); ok {
		t.Error("found a consent that nobody opened")
	}
}

// TestResumeChain goes on from the middle of a log.
func TestResumeChain(t *testing.T) {
	l := storyForTest(t)
	var whole Chain
	for i, text := range l.texts {
		e, err := ParseEntry(text)
		if err != nil {
			t.Fatal(err)
		}
		if whole.Complete() {
			resumed := ResumeChain(whole.Size(), whole.Head(), whole.Last())
			linked := *e
			resumed.Link(&linked)
			if linked.Index != e.Index || linked.Prev != e.Prev {
				t.Errorf("entry %d: Link gives %d, %v", i, linked.Index, linked.Prev)
			}
			if err := resumed.Add(e, LeafHash(text)); err != nil {
				t.Error(err)
			}
		}
		if err := whole.Add(e, LeafHash(text)); err != nil {
			t.Fatal(err)
		}
	}
}
