package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestErasureReport looks at what the report says.
func TestErasureReport(t *testing.T) {
	x := erasedLog(t)
	rep, err := VerifyErasureReceipt(erasureText(x.all()[:3]...), x.policy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	part, err := ParseEntry(x.texts[x.parts[0]])
	if err != nil {
		t.Fatal(err)
	}
	shredded, err := ParseEntry(x.texts[x.contents])
	if err != nil {
		t.Fatal(err)
	}
	if rep.Format != "consent-ledger/verify-erasure/v1" || rep.Origin != originForLog || !slices.Equal(rep.Consents, x.consents) ||
		rep.ErasureReason != "art17" || !rep.Recorded.Equal(part.Time) || rep.Generation != 2 || rep.Medium != "file" ||
		!rep.ContentsDestroyed.Equal(shredded.Contents) || !rep.ExistenceDue.Equal(x.due) || !rep.ExistenceDestroyed.IsZero() {
		t.Errorf("%+v", rep)
	}
	if len(rep.Entries) != 3 || rep.Entries[2].Index != x.contents || rep.Entries[2].Kind != "evidence.shredded" ||
		rep.Entries[2].Size != x.tree.Size() || rep.Entries[2].Root != x.tree.Root().String() ||
		rep.Entries[2].LeafHash != LeafHash(x.texts[x.contents]).String() {
		t.Errorf("entries are %+v", rep.Entries)
	}
	if !strings.HasPrefix(rep.Anchors, "UNANCHORED") || len(rep.Witnesses) != 0 || len(rep.Checked) != 4 || len(rep.NotChecked) != 1 {
		t.Errorf("%+v", rep)
	}
	promised := "promised by " + x.due.Format(secondsLayout)
	if text := strings.Join(rep.CannotProve, "\n"); !strings.Contains(text, promised) || !strings.Contains(text, mediumLimits["file"]) ||
		!strings.Contains(text, "a copy of the root key") {
		t.Errorf("cannot prove:\n%s", text)
	}
	rep, err = VerifyErasureReceipt(erasureText(x.all()...), x.policy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	forgotten, err := ParseEntry(x.texts[x.existence])
	if err != nil {
		t.Fatal(err)
	}
	if !rep.ExistenceDestroyed.Equal(forgotten.Existence) || rep.Generation != 2 || strings.Contains(strings.Join(rep.CannotProve, "\n"), "promised") {
		t.Errorf("%+v", rep)
	}
	// Existence is destroyed when that of every part is.
	a, b := x.erase(x.fresh(5))
	rep, err = VerifyErasureReceipt(erasureText(x.sections(a, b, x.shred(a, b), x.forget(b))...), x.policy(), nil)
	if err != nil || !rep.ExistenceDestroyed.IsZero() || !strings.Contains(strings.Join(rep.CannotProve, "\n"), promised) {
		t.Errorf("%v, %+v", err, rep)
	}
	rep, err = VerifyErasureReceipt(erasureText(x.all()...), x.policy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(rep)
	if err != nil || !bytes.Contains(text, fmt.Appendf(nil, `"consents":[%d,%d,%d]`, x.consents[0], x.consents[1], x.consents[2])) {
		t.Errorf("%s, %v", text, err)
	}
}

// TestMediumLimits demands an honest sentence for every medium of a root key.
func TestMediumLimits(t *testing.T) {
	for _, m := range media {
		if mediumLimits[m] == "" {
			t.Errorf("medium %s: nothing says what its destruction does not guarantee", m)
		}
	}
}

// TestErasureReceiptFlipped flips every byte of an erasure receipt: none is
// irrelevant.
func TestErasureReceiptFlipped(t *testing.T) {
	x := erasedLog(t)
	policy, good := x.policy(), erasureText(x.all()...)
	// Nobody signs the version of the receipt's format, or of a tlog-proof's.
	versions := map[int]bool{len(erasurePrefix): true}
	for at := 0; ; {
		next := bytes.Index(good[at:], []byte(receiptMagic))
		if next < 0 {
			break
		}
		at += next + len(receiptMagic)
		versions[at-1] = true
	}
	if len(versions) != 5 {
		t.Fatalf("%d versions", len(versions))
	}
	var mu sync.Mutex
	newer := 0
	flips(filesForTest{"receipt": good}, func(_ string, at int, f filesForTest) {
		_, err := VerifyErasureReceipt(f["receipt"], policy, nil)
		mu.Lock()
		defer mu.Unlock()
		if c := f["receipt"][at]; versions[at] && c > '1' && c <= '9' {
			newer++
			if VerdictOf(err) != CannotTell {
				t.Errorf("byte %d: verdict %v (%v), want CANNOT TELL", at, VerdictOf(err), err)
			}
		} else if VerdictOf(err) != Invalid {
			t.Errorf("byte %d: verdict %v (%v), want INVALID", at, VerdictOf(err), err)
		}
	})
	if newer == 0 {
		t.Error("no later version was tried")
	}
}

// TestErasureReceiptLines drops, doubles and swaps every line. Signature lines
// may stand in any order; then the report is the same.
func TestErasureReceiptLines(t *testing.T) {
	x := erasedLog(t)
	policy, good := x.policy(), erasureText(x.all()...)
	want, err := VerifyErasureReceipt(good, policy, nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(good), "\n")
	lines = lines[:len(lines)-1]
	try := func(what string, i int, changed []string) bool {
		rep, err := VerifyErasureReceipt([]byte(strings.Join(changed, "")), policy, nil)
		if err == nil && !reflect.DeepEqual(rep, want) {
			t.Errorf("line %d %s: another report: %+v", i+1, what, rep)
		}
		return err == nil
	}
	signatures := 0
	for i := range lines {
		if i < len(lines)-1 && lines[i] != lines[i+1] {
			swapped := slices.Clone(lines)
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			if verified := try("swapped with the next", i, swapped); verified {
				signatures++
				if !strings.HasPrefix(lines[i], noteLinePrefix) || !strings.HasPrefix(lines[i+1], noteLinePrefix) {
					t.Errorf("line %d swapped with the next: VERIFIED", i+1)
				}
			}
		}
		if try("dropped", i, slices.Delete(slices.Clone(lines), i, i+1)) || try("doubled", i, slices.Insert(slices.Clone(lines), i, lines[i])) {
			t.Errorf("line %d dropped or doubled: VERIFIED", i+1)
		}
	}
	if signatures != 4 {
		t.Errorf("%d pairs of signature lines could be swapped", signatures)
	}
}

// TestErasureReceiptSections drops, doubles and swaps sections.
func TestErasureReceiptSections(t *testing.T) {
	x := erasedLog(t)
	all, policy := x.all(), x.policy()
	for i := range all {
		dropped := slices.Delete(slices.Clone(all), i, i+1)
		_, err := VerifyErasureReceipt(erasureText(dropped...), policy, nil)
		if want := i == len(all)-1; (err == nil) != want { // existence need not be recorded yet
			t.Errorf("without section %d: %v", i, err)
		}
		if _, err := VerifyErasureReceipt(erasureText(slices.Insert(slices.Clone(all), i, all[i])...), policy, nil); VerdictOf(err) != Invalid {
			t.Errorf("section %d twice: %v", i, err)
		}
		for j := range i {
			swapped := slices.Clone(all)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			if _, err := VerifyErasureReceipt(erasureText(swapped...), policy, nil); VerdictOf(err) != Invalid {
				t.Errorf("sections %d and %d swapped: %v", i, j, err)
			}
			proofs := slices.Clone(all)
			proofs[i].Receipt, proofs[j].Receipt = proofs[j].Receipt, proofs[i].Receipt
			if _, err := VerifyErasureReceipt(erasureText(proofs...), policy, nil); VerdictOf(err) != Invalid {
				t.Errorf("receipts %d and %d swapped: %v", i, j, err)
			}
		}
	}
}

// TestVerifyErasureReceipt gives receipts of which each entry is in a log, and
// that yet prove no erasure, or only under conditions.
func TestVerifyErasureReceipt(t *testing.T) {
	// again appends an entry and gives the sections of the erasure with it.
	again := func(x *erasureForTest, add func() Index) []ErasureSection {
		i := add()
		return x.sections(x.parts[0], x.parts[1], x.contents, x.existence, i)
	}
	tests := []struct {
		name     string
		sections func(x *erasureForTest) []ErasureSection
		keys     func(x *erasureForTest) []byte
		policy   string // of logPolicies
		verdict  Verdict
		err      string
	}{
		{name: "keys", sections: (*erasureForTest).all, keys: func(x *erasureForTest) []byte { return x.texts[0] }},
		{name: "keys of another log", sections: (*erasureForTest).all, keys: func(x *erasureForTest) []byte { return otherKeysFile(x.logForTest) },
			verdict: CannotTell, err: "the keys file does not hold the policy's keys"},
		{name: "other keys", sections: (*erasureForTest).all, policy: "other-keys.policy", verdict: CannotTell,
			err: "give its newest key entries (trust.keys)"},
		{name: "quorum not reached", sections: (*erasureForTest).all, policy: "witnessed.policy", verdict: CannotTell,
			err: "fetch the receipt again when the witnesses have signed"},
		{name: "without the second signature", sections: func(x *erasureForTest) []ErasureSection {
			all := x.all()
			all[2].Receipt.Checkpoint = dropLine(x, all[2].Receipt.Checkpoint, 1)
			return all
		}, verdict: Invalid, err: "entry 12: receipt: opening checkpoint of size 15: no signature by the log's key"},
		{name: "the second part is missing", sections: func(x *erasureForTest) []ErasureSection {
			return x.sections(x.parts[0], x.contents)
		}, verdict: Invalid, err: "entry 11, a part of the erasure's list, is missing"},
		{name: "the second part is missing at the end", sections: func(x *erasureForTest) []ErasureSection {
			return x.sections(x.parts[0])
		}, verdict: Invalid, err: "entry 11, a part of the erasure's list, is missing"},
		{name: "the first part is missing", sections: func(x *erasureForTest) []ErasureSection {
			return x.sections(x.parts[1], x.contents)
		}, verdict: Invalid, err: "entry 11: part 2 of 2 without the parts before it"},
		{name: "not shredded", sections: func(x *erasureForTest) []ErasureSection {
			return x.sections(x.parts[0], x.parts[1])
		}, verdict: Invalid, err: "entry 10: no entry of the receipt records that its keys are destroyed"},
		{name: "one part not shredded", sections: func(x *erasureForTest) []ErasureSection {
			a, b := x.erase(x.fresh(5))
			return x.sections(a, b, x.shred(a))
		}, verdict: Invalid, err: "entry 18: no entry of the receipt records that its keys are destroyed"},
		{name: "parts shredded one by one", sections: func(x *erasureForTest) []ErasureSection {
			a, b := x.erase(x.fresh(5))
			return x.sections(a, b, x.shred(a), x.shred(b), x.forget(a), x.forget(b))
		}},
		{name: "parts shredded one by one, swapped", sections: func(x *erasureForTest) []ErasureSection {
			a, b := x.erase(x.fresh(5))
			first, second := x.shred(a), x.shred(b)
			return x.sections(a, b, second, first)
		}, verdict: Invalid, err: "entry 19: stands after entry 20"},
		{name: "no erasure", sections: func(x *erasureForTest) []ErasureSection {
			return x.sections(x.contents)
		}, verdict: Invalid, err: "entry 12: refers to another erasure than the receipt's"},
		{name: "existence without contents", sections: func(x *erasureForTest) []ErasureSection {
			return x.sections(x.parts[0], x.parts[1], x.existence)
		}, verdict: Invalid, err: "entry 14: what it records of entry 10 is not what was to come next"},
		{name: "contents twice", sections: func(x *erasureForTest) []ErasureSection {
			return again(x, func() Index { return x.shred(x.parts[:]...) })
		}, verdict: Invalid, err: "entry 15: what it records of entry 10 is not what was to come next"},
		{name: "existence twice", sections: func(x *erasureForTest) []ErasureSection {
			return again(x, func() Index { return x.forget(x.parts[1]) })
		}, verdict: Invalid, err: "entry 15: what it records of entry 11 is not what was to come next"},
		{name: "shredding of another erasure", sections: func(x *erasureForTest) []ErasureSection {
			a, b := x.erase(x.fresh(5))
			other := x.shred(a, b)
			return x.sections(x.parts[0], x.parts[1], other)
		}, verdict: Invalid, err: "entry 19: refers to another erasure than the receipt's"},
		{name: "shredding of this and another erasure", sections: func(x *erasureForTest) []ErasureSection {
			a, b := x.erase(x.fresh(5))
			c, d := x.erase(x.fresh(7))
			return x.sections(c, d, x.shred(a, b, c, d))
		}},
		{name: "a second erasure", sections: func(x *erasureForTest) []ErasureSection {
			a, b := x.erase(x.fresh(5))
			c := x.change(SubjectErased, x.fresh1(7))
			return x.sections(a, b, c, x.shred(a, b, c))
		}, verdict: Invalid, err: "entry 20: an erasure receipt is about one erasure, and begins with it"},
		{name: "a second erasure after the first", sections: func(x *erasureForTest) []ErasureSection {
			return again(x, func() Index { return x.change(SubjectErased, x.fresh1(5)) })
		}, verdict: Invalid, err: "entry 16: an erasure receipt is about one erasure, and begins with it"},
		{name: "one entry, not split", sections: func(x *erasureForTest) []ErasureSection {
			a := x.change(SubjectErased, x.fresh1(5))
			return x.sections(a, x.shred(a))
		}},
		{name: "another kind", sections: func(x *erasureForTest) []ErasureSection {
			return x.sections(x.parts[0], x.parts[1], x.contents, x.contents+1, x.existence)
		}, verdict: Invalid, err: "entry 13: consent.requested does not belong in an erasure receipt"},
		{name: "shredding written by a key", sections: func(x *erasureForTest) []ErasureSection {
			a := x.change(SubjectErased, x.fresh1(5))
			return x.sections(a, x.add(&Entry{Kind: EvidenceShredded, Source: "shop-frontend", Refers: []Index{a}, Generation: 2, Medium: "file",
				Contents: x.now.Truncate(time.Second), ExistenceDue: x.due}))
		}, verdict: Invalid, err: "entry 17: only the ledger itself writes evidence.shredded"},
		{name: "earlier than the entry before", sections: func(x *erasureForTest) []ErasureSection {
			x.now = x.now.Add(-time.Minute)
			return x.sections(x.parts[0], x.parts[1], x.contents, x.forget(x.parts[:]...))
		}, verdict: Invalid, err: "entry 15: time is before that of the entry before it"},
		{name: "a chain that is broken", sections: func(x *erasureForTest) []ErasureSection {
			a := x.change(SubjectErased, x.fresh1(5))
			x.prev = Hash{1}
			return x.sections(a, x.shred(a))
		}, verdict: Invalid, err: "entry 17: prev is "},
		{name: "checkpoints of different sizes", sections: func(x *erasureForTest) []ErasureSection {
			all := x.all()
			x.commitState()
			return append(x.sections(x.parts[0]), all[1:]...)
		}},
		{name: "a fork of the same size", sections: func(x *erasureForTest) []ErasureSection {
			fork := erasedLog(x)
			fork.texts, fork.tree = fork.texts[:x.existence], Tree{}
			for _, text := range fork.texts {
				fork.tree.Append(LeafHash(text), func(int, int64, Hash) {})
			}
			fork.addText([]byte("another history\n"), nil)
			return append(x.all()[:2], fork.sections(x.contents)...)
		}, verdict: Invalid, err: "the log has shown two histories"},
		{name: "another log under other keys", sections: func(x *erasureForTest) []ErasureSection {
			all := x.all()
			x.signer = otherSigner(x)
			return append(all[:2], x.sections(x.contents)...)
		}, verdict: CannotTell, err: "entry 12: receipt: opening checkpoint of size 15: no signature by the log's key"},
		{name: "another log", sections: func(x *erasureForTest) []ErasureSection {
			all := x.all()
			all[1].Receipt.Checkpoint = bytes.Replace(all[1].Receipt.Checkpoint, []byte(originForLog), []byte("ledger.example.com/other"), 1)
			return all
		}, verdict: Invalid, err: `entry 11: receipt: opening checkpoint: origin is "ledger.example.com/other"`},
		{name: "an index that is not the entry's", sections: func(x *erasureForTest) []ErasureSection {
			all := x.all()
			all[0].Receipt.Index = 9
			return all
		}, verdict: Invalid, err: "entry 9: the entry has index 10, the receipt 9"},
		{name: "a kind of a later version", sections: func(x *erasureForTest) []ErasureSection {
			text := fmt.Appendf(nil, "consent-ledger/entry/v1\nindex 15\nprev %v\ntime 2026-11-22T00:00:00.000000Z\nkind erasure.later\nsource ledger\nrefers 10\n", x.prev)
			return append(x.all(), x.sections(x.addText(text, nil))...)
		}, verdict: CannotTell, err: "entry 15: needs a newer verifier: unknown kind erasure.later"},
		{name: "a kind of a later version that is not in the log", sections: func(x *erasureForTest) []ErasureSection {
			all := x.all()
			all[2].Entry = bytes.Replace(all[2].Entry, []byte("evidence.shredded"), []byte("evidence.shedded"), 1)
			return all
		}, verdict: Invalid, err: "entry 12: receipt: does not prove that this entry is in the log"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := erasedLog(t)
			policy, keys := x.policy(), []byte(nil)
			text := erasureText(test.sections(x)...)
			if test.policy != "" {
				var err error
				if policy, err = ParsePolicy(logPolicies(t)[test.policy]); err != nil {
					t.Fatal(err)
				}
			}
			if test.keys != nil {
				keys = test.keys(x)
			}
			rep, err := VerifyErasureReceipt(text, policy, keys)
			if VerdictOf(err) != test.verdict || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("verdict %v, error\n%v\nwant %v with\n%s", VerdictOf(err), err, test.verdict, test.err)
			}
			if rep.Verdict != test.verdict.String() || (rep.Reason == "") != (err == nil) {
				t.Errorf("the report says %s, %q", rep.Verdict, rep.Reason)
			}
			if said := len(rep.Consents) > 0 && !rep.ContentsDestroyed.IsZero() && len(rep.CannotProve) > 0; said != (err == nil) {
				t.Errorf("it tells of an erasure: %v: %+v", said, rep)
			}
		})
	}
}

// fresh opens two requests and gives their consents as two lists.
func (x *erasureForTest) fresh(request int) (a, b []ConsentID) {
	return []ConsentID{x.fresh1(request)}, []ConsentID{x.fresh1(request + 1)}
}

func (x *erasureForTest) fresh1(request int) ConsentID {
	first, err := ParseEntry(x.texts[5])
	if err != nil {
		x.Fatal(err)
	}
	return x.request(request, first.Notice)
}

// TestErasureReceiptWitnesses: only who signed every checkpoint anchors the
// erasure, and a line by a stranger is named once.
func TestErasureReceiptWitnesses(t *testing.T) {
	x := erasedLog(t)
	all := x.all()
	for i := range all {
		f := filesForTest{"checkpoint": all[i].Receipt.Checkpoint}
		cosigned(x.logForTest, f)
		foreignLine(x.logForTest, f)
		all[i].Receipt.Checkpoint = f["checkpoint"]
	}
	text := string(logPolicies(t)["witnessed.policy"])
	policy, err := ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	rep, err := VerifyErasureReceipt(erasureText(all...), policy, nil)
	if err != nil || rep.Anchors != "WITNESSED 1" || !slices.Equal(rep.Witnesses, []string{"w1"}) || len(rep.NotChecked) != 2 {
		t.Errorf("%v, %+v", err, rep)
	}
	if policy, err = ParsePolicy([]byte(strings.Replace(text, "quorum all-of-them", "quorum self-pq", 1))); err != nil {
		t.Fatal(err)
	}
	for i, plain := range x.all() {
		some := slices.Clone(all)
		some[i] = plain
		if rep, err = VerifyErasureReceipt(erasureText(some...), policy, nil); err != nil || !strings.HasPrefix(rep.Anchors, "UNANCHORED") || len(rep.Witnesses) != 0 {
			t.Errorf("without the witness at %d: %v, %+v", i, err, rep)
		}
	}
}

// TestErasureReceiptSizes: what cannot be seen between checkpoints of different
// sizes is said.
func TestErasureReceiptSizes(t *testing.T) {
	x := erasedLog(t)
	older := x.all()
	x.commitState()
	rep, err := VerifyErasureReceipt(erasureText(append(older[:3:3], x.sections(x.existence)...)...), x.policy(), nil)
	if err != nil || !slices.Contains(rep.NotChecked, "that the receipt's checkpoints, which are of different sizes, are of one history") {
		t.Errorf("%v, %+v", err, rep)
	}
}
