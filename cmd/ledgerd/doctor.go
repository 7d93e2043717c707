package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/consentledger/consentledger/ledger/store"
)

// doctorCommand is `ledgerd doctor`. It takes the flags of `ledgerd serve`, whose
// server it looks after.
type doctorCommand struct {
	serveCommand
	Strict bool `help:"End with exit code 1 for what is unwise, too."`
	JSON   bool `name:"json" help:"Print a list of findings as JSON: level, check, found, remedy."`
}

// Help is printed by --help below the one sentence.
func (*doctorCommand) Help() string {
	return `Looks at the permissions and the place of a ledger's files, at the room that is left, at the clock, swap and core dumps
of the machine, and at the settings of the server, given as to "ledgerd serve": by flags, environment or --config. It
opens no ledger and changes nothing, so it may run beside the server; run it as the server's user. Each finding says
what to do about it.

WRONG is what can lose or give away what the ledger is for; the exit code then is 1. UNWISE is what weakens it. It
cannot see everything: not who makes snapshots of a virtual machine's disk, and not how the running server was started
if that was with other flags.

Examples:

    ledgerd doctor --data /srv/consent
    ledgerd doctor --config /etc/consent/ledgerd.conf --strict`
}

// finding is something that is not as it should be.
type finding struct {
	Level  string `json:"level"` // wrong or unwise
	Check  string `json:"check"` // a word for what was looked at
	Found  string `json:"found"`
	Remedy string `json:"remedy"`
}

// doctor collects findings.
type doctor struct {
	machine machine
	found   []finding
}

func (d *doctor) wrong(check, remedy, format string, args ...any) {
	d.found = append(d.found, finding{"wrong", check, fmt.Sprintf(format, args...), remedy})
}

func (d *doctor) unwise(check, remedy, format string, args ...any) {
	d.found = append(d.found, finding{"unwise", check, fmt.Sprintf(format, args...), remedy})
}

func (c *doctorCommand) run(_ context.Context, std *streams) error {
	if _, err := os.Stat(filepath.Join(c.Data, store.HeadName)); err != nil {
		return fmt.Errorf("looking for a ledger: %w", err)
	}
	d := &doctor{machine: thisMachine(), found: []finding{}}
	d.lookAtFiles(&c.serveCommand)
	d.lookAtMachine(filepath.Join(c.Data, store.HeadName))
	d.lookAtSettings(&c.serveCommand, time.Now())
	if err := d.print(std.out, c.JSON); err != nil {
		return err
	}
	for _, f := range d.found {
		if f.Level == "wrong" || c.Strict {
			return exitCode(1)
		}
	}
	return nil
}

func (d *doctor) print(out io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(d.found)
	}
	w := bufio.NewWriter(out)
	counts := map[string]int{}
	for _, f := range d.found {
		counts[f.Level]++
		fmt.Fprintf(w, "%-8s%s: %s\n        %s\n", strings.ToUpper(f.Level), f.Check, f.Found, f.Remedy)
	}
	if len(d.found) == 0 {
		fmt.Fprintln(w, "Nothing is wrong that can be seen from here.")
	} else {
		fmt.Fprintf(w, "\n%d wrong, %d unwise.\n", counts["wrong"], counts["unwise"])
	}
	return w.Flush()
}
