package ledger

import (
	"testing"
	"unsafe"
)

// TestReplayOpenRequests: a request is held until its token is revealed or its
// expiry recorded, however long it has expired.
func TestReplayOpenRequests(t *testing.T) {
	l := newLogForTest(t)
	ref := l.prelude()
	var ids []ConsentID
	for request := 1; request <= 4; request++ {
		ids = append(ids, l.request(request, ref))
	}
	l.reveal(ConsentConfirmed, 1, ids[0])
	l.reveal(ConfirmationRejected, 2, ids[1])
	l.now = l.now.AddDate(1, 0, 0)
	l.request(5, ref)
	l.expire(3, ids[2])
	if l.replay == nil {
		t.Fatal("a rule is broken")
	}
	for request, want := range map[int]bool{1: false, 2: false, 3: false, 4: true, 5: true} {
		if _, ok, err := l.replay.OpenRequest(Lock(tokenForTest(request))); ok != want || err != nil {
			t.Errorf("request %d is open: %v, want %v; %v", request, ok, want, err)
		}
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

// TestStoryReachesEveryState leads consents into every state and under every
// overlay.
func TestStoryReachesEveryState(t *testing.T) {
	r, states, overlays := NewReplay(), map[State]bool{}, Overlays(0)
	for _, text := range storyForTest(t).texts {
		e, err := ParseEntry(text)
		if err != nil {
			t.Fatal(err)
		}
		eff, err := r.Add(e, LeafHash(text))
		if err != nil {
			t.Fatal(err)
		}
		if eff.Opened != nil {
			states[eff.Opened.State] = true
		}
		for _, c := range eff.Changed {
			states[c.State] = true
			overlays |= c.Overlays
		}
	}
	for _, s := range States() {
		if !states[s] {
			t.Errorf("no consent is ever %s", s)
		}
	}
	if overlays != Restricted|Locked|Erased {
		t.Errorf("of the overlays, only %v are ever set", overlays.Names())
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

// TestReplayRowSize holds the memory of a verification to what [VerifyLog]
// promises.
func TestReplayRowSize(t *testing.T) {
	if size := unsafe.Sizeof(consentRow{}); size != 24 {
		t.Errorf("a consent takes %d bytes, want 24", size)
	}
	var table consentTable
	table.numbers = map[string]uint16{}
	c := Consent{ID: 7, Last: 9, State: Invalidated, Overlays: Restricted | Locked | Erased, Purpose: "p", Channel: "email", Request: 3}
	if err := table.add(c); err != nil {
		t.Fatal(err)
	}
	for _, c.Kept = range []bool{false, true} {
		for _, c.Holds = range []uint8{0, 1, MaxHolds} {
			table.set(c)
			if got, ok := table.get(7); !ok || got != c {
				t.Errorf("kept as %+v, want %+v", got, c)
			}
		}
	}
}
