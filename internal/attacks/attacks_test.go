package attacks

import (
	"fmt"
	"os"
	"os/exec"
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
var attacks = grouped(slices.Concat(operators, stampers, mistakes, thieves, couriers, witnesses, authorities))

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
