package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// parsed parses a command line of `ledgerd serve` without running it.
func parsed(args ...string) (*serveCommand, error) {
	var c cli
	parser, err := kong.New(&c, kong.Vars{"version": ""})
	if err != nil {
		return nil, err
	}
	_, err = parser.Parse(append([]string{"serve"}, args...))
	return &c.Serve, err
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledgerd.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// withoutEnvironment takes the settings of whoever runs the test away.
func withoutEnvironment(t *testing.T) {
	for _, v := range os.Environ() {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "LEDGERD_") {
			os.Unsetenv(name)
			t.Cleanup(func() { os.Setenv(name, value) })
		}
	}
}

func TestConfig(t *testing.T) {
	withoutEnvironment(t)
	path := writeConfig(t, "# a comment\r\n\ndata = /srv/a b\n  listen=127.0.0.1:1 \npublic-log = true\naccept-clock = false\n"+
		"erase-window = 5s\nmax-confirmation-mails = 9\ntime-zone = Europe/Berlin\nsince = a,b\nsince = c\nroot-key = x=y # no comment")
	c, err := parsed("--config", path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "/srv/a b" || c.Listen != "127.0.0.1:1" || !c.PublicLog || c.AcceptClock || time.Duration(c.EraseWindow) != 5*time.Second ||
		c.MaxConfirmationMails != 9 || c.TimeZone.String() != "Europe/Berlin" || c.RootKey != "x=y # no comment" {
		t.Errorf("read is %+v", c)
	}
	if !slices.Equal(c.Since, []string{"a,b", "c"}) {
		t.Errorf("since is %q", c.Since)
	}
	if time.Duration(c.IndexLag) != 72*time.Hour {
		t.Errorf("what is not set is %v", c.IndexLag)
	}
}

// TestConfigComesLast: the command line, then the environment, then the file.
func TestConfigComesLast(t *testing.T) {
	withoutEnvironment(t)
	t.Setenv("LEDGERD_CONFIG", writeConfig(t, "data = file\nlisten = file\nroot-key = file\npublic-log = true\nsince = file\n"))
	t.Setenv("LEDGERD_LISTEN", "environment")
	t.Setenv("LEDGERD_ROOT_KEY", "environment")
	t.Setenv("LEDGERD_PUBLIC_LOG", "false")
	c, err := parsed("--root-key", "line", "--since", "line")
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "file" || c.Listen != "environment" || c.RootKey != "line" || c.PublicLog || !slices.Equal(c.Since, []string{"line"}) {
		t.Errorf("read is %+v", c)
	}
}

func TestConfigRefuses(t *testing.T) {
	withoutEnvironment(t)
	for text, want := range map[string]string{
		"data = d\nlisten\n":           `line 2: is not name = value`,
		"= d\n":                        `line 1: is not name = value`,
		"data =\n":                     `line 1: data has no value`,
		"data = d\nlistn = x\n":        `line 2: there is no setting "listn"`,
		"--data = d\n":                 `there is no setting "--data"`,
		"Data = d\n":                   `there is no setting "Data"`,
		"data = d\nconfig = other\n":   `line 2: there is no setting "config"`,
		"data = d\nhelp = true\n":      `line 2: there is no setting "help"`,
		"data = d\ndata = d\n":         `line 2: data stands above, too`,
		"data = d\npublic-log = yes\n": `line 2: public-log must be true or false`,
		"data = d\npublic-log = false\npublic-log=true\n": `line 3: public-log stands above, too`,
		"data = d\nmax-confirmation-mails = many\n":       `line 2: max-confirmation-mails: `,
		"data = d\nerase-window = 5\n":                    `line 2: erase-window: `,
		"data = d\ntime-zone = Nowhere\n":                 `line 2: time-zone: `,
		"data = d\nmax-confirmation-mails = 0\n":          `must be at least 1`,
		"data = d\nbackup-key = k\n":                      `go together`,
		"data = \xff\n":                                   `line 1: is not text`,
		"data = d\x00\n":                                  `line 1: is not text`,
		"data = d\rlisten = x\n":                          `line 1: is not text`,
		"listen = x\n":                                    `--data`,
		strings.Repeat("# much\n", 10_000):                `larger than 65536 bytes`,
	} {
		if c, err := parsed("--config", writeConfig(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q; %+v", text, err, want, c)
		}
	}
	if _, err := parsed("--config", "/does/not/exist"); err == nil || !strings.Contains(err.Error(), "reading the configuration") {
		t.Errorf("a file that is not there: %v", err)
	}
	path := writeConfig(t, "data = d\n")
	if err := os.Chmod(path, 0o664); err != nil {
		t.Fatal(err)
	}
	if _, err := parsed("--config", path); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("a file that others may write: %v", err)
	}
}

// TestEverySettingIsInTheEnvironment: each flag of the server by its own name, and in
// the configuration by the same.
func TestEverySettingIsInTheEnvironment(t *testing.T) {
	withoutEnvironment(t)
	var c cli
	parser, err := kong.New(&c, kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(parser.Model.Children, func(n *kong.Node) bool { return n.Name == "serve" })
	flags := parser.Model.Children[i].Flags
	if len(flags) < 20 {
		t.Fatalf("serve has %d flags", len(flags))
	}
	for _, f := range flags {
		want := "LEDGERD_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if !slices.Equal(f.Envs, []string{want}) {
			t.Errorf("--%s is %q in the environment, want %s", f.Name, f.Envs, want)
		}
		if f.Name == "config" {
			continue
		}
		value := map[reflect.Kind]string{reflect.Bool: "true", reflect.Int: "4"}[f.Target.Kind()]
		switch f.Target.Type() {
		case reflect.TypeFor[span]():
			value = "1h"
		case reflect.TypeFor[zone]():
			value = "UTC"
		case reflect.TypeFor[memory]():
			value = "256MiB"
		}
		if value == "" {
			value = "text"
		}
		values, err := resolveConfig([]setting{{1, f.Name, value}}, flags)
		if err != nil || len(values) != 1 {
			t.Errorf("%s = %s: %v, %v", f.Name, value, values, err)
		}
	}
}

// FuzzConfig: what is read says again what it said, and errors give a line.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{"", "data = d\n", "# c\n\n a=b=c", "a", "=", "a=\n", "\xff", "a = b\r\nc = d", "\ta\t=\tb\t"} {
		f.Add([]byte(seed))
	}
	lines := regexp.MustCompile(`^line [1-9][0-9]*: `)
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseConfig(text)
		if err != nil {
			if !lines.MatchString(err.Error()) {
				t.Errorf("the error has no line: %v", err)
			}
			return
		}
		var again bytes.Buffer
		for _, s := range list {
			again.WriteString(s.name + " = " + s.value + "\n")
		}
		second, err := parseConfig(again.Bytes())
		if err != nil || len(second) != len(list) {
			t.Fatalf("%q is read as %v, %v", again.String(), second, err)
		}
		for i, s := range second {
			if s.name != list[i].name || s.value != list[i].value {
				t.Errorf("%v became %v", list[i], s)
			}
		}
	})
}
