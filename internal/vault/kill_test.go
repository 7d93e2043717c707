package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// TestKilled kills a process with SIGKILL at every step of the table in seams.go,
// twice in a row at the same one, while groups are written beside: in an
// erasure, in a re-key, in what a start does to either. Then the parent carries
// out what is planned, and everything is there that must be, and nothing else.
func TestKilled(t *testing.T) {
	opt, c := newKillCase(t)
	// Once without a kill: which steps there are, and how often.
	whole := c.clone(t, opt)
	if whole.child(t, "", 0) {
		t.Fatal("a child is killed without being told")
	}
	whole.finish(t)
	if len(whole.committed) < 10 || len(whole.late.consents) < 4 {
		t.Errorf("only %d consents were written beside, %d by the late person", len(whole.committed), len(whole.late.consents))
	}
	counts := make(map[string]int)
	for _, name := range whole.steps {
		counts[name]++
	}
	for _, name := range steps {
		// What only a start does comes after a kill before the switch.
		before := ""
		if counts[name] == 0 {
			before = "erase caught up"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.clone(t, opt).kill(t, before, name, 0)
		})
		// The pass of the re-key is the last one.
		if strings.HasPrefix(name, "root") && counts[name] > 1 || name == "erase switched" {
			t.Run(name+" in a re-key", func(t *testing.T) {
				t.Parallel()
				c.clone(t, opt).kill(t, before, name, counts[name]-1)
			})
		}
	}
}

// killCase is what is known of a vault that children work on.
type killCase struct {
	opt Options
	*crashCase
	// what all children said
	steps     []string
	committed []ledger.ConsentID
}

// newKillCase makes a closed vault with plans of every kind.
func newKillCase(t *testing.T) (Options, *killCase) {
	opt, c := newCrashCase(t, false)
	v := openVault(t, opt)
	inGroup(t, v, func(d *Draft) { check(t, d.Suppress(c.people[0].ids[0], "newsletter", "2026-10")) })
	inGroup(t, v, func(d *Draft) { check(t, d.Unsuppress(c.people[0].ids[0], "newsletter")) })
	inGroup(t, v, func(d *Draft) { check(t, d.Suppress(c.people[1].ids[0], "newsletter", "2026-11")) })
	check(t, v.Close())
	for _, p := range c.people {
		clear(p.requests) // the children forget them
	}
	return opt, &killCase{crashCase: c}
}

// clone gives the case with a copy of the files.
func (c *killCase) clone(t *testing.T, from Options) *killCase {
	t.Helper()
	dir := t.TempDir()
	cloneFiles(t, filepath.Dir(from.Dir), dir)
	return &killCase{opt: optionsIn(dir), crashCase: c.crashCase.clone()}
}

// once are steps after which nothing of the kind may be left to do, so that the
// next child does not come to them.
var once = []string{"reindex begun", "reindex rows added", "suppressions swept",
	"erase old rows deleted", "erase list deleted", "rows taken back", "root.next dropped"}

// kill lets a child be killed at a step and the next one again, after one that
// was killed elsewhere if before is not empty, and finishes what they left.
func (c *killCase) kill(t *testing.T, before, name string, skip int) {
	if before != "" && !c.child(t, before, 0) {
		t.Errorf("step %q was never reached", before)
	}
	if !c.child(t, name, skip) {
		t.Errorf("step %q was never reached", name)
	}
	if !c.child(t, name, 0) && !slices.Contains(once, name) {
		t.Errorf("step %q was not reached again", name)
	}
	c.finish(t)
}

// child runs a child until it ends, or is killed after a step has come skip
// times; it tells which.
func (c *killCase) child(t *testing.T, at string, skip int) (killed bool) {
	t.Helper()
	cmd := exec.Command(must[string](t)(os.Executable()))
	cmd.Env = append(os.Environ(), killDir+"="+filepath.Dir(c.opt.Dir), killAt+"="+at, fmt.Sprint(killSkip, "=", skip))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status := exit.Sys().(syscall.WaitStatus)
		killed = status.Signaled() && status.Signal() == syscall.SIGKILL
	}
	if err != nil && !killed {
		t.Fatalf("a child failed: %v", err)
	}
	done := false
	for line := range strings.Lines(string(out)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "step":
			c.steps = append(c.steps, rest)
			if !slices.Contains(steps, rest) {
				t.Errorf("step %q is not in the table", rest)
			}
		case "committed":
			var id ledger.ConsentID
			_, err := fmt.Sscan(rest, &id)
			check(t, err)
			c.committed = append(c.committed, id)
		case "done":
			done = true
		}
	}
	if done == killed {
		t.Fatalf("a child was killed: %v, was done: %v", killed, done)
	}
	c.countRoots(t)
	return killed
}

// countRoots makes sure that one or two root keys are there, and no third file.
func (c *killCase) countRoots(t *testing.T) (n int) {
	t.Helper()
	for _, e := range must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(c.opt.Dir))) {
		switch e.Name() {
		case "vault":
		case "root.key", "root.key.next":
			b := must[[]byte](t)(os.ReadFile(filepath.Join(filepath.Dir(c.opt.Dir), e.Name())))
			if _, err := parseRoot(b); err == nil {
				n++
			}
		default:
			t.Fatalf("a file %s", e.Name())
		}
	}
	if n == 0 {
		t.Fatal("no root key is left")
	}
	return n
}

// finish opens what children left, does what a start does, and checks
// everything.
func (c *killCase) finish(t *testing.T) {
	t.Helper()
	v := must[*Vault](t)(Open(c.opt))
	defer func() { check(t, v.Close()) }()
	written := c.written(t, v)
	verify := func(done bool) {
		t.Helper()
		c.verify(t, v, done)
		for _, p := range written {
			p.verify(t, v)
		}
		counted := takeCensus(t, v, 2) // the children's blobs
		people := len(c.people) + len(written) + 1
		if done {
			people -= 2 // erased
		}
		if len(counted.people) != people {
			t.Fatalf("%d people are there, want %d", len(counted.people), people)
		}
	}
	if left := v.Planned(); left != 0 && left != len(c.planned) {
		t.Fatalf("%d of %d plans are left", left, len(c.planned))
	}
	verify(v.Planned() == 0)
	must[Shredded](t)(v.CarryOut(v.Record().Seq))
	verify(true)
	reindex(t, v)
	verify(true)
	if s := v.Status(); s.Reindexing || s.Planned != 0 || s.Index.Epoch == 0 {
		t.Errorf("status %+v", s)
	}
	if state := v.keeper.Read(); c.countRoots(t) != 1 || state.current != v.root || !errors.Is(state.stagedErr, fs.ErrNotExist) {
		t.Errorf("root key: %v, staged: %v", state.currentErr, state.stagedErr)
	}
}

// written gives the people whom children inserted, as the vault has them: with
// all that was committed, and at most a group more. The late person gets theirs.
func (c *killCase) written(t *testing.T, v *Vault) (people []*person) {
	t.Helper()
	for _, id := range c.committed {
		if _, ok, err := subjectOf(v, id); !ok || err != nil {
			t.Fatalf("consent %d was committed and is there: %v, %v", id, ok, err)
		}
	}
	check(t, v.View(func(w View) error {
		for id := ledger.ConsentID(firstWritten); ; id += 2 {
			p := newPerson(int(id))
			s, ok, err := w.FindSubject(p.ids[0])
			check(t, err)
			if !ok {
				break
			}
			p.slot = s.Slot
			for _, id := range must[[]ledger.ConsentID](t)(w.Consents(s)) {
				p.foretell(id)
			}
			people = append(people, p)
		}
		s, _, err := w.SubjectOf(c.late.consents[0])
		check(t, err)
		for _, id := range must[[]ledger.ConsentID](t)(w.Consents(s)) {
			if id >= firstLate && id < firstWritten {
				c.late.foretell(id)
			}
		}
		return nil
	}))
	return people
}
