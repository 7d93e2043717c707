package service

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// The steps of a rotation, in order. The log has it after "after log".
var rotationSteps = []string{
	"signing.keys.next made", "signing.keys.next synced", "before vault", "after vault", "before log", "after log", "before head", "after head",
	"signing.keys overwritten", "signing.keys renamed", "signing.keys promoted", "trust.keys written",
}

// A child process opens a ledger, rotates the keys as often as it is told, and kills
// itself with SIGKILL at a step. It is this test binary, run again with these
// variables.
const (
	rotateDir   = "SERVICE_ROTATE_DIR"
	rotateTimes = "SERVICE_ROTATE_TIMES" // "": only opens; "ever": until it is killed
	rotateKill  = "SERVICE_ROTATE_KILL"  // the step; "" for never
)

func init() {
	if dir := os.Getenv(rotateDir); dir != "" {
		if err := rotateChild(dir, os.Getenv(rotateTimes), os.Getenv(rotateKill)); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(3)
		}
		os.Exit(0)
	}
}

// rotateChild says "rotated", a line each, when it was told so.
func rotateChild(dir, times, kill string) error {
	s, err := Open(Options{Dir: dir, Memory: MinMemory, MaxConfirmationMails: -1, testOnlyStep: func(step string) error {
		if step == kill {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it takes effect
		}
		return nil
	}})
	if err != nil {
		return err
	}
	if times == "ever" {
		for c := range 3 {
			go func() {
				for n := 0; ; n++ {
					// What is wrong with a request, the parent finds in the log.
					_, _ = s.RequestConsent(ctx, shop, asking(fmt.Sprintf("c%d.%d.%d@example.com", os.Getpid(), c, n)))
				}
			}()
		}
	}
	for n := 0; times == "ever" || n < len(times); n++ {
		if _, err := s.RotateKey(ctx, admin, KeyRotation{IdempotencyKey: fmt.Sprint(os.Getpid(), " ", n)}); err != nil {
			return err
		}
		fmt.Println("rotated")
	}
	return s.Close()
}

// child runs a child until it ends or is killed, and tells which, and how many
// rotations it was told of.
func (f *fixture) child(times, kill string) (killed bool, rotated int) {
	f.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), rotateDir+"="+f.opt.Dir, rotateTimes+"="+times, rotateKill+"="+kill)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return wasKilled(f.t, err), strings.Count(string(out), "rotated\n")
}

func wasKilled(t testing.TB, err error) bool {
	t.Helper()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status := exit.Sys().(syscall.WaitStatus)
		if status.Signaled() && status.Signal() == syscall.SIGKILL {
			return true
		}
	}
	if err != nil {
		t.Fatalf("a child failed: %v", err)
	}
	return false
}

// TestRotationKilled kills a process with SIGKILL at every step of a rotation, and the
// start that follows at every step that is left to it, too. Then the ledger opens,
// signs with the pair in force, verifies with the first policy, and no byte of seeds
// that do not count is left.
func TestRotationKilled(t *testing.T) {
	t.Parallel()
	f := newService(t)
	first := f.policy()
	f.request("before@example.com")
	f.close()
	for i, step := range rotationSteps {
		t.Run(step, func(t *testing.T) {
			for _, again := range startSteps(i) {
				c := &fixture{t: t, opt: f.opt, log: new(logLines), clock: new(testClock)}
				c.opt.Dir = copyDir(t, f.opt.Dir)
				c.killedTwice(first, i, step, again)
			}
		})
	}
	f.open()
}

// startSteps are the steps of a start after a rotation that was killed at the i-th
// step, and "" for a start that is not killed.
func startSteps(i int) []string {
	there := slices.Index(rotationSteps, "after log")
	switch promoted := slices.Index(rotationSteps, "signing.keys renamed"); {
	case i < there:
		return []string{"", "signing.keys.next dropped"}
	case i == len(rotationSteps)-1:
		return []string{""}
	case i >= promoted:
		return []string{"", "trust.keys written"}
	}
	return []string{"", "signing.keys overwritten", "signing.keys renamed", "signing.keys promoted", "trust.keys written"}
}

func (c *fixture) killedTwice(first *ledger.Policy, i int, step, again string) {
	t := c.t
	t.Helper()
	path := filepath.Join(c.opt.Dir, signingKeysName)
	old := pairOnDisk(t, path)
	if killed, rotated := c.child("1", step); !killed || rotated != 0 {
		t.Fatalf("killed: %v, told of %d rotations", killed, rotated)
	}
	next := pairOnDisk(t, path+".next")
	if now := pairOnDisk(t, path); now != nil && now[0] != old[0] {
		next = now // it has moved there
	}
	if next == nil && step != "signing.keys.next made" {
		t.Fatal("the next pair is nowhere")
	}
	if again != "" {
		if killed, _ := c.child("", again); !killed {
			t.Errorf("a start is not killed at %q", again)
		}
	}
	c.open()
	c.settled()
	there := i >= slices.Index(rotationSteps, "after log")
	if n := strings.Count(c.kindsFrom(0), "key.rotated"); (n == 1) != there || n > 1 {
		t.Errorf("%d rotations are recorded", n)
	}
	now := pairOnDisk(t, path)
	switch {
	case there:
		gone(t, c.opt.Dir, old)
		if now[0] != next[0] || now[1] != next[1] {
			t.Error("another pair is in force than the one that was drawn")
		}
	case next != nil:
		gone(t, c.opt.Dir, next)
		fallthrough
	default:
		if now[0] != old[0] || now[1] != old[1] {
			t.Error("another pair is in force than before")
		}
	}
	c.request("after@example.com")
	c.rotate()
	gone(t, c.opt.Dir, now)
	c.settled()
	c.verifiesWith(first)
	if _, err := c.s.Check(nil); err != nil {
		t.Error(err)
	}
	c.close()
}

// TestRotationFails lets a rotation fail at each step, as an error of the disk does.
// Until its entry is in the log nothing has happened; afterwards the new pair is in
// force, whatever the files look like, and the next start or the next rotation puts
// them right.
func TestRotationFails(t *testing.T) {
	t.Parallel()
	for i, step := range rotationSteps {
		for _, by := range []string{"a start", "the next rotation"} {
			t.Run(step+", mended by "+by, func(t *testing.T) {
				t.Parallel()
				f := newService(t)
				first, old := f.policy(), f.seeds()
				f.request("before@example.com")
				before := f.size()
				f.setFault(failAt(step, 1))
				_, err := f.s.RotateKey(ctx, admin, KeyRotation{IdempotencyKey: "once"})
				var no *refusal.Error
				if err == nil || errors.As(err, &no) && no.Code != refusal.UnavailableCode {
					t.Errorf("the rotation answers %v", err)
				}
				f.setFault(nil)
				there := i >= slices.Index(rotationSteps, "after log")
				if files := i < 2 || i > slices.Index(rotationSteps, "after head"); files != (f.s.Fault() == nil) {
					t.Errorf("the ledger records: %v", f.s.Fault())
				}
				if f.s.Fault() == nil {
					f.request("meanwhile@example.com")
				}
				if by == "a start" || f.s.Fault() != nil {
					f.reopen()
					f.settled()
					if now := f.seeds(); (now[0] != old[0]) != there {
						t.Errorf("the pair was replaced: %v", !there)
					}
				}
				retired := f.seeds()
				// The retry of what was recorded answers; it is recorded once.
				if _, err := f.s.RotateKey(ctx, admin, KeyRotation{IdempotencyKey: "once"}); err != nil {
					t.Error(err)
				}
				if n := strings.Count(f.kindsFrom(before), "key.rotated"); n != 1 {
					t.Errorf("%d rotations are recorded", n)
				}
				f.settled()
				gone(t, f.opt.Dir, old)
				f.rotate()
				if retired != nil {
					gone(t, f.opt.Dir, retired)
				}
				f.settled()
				f.verifiesWith(first)
			})
		}
	}
}

// TestRotationKilledAnywhere kills a process that rotates and records without a pause,
// at moments that nobody chose.
func TestRotationKilledAnywhere(t *testing.T) {
	t.Parallel()
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	f := newService(t)
	first := f.policy()
	told := 0
	for range rounds {
		f.close()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), rotateDir+"="+f.opt.Dir, rotateTimes+"=ever")
		cmd.Stderr = os.Stderr
		lines := &rotatedLines{wanted: int64(1 + rand.IntN(4)), reached: make(chan struct{})}
		cmd.Stdout = lines
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-lines.reached:
		case err := <-ended:
			t.Fatalf("a child ended: %v", err)
		}
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		cmd.Process.Kill()
		if !wasKilled(t, <-ended) {
			t.Fatal("a child ended by itself")
		}
		told += int(lines.n.Load())
		f.open()
		f.settled()
		n := strings.Count(f.kindsFrom(0), "key.rotated")
		if n != told && n != told+1 {
			t.Fatalf("%d rotations are recorded, %d were answered", n, told)
		}
		told = n
	}
	f.verifiesWith(first)
}

// rotatedLines counts lines, and says when it has seen as many as are wanted.
type rotatedLines struct {
	n       atomic.Int64
	wanted  int64
	once    sync.Once
	reached chan struct{}
}

func (l *rotatedLines) Write(p []byte) (int, error) {
	if n := l.n.Add(int64(strings.Count(string(p), "\n"))); n >= l.wanted {
		l.once.Do(func() { close(l.reached) })
	}
	return len(p), nil
}
