// Command verify checks a consent ledger's log, a receipt from one, a proof bundle, or
// checkpoints that may contradict each other, without trusting whoever handed them
// over. Start with [run] and [logCommand.run].
//
// It needs no server and opens no network unless it is given a URL. The exit
// code is the verdict: 0 verified, 1 invalid, 2 cannot tell, 3 diverged; codes
// and the fields of the JSON reports stay what they are in later versions.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/consentledger/consentledger/ledger"
)

// cli is the command line.
type cli struct {
	Log     logCommand     `cmd:"" help:"Check a whole log."`
	Receipt receiptCommand `cmd:"" help:"Check that one entry is in the log, or what an erasure receipt says."`
	Bundle  bundleCommand  `cmd:"" help:"Check a proof bundle, and answer its questions from its evidence."`
	Fork    forkCommand    `cmd:"" help:"Tell whether two checkpoints show that the log has two histories."`
}

const description = `Checks a consent ledger's log, a receipt from one, a proof bundle, or checkpoints that may contradict each other, without trusting whoever handed them over.

Exit codes: 0 verified, 1 invalid, 2 cannot tell (usage, unreadable or missing part, newer format, quorum not reached), ` +
	`3 diverged (contradicts a checkpoint that you hold). No network is used unless a URL is given.`

// streams are where the program reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program: it parses the arguments, runs one command and gives the
// exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	helped := false
	parser, err := kong.New(&c, kong.Name("verify"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }), kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}))
	if err != nil {
		panic(err) // the command line is defined wrongly
	}
	parsed, err := parser.Parse(args)
	if helped {
		return 0
	}
	if err != nil {
		return misused(stderr, err)
	}
	std := &streams{stdin, stdout, stderr}
	var verdict ledger.Verdict
	switch name := parsed.Selected().Name; name {
	case "log":
		verdict, err = c.Log.run(ctx, std)
	case "receipt":
		verdict, err = c.Receipt.run(ctx, std)
	case "bundle":
		verdict, err = c.Bundle.run(ctx, std)
	case "fork":
		verdict, err = c.Fork.run(ctx, std)
	default:
		panic("verify: no command " + name)
	}
	if usage := usageError(""); errors.As(err, &usage) {
		return misused(stderr, usage)
	}
	if err != nil {
		fmt.Fprintf(stderr, "verify: writing the report: %v\n", err)
		if verdict == ledger.Verified {
			verdict = ledger.CannotTell // a report that nobody could read is no good one
		}
	}
	return int(verdict)
}

// usageError is a mistake in the arguments that shows only when a file that they
// name has been read.
type usageError string

func (e usageError) Error() string { return string(e) }

// misused says what is wrong with the arguments, and gives the exit code.
func misused(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "verify: %v\nRun \"verify --help\" for the commands and an example of each.\n", err)
	return int(ledger.CannotTell)
}
