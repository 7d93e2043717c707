package main

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestReadme types what README tells a newcomer to type, in its order, with the
// port replaced by a free one: build, init, serve, the calls, the verifier, the
// erasure and the export.
func TestReadme(t *testing.T) {
	for _, need := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skip(need + " is missing")
		}
	}
	r := &reader{T: t, dir: t.TempDir(), port: freePort(t)}
	r.env = append(os.Environ(), "LEDGERD_LISTEN=127.0.0.1:"+r.port, "LEDGERD_SERVER=http://127.0.0.1:"+r.port)
	r.commands = readmeCommands(t, r.port)
	build := exec.Command("go", "build", "-o", r.dir, "./cmd/ledgerd", "./cmd/verify")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	r.keep("ADMIN", keyPattern, r.run("./ledgerd init"))
	stop := r.serve("./ledgerd serve --data")
	r.keep("APP", keyPattern, r.run("./ledgerd apikey add"))
	time.Sleep(1100 * time.Millisecond) // the server re-reads the keys within a second
	r.run("DefinePurpose")
	r.run("PublishNotice")
	r.keep("TOKEN", regexp.MustCompile(`"token":\s*"([^"]+)"`), r.run("RequestConsent"))
	r.run("ConfirmConsent")
	if answer := r.run("CheckConsent"); !regexp.MustCompile(`"allowed":\s*true`).MatchString(answer) {
		t.Errorf("after the click a check answers %s", answer)
	}
	key := r.bash(`./ledgerd apikey add --data data --role auditor --name auditor`)
	r.env = append(r.env, "LEDGERD_KEY="+keyPattern.FindStringSubmatch(key)[1])
	time.Sleep(1100 * time.Millisecond)
	r.run("./verify log http://")
	r.run("EraseSubject")
	r.run("./ledgerd erasure-status")
	r.run("./ledgerd retention run")
	stop()
	r.run("./ledgerd export")
	if out := r.run("./verify log export"); !strings.HasPrefix(out, "VERIFIED") {
		t.Errorf("verify says %s", out)
	}
	r.backUp()
}

// backUp follows README where it backs up keys and restores a copy.
func (r *reader) backUp() {
	r.bash("mkdir backups stick && cp -a data copy && rm copy/root.key")
	stop := r.serve("./ledgerd serve --backup-target")
	r.run("./ledgerd backup keys")
	r.run("./ledgerd vault rekey-index")
	stop()
	r.run("./ledgerd restore")
	r.run("./ledgerd check --data copy")
}

var keyPattern = regexp.MustCompile(`(clk_[A-Za-z0-9_-]{43})`)

// reader is somebody who follows README.
type reader struct {
	*testing.T
	dir, port string
	env       []string
	commands  []string
}

// readmeCommands gives the commands of README's blocks, comments cut off.
func readmeCommands(t *testing.T, port string) []string {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for i, block := range strings.Split(string(text), "```") {
		if i%2 == 0 {
			continue
		}
		block = strings.ReplaceAll(block, "127.0.0.1:8080", "127.0.0.1:"+port)
		block = strings.ReplaceAll(block, `"token":"…"`, `"token":"'$TOKEN'"`)
		for _, line := range strings.Split(strings.TrimSpace(block), "\n") {
			line, _, _ = strings.Cut(line, "   #")
			if last := len(commands) - 1; strings.HasPrefix(line, " ") && last >= 0 {
				commands[last] += "\n" + line
			} else {
				commands = append(commands, line)
			}
		}
	}
	return commands
}

// find gives the one command of README that holds the words.
func (r *reader) find(words string) string {
	r.Helper()
	found := ""
	for _, c := range r.commands {
		if strings.Contains(c, words) {
			if found != "" {
				r.Fatalf("README has several commands with %q", words)
			}
			found = c
		}
	}
	if found == "" {
		r.Fatalf("README has no command with %q", words)
	}
	return found
}

func (r *reader) run(words string) string {
	r.Helper()
	return r.bash(r.find(words))
}

// bash runs a command as it is typed; a Connect error in its answer fails, too.
func (r *reader) bash(command string) string {
	r.Helper()
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir, cmd.Env = r.dir, r.env
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Contains(out, []byte(`"code":`)) {
		r.Fatalf("%s\n%v: %s", command, err, out)
	}
	return string(out)
}

func (r *reader) keep(name string, pattern *regexp.Regexp, out string) {
	r.Helper()
	found := pattern.FindStringSubmatch(out)
	if found == nil {
		r.Fatalf("no %s in: %s", name, out)
	}
	r.env = append(r.env, name+"="+found[1])
}

// serve starts the server as README does and waits until it says where it is.
func (r *reader) serve(words string) (stop func()) {
	cmd := exec.Command("bash", "-c", "exec "+r.find(words))
	cmd.Dir, cmd.Env = r.dir, r.env
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, r.port) {
		cmd.Process.Kill()
		r.Fatalf("serve says %q, %v", line, err)
	}
	return func() {
		cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			r.Errorf("serve ended with %v", err)
		}
	}
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
