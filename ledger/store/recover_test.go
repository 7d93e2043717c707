package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// refused checks that a log does not open, because it is damaged, for a reason
// that holds these words, and that nothing in its directory changes.
func refused(t testing.TB, opt store.Options, words ...string) {
	t.Helper()
	before := content(t, opt.Dir)
	s, err := store.Open(opt)
	if err == nil {
		t.Errorf("a damaged log opened, with %d entries; want a refusal with %q", size(s), words)
		closeStore(t, s)
		return
	}
	if !says(err, words...) {
		t.Errorf("%v: want ErrDamaged with %q", err, words)
	}
	if !sameContent(before, content(t, opt.Dir)) {
		t.Errorf("%v: files were changed", err)
	}
}

// says reports whether an error is ErrDamaged and holds all these words.
func says(err error, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			return false
		}
	}
	return errors.Is(err, store.ErrDamaged)
}

// adopted checks that a log opens with this many entries, and is sound.
func adopted(t testing.TB, opt store.Options, want ledger.Size) {
	t.Helper()
	s, err := store.Open(opt)
	if err != nil {
		t.Error(err)
		return
	}
	if n := size(s); n != want {
		t.Errorf("%d entries, want %d", n, want)
	}
	checkHead(t, opt, want)
	testledger.Verify(t, s)
	closeStore(t, s)
}

// dataEnd is the offset after the last byte of a file that is not zero.
func dataEnd(t testing.TB, name string) (end int64) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	err = eachBlock(f, info.Size(), func(off int64, b []byte) error {
		for i := range b {
			if b[i] != 0 {
				end = off + int64(i) + 1
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return end
}

func writeAheadLogs(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "log", "*.mem"))
	if err != nil || len(names) == 0 {
		t.Fatalf("write-ahead logs: %v, %v", names, err)
	}
	return names
}

// TestDamagedWriteAheadLog flips bytes of the log that Badger replays. Badger alone
// cuts it there without a word.
func TestDamagedWriteAheadLog(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	for range 40 {
		testledger.Fill(t, s, groupSize)
	}
	const entries = 1 + 40*groupSize
	dir := copyLog(t, opt.Dir)
	closeStore(t, s)
	opt.Dir = dir
	name := writeAheadLogs(t, dir)[0]
	end := dataEnd(t, name)
	var opened, lost int
	check := func(off int64) {
		damaged := opt
		damaged.Dir = copyLog(t, dir)
		defer os.RemoveAll(damaged.Dir)
		flip(t, filepath.Join(damaged.Dir, "log", filepath.Base(name)), off)
		before := content(t, damaged.Dir)
		s, err := store.Open(damaged)
		if err != nil {
			lost++
			// Before the newest group what stands behind tells of the damage, in it the
			// head file does.
			if !says(err, filepath.Base(name), "is damaged: ") && !says(err, "the database holds ", fmt.Sprintf("%d were acknowledged", entries)) {
				t.Errorf("byte %d of %d: %v", off, end, err)
			}
			if !sameContent(before, content(t, damaged.Dir)) {
				t.Errorf("byte %d of %d: refused, and files were changed", off, end)
			}
			return
		}
		opened++
		if n := size(s); n != entries {
			t.Errorf("byte %d of %d: opened with %d entries, %d were acknowledged", off, end, n, entries)
		}
		closeStore(t, s)
	}
	for off := int64(20); off < end; off += end/100 + 1 {
		check(off)
	}
	for off := end - 40; off < end+24; off += 3 {
		check(off)
	}
	for off := range int64(20) { // what stands before the first row
		check(off)
	}
	if opened == 0 || lost < 100 {
		t.Errorf("of the damaged logs %d opened and %d were refused: not what this test is about", opened, lost)
	}
}

// TestDamageInAnOlderLog damages a write-ahead log behind which a newer one
// stands: the newest group is there, others are not.
func TestDamageInAnOlderLog(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, testledger.Prelude)
	var dir string
	tries := 0
	for dir == "" {
		g := begin(t, s)
		for !g.Full() {
			grow(t, g, 1)
		}
		// The commit that begins a new log copies the directory before Badger
		// has written the old one into a table.
		before := len(writeAheadLogs(t, opt.Dir))
		if err := g.Commit(nil); err != nil {
			t.Fatal(err)
		}
		if len(writeAheadLogs(t, opt.Dir)) > before {
			dir = copyLog(t, opt.Dir)
			if tries++; len(writeAheadLogs(t, dir)) < 2 && tries < 5 {
				dir = "" // Badger was faster
			}
		}
	}
	closeStore(t, s)
	opt.Dir = dir
	names := writeAheadLogs(t, dir)
	if len(names) < 2 {
		t.Fatal("Badger wrote the table before the directory was copied")
	}
	end := dataEnd(t, names[0])
	for _, at := range []int64{end / 10, end / 2, end - 100} {
		damaged := opt
		damaged.Dir = copyLog(t, dir)
		flip(t, filepath.Join(damaged.Dir, "log", filepath.Base(names[0])), at)
		refused(t, damaged, filepath.Base(names[1])+" is damaged: it begins with transaction ")
	}
	s = open(t, opt)
	p := s.Snapshot()
	if _, err := p.Check(nil); err != nil {
		t.Error(err)
	}
	p.Release()
	closeStore(t, s)
}

// heads gives the contents of the head file after each of n groups, and the
// closed log.
func heads(t testing.TB, n int) (store.Options, [][]byte) {
	opt := options(t)
	s := open(t, opt)
	var list [][]byte
	for range n {
		testledger.Fill(t, s, groupSize)
		b, err := os.ReadFile(filepath.Join(opt.Dir, "head"))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	closeStore(t, s)
	return opt, list
}

func writeHead(t testing.TB, opt store.Options, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(opt.Dir, "head"), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestHeadFromAnOlderCopy(t *testing.T) {
	opt, list := heads(t, 4)
	const n = 1 + 4*groupSize
	writeHead(t, opt, list[1])
	refused(t, opt, fmt.Sprintf("holds %d entries", n), fmt.Sprintf("the head file %d", n-2*groupSize), fmt.Sprintf("has %d", groupSize))
	writeHead(t, opt, list[0])
	refused(t, opt, fmt.Sprintf("holds %d entries", n), fmt.Sprintf("the head file %d", n-3*groupSize))
	writeHead(t, opt, list[2]) // one group behind is what a crash leaves
	adopted(t, opt, n)
	writeHead(t, opt, list[3])
	adopted(t, opt, n)
}

// TestHeadSlots flips every byte of either slot. The other one still counts, and
// when it is the older one, the database is one group ahead of it.
func TestHeadSlots(t *testing.T) {
	opt, list := heads(t, 4)
	const n = 1 + 4*groupSize
	whole := list[3]
	sizes := [2]int{}
	name := filepath.Join(opt.Dir, "head")
	for slot := range 2 {
		writeHead(t, opt, whole)
		for i := range store.HeadSlotSize {
			at := int64(slot*store.HeadSlotSize + i)
			flip(t, name, at)
			signed, err := store.ReadHead(opt.Dir)
			if err != nil {
				t.Fatalf("byte %d of slot %d: %v", i, slot, err)
			}
			line := strings.Split(string(signed), "\n")[1]
			switch line {
			case fmt.Sprint(n): // the newer slot, or a byte after the checkpoint
			case fmt.Sprint(n - groupSize):
				sizes[slot]++
			default:
				t.Fatalf("byte %d of slot %d: the head file says %s", i, slot, line)
			}
			flip(t, name, at)
		}
		damaged := make([]byte, len(whole))
		for _, i := range []int{0, 7, 15, 16, 20, 3000} {
			copy(damaged, whole)
			damaged[slot*store.HeadSlotSize+i] ^= 0xff
			writeHead(t, opt, damaged)
			adopted(t, opt, n)
		}
	}
	if min(sizes[0], sizes[1]) != 0 || max(sizes[0], sizes[1]) < 3000 {
		t.Errorf("flips that fell back on the older slot: %v", sizes)
	}
}

func TestBothHeadSlotsDamaged(t *testing.T) {
	opt, list := heads(t, 2)
	for _, i := range []int{0, 8, 18, 20, 400} {
		b := append([]byte(nil), list[1]...)
		b[i] ^= 1
		b[store.HeadSlotSize+i] ^= 1
		writeHead(t, opt, b)
		refused(t, opt, "slot 0", "slot 1")
	}
	for _, b := range [][]byte{{}, make([]byte, 2*store.HeadSlotSize), list[1][:10]} {
		writeHead(t, opt, b)
		refused(t, opt, "head")
	}
	// Slots that changed places are no head either.
	writeHead(t, opt, append(append([]byte(nil), list[1][store.HeadSlotSize:]...), list[1][:store.HeadSlotSize]...))
	refused(t, opt, "wrong slot")
	if err := os.Remove(filepath.Join(opt.Dir, "head")); err != nil {
		t.Fatal(err)
	}
	if s, err := store.Open(opt); err == nil {
		t.Error("a log without a head file opened")
		closeStore(t, s)
	}
}

// TestHeadFromAnotherLedger puts the head file of a log beside another one: of
// other keys, and of the same keys with another history of the same size, of one
// group less, of one group more.
func TestHeadFromAnotherLedger(t *testing.T) {
	opt, list := heads(t, 3)
	foreign := store.Options{Dir: t.TempDir()}
	var err error
	if foreign.Signer, err = ledger.NewSigner(testledger.Origin, [32]byte{1}, [32]byte{2}); err != nil {
		t.Fatal(err)
	}
	if err := store.Create(foreign, "shop.example.com", testledger.Began); err != nil {
		t.Fatal(err)
	}
	head, err := os.ReadFile(filepath.Join(foreign.Dir, "head"))
	if err != nil {
		t.Fatal(err)
	}
	writeHead(t, opt, head)
	if s, err := store.Open(opt); err == nil || !strings.Contains(err.Error(), "head file") {
		t.Errorf("the head file of another ledger: %v", err)
		if err == nil {
			closeStore(t, s)
		}
	}
	writeHead(t, opt, list[2])
	adopted(t, opt, 1+3*groupSize)

	// The same keys twice: entry 0 is one second younger.
	other := store.Options{Dir: t.TempDir(), Signer: opt.Signer}
	if err := store.Create(other, "shop.example.com", testledger.Began.Add(1e9)); err != nil {
		t.Fatal(err)
	}
	s := open(t, other)
	for i := range 4 {
		testledger.Fill(t, s, groupSize)
		if head, err = os.ReadFile(filepath.Join(other.Dir, "head")); err != nil {
			t.Fatal(err)
		}
		writeHead(t, opt, head)
		switch i {
		case 0:
			refused(t, opt, "was the head file restored")
		case 1, 2:
			refused(t, opt, "is not the one that was signed")
		case 3:
			refused(t, opt, "were acknowledged")
		}
	}
	closeStore(t, s)
}

// TestDatabaseFromAnOlderCopy keeps the head file and restores the database.
func TestDatabaseFromAnOlderCopy(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, groupSize)
	closeStore(t, s)
	older := copyLog(t, opt.Dir)
	s = open(t, opt)
	testledger.Fill(t, s, groupSize)
	closeStore(t, s)
	head, err := os.ReadFile(filepath.Join(opt.Dir, "head"))
	if err != nil {
		t.Fatal(err)
	}
	opt.Dir = older
	writeHead(t, opt, head)
	refused(t, opt, fmt.Sprintf("holds %d entries, %d were acknowledged", 1+groupSize, 1+2*groupSize))
}

func TestCreateTouchesNothingThatExists(t *testing.T) {
	opt := options(t)
	before := content(t, opt.Dir)
	if err := store.Create(opt, "shop.example.com", testledger.Began); err == nil {
		t.Error("a log was created over a log")
	}
	if !sameContent(before, content(t, opt.Dir)) {
		t.Error("files were changed")
	}
	if !store.IsLedger(opt.Dir) || store.IsLedger(t.TempDir()) {
		t.Error("IsLedger is wrong")
	}
	for _, empty := range []store.Options{{}, {Dir: opt.Dir}, {Signer: opt.Signer}} {
		if _, err := store.Open(empty); err == nil {
			t.Errorf("%+v: opened", empty)
		}
	}
	missing := opt
	missing.Dir = t.TempDir()
	if _, err := store.Open(missing); err == nil {
		t.Error("an empty directory opened")
	}
}

// TestDamagedTable flips bytes of what Badger holds in tables. Read alone, a
// damaged block would answer "no such entry".
func TestDamagedTable(t *testing.T) {
	opt, _ := heads(t, 3)
	names, err := filepath.Glob(filepath.Join(opt.Dir, "log", "*.sst"))
	if err != nil || len(names) == 0 {
		t.Fatalf("tables: %v, %v", names, err)
	}
	end := dataEnd(t, names[0])
	for off := int64(1); off < end; off += end/20 + 1 {
		flip(t, names[0], off)
		before := content(t, opt.Dir)
		if s, err := store.Open(opt); err == nil {
			// Bits that the compression ignores: what is read is what was written.
			testledger.Verify(t, s)
			closeStore(t, s)
		} else if !sameContent(before, content(t, opt.Dir)) {
			t.Errorf("byte %d of %d: refused, and files were changed", off, end)
		}
		flip(t, names[0], off)
	}
	adopted(t, opt, 1+3*groupSize)
}
