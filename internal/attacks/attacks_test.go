package attacks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// attack is a row of the table.
type attack struct {
	by   string // who tries it; the rows of one stand together
	does string
	not  string // whom it does not fool
	ends string // how, in the words of what trial found
	// fools is whom it fools all the same, or "". The trial shows it.
	fools string
	try   func(*trial)
}

// attacks is the table. The rows of one stand together.
var attacks = grouped(slices.Concat(operators, mistakes, thieves, retiredKeys, couriers, stampers, bundlers, witnesses, authorities))

func grouped(rows []attack) []attack {
	first := map[string]int{}
	for i := len(rows) - 1; i >= 0; i-- {
		first[rows[i].by] = i
	}
	slices.SortStableFunc(rows, func(a, b attack) int { return first[a.by] - first[b.by] })
	return rows
}

// bin is where the programs are.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "attacks-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	if out, err := exec.Command("go", "build", "-o", dir, "../../cmd/verify", "../../cmd/ledgerd").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// TestAttacks tries every row and compares how it ends.
func TestAttacks(t *testing.T) {
	makeSound(t)
	makeStory(t)
	for _, a := range attacks {
		t.Run(a.by+" "+a.does, func(t *testing.T) {
			t.Parallel()
			r := &trial{T: t, dir: t.TempDir()}
			a.try(r)
			if t.Failed() {
				return
			}
			if ends := strings.Join(r.found, ", "); ends != a.ends {
				t.Errorf("it ends with\n%s\nthe table says\n%s", ends, a.ends)
			}
			if r.fooled != (a.fools != "") {
				t.Errorf("that it fools somebody is %v, the table says %q", r.fooled, a.fools)
			}
		})
	}
}

// TestReadme demands that README shows the table.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := markdown(); !strings.Contains(string(readme), "\n\n"+want+"\n") {
		t.Errorf("README.md does not show the table of attacks, which is\n\n%s", want)
	}
}

// markdown gives the table as README shows it.
func markdown() string {
	var b strings.Builder
	b.WriteString("| who | does what | does not fool | how it ends | fools all the same |\n|---|---|---|---|---|\n")
	last := ""
	for _, a := range attacks {
		by := a.by
		if by == last {
			by = ""
		}
		last = a.by
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", by, a.does, a.not, a.ends, a.fools)
	}
	return b.String()
}

// TestRows: every row says everything, and stands once.
func TestRows(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range attacks {
		if a.by == "" || a.does == "" || a.not == "" || a.ends == "" || a.try == nil || seen[a.by+a.does] {
			t.Errorf("the row %q is not whole, or stands twice", a.does)
		}
		seen[a.by+a.does] = true
		if strings.ContainsAny(a.by+a.does+a.not+a.ends+a.fools, "|\n") {
			t.Errorf("the row %q does not fit into a table", a.does)
		}
	}
}
