package ledger

import (
	"slices"
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
	if got, _ := l.replay.open.size(); got != 2 {
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
	if size := unsafe.Sizeof(Index(0)) + unsafe.Sizeof(rightsRow{}); size > 48 {
		t.Errorf("a request that waits for its answer takes %d bytes, want at most 48", size)
	}
}

// TestReplayRowKeepsAll has rows hold the ends of every value, and the values
// beside each other.
func TestReplayRowKeepsAll(t *testing.T) {
	table := consentTable{numbers: map[string]uint16{}}
	channels := append(slices.Clone(channels), AnyChannel)
	var want []Consent
	const most = 1<<48 - 1
	for i := range 5 * len(channels) * len(States()) {
		c := Consent{ID: ConsentID(i), Last: Index(i), Request: ConsentID(max(0, i-i%(MaxPurposes))), State: State(i%len(States()) + 1), Channel: channels[i%len(channels)],
			Purpose: tokenForTest(i % 3), Overlays: Overlays(i % 8), Mode: Mode(i % (len(modes) + 1)), Basis: Basis(i % (len(bases) + 1)), Kept: i%2 == 1,
			Holds: uint8(i % (MaxHolds + 1)), Evidence: Evidence(i * 0x9e3779b1)}
		if i%7 == 0 {
			c.Last = most - Index(i)
		}
		want = append(want, c)
	}
	want = append(want, Consent{ID: most, Last: most, Request: most - MaxPurposes + 1, State: Invalidated, Overlays: Restricted | Locked | Erased, Kept: true,
		Holds: MaxHolds, Basis: ExistingCustomer, Mode: Personal, Evidence: 1<<32 - 1, Purpose: "p", Channel: AnyChannel})
	for _, c := range want {
		opened := Consent{ID: c.ID, Request: c.Request, Purpose: c.Purpose, Channel: c.Channel, Last: Index(c.ID), State: Requested}
		row, err := table.newRow(opened)
		if err != nil {
			t.Fatal(err)
		}
		row.move(c)
		if got := table.consent(&row); got != c {
			t.Errorf("kept as %+v, want %+v", got, c)
		}
	}
	if _, err := table.newRow(Consent{ID: 1 << 48, Request: 1 << 48, Purpose: "p", Channel: "email"}); err == nil {
		t.Error("took an id of 49 bits")
	}
}

// TestConsentTable compares the table with a naive one, for ids that stand close
// together, far apart, and at the edges of chunks and blocks.
func TestConsentTable(t *testing.T) {
	table := consentTable{numbers: map[string]uint16{}}
	var ids []ConsentID
	for id := ConsentID(3); len(ids) < consentChunk+700; {
		ids = append(ids, id)
		switch n := len(ids); {
		case n%5000 == 0:
			id += 3*startBlock + 1 // blocks that open none
		case n%97 == 0:
			id |= startBlock - 1 // the last of a block
			id++
		default:
			id++
		}
	}
	for n, id := range ids {
		if err := table.add(Consent{ID: id, Request: id, Last: Index(id), State: Requested, Purpose: "p", Channel: "email"}); err != nil {
			t.Fatal(err)
		}
		if n%3 == 0 {
			table.set(Consent{ID: id, Last: Index(id) + 1, State: Confirmed})
		}
	}
	n := 0
	for id := ConsentID(-1); id < ids[len(ids)-1]+2*startBlock; id++ {
		opened := n < len(ids) && ids[n] == id
		c, ok := table.get(id)
		if ok != opened || ok && (c.ID != id || c.State == Confirmed != (n%3 == 0)) {
			t.Fatalf("consent %d is %+v, %v, want it opened: %v", id, c, ok, opened)
		}
		var next []ConsentID
		_ = table.each(id, id+2, func(c Consent) { next = append(next, c.ID) })
		var want []ConsentID
		for _, at := range ids[n:min(n+2, len(ids))] {
			if at < id+2 {
				want = append(want, at)
			}
		}
		if !slices.Equal(next, want) {
			t.Fatalf("from %d on: %v, want %v", id, next, want)
		}
		n += present(opened)
	}
	if n != len(ids) {
		t.Errorf("%d consents, want %d", n, len(ids))
	}
}

// TestReplaySuperseded: the newest lock of a request goes with the request, those
// before it stay until their own tokens are revealed.
func TestReplaySuperseded(t *testing.T) {
	l := newLogForTest(t)
	id := l.request(1, l.prelude())
	l.resend(2, 1, id)
	l.resend(3, 2, id)
	superseded := func(want ...bool) {
		t.Helper()
		for i, want := range want {
			open, ok, err := l.replay.OpenRequest(Lock(tokenForTest(i + 1)))
			if err != nil || !ok || open.Superseded != want || open.Request != id {
				t.Errorf("the lock of token %d is %+v, %v (%v)", i+1, open, ok, err)
			}
		}
	}
	superseded(true, true, false)
	l.reveal(ConfirmationRejected, 2, id)
	_, ok, _ := l.replay.OpenRequest(Lock(tokenForTest(2)))
	if rows, _ := l.replay.open.size(); ok || rows != 2 {
		t.Errorf("%d locks are held, want the two whose tokens nobody knows", rows)
	}
	superseded(true)
}
