package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/consentledger/consentledger/internal/load/storm"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ledgerd": main})
}

// TestScripts runs the command as a process of its own, and verify beside it.
func TestScripts(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, "../verify").CombinedOutput(); err != nil {
		t.Fatalf("building verify: %v\n%s", err, out)
	}
	env := authorityOfScripts(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, env...)
			e.Setenv("PATH", e.Getenv("PATH")+string(filepath.ListSeparator)+dir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    scriptExits,
			"serving":  scriptServing,
			"quit":     scriptQuit,
			"keep":     scriptKeep,
			"same":     scriptSame,
			"answers":  scriptAnswers,
			"posts":    scriptPosts,
			"pick":     scriptPick,
			"key":      scriptKey,
			"unfinish": scriptUnfinish,

			"witnessing": scriptWitnessing,
			"cosigns":    scriptCosigns,
		},
	})
}

// scriptExits runs a command and demands its exit code: exits CODE COMMAND…
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code is %d, want %d", got, want)
	}
}

// children are the servers that scripts have started, by script.
var children sync.Map

// scriptServing starts a server on a free port, where commands that speak to a
// server then find it: serving DIR [FLAG...]
func scriptServing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: serving DIR [FLAG...]")
	}
	c, err := startChild(ts.MkAbs(args[0]), args[1:]...)
	ts.Check(err)
	ts.Setenv("URL", c.URL)
	ts.Setenv("LEDGERD_SERVER", c.URL)
	children.Store(ts, c)
	ts.Defer(c.Kill)
}

// scriptQuit ends the server as an operator does and demands exit code 0.
func scriptQuit(ts *testscript.TestScript, neg bool, args []string) {
	c, ok := children.LoadAndDelete(ts)
	if neg || len(args) != 0 || !ok {
		ts.Fatalf("usage: quit, after serving")
	}
	ts.Check(c.(*child).Stop())
}

// scriptAnswers asks the server: answers STATUS PATH [KEYFILE]
func scriptAnswers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: answers STATUS PATH [KEYFILE]")
	}
	req, err := http.NewRequest(http.MethodGet, ts.Getenv("URL")+args[1], nil)
	ts.Check(err)
	if len(args) == 3 {
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[2])))
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	resp.Body.Close()
	if got := strconv.Itoa(resp.StatusCode); got != args[0] {
		ts.Fatalf("%s answers %s, want %s", args[1], got, args[0])
	}
}

// scriptPosts calls a method and prints the answer: posts STATUS KEYFILE METHOD JSON
func scriptPosts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: posts STATUS KEYFILE METHOD JSON")
	}
	req, err := http.NewRequest(http.MethodPost, ts.Getenv("URL")+args[2], strings.NewReader(args[3]))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[1])))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if got := strconv.Itoa(resp.StatusCode); got != args[0] {
		ts.Fatalf("%s answers %s, want %s: %s", args[2], got, args[0], text)
	}
	_, err = ts.Stdout().Write(text)
	ts.Check(err)
}

// scriptPick takes a text out of the JSON that was printed last, into a variable
// of the environment or a file: pick FIELD[.FIELD|.NUMBER...] VARIABLE|FILE
func scriptPick(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pick FIELD[.FIELD|.NUMBER...] VARIABLE|FILE")
	}
	var at any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &at))
	for step := range strings.SplitSeq(args[0], ".") {
		switch within := at.(type) {
		case map[string]any:
			at = within[step]
		case []any:
			i, err := strconv.Atoi(step)
			ts.Check(err)
			if i >= len(within) {
				ts.Fatalf("%s: there are %d", args[0], len(within))
			}
			at = within[i]
		}
	}
	text, ok := at.(string)
	if !ok || text == "" {
		ts.Fatalf("there is no text %s in what was printed", args[0])
	}
	if strings.ToUpper(args[1]) == args[1] {
		ts.Setenv(args[1], text)
		return
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// scriptKey gives an API key to the commands that speak to a server: key FILE
func scriptKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: key FILE")
	}
	ts.Setenv("LEDGERD_KEY", strings.TrimSpace(ts.ReadFile(args[0])))
}

// snapshots are the directories that scripts keep, by script.
var snapshots sync.Map

// scriptKeep remembers every file of a directory: keep DIR
func scriptKeep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep DIR")
	}
	snapshots.Store(ts, contents(ts, args[0]))
}

// scriptSame demands that a directory is as it was kept: same DIR
func scriptSame(ts *testscript.TestScript, neg bool, args []string) {
	kept, ok := snapshots.Load(ts)
	if neg || len(args) != 1 || !ok {
		ts.Fatalf("usage: same DIR, after keep")
	}
	now := contents(ts, args[0])
	if len(now) != len(kept.(map[string]string)) {
		ts.Fatalf("%d files, want %d", len(now), len(kept.(map[string]string)))
	}
	for name, text := range kept.(map[string]string) {
		if now[name] != text {
			ts.Fatalf("%s has changed", name)
		}
	}
}

func contents(ts *testscript.TestScript, dir string) map[string]string {
	all := map[string]string{}
	ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		all[path] = fmt.Sprint(info.Mode())
		if err == nil && d.Type().IsRegular() {
			var b []byte
			b, err = os.ReadFile(path)
			all[path] += string(b)
		}
		return err
	}))
	return all
}

// scriptUnfinish cuts a file to half its length: unfinish FILE
func scriptUnfinish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: unfinish FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), info.Size()/2))
}

// child is a server in a process of its own.
type child = storm.Server

// startChild starts `ledgerd serve` on a free port and waits until it is ready.
func startChild(dir string, flags ...string) (*child, error) {
	return storm.Serve("ledgerd", dir, flags...)
}

// launch starts the same and does not wait.
func launch(dir string, flags ...string) (*child, error) {
	return storm.LaunchServe("ledgerd", dir, flags...)
}
