package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// unit reads a unit: section and name to values, in their order.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	all, section := map[string][]string{}, ""
	for i, line := range strings.Split(text(t, "ledgerd.service"), "\n") {
		name, value, found := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case !found || section == "" || name != strings.TrimSpace(name):
			t.Fatalf("line %d: %q is no setting", i+1, line)
		default:
			all[section+"."+name] = append(all[section+"."+name], value)
		}
	}
	return all
}

// TestUnit holds the unit to what the rest of the ledger relies on.
func TestUnit(t *testing.T) {
	all := unit(t)
	for name, want := range map[string]string{
		"Service.ExecStart":  "/usr/local/bin/ledgerd serve --config /etc/ledgerd/ledgerd.conf",
		"Service.KillSignal": "SIGTERM", "Service.LimitCORE": "0", "Service.MemorySwapMax": "0", "Service.UMask": "0077",
		"Service.User": "ledgerd", "Service.StateDirectory": "ledgerd", "Service.StateDirectoryMode": "0700", "Service.NoNewPrivileges": "true",
		"Service.ProtectSystem": "strict", "Service.CapabilityBoundingSet": "", "Service.Restart": "on-failure", "Install.WantedBy": "multi-user.target",
	} {
		if !slices.Equal(all[name], []string{want}) {
			t.Errorf("%s is %q, want %q", name, all[name], want)
		}
	}
	if stop, err := strconv.Atoi(strings.TrimSuffix(all["Service.TimeoutStopSec"][0], "s")); err != nil || stop < 30 {
		t.Errorf("TimeoutStopSec is %v: less than draining and closing may take", all["Service.TimeoutStopSec"])
	}
	if !strings.Contains(text(t, "ledgerd.conf"), "\ndata = /var/lib/ledgerd/") {
		t.Error("the data of ledgerd.conf are not where the unit may write")
	}
}

// TestSystemdTakesTheUnit has systemd read it, with a program that is there, and say
// how much of the machine it leaves open.
func TestSystemdTakesTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is missing")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	of := func(change func(string) string) string {
		path := filepath.Join(t.TempDir(), "ledgerd.service")
		changed := change(strings.Replace(text(t, "ledgerd.service"), "/usr/local/bin/ledgerd serve", program+" serve", 1))
		if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := of(func(s string) string { return s })
	if out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	wrong := of(func(s string) string { return strings.Replace(s, "LimitCORE=0", "LimitKORE=0", 1) })
	if out, _ := exec.Command(analyze, "verify", "--man=no", wrong).CombinedOutput(); !strings.Contains(string(out), "LimitKORE") {
		t.Errorf("verify does not see a wrong setting: %s", out)
	}
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", path).CombinedOutput()
	if err != nil {
		t.Skipf("this systemd-analyze cannot look at a unit offline: %v", err)
	}
	level := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	if level == nil {
		t.Fatalf("security says %s", out)
	}
	if n, err := strconv.ParseFloat(string(level[1]), 64); err != nil || n > 2 {
		t.Errorf("the exposure level is %s, want at most 2", level[1])
	}
}

// instruction is one of the container file: its word, and the rest of its lines.
type instruction struct{ word, rest string }

func instructions(t *testing.T) []instruction {
	t.Helper()
	var list []instruction
	joined := ""
	for _, line := range strings.Split(text(t, "Containerfile"), "\n") {
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		if before, more := strings.CutSuffix(line, `\`); more {
			joined += before
			continue
		}
		word, rest, found := strings.Cut(joined+line, " ")
		known := []string{"FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "ENV", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
		if !found || !slices.Contains(known, word) {
			t.Fatalf("%q is no instruction", joined+line)
		}
		list, joined = append(list, instruction{word, rest}), ""
	}
	if joined != "" {
		t.Fatal("the last line goes on")
	}
	return list
}

// TestContainerfile: built by the Go of go.mod, and nothing runs in it but ledgerd, as
// nobody.
func TestContainerfile(t *testing.T) {
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(text(t, "../../go.mod"))
	last := map[string]string{}
	var from []string
	for _, i := range instructions(t) {
		if i.word == "FROM" {
			from = append(from, i.rest)
			clear(last)
		}
		last[i.word] = i.rest
		if sources, copied := strings.CutPrefix(i.rest, "--from=build "); i.word == "COPY" && !copied && strings.Contains(sources, "..") {
			t.Errorf("copies from outside: %s", i.rest)
		}
	}
	if want := []string{"golang:" + version[1] + "-bookworm AS build", "scratch"}; !slices.Equal(from, want) {
		t.Errorf("made from %q, want %q", from, want)
	}
	for word, want := range map[string]string{"USER": "65532:65532", "ENTRYPOINT": `["/usr/local/bin/ledgerd"]`, "CMD": `["serve"]`, "STOPSIGNAL": "SIGTERM",
		"VOLUME": "/data"} {
		if last[word] != want {
			t.Errorf("%s is %q, want %q", word, last[word], want)
		}
	}
	if strings.Contains(last["ENV"], "PLAIN_HTTP") {
		t.Errorf("plain HTTP is allowed unasked: %s", last["ENV"])
	}
	if strings.Contains(last["ENV"], "OPEN_ADMIN") || !strings.Contains(last["ENV"], "LEDGERD_ADMIN_LISTEN=127.0.0.1:") {
		t.Errorf("the admin listener is open: %s", last["ENV"])
	}
}

// TestDockerTakesTheContainerfile has Docker check it where Docker runs.
func TestDockerTakesTheContainerfile(t *testing.T) {
	if exec.Command("docker", "buildx", "version").Run() != nil || exec.Command("docker", "info").Run() != nil {
		t.Skip("there is no Docker that runs")
	}
	if out, err := exec.Command("docker", "build", "--check", "-f", "Containerfile", "../..").CombinedOutput(); err != nil {
		t.Errorf("docker build --check: %v\n%s", err, out)
	}
}
