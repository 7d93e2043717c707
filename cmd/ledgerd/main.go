// Command ledgerd is the consent ledger's server with the commands that run it.
// Start with [run] and [serveCommand.run].
//
// Exit codes: 0 done, 1 failed or refused, 2 wrong usage; of reports those of
// verify. What a command made or found goes to the standard output; logs and errors
// go to the standard error and hold no personal data.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Demo          demoCommand          `cmd:"" help:"Tell the whole story on a fresh ledger: consent, withdrawal, erasure, proof, forgery."`
	Init          initCommand          `cmd:"" help:"Make a new ledger."`
	Serve         serveCommand         `cmd:"" help:"Serve a ledger until interrupted."`
	APIKey        apikeyCommand        `cmd:"" name:"apikey" help:"Add, list and revoke API keys; a running server follows within a second."`
	Status        statusCommand        `cmd:"" help:"Show how the ledger is, and what is overdue or coming due."`
	Anchor        anchorCommand        `cmd:"" help:"Have the log stamped by its time-stamping authorities now."`
	ErasureStatus erasureStatusCommand `cmd:"" name:"erasure-status" help:"Show how far erasures are, and what they guarantee."`
	Retention     retentionCommand     `cmd:"" help:"Show or do what the purposes' periods make due."`
	Vault         vaultCommand         `cmd:"" help:"Replace the key of the blind index."`
	RotateKey     rotateKeyCommand     `cmd:"" name:"rotate-key" help:"Replace the keys that sign the log, and destroy the old ones."`
	Backup        backupCommand        `cmd:"" help:"Back up a running ledger: what is new, and the keys of its vault."`
	Restore       restoreCommand       `cmd:"" help:"Make a ledger anew from its backups, or an old copy of one readable."`
	Check         checkCommand         `cmd:"" help:"Derive everything again from a stopped ledger's entries and compare."`
	Doctor        doctorCommand        `cmd:"" help:"Look for what is unsafe about a machine, a ledger's files and the settings of its server."`
	Export        exportCommand        `cmd:"" help:"Write a copy of a stopped ledger's log for auditors, without personal data."`
	Report        reportCommand        `cmd:"" help:"Report on a verified log: population, erasures, access, withdrawals."`
	AccessReport  accessReportCommand  `cmd:"" name:"access-report" help:"Write out everything that is held about a person."`
	Bundle        bundleCommand        `cmd:"" help:"Write one file that proves consents to somebody who does not trust you."`
	Witness       witnessCommand       `cmd:"" help:"Cosign the checkpoints of other people's logs, so that they cannot show two histories."`
	Version       kong.VersionFlag     `help:"Print the version and stop."`
}

const description = `Records consent, withdrawal and erasure in a log that nobody can edit unnoticed, ` +
	`and keeps personal data in a vault that can forget. Try "ledgerd demo" first.

Exit codes: 0 done, 1 failed or refused, 2 wrong usage; of reports those of verify: 0 verified, 1 invalid, 2 cannot tell, 3 diverged.`

// streams are where a command writes.
type streams struct{ out, err io.Writer }

// command is what every command does.
type command interface {
	run(ctx context.Context, std *streams) error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program: it parses the arguments, runs one command and gives the
// exit code. No command reads the standard input.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	var c cli
	helped := false
	parser, err := kong.New(&c, kong.Name("ledgerd"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }), kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}),
		kong.Vars{"version": "ledgerd " + version()})
	if err != nil {
		panic(err) // the command line is defined wrongly
	}
	parsed, err := parser.Parse(args)
	if helped {
		return 0
	}
	if err != nil {
		err = withoutAddress(args, err)
		fmt.Fprintf(stderr, "ledgerd: %v\nRun \"ledgerd --help\" for the commands; each has an example in its own --help.\n", err)
		return 2
	}
	selected := parsed.Selected().Target.Addr().Interface().(command)
	err = selected.run(ctx, &streams{stdout, stderr})
	if code := exitCode(0); errors.As(err, &code) {
		return int(code)
	}
	if err != nil {
		fmt.Fprintf(stderr, "ledgerd: %v\n", err)
		return 1
	}
	return 0
}

// exitCode ends a command that has said everything with a code other than 0.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// withoutAddress keeps what stands on a command line that names a person out of the
// words about what is wrong with it.
func withoutAddress(args []string, err error) error {
	if !slices.Contains(args, "access-report") && !slices.Contains(args, "bundle") {
		return err
	}
	said := err.Error()
	if strings.Contains(said, "unexpected argument") {
		return errors.New("unexpected argument; the person is named with --email, --phone or --external-id")
	}
	// What another flag was given may be the person, too.
	said, _, _ = strings.Cut(said, " but got ")
	return errors.New(said)
}
