package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestDeployed: what internal/deploy sets is there to be set, also what is commented
// out.
func TestDeployed(t *testing.T) {
	withoutEnvironment(t)
	conf, err := os.ReadFile("../../internal/deploy/ledgerd.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(conf), regexp.MustCompile(`(?m)^#([a-z-]+ = )`).ReplaceAllString(string(conf), "$1")} {
		c, err := parsed("--config", writeConfig(t, text))
		if err != nil {
			t.Error(err)
		} else if c.Data == "" || !staysHere(c.Listen) || !staysHere(c.AdminListen) {
			t.Errorf("read is %+v", c)
		}
		if strings.Count(text, " = ") < 8 {
			t.Errorf("%d settings", strings.Count(text, " = "))
		}
	}
	container, err := os.ReadFile("../../internal/deploy/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	var c cli
	parser, err := kong.New(&c, kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(parser.Model.Children, func(n *kong.Node) bool { return n.Name == "serve" })
	names := regexp.MustCompile(`LEDGERD_\w+`).FindAllString(string(container), -1)
	if len(names) < 4 {
		t.Fatalf("the container file sets %v", names)
	}
	for _, name := range names {
		if !slices.ContainsFunc(parser.Model.Children[i].Flags, func(f *kong.Flag) bool { return slices.Contains(f.Envs, name) }) {
			t.Errorf("%s sets nothing", name)
		}
	}
}
