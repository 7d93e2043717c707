package ledger

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
)

// longLog is a log of many bundles, whose memory is used again, in which entries rest
// on others of bundles before: parts of lists that a bundle's end cuts, holds that are
// lifted much later, consents that change long after they were opened.
func longLog(t *testing.T) *logForTest {
	l := newLogForTest(t)
	ref := l.prelude()
	l.source("legal-desk", "legal")
	var ids []ConsentID
	for request := range 12 {
		ids = append(ids, l.request(1_000_000+request, ref))
	}
	l.fill(ref, 60)
	var holds []Index
	for range 17 { // as many as the entries after which filling repeats their kinds
		holds = append(holds, l.change(HoldSet, ids[0], ids[1], ids[2]))
	}
	for bundle := 1; bundle <= 10; bundle++ {
		l.fillExactly(ref, bundle*TileWidth-1)
		if bundle%4 == 2 { // the memory of a bundle that ends within a list is not used again
			one, two := l.changed(ConsentUsed, ids[0], ids[3]), l.changed(ConsentUsed, ids[4], ids[5])
			one.Part, one.Parts, one.Time = 1, 2, l.now
			two.Part, two.Parts, two.Time = 2, 2, one.Time
			l.add(one)
			l.add(two)
		}
		l.fill(ref, bundle*TileWidth+100)
		l.notice(fmt.Sprintf("wording-%d", bundle), 1, "newsletter")
		l.change(RestrictionSet, ids[bundle])
		l.commitState()
	}
	for _, hold := range holds {
		l.lift(hold, ids[0], ids[1], ids[2])
	}
	l.reveal(ConsentConfirmed, 1_000_011, ids[11])
	l.commitState()
	return l
}

// TestVerifyAcrossBundles: with any number of workers, and whether or not somebody is
// called for each entry, who may keep it, the report is the same.
func TestVerifyAcrossBundles(t *testing.T) {
	l := longLog(t)
	if l.replay == nil {
		t.Fatal("a rule is broken")
	}
	files := l.files()
	var kept []*Entry
	var effects []*Effects
	want, err := VerifyLog(t.Context(), files, VerifyOptions{Policy: l.policy(), Workers: 1, Each: func(e *Entry, eff *Effects, _ History) error {
		kept, effects = append(kept, e), append(effects, eff)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := NewReplay()
	for i, e := range kept {
		text, err := e.Encode()
		if err != nil || !bytes.Equal(text, l.texts[i]) {
			t.Fatalf("entry %d was kept as %q, %v", i, text, err)
		}
		eff, err := r.Add(e, LeafHash(text))
		if err != nil || !reflect.DeepEqual(eff.Opened, effects[i].Opened) || len(eff.Changed) != len(effects[i].Changed) {
			t.Fatalf("entry %d: its effects were kept as %+v, want %+v, %v", i, effects[i], eff, err)
		}
	}
	for _, workers := range []int{1, 2, 7} {
		got, err := VerifyLog(t.Context(), files, VerifyOptions{Policy: l.policy(), Workers: workers})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d workers: %+v, %v, want %+v", workers, got, err, want)
		}
	}
}

// TestVerifySinceWithinBundles keeps checkpoints of sizes around the ends of bundles
// and within them.
func TestVerifySinceWithinBundles(t *testing.T) {
	l := longLog(t)
	older := newLogForTest(t)
	for i, text := range l.texts {
		older.addText(text, nil)
		if at := (i + 1) % TileWidth; i > 3*TileWidth || at > 2 && at != 100 && at != TileWidth-1 {
			continue
		}
		verifySince(t, l, older)
	}
}
