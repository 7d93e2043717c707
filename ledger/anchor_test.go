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

// The tokens of these tests are lines that say what a token says; that tokens of
// real authorities are read rightly is tested where they are read.
func tokenOver(imprint Hash, at time.Time, authority string) []byte {
	return fmt.Appendf(nil, "%v %s %s", imprint, at.Format(time.RFC3339Nano), authority)
}

// readStamp is a verifier that trusts the authorities "one" and, as a qualified one,
// "two".
func readStamp(token []byte, imprint Hash) (Stamp, error) {
	words := strings.Fields(string(token))
	if len(words) != 3 || words[0] != imprint.String() {
		return Stamp{}, errors.New("a token about other bytes")
	}
	if words[2] != "one" && words[2] != "two" {
		return Stamp{}, fmt.Errorf("%w: nobody knows it", ErrNotCounted)
	}
	at, err := time.Parse(time.RFC3339Nano, words[1])
	return Stamp{Time: at, Accuracy: time.Second, Authority: words[2], Qualified: words[2] == "two"}, err
}

// anchor appends a checkpoint.anchored over a signed checkpoint; edit may change it.
func anchor(l *logForTest, files filesForTest, signed []byte, at time.Time, authority string, edit func(*Entry)) Index {
	l.Helper()
	k, err := ParseKept(signed)
	if err != nil {
		l.Fatal(err)
	}
	token := tokenOver(TextHash(signed), at, authority)
	e := &Entry{Kind: CheckpointAnchored, Source: SourceLedger, Size: k.Size, Checkpoint: TextHash(signed), Stamp: TextHash(token),
		Stamped: at.Truncate(time.Microsecond)}
	if edit != nil {
		edit(e)
	}
	files[AnchorPath(e.Checkpoint)], files[AnchorPath(e.Stamp)] = signed, token
	return l.add(e)
}

// with gives the log's files and those of its anchors.
func (f filesForTest) with(l *logForTest) filesForTest {
	all := l.files()
	for path, b := range f {
		all[path] = b
	}
	return all
}

// TestInterval: entries lie between the newest stamp before them and the oldest over
// them, whoever's.
func TestInterval(t *testing.T) {
	l := newLogForTest(t)
	l.prelude()
	policy, anchors := l.policy(), filesForTest{}
	early := l.sign() // of the prelude
	size := l.checkpoint().Size
	t1 := l.now.Add(1500 * time.Millisecond)
	first := anchor(l, anchors, early, t1, "one", nil)
	inside := l.source("inside", "app")
	t2 := l.now.Add(time.Second + 7*time.Nanosecond) // an entry's time has no nanoseconds
	second := anchor(l, anchors, l.sign(), t2, "two", nil)
	anchor(l, anchors, early, t2.Add(time.Hour), "three", nil)
	last := l.source("last", "app")

	rep, err := VerifyLog(t.Context(), anchors.with(l), VerifyOptions{Policy: policy, Stamps: readStamp})
	if err != nil {
		t.Fatal(err)
	}
	want := []Anchored{{first, size, t1, 1, "one", false}, {second, Size(second), t2, 1, "two", true}}
	if !slices.Equal(rep.Stamps, want) {
		t.Errorf("stamps %+v, want %+v", rep.Stamps, want)
	}
	if len(rep.StampsNotCounted) != 1 || !strings.Contains(rep.StampsNotCounted[0].Reason, "nobody knows it") {
		t.Errorf("not counted: %+v", rep.StampsNotCounted)
	}
	if rep.Anchors != "STAMPED_QUALIFIED" {
		t.Errorf("anchors %q", rep.Anchors)
	}
	for _, v := range []struct {
		entry         Index
		after, before *Anchored
	}{
		{0, nil, &want[0]},
		{Index(size) - 1, nil, &want[0]},
		{first, nil, &want[1]}, // that a stamp was made does not date the entry about it
		{inside, &want[0], &want[1]},
		{second, &want[0], nil},
		{last, &want[1], nil},
	} {
		in := rep.Interval(v.entry)
		same := func(a, b *Anchored) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }
		if !same(in.NotInLogAt, v.after) || !same(in.InLogAt, v.before) {
			t.Errorf("entry %d: between %+v and %+v, want %+v and %+v", v.entry, in.NotInLogAt, in.InLogAt, v.after, v.before)
		}
	}
	if rep.FirstBounds == nil || rep.FirstBounds.InLogAt == nil || rep.LastBounds == nil || rep.LastBounds.NotInLogAt == nil {
		t.Errorf("bounds %+v, %+v", rep.FirstBounds, rep.LastBounds)
	}

	// Nobody is trusted: the tokens are there, and say nothing.
	rep, err = VerifyLog(t.Context(), anchors.with(l), VerifyOptions{Policy: policy})
	if err != nil || len(rep.Stamps) != 0 || !strings.HasPrefix(rep.Anchors, "UNANCHORED") || rep.FirstBounds != nil ||
		!slices.ContainsFunc(rep.NotChecked, func(s string) bool { return strings.HasPrefix(s, "3 time-stamp tokens") }) {
		t.Errorf("without trust: %v, %+v", err, rep)
	}
}

// TestAnchorDates: entries that say another time than the stamps allow are counted.
func TestAnchorDates(t *testing.T) {
	for _, v := range []struct {
		name string
		skew time.Duration // of the authority's clock against the log's
		want map[string]int64
	}{
		{"clocks agree", 0, map[string]int64{}},
		{"within the tolerance", MaxClockAhead - 10*time.Second, map[string]int64{}},
		{"entries dated back", MaxClockAhead + 10*time.Second, map[string]int64{"dated_before_stamp": 2}},
		{"the log's clock is ahead", -MaxClockAhead - 10*time.Second, map[string]int64{"dated_after_stamp": 1}},
		{"and within the tolerance", -MaxClockAhead + 10*time.Second, map[string]int64{}},
	} {
		l, anchors := newLogForTest(t), filesForTest{}
		l.prelude()
		e := anchor(l, anchors, l.sign(), l.now.Add(v.skew), "one", nil)
		l.source("one", "app")
		l.source("two", "app")
		rep, err := VerifyLog(t.Context(), anchors.with(l), VerifyOptions{Policy: l.policy(), Stamps: readStamp})
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(rep.Irregular) != fmt.Sprint(v.want) {
			t.Errorf("%s: irregular %v, want %v", v.name, rep.Irregular, v.want)
		}
		for _, irr := range rep.IrregularFirst {
			if before := irr.Name == "dated_before_stamp"; before != (irr.Bounds != nil) || before != (irr.Index > e) {
				t.Errorf("%s: %+v", v.name, irr)
			}
		}
	}
}

// TestAnchorInvalid has anchors that are not what their entries say.
func TestAnchorInvalid(t *testing.T) {
	other := newLogForTest(t)
	other.prelude()
	other.source("elsewhere", "app")
	for _, v := range []struct {
		name    string
		signed  func(l *logForTest) []byte // what was stamped; nil: the log's newest checkpoint
		edit    func(*Entry)
		files   func(f filesForTest, e *Entry)
		verdict Verdict
		err     string
	}{
		{name: "as it should be"},
		{name: "another history's checkpoint", signed: func(l *logForTest) []byte { l.source("here", "app"); return other.sign() }, verdict: Invalid, err: "it says"},
		{name: "another size than the entry says", edit: func(e *Entry) { e.Size-- }, verdict: Invalid, err: "the entry says"},
		{name: "a later size than the log has", edit: func(e *Entry) { e.Size = 1000 }, verdict: Invalid, err: "rule size"},
		{name: "signed by others", signed: func(l *logForTest) []byte {
			signed, err := nextSigner(l, 6).SignCheckpoint(l.checkpoint(), 1)
			if err != nil {
				l.Fatal(err)
			}
			return signed
		}, verdict: Invalid, err: "no signature by the log's key"},
		{name: "of another log that has the same keys", signed: func(l *logForTest) []byte {
			c := l.checkpoint()
			c.Origin = "elsewhere.example"
			s := l.signer
			ml := s.signMLDSA44(cosignedMessage(s.Origin(), 1, c))
			return (&SignedNote{Text: c.Text(), Lines: []SignatureLine{{s.Origin(), s.keys.Ed25519.ID(), ed25519.Sign(s.ed25519Key, []byte(c.Text()))},
				{s.Origin(), s.keys.MLDSA44.ID(), stampSignature(1, ml)}}}).Bytes()
		}, verdict: Invalid, err: "origin is"},
		{name: "stripped of a signature", signed: func(l *logForTest) []byte {
			signed := l.sign()
			return signed[:bytes.LastIndex(signed, []byte("— "))]
		}, verdict: Invalid, err: "no signature by the log's key"},
		{name: "with a cosignature", signed: func(l *logForTest) []byte {
			return append(l.sign(), "— other.example AAAAAQI=\n"...)
		}, verdict: Invalid, err: "other signatures than the log's two"},
		{name: "another time than the token's", edit: func(e *Entry) { e.Stamped = e.Stamped.Add(time.Microsecond) }, verdict: Invalid, err: "the token says"},
		{name: "the token is missing", files: func(f filesForTest, e *Entry) { delete(f, AnchorPath(e.Stamp)) }, verdict: CannotTell, err: "anchors/"},
		{name: "the checkpoint is missing", files: func(f filesForTest, e *Entry) { delete(f, AnchorPath(e.Checkpoint)) }, verdict: CannotTell, err: "anchors/"},
		{name: "the token is another", files: func(f filesForTest, e *Entry) { f[AnchorPath(e.Stamp)] = []byte("x") }, verdict: Invalid, err: "another hash"},
		{name: "the checkpoint is another", files: func(f filesForTest, e *Entry) { f[AnchorPath(e.Checkpoint)] = other.sign() }, verdict: Invalid, err: "another hash"},
		{name: "a token about other bytes", edit: func(e *Entry) { e.Stamp = Hash{} }, verdict: Invalid, err: "about other bytes"},
	} {
		l, anchors := newLogForTest(t), filesForTest{}
		l.prelude()
		signed := l.sign()
		if v.signed != nil {
			signed = v.signed(l)
		}
		var entry *Entry
		anchor(l, anchors, signed, l.now, "one", func(e *Entry) {
			if v.edit != nil {
				v.edit(e)
			}
			if entry = e; e.Stamp == (Hash{}) {
				wrong := tokenOver(Hash{1}, e.Stamped, "one")
				e.Stamp = TextHash(wrong)
				anchors["wrong"] = wrong
			}
		})
		files := anchors.with(l)
		if wrong, ok := files["wrong"]; ok {
			files[AnchorPath(entry.Stamp)] = wrong
			delete(files, "wrong")
		}
		if v.files != nil {
			v.files(files, entry)
		}
		_, err := VerifyLog(t.Context(), files, VerifyOptions{Policy: l.policy(), Stamps: readStamp})
		if VerdictOf(err) != v.verdict || v.err != "" && !strings.Contains(err.Error(), v.err) {
			t.Errorf("%s: %v, want %v with %q", v.name, err, v.verdict, v.err)
		}
	}
}

// TestAnchorOldKeys: a checkpoint that was stamped before the keys were rotated is
// judged by the keys of then, which the log itself names.
func TestAnchorOldKeys(t *testing.T) {
	l, anchors := newLogForTest(t), filesForTest{}
	l.prelude()
	old := l.sign()
	first := anchor(l, anchors, old, l.now, "one", nil)
	l.rotate("second")
	again := anchor(l, anchors, old, l.now, "one", nil)
	anchor(l, anchors, l.sign(), l.now, "one", nil)
	files := anchors.with(l)
	delete(files, "trust.keys")
	newest, err := ParsePolicy(NewPolicy(l.signer.Keys()))
	if err != nil {
		t.Fatal(err)
	}
	rep, err := VerifyLog(t.Context(), files, VerifyOptions{Policy: newest, Stamps: readStamp})
	if err != nil || len(rep.Stamps) != 3 || rep.Stamps[0].Index != first || rep.Stamps[1].Index != again {
		t.Errorf("%v, stamps %+v", err, rep.Stamps)
	}

	// The retired keys sign nothing any more.
	retired, err := l.first.SignCheckpoint(l.checkpoint(), 1)
	if err != nil {
		t.Fatal(err)
	}
	anchor(l, anchors, retired, l.now, "one", nil)
	if _, err := VerifyLog(t.Context(), anchors.with(l), VerifyOptions{Policy: newest}); VerdictOf(err) != Invalid || !strings.Contains(err.Error(), "no signature by the log's key") {
		t.Errorf("stamped under retired keys: %v", err)
	}
}

// TestIntervalAccuracy: an exact stamp bounds more than one that may be off, if what
// that leaves open goes beyond it.
func TestIntervalAccuracy(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	rep := &LogReport{Stamps: []Anchored{
		{Index: 2, Size: 1, Time: noon.Add(-10 * time.Second)},
		{Index: 3, Size: 2, Time: noon.Add(-5 * time.Second), Accuracy: 60},
		{Index: 8, Size: 7, Time: noon.Add(5 * time.Second), Accuracy: 60},
		{Index: 9, Size: 8, Time: noon.Add(10 * time.Second)},
	}}
	if in := rep.Interval(5); in.NotInLogAt.Index != 2 || in.InLogAt.Index != 9 {
		t.Errorf("between %+v and %+v", in.NotInLogAt, in.InLogAt)
	}
}
