package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Sizes of the log in these tests: the group that meets the fault fills a tile.
const (
	acknowledged = 250
	groupSize    = 10
)

// childDir names the directory in which this binary, started once more, is to
// write until it is killed; childStep the seam at which it kills itself.
// childRotates, if set, makes the first commit rotate the keys.
const (
	childDir     = "STORE_TEST_DIR"
	childStep    = "STORE_TEST_STEP"
	childRotates = "STORE_TEST_ROTATES"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir, os.Getenv(childStep))
	}
	os.Exit(m.Run())
}

// quiet is the testing.TB of a process that runs no test: its only way to fail
// is to say so on standard error.
type quiet struct{ testing.TB }

func (quiet) Helper() {}

func (quiet) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}

// child writes groups and prints the size after each, until it is killed: at a
// seam of the first commit, or by somebody else.
func child(dir, step string) {
	t := quiet{}
	s, err := store.Open(store.Options{Dir: dir, Signer: testledger.Signer(t), MemTableBytes: badgerdb.MinMemTableBytes})
	if err != nil {
		t.Fatal(err)
	}
	s.AtStep(func(at string) error {
		if at == step {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	})
	for n := 1; ; n++ {
		g := begin(t, s)
		if n == 1 && os.Getenv(childRotates) != "" {
			grow(t, g, 3)
			rotate(t, g, pair(t, 2))
			grow(t, g, 3)
		} else {
			grow(t, g, groupSize)
		}
		if err := g.Commit(fmt.Append(nil, "companion ", n)); err != nil {
			t.Fatal(err)
		}
		fmt.Println(size(s))
	}
}

// startChild starts the writer; lines gives the sizes that it acknowledged.
func startChild(t testing.TB, dir, step string) (cmd *exec.Cmd, lines *bufio.Scanner) {
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childStep+"="+step)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, bufio.NewScanner(out)
}

func waitKilled(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the writer ended with %v, want that it was killed", err)
	}
}

// prepared makes a log with groups that were acknowledged.
func prepared(t testing.TB) (store.Options, *store.Store) {
	opt := options(t)
	s := open(t, opt)
	fill(t, s, acknowledged-1)
	g := begin(t, s)
	if err := g.Commit([]byte("companion 0")); err != nil {
		t.Fatal(err)
	}
	return opt, s
}

// ways are how a commit can end at a seam. Each gives a directory that is closed.
var ways = []struct {
	name string
	end  func(t *testing.T, step string) store.Options
}{
	{"error", endWithError},
	{"kill", func(t *testing.T, step string) store.Options {
		opt, s := prepared(t)
		closeStore(t, s)
		cmd, lines := startChild(t, opt.Dir, step)
		if lines.Scan() {
			t.Errorf("a commit was acknowledged: %s", lines.Text())
		}
		waitKilled(t, cmd)
		return opt
	}},
	{"copy", func(t *testing.T, step string) store.Options {
		opt, s := prepared(t)
		copied := opt
		s.AtStep(func(at string) error {
			if at == step {
				copied.Dir = copyLog(t, opt.Dir)
			}
			return nil
		})
		g := begin(t, s)
		grow(t, g, groupSize)
		if err := g.Commit([]byte("companion 1")); err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		return copied
	}},
}

func endWithError(t *testing.T, step string) store.Options {
	opt, s := prepared(t)
	fault := errors.New("the disk has a fault")
	s.AtStep(func(at string) error {
		if at == step {
			return fault
		}
		return nil
	})
	g := begin(t, s)
	grow(t, g, groupSize)
	if err := g.Commit([]byte("companion 1")); !errors.Is(err, fault) {
		t.Errorf("the commit's error is %v", err)
	}
	if !errors.Is(s.Stopped(), fault) {
		t.Errorf("stopped because of %v", s.Stopped())
	}
	if _, err := s.Begin(); !errors.Is(err, store.ErrStopped) || !errors.Is(err, fault) {
		t.Errorf("the next group: %v, want ErrStopped and why", err)
	}
	if err := g.Commit(nil); err == nil || errors.Is(s.Stopped(), store.ErrStopped) {
		t.Errorf("the group again: %v, stopped because of %v", err, s.Stopped())
	}
	p := s.Snapshot()
	if _, err := p.Check(nil); err != nil || p.Size() != acknowledged || string(p.Companion()) != "companion 0" {
		t.Errorf("readers see %d entries, companion %q, %v", p.Size(), p.Companion(), err)
	}
	p.Release()
	closeStore(t, s)
	return opt
}

// TestCommitSteps is the table of every step of a commit and every way to end
// there. When the log is opened again, what was acknowledged is there, and the
// group is there as a whole or not at all.
func TestCommitSteps(t *testing.T) {
	for i, step := range store.Steps {
		for _, way := range ways {
			t.Run(step+", "+way.name, func(t *testing.T) {
				opt := way.end(t, step)
				want, companion := ledger.Size(acknowledged), "companion 0"
				if i > 0 { // the database had the group before the fault
					want, companion = acknowledged+groupSize, "companion 1"
				}
				s := open(t, opt)
				p := s.Snapshot()
				if p.Size() != want || string(p.Companion()) != companion {
					t.Errorf("%d entries, companion %q, want %d and %q", p.Size(), p.Companion(), want, companion)
				}
				p.Release()
				if n := entryRows(t, s); n != int(want) {
					t.Errorf("the database has %d entries, want %d", n, want)
				}
				checkHead(t, opt, want)
				testledger.Verify(t, s)
				// The log goes on, and the head file's slots still alternate.
				for range 3 {
					testledger.Fill(t, s, groupSize)
					checkHead(t, opt, size(s))
				}
				closeStore(t, s)
				s = open(t, opt)
				if n := size(s); n != want+3*groupSize {
					t.Errorf("opened again: %d entries, want %d", n, want+3*groupSize)
				}
				testledger.Verify(t, s)
				closeStore(t, s)
			})
		}
	}
}

func entryRows(t testing.TB, s *store.Store) (n int) {
	err := s.DB().View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: store.EntryKey(0)[:1]})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkHead checks that the head file names this size.
func checkHead(t testing.TB, opt store.Options, want ledger.Size) {
	t.Helper()
	signed, err := store.ReadHead(opt.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(string(signed), "\n"); lines[1] != strconv.Itoa(int(want)) {
		t.Errorf("the head file says %s entries, want %d", lines[1], want)
	}
}

// TestKilledAnywhere kills a writer at moments that nobody chose.
func TestKilledAnywhere(t *testing.T) {
	opt, s := prepared(t)
	closeStore(t, s)
	last := ledger.Size(acknowledged)
	for round := range 12 {
		cmd, lines := startChild(t, opt.Dir, "")
		groups := 1 + rand.IntN(40)
		for i := 0; lines.Scan(); i++ {
			n, err := strconv.Atoi(lines.Text())
			if err != nil || ledger.Size(n) != last+groupSize {
				t.Fatalf("after %d entries the writer says %q", last, lines.Text())
			}
			if last = ledger.Size(n); i == groups {
				time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, func() { cmd.Process.Kill() })
			}
		}
		waitKilled(t, cmd)
		s := open(t, opt)
		n := size(s)
		if n != last && n != last+groupSize {
			t.Fatalf("round %d: %d entries, %d were acknowledged", round, n, last)
		}
		last = n
		p := s.Snapshot()
		if _, err := p.Check(nil); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		p.Release()
		if round == 11 {
			testledger.Verify(t, s)
		}
		closeStore(t, s)
	}
}

// TestReadersNeverSeeWhatCanBeLost lets readers race commits that fail at every
// seam.
func TestReadersNeverSeeWhatCanBeLost(t *testing.T) {
	for _, step := range store.Steps {
		t.Run(step, func(t *testing.T) {
			opt := options(t)
			s := open(t, opt)
			testledger.Fill(t, s, testledger.Prelude)
			// The highest size that a reader may see: raised before each commit
			// that will be acknowledged.
			var allowed atomic.Int64
			allowed.Store(int64(size(s)))
			stop, readers := make(chan struct{}), sync.WaitGroup{}
			for range 4 {
				readers.Go(func() {
					seen := ledger.Size(0)
					for {
						select {
						case <-stop:
							return
						default:
						}
						if err := look(s, &seen, &allowed); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			for i := range 60 {
				g := begin(t, s)
				grow(t, g, 1+i%7)
				allowed.Store(int64(g.Size()))
				if err := g.Commit(nil); err != nil {
					t.Fatal(err)
				}
			}
			s.AtStep(func(at string) error {
				if at != step {
					return nil
				}
				time.Sleep(20 * time.Millisecond) // time for readers to look
				return errors.New("the disk has a fault")
			})
			g := begin(t, s)
			grow(t, g, 7)
			if err := g.Commit(nil); err == nil {
				t.Error("the commit did not fail")
			}
			time.Sleep(20 * time.Millisecond)
			close(stop)
			readers.Wait()
			if size(s) != ledger.Size(allowed.Load()) {
				t.Errorf("%d entries are published, %d were acknowledged", size(s), allowed.Load())
			}
			closeStore(t, s)
		})
	}
}

// look reads everything just above the end of a snapshot: nothing may be there.
func look(s *store.Store, seen *ledger.Size, allowed *atomic.Int64) error {
	p := s.Snapshot()
	defer p.Release()
	n := p.Size()
	if most := ledger.Size(allowed.Load()); n > most || n < *seen {
		return fmt.Errorf("a reader saw %d entries after %d, at most %d were acknowledged", n, *seen, most)
	}
	*seen = n
	if lines := strings.SplitN(string(p.Checkpoint()), "\n", 4); lines[1] != strconv.Itoa(int(n)) || lines[2] != p.Root().String() {
		return fmt.Errorf("the checkpoint of %d entries says %s", n, lines[1])
	}
	full, width := ledger.TileRange(n, 0)
	_, errEntry := p.Entry(ledger.Index(n))
	_, errTile := p.Tile(0, full, width+1)
	_, errBundle := p.EntryBundle(full, width+1)
	_, errProof := p.InclusionProof(ledger.Index(n), n+1)
	for _, err := range []error{errEntry, errTile, errBundle, errProof} {
		if !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("above %d entries: %v", n, err)
		}
	}
	for i := ledger.Index(n); i < ledger.Index(n)+7; i++ {
		if _, ok, err := p.Consent(ledger.ConsentID(i)); ok || err != nil {
			return fmt.Errorf("in a log of %d entries there is a consent %d (%v)", n, i, err)
		}
		if _, ok, err := p.OpenRequest(ledger.Lock(testledger.Token(i))); ok || err != nil {
			return fmt.Errorf("in a log of %d entries there is a lock of entry %d (%v)", n, i, err)
		}
	}
	if err := lookDerived(p, ledger.Index(n)); err != nil {
		return err
	}
	// What a consent is now, no entry above the snapshot has changed.
	if err := lastChange(p, n); err != nil {
		return err
	}
	last, err := p.Entry(ledger.Index(n - 1))
	if head := p.Chain(); err != nil || ledger.LeafHash(last) != head.Head() {
		return fmt.Errorf("entry %d is not the last one (%v)", n-1, err)
	}
	return nil
}

// lookDerived reads what is derived from entries: none of them stands above the
// snapshot.
func lookDerived(p *store.Snapshot, n ledger.Index) error {
	holds, err := p.OpenHolds()
	if err != nil {
		return err
	}
	shred, existence, err := p.PendingErasures()
	if err != nil {
		return err
	}
	list := slices.Concat(holds, shred)
	for _, e := range existence {
		list = append(list, e.Erased, e.Shredded)
	}
	for id := ledger.ConsentID(n) - 20; id < ledger.ConsentID(n)+7; id++ {
		err := p.Mentions(id, math.MaxInt64, func(i ledger.Index, _ ledger.Kind) bool {
			list = append(list, i)
			return true
		})
		if err != nil {
			return err
		}
	}
	if v, ok, err := p.PurposeAt("newsletter", math.MaxInt64); err != nil || ok && v.Index >= n {
		return fmt.Errorf("in a log of %d entries, entry %d defines a purpose (%v)", n, v.Index, err)
	}
	for _, i := range list {
		if i >= n {
			return fmt.Errorf("in a log of %d entries, entry %d is a hold, an erasure or a mention", n, i)
		}
	}
	return nil
}

func lastChange(p *store.Snapshot, n ledger.Size) error {
	for i := n - 1; i > testledger.Prelude && i > n-8; i-- {
		if c, ok, err := p.Consent(ledger.ConsentID(i)); err != nil || ok && ledger.Size(c.Last) >= n {
			return fmt.Errorf("in a log of %d entries, entry %d changed consent %d last (%v)", n, c.Last, i, err)
		}
	}
	return nil
}
