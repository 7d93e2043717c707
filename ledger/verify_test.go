package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// allBits makes the flip tests flip every bit instead of one bit of the bytes that
// [toFlip] gives.
const allBits = "LEDGER_FLIP_ALL_BITS"

// TestVerifyReport looks at what the report says of the story.
func TestVerifyReport(t *testing.T) {
	l := storyForTest(t)
	var steps []Size
	rep, err := VerifyLog(t.Context(), l.files(), VerifyOptions{Policy: l.policy(), Progress: func(done, total Size) {
		steps = append(steps, done, total)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Verdict != "VERIFIED" || rep.Reason != "" || rep.Origin != originForLog || rep.Controller != "shop.example.com" ||
		rep.Size != 109 || rep.Root != l.tree.Root().String() || rep.StateRoots != 2 || rep.PendingErasures != 0 {
		t.Errorf("%+v", rep)
	}
	if !strings.HasPrefix(rep.Anchors, "UNANCHORED") || len(rep.Witnesses) != 0 {
		t.Errorf("the log's own key anchors it: %s, %v", rep.Anchors, rep.Witnesses)
	}
	states := map[string]int64{"confirmed erased": 1, "confirmed locked erased": 1, "expired": 1, "lapsed erased": 1, "lapsed restricted": 1, "objected": 2, "objected erased": 1,
		"revoked": 1, "withdrawn": 1, "withdrawn erased": 1, "given": 2, "refused": 1, "imported": 1, "renewed": 1, "asserted": 2, "invalidated": 1}
	if !maps.Equal(rep.States, states) {
		t.Errorf("states are %v, want %v", rep.States, states)
	}
	// A button with all that there can be; paper; six clicks and a renewal with
	// the form; old stock; three claims.
	grades := map[string]int64{"A": 1, "B": 1, "C": 7, "D": 1, "E": 3}
	if !maps.Equal(rep.Grades, grades) {
		t.Errorf("grades are %v, want %v", rep.Grades, grades)
	}
	irregular := map[string]int64{"notice.published.tied": 1, "consent.used.locked": 1, "consent.used.restricted": 1, "consent.used.withdrawn": 1, "occurred_ahead": 1,
		"request.refused.late": 1, "existence_overdue": 1}
	if !maps.Equal(rep.Irregular, irregular) || len(rep.IrregularFirst) != 7 {
		t.Errorf("irregular facts are %v, %v", rep.Irregular, rep.IrregularFirst)
	}
	// A stranger's request and the newest; the stranger's month is over.
	if rep.RightsOpen != 2 || rep.RightsOverdue != 1 {
		t.Errorf("%d requests are open, %d of them overdue", rep.RightsOpen, rep.RightsOverdue)
	}
	if len(rep.Kinds) != len(kindTable) || len(rep.Checked) == 0 || len(rep.NotChecked) == 0 || len(rep.CannotProve) == 0 {
		t.Errorf("%+v", rep)
	}
	if !slices.Equal(steps, []Size{109, 109}) {
		t.Errorf("progress was %v", steps)
	}
}

// toFlip gives the bytes of a text to flip: all but those in the middle of a line so
// long that it must be a signature or a key, of which every 17th says as much as all.
// They are given, too, where the environment asks for all bits.
func toFlip(text []byte) (at []int) {
	const edge = 100
	begin := 0
	for line := range bytes.Lines(text) {
		for i := range line {
			if i < edge || i >= len(line)-edge || i%17 == 0 || os.Getenv(allBits) != "" {
				at = append(at, begin+i)
			}
		}
		begin += len(line)
	}
	return at
}

// flips calls try for flips of every byte of every file that [toFlip] gives: one bit
// each, another from byte to byte, or all eight where the environment asks for it.
func flips(files filesForTest, try func(path string, at int, flipped filesForTest)) {
	bits := 1
	if os.Getenv(allBits) != "" {
		bits = 8
	}
	type job struct {
		path   string
		at, of int
	}
	jobs := make(chan job)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for j := range jobs {
				f := maps.Clone(files)
				f[j.path] = bytes.Clone(f[j.path])
				f[j.path][j.at] ^= 1 << ((j.at + j.of) % 8)
				try(j.path, j.at, f)
			}
		})
	}
	for path, text := range files {
		for _, at := range toFlip(text) {
			for of := range bits {
				jobs <- job{path, at, of}
			}
		}
	}
	close(jobs)
	wg.Wait()
}

// TestVerifyFlippedByte flips every byte of every file of a log that holds
// every kind. The verdict must be INVALID, never VERIFIED and never CANNOT TELL:
// a byte that makes an entry look like one of a later version no longer fits
// the hash tile. The one exception are the bytes of a signature line by a key
// outside the policy, which may pass but must be named as not checked. The policy
// follows the rotation before: see TestVerifyFlippedKeys.
func TestVerifyFlippedByte(t *testing.T) {
	l := storyForTest(t)
	files := l.files()
	foreignFrom := len(files["checkpoint"])
	foreignLine(l, files)
	policy, err := l.policy().WithKeys(files["trust.keys"])
	if err != nil {
		t.Fatal(err)
	}
	delete(files, "trust.keys")
	var mu sync.Mutex
	invalid, passed := 0, 0
	flips(files, func(path string, at int, flipped filesForTest) {
		rep, err := VerifyLog(t.Context(), flipped, VerifyOptions{Policy: policy, Workers: 1})
		mu.Lock()
		defer mu.Unlock()
		if VerdictOf(err) == Invalid {
			invalid++
			return
		}
		named := slices.ContainsFunc(rep.NotChecked, func(s string) bool {
			return strings.HasPrefix(s, "signature line by a key outside the policy: ")
		})
		if err != nil || !named || path != "checkpoint" || at < foreignFrom {
			t.Errorf("%s, byte %d: verdict %v (%v), want INVALID", path, at, VerdictOf(err), err)
		}
		passed++
	})
	t.Logf("%d flips INVALID, %d passed as lines by a key outside the policy", invalid, passed)
	if passed == 0 || invalid == 0 {
		t.Error("not both outcomes occurred")
	}
}

// TestVerifyFlippedKeys flips every byte of the trust.keys of a log whose keys were
// rotated. It no longer leads from the policy's keys to those that sign, so nothing can
// be told; beside a keys file that does, what was shipped is INVALID.
func TestVerifyFlippedKeys(t *testing.T) {
	l := newLogForTest(t)
	l.create()
	l.source("admin", "admin")
	l.rotate("second ")
	files := l.files()
	keys, policy := files["trust.keys"], l.policy()
	var mu sync.Mutex
	flips(filesForTest{"trust.keys": keys}, func(path string, at int, flipped filesForTest) {
		f := maps.Clone(files)
		f[path] = flipped[path]
		_, err := VerifyLog(t.Context(), f, VerifyOptions{Policy: policy, Workers: 1})
		beside := errors.New("not asked")
		if at%64 == 0 {
			_, beside = VerifyLog(t.Context(), f, VerifyOptions{Policy: policy, Keys: keys, Workers: 1})
		}
		mu.Lock()
		defer mu.Unlock()
		// What the keys do not sign, of the key entries, is compared with the log's.
		if VerdictOf(err) != CannotTell && VerdictOf(err) != Invalid || VerdictOf(beside) != Invalid {
			t.Errorf("byte %d: %v, beside the file itself %v", at, err, beside)
		}
	})
}

// TestVerifyFlippedReceipt flips every byte of a receipt and of its entry.
func TestVerifyFlippedReceipt(t *testing.T) {
	l := exampleLog(t)
	policy := l.policy()
	files := filesForTest{"receipt": l.receipt(6), "entry": l.texts[6], "keys": l.texts[0]}
	version := len("c2sp.org/tlog-proof@v")
	first, err := ParseEntry(files["keys"])
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	flips(files, func(path string, at int, f filesForTest) {
		_, err := VerifyReceipt(f["receipt"], f["entry"], policy, f["keys"])
		want := Invalid
		switch got := VerdictOf(err); {
		case path == "receipt" && at == version && f[path][at] > '1' && f[path][at] <= '9':
			want = CannotTell // nobody signs the version of the receipt's format
		case path == "keys" && got == Verified:
			// The keys file is the caller's and yields the keys only, so lines that
			// the keys do not sign make no difference.
			if e, err := ParseEntry(f["keys"]); err == nil && bytes.Equal(e.KeyText(), first.KeyText()) && fmt.Sprint(e.Sign) == fmt.Sprint(first.Sign) {
				want = Verified
			}
		case path == "keys":
			want = CannotTell // it says nothing against the receipt
		}
		mu.Lock()
		defer mu.Unlock()
		if VerdictOf(err) != want {
			t.Errorf("%s, byte %d: verdict %v (%v), want %v", path, at, VerdictOf(err), err, want)
		}
	})
}

// TestVerifyMissing removes each file. Only trust.keys may be absent, where it is a
// copy of entry 0 for the reader's convenience; where keys were rotated, it leads
// from the policy's to those that sign.
func TestVerifyMissing(t *testing.T) {
	for name, l := range map[string]*logForTest{"story": storyForTest(t), "three levels": largeLog(t, 700)} {
		files := l.files()
		for path := range files {
			f := maps.Clone(files)
			delete(f, path)
			want := CannotTell
			if path == "trust.keys" && len(l.keys) == 1 {
				want = Verified
			}
			rep, err := VerifyLog(t.Context(), f, VerifyOptions{Policy: l.policy()})
			if VerdictOf(err) != want || rep.Verdict != want.String() {
				t.Errorf("%s: without %s: %v (%v), want %v", name, path, VerdictOf(err), err, want)
			}
		}
	}
}

// unreadableForTest fails for one path with an error that is not ErrMissing.
type unreadableForTest struct {
	filesForTest
	path string
}

func (r unreadableForTest) ReadPath(ctx context.Context, path string) ([]byte, error) {
	if path == r.path {
		return nil, errors.New("input/output error")
	}
	return r.filesForTest.ReadPath(ctx, path)
}

// TestVerifyUnreadable demands that what cannot be read says nothing against
// the log.
func TestVerifyUnreadable(t *testing.T) {
	l := storyForTest(t)
	files := l.files()
	for path := range files {
		_, err := VerifyLog(t.Context(), unreadableForTest{files, path}, VerifyOptions{Policy: l.policy()})
		if VerdictOf(err) != CannotTell || !strings.Contains(err.Error(), path) {
			t.Errorf("%s unreadable: %v", path, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := VerifyLog(ctx, files, VerifyOptions{Policy: l.policy()}); VerdictOf(err) != CannotTell || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// largeLog is a log of requests, confirmations, uses and withdrawals.
func largeLog(t testing.TB, size int) *logForTest {
	l := newLogForTest(t)
	l.fill(l.prelude(), size)
	return l
}

// fill adds requests, confirmations, uses and withdrawals up to the size.
func (l *logForTest) fill(ref NoticeRef, size int) {
	for request := 1; len(l.texts) < size; request++ {
		id := l.request(request, ref)
		l.change(ConfirmationSent, id)
		l.reveal(ConsentConfirmed, request, id)
		l.change(ConsentUsed, id)
		if request%4 == 0 {
			l.change(ConsentWithdrawn, id)
		}
	}
}

// TestVerifyLevels verifies logs around the sizes at which tiles become full,
// with any number of workers, and every tile of the levels above flipped.
func TestVerifyLevels(t *testing.T) {
	l := newLogForTest(t)
	ref := l.prelude()
	for _, size := range []int{255, 256, 257, 511, 512, 513, 1030} {
		l.fillExactly(ref, size)
		files := l.files()
		for _, workers := range []int{0, 1, 7} {
			if _, err := VerifyLog(t.Context(), files, VerifyOptions{Policy: l.policy(), Workers: workers}); err != nil {
				t.Fatalf("size %d, %d workers: %v", size, workers, err)
			}
		}
		for path, text := range files {
			if !strings.HasPrefix(path, "tile/1/") {
				continue
			}
			for at := range text {
				f := maps.Clone(files)
				f[path] = bytes.Clone(text)
				f[path][at] ^= 0x10
				if _, err := VerifyLog(t.Context(), f, VerifyOptions{Policy: l.policy()}); VerdictOf(err) != Invalid || !strings.Contains(err.Error(), path) {
					t.Errorf("size %d, %s, byte %d: %v", size, path, at, err)
				}
			}
		}
	}
}

// fillExactly adds requests up to the size.
func (l *logForTest) fillExactly(ref NoticeRef, size int) {
	for len(l.texts) < size {
		l.request(len(l.texts), ref)
	}
}

// TestVerifyThirdLevel has a full tile of level 1.
func TestVerifyThirdLevel(t *testing.T) {
	if testing.Short() {
		t.Skip("66,000 entries")
	}
	l := largeLog(t, TileWidth*TileWidth+300)
	files := l.files()
	if _, ok := files["tile/2/000.p/1"]; !ok {
		t.Fatal("no tile of level 2")
	}
	if _, err := VerifyLog(t.Context(), files, VerifyOptions{Policy: l.policy()}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"tile/2/000.p/1", "tile/1/000", "tile/1/001.p/1", "tile/0/255", "tile/entries/256"} {
		f := maps.Clone(files)
		f[path] = bytes.Clone(files[path])
		f[path][len(f[path])-1] ^= 1
		if _, err := VerifyLog(t.Context(), f, VerifyOptions{Policy: l.policy()}); VerdictOf(err) != Invalid {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestVerifySinceEverySize keeps a checkpoint of every size of the story.
// verifySince verifies a log since the checkpoint of its beginning, and since one of the
// same size with another root.
func verifySince(t *testing.T, l, older *logForTest) {
	t.Helper()
	files, policy := l.files(), l.policy()
	if _, err := VerifyLog(t.Context(), files, VerifyOptions{Policy: policy, Since: older.sign()}); err != nil {
		t.Errorf("since %d: %v", older.checkpoint().Size, err)
	}
	c := older.checkpoint()
	c.Root[int(c.Size-1)%len(c.Root)] ^= 1
	forked, err := older.signer.SignCheckpoint(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyLog(t.Context(), files, VerifyOptions{Policy: policy, Since: forked}); VerdictOf(err) != Diverged {
		t.Errorf("forked at %d: %v", c.Size, err)
	}
}

func TestVerifySinceEverySize(t *testing.T) {
	l := storyForTest(t)
	older := newLogForTest(t)
	for i, text := range l.texts {
		if older.addText(text, nil); i == len(l.texts)-2 { // the rotation
			older.signer = l.signer
		}
		verifySince(t, l, older)
	}
}

// TestVerdictOf holds the four verdicts to their exit codes and words.
func TestVerdictOf(t *testing.T) {
	for _, v := range []struct {
		err  error
		want Verdict
		word string
	}{
		{nil, 0, "VERIFIED"}, {errors.New("x"), 1, "INVALID"}, {&RuleError{Rule: "after"}, 1, "INVALID"},
		{fmt.Errorf("a: %w", ErrMissing), 2, "CANNOT TELL"}, {fmt.Errorf("a: %w", ErrNewer), 2, "CANNOT TELL"},
		{fmt.Errorf("a: %w", ErrPolicy), 2, "CANNOT TELL"}, {fmt.Errorf("a: %w", ErrDiverged), 3, "DIVERGED"},
	} {
		if got := VerdictOf(v.err); got != v.want || got.String() != v.word {
			t.Errorf("%v: %d %s, want %d %s", v.err, got, got, v.want, v.word)
		}
	}
}

// TestIrregularListIsBounded has more irregular facts than a report lists.
func TestIrregularListIsBounded(t *testing.T) {
	l := newLogForTest(t)
	id := l.request(1, l.prelude())
	for range MaxIrregular + 5 {
		l.change(ConsentUsed, id)
	}
	l.now = l.now.Add(time.Hour)
	rep, err := VerifyLog(t.Context(), l.files(), VerifyOptions{Policy: l.policy()})
	if err != nil || rep.Irregular["consent.used.requested"] != MaxIrregular+5 || len(rep.IrregularFirst) != MaxIrregular {
		t.Errorf("%v, %d counted, %d listed", err, rep.Irregular["consent.used.requested"], len(rep.IrregularFirst))
	}
}

// TestVerifyOverdue lists erasures whose existence should be destroyed by now,
// beside the facts of single entries.
func TestVerifyOverdue(t *testing.T) {
	l := newLogForTest(t)
	first := l.untilDue()
	verify := func() *LogReport {
		rep, err := VerifyLog(t.Context(), l.files(), VerifyOptions{Policy: l.policy()})
		if err != nil || rep.PendingErasures != 0 {
			t.Fatalf("%d erasures wait, %v", rep.PendingErasures, err)
		}
		return rep
	}
	l.source("another", "app")
	if rep := verify(); rep.Irregular["existence_overdue"] != 0 || len(rep.IrregularFirst) != 1 {
		t.Errorf("at the moment itself: %v", rep.IrregularFirst)
	}
	l.now = l.now.Add(24 * time.Hour)
	l.source("yet-another", "app")
	want := []Irregularity{{Name: "existence_overdue", Index: first, Consent: -1}, {Name: "existence_overdue", Index: first + 1, Consent: -1}}
	if rep := verify(); rep.Irregular["existence_overdue"] != 2 || len(rep.IrregularFirst) != 3 || !slices.Equal(rep.IrregularFirst[1:], want) {
		t.Errorf("a day later: %v, want %v", rep.IrregularFirst, want)
	}
	l.rekeyed(first)
	if rep := verify(); rep.Irregular["existence_overdue"] != 1 || !slices.Equal(rep.IrregularFirst[1:], want[1:]) {
		t.Errorf("when one is done: %v", rep.IrregularFirst)
	}
	l.rekeyed(first + 1)
	if rep := verify(); rep.Irregular["existence_overdue"] != 0 {
		t.Errorf("when both are done: %v", rep.IrregularFirst)
	}
}
