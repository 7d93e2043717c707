package wire_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// coverage is the page that says where each of 58 things is that marketing tools name.
const (
	coverage  = "../../ledger/COVERAGE.md"
	items     = 58
	mostBlank = 8 // rows that no test shows
)

// TestCoverage walks the page: its rows are there in order, and everything that they
// name exists.
func TestCoverage(t *testing.T) {
	p := newCoveragePage(t)
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \|([^|]*)\|([^|]+)\|$`).FindAllStringSubmatch(p.text, -1)
	blank := 0
	for i, row := range rows {
		if row[1] != strconv.Itoa(i+1) {
			t.Errorf("row %d is numbered %s", i+1, row[1])
		}
		served, shown := quoted(row[3]), quoted(row[4])
		for _, name := range served {
			if !p.serves(name) {
				t.Errorf("row %s: there is no %s", row[1], name)
			}
		}
		for _, name := range shown {
			if !p.isTest(name) {
				t.Errorf("row %s: there is no test %s", row[1], name)
			}
		}
		p.places(row[0])
		if len(shown) == 0 {
			blank++
			if !regexp.MustCompile(`^ (documented: \[[^]]+\]\([^)]+#[^)]+\)|outside: .{10,}) $`).MatchString(row[4]) {
				t.Errorf("row %s has no test, and no place or reason: %s", row[1], row[4])
			}
		} else if len(served) == 0 {
			t.Errorf("row %s is shown and served by nothing", row[1])
		}
	}
	if len(rows) != items || blank > mostBlank {
		t.Errorf("%d rows, want %d; %d of them without a test, want at most %d", len(rows), items, blank, mostBlank)
	}
	for _, wrong := range []string{"consent.required", "SendConsent", "RequestConsent.mode", "ledgerd explode", "export"} {
		if p.serves(wrong) {
			t.Errorf("%s is taken for something that exists", wrong)
		}
	}
	if p.isTest("wire.TestOfNothing") || p.isTest("service.TestCoverage") {
		t.Error("any test is taken for one that exists")
	}
}

// coveragePage is the page with what it may name.
type coveragePage struct {
	t            *testing.T
	text         string
	format       string // FORMAT.md, whose table of kinds is compared with the code
	readme       string
	calls        map[string][]protoreflect.MethodDescriptor // by name; several services may have one
	testFunction map[string]bool                            // "directory.TestName"
}

func newCoveragePage(t *testing.T) *coveragePage {
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	p := &coveragePage{t: t, text: read(coverage), format: read("../../ledger/FORMAT.md"), readme: read("../../README.md"),
		calls: map[string][]protoreflect.MethodDescriptor{}, testFunction: map[string]bool{}}
	for _, m := range methods() {
		p.calls[string(m.Name())] = append(p.calls[string(m.Name())], m)
	}
	root := filepath.Join("..", "..")
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, f := range function.FindAllStringSubmatch(read(path), -1) {
			p.testFunction[filepath.ToSlash(dir)+"."+f[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// quoted gives what stands between backticks.
func quoted(text string) (names []string) {
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			names = append(names, part)
		}
	}
	return names
}

// serves reports whether a kind, a call, a field of a call's request or a command has
// this name.
func (p *coveragePage) serves(name string) bool {
	if program, _, ok := strings.Cut(name, " "); ok {
		return (program == "ledgerd" || program == "verify") && strings.Contains(p.readme, name)
	}
	if strings.ToLower(name) == name {
		return strings.Contains(p.format, "\n| `"+name+"` | ")
	}
	call, field, wantsField := strings.Cut(name, ".")
	for _, m := range p.calls[call] {
		if !wantsField || m.Input().Fields().ByName(protoreflect.Name(field)) != nil {
			return true
		}
	}
	return false
}

// isTest reports whether there is such a test in such a directory.
func (p *coveragePage) isTest(name string) bool {
	dir, test, _ := strings.Cut(name, ".")
	if short := map[string]string{"wire": "internal/wire", "service": "internal/service"}[dir]; short != "" {
		dir = short
	}
	return p.testFunction[dir+"."+test]
}

// places checks that every link of a row leads to a file and a heading in it.
func (p *coveragePage) places(row string) {
	p.t.Helper()
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)#([^)]+)\)`).FindAllStringSubmatch(row, -1) {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(coverage), filepath.FromSlash(link[1])))
		if err != nil {
			p.t.Error(err)
			continue
		}
		found := false
		for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(b), -1) {
			found = found || anchor(heading[1]) == link[2]
		}
		if !found {
			p.t.Errorf("%s has no heading for #%s", link[1], link[2])
		}
	}
}

// anchor gives the anchor of a heading as GitHub makes it.
func anchor(heading string) string {
	kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(kept, " ", "-")
}
