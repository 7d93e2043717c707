// Package layout holds no code but its tests: the table of who may import whom.
// Start with rules and [TestImports].
package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/consentledger/consentledger"
	root   = "../.." // of the module, seen from here
)

// rule says what a package, or every package below a directory, must not reach.
// A path in forbidden or ours stands for the packages below it, too; one that
// begins with "./" is ours.
type rule struct {
	pkg       string
	forbidden []string // must not be reached, not even indirectly
	ours      []string // if set, the only packages of this module that it may reach
	why       string
}

const (
	badger   = "github.com/dgraph-io/badger/v4"
	protobuf = "google.golang.org/protobuf"
)

// rules is the table. It is about the packages as they are built: what their
// tests import is free.
var rules = []rule{
	{pkg: "./ledger", ours: []string{}, forbidden: []string{badger, protobuf, "net", "connectrpc.com"},
		why: "it is pure: bytes in, verdict out"},
	{pkg: "./cmd/verify", ours: []string{"./ledger", "./internal/logfiles", "./internal/plaintext", "./internal/bundle", "./internal/decision", "./internal/timestamp"},
		forbidden: []string{"./ledger/store", "./internal/vault", "./internal/service", badger, protobuf},
		why:       "whoever checks the operator must not need the operator's code"},
	{pkg: "./internal/logfiles", ours: []string{"./ledger"}, why: "the offline verifier uses it"},
	{pkg: "./internal/plaintext", ours: []string{}, why: "the offline verifier uses it"},
	{pkg: "./internal/witness", ours: []string{"./ledger"}, forbidden: []string{badger, protobuf},
		why: "a witness is small enough to be read by whoever relies on it, and knows no ledger but by its signatures"},
	{pkg: "./internal/report", ours: []string{"./ledger", "./internal/plaintext"}, why: "what auditors are told comes from the log alone"},
	{pkg: "./internal/decision", ours: []string{"./ledger"}, why: "the offline verifier uses it, and decides as the ledger did"},
	{pkg: "./internal/bundle", ours: []string{"./ledger"}, why: "the offline verifier uses it"},
	{pkg: "./internal/bundle/verdict", ours: []string{"./ledger", "./internal/bundle", "./internal/decision"}, why: "the offline verifier uses it"},
	{pkg: "./internal/bundle/report", ours: []string{"./ledger", "./internal/bundle"}, forbidden: []string{badger, protobuf, "net/http"},
		why: "what a report says comes from the entries that it is given"},
	{pkg: "./internal/bundle/pack", ours: []string{"./ledger", "./internal/bundle", "./internal/timestamp"}, forbidden: []string{badger, protobuf, "net/http"},
		why: "what is in a bundle is what it is given"},
	{pkg: "./internal/timestamp", ours: []string{"./ledger"}, why: "the offline verifier uses it"},
	{pkg: "./internal/auditbundle", ours: []string{"./ledger", "./ledger/store", "./internal/badgerdb", "./internal/bundle", "./internal/timestamp"},
		forbidden: []string{"./internal/vault", "./internal/service"}, why: "an auditor's door uses it"},
	{pkg: "./internal/api/audit", forbidden: []string{"./internal/vault", "./internal/service"}, why: "an auditor's door knows no personal data"},
	{pkg: "./internal/api/errors", forbidden: []string{"./internal/vault", "./internal/service"}, why: "an auditor's door uses it"},
	{pkg: "./internal/tlog", forbidden: []string{"./internal/vault", "./internal/service"}, why: "an auditor's door knows no personal data"},
	{pkg: "./internal/hostile", ours: []string{}, why: "whoever attacks knows only what is on the wire"},
	{pkg: "./internal/backup", ours: []string{"./ledger", "./internal/keyfile"}, forbidden: []string{badger, protobuf}, why: "what a backup holds is for who has lost everything else"},
	{pkg: "./internal/metrics", ours: []string{}, why: "what is shown without a key is handed to it as numbers"},
	{pkg: "./internal/vault", forbidden: []string{"./ledger/store", "./proto"}, why: "personal data know neither the log's storage nor the API"},
}

// exact are paths of ours that stand for the one package only.
var exact = []string{"./ledger"}

// TestImports checks the table, one rule after the other.
func TestImports(t *testing.T) {
	watchSources(t)
	for _, r := range rules {
		t.Run(strings.TrimPrefix(r.pkg, "./"), func(t *testing.T) {
			checkRule(t, r)
		})
	}
}

func checkRule(t *testing.T, r rule) {
	if _, err := os.Stat(filepath.Join(root, r.pkg)); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not there yet", r.pkg)
	}
	reached := 0
	for _, p := range list(t, "-deps", r.pkg) {
		if p.ImportPath == full(r.pkg) {
			reached++
			continue
		}
		for _, f := range r.forbidden {
			if within(p.ImportPath, f) {
				t.Errorf("%s reaches %s: %s", r.pkg, p.ImportPath, r.why)
			}
		}
		if r.ours != nil && within(p.ImportPath, "./") && !slices.ContainsFunc(r.ours, func(o string) bool { return within(p.ImportPath, o) }) {
			t.Errorf("%s reaches %s, of ours only %v: %s", r.pkg, p.ImportPath, r.ours, r.why)
		}
	}
	if reached != 1 {
		t.Errorf("go list does not know %s", r.pkg)
	}
}

// TestRulesAreNotEmpty shows that the check sees what it looks for: rules that
// are broken on purpose are found broken.
func TestRulesAreNotEmpty(t *testing.T) {
	imports := func(pkg, forbidden string) bool {
		return slices.ContainsFunc(list(t, "-deps", pkg), func(p goPackage) bool { return within(p.ImportPath, forbidden) })
	}
	for _, known := range []struct{ pkg, reaches string }{
		{"./ledger/store", "./ledger"},
		{"./internal/server", "net"},
		{"./internal/badgerdb", badger},
		{"./internal/badgerdb", protobuf},
		{"./ledger/store", "./internal/badgerdb"},
		{"./proto/consent/app/v1/appv1connect", "./proto"},
	} {
		if !imports(known.pkg, known.reaches) {
			t.Errorf("%s is not seen to reach %s, which it does", known.pkg, known.reaches)
		}
	}
}

// TestProto checks that only handlers, programs and the load generator know the
// generated code of the API.
func TestProto(t *testing.T) {
	allowed := []string{"./internal/api", "./cmd/ledgerd", "./internal/load", "./proto"}
	users := 0
	for _, p := range list(t, "./...") {
		if !slices.ContainsFunc(p.Imports, func(path string) bool { return within(path, "./proto") }) {
			continue
		}
		users++
		if !slices.ContainsFunc(allowed, func(a string) bool { return within(p.ImportPath, a) }) {
			t.Errorf("%s imports proto/...; only %v and tests may", p.ImportPath, allowed)
		}
	}
	if users == 0 {
		t.Error("nobody imports proto/..., not even proto/...connect")
	}
}

// TestPure checks what the packages without disk and clock import themselves, beyond
// what TestImports says of everything they reach: fmt reaches os, and yet prints
// nowhere.
func TestPure(t *testing.T) {
	impure := []string{"os", "io/ioutil", "path/filepath", "syscall", "log", "net", "embed", "plugin", "unsafe", "testing",
		"runtime/debug", "expvar", "database/sql"}
	for _, pure := range []struct {
		pkg       string
		libraries []string // that it may import beside the standard library
	}{
		{"./ledger", []string{"golang.org/x/mod", "github.com/cloudflare/circl"}},
		{"./internal/decision", []string{full("./ledger")}},
	} {
		pkgs := list(t, pure.pkg)
		if len(pkgs) != 1 || len(pkgs[0].Imports) == 0 {
			t.Fatalf("go list gives %d packages", len(pkgs))
		}
		for _, imported := range pkgs[0].Imports {
			standard := !strings.Contains(strings.Split(imported, "/")[0], ".")
			if !standard && !slices.ContainsFunc(pure.libraries, func(l string) bool { return within(imported, l) }) {
				t.Errorf("%s imports %s; beside the standard library only %v", pure.pkg, imported, pure.libraries)
			}
			if slices.ContainsFunc(impure, func(l string) bool { return within(imported, l) }) {
				t.Errorf("%s imports %s: disk, network or log", pure.pkg, imported)
			}
		}
		for _, name := range pkgs[0].GoFiles {
			checkClock(t, filepath.Join(root, pure.pkg, name))
		}
	}
}

// checkClock looks for uses of the clock: package time is there for its values.
func checkClock(t *testing.T, name string) {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Local", "LoadLocation"}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range file.Imports {
		if spec.Path.Value == `"time"` && spec.Name != nil {
			t.Errorf("%s imports time under another name, which hides its uses", name)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, s.Sel.Name) {
				t.Errorf("%s: time.%s: there is no clock here", fset.Position(n.Pos()), s.Sel.Name)
			}
		}
		return true
	})
}

// TestTopLevel checks that the top of the repository holds what it is meant to
// hold, beside what .gitignore names.
func TestTopLevel(t *testing.T) {
	allowed := []string{"cmd", "ledger", "proto", "internal", "testdata", "go.mod", "go.sum", "README.md", "LICENSE",
		".ci", ".gitignore", ".git"}
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if slices.Contains(allowed, e.Name()) {
			continue
		}
		known := false
		for pattern := range strings.FieldsSeq(string(ignored)) {
			match, err := path.Match(strings.Trim(pattern, "/"), e.Name())
			known = known || match && err == nil
		}
		if !known {
			t.Errorf("%s has no place at the top of the repository; allowed are %v", e.Name(), allowed)
		}
	}
}

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
}

// list asks go list. It fails when a package does not resolve.
func list(t *testing.T, args ...string) []goPackage {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,GoFiles"}, args...)...)
	cmd.Dir, cmd.Stderr = root, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, &stderr)
	}
	var pkgs []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func full(pkg string) string { return path.Join(module, pkg) }

// within reports whether an import path is pkg or a package below it.
func within(importPath, pkg string) bool {
	one := slices.Contains(exact, pkg)
	if strings.HasPrefix(pkg, "./") {
		pkg = full(pkg)
	}
	return importPath == pkg || !one && strings.HasPrefix(importPath, pkg+"/")
}

// watchSources looks at every Go file, so that go test does not answer from its
// cache after one has changed: it does not see what go list reads.
func watchSources(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && e.Name() == ".git" {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".go") {
			seen[filepath.Dir(name)] = true
			_, err = os.Stat(name)
		}
		return err
	})
	if err != nil || len(seen) == 0 {
		t.Fatalf("found Go files in %v: %v", slices.Sorted(maps.Keys(seen)), err)
	}
}
