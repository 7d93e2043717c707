package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// anchorCommand is `ledgerd anchor`.
type anchorCommand struct {
	serverFlags
	JSON bool `name:"json" help:"Print the server's answer as JSON: AnchorCheckpointResponse of AdminService."`
}

// Help is printed by --help below the one sentence.
func (*anchorCommand) Help() string {
	return `The server asks the authorities in its --timestamp-authorities by itself, each once per --timestamp-interval if there
is something new. This asks all of them now: before a deadline, or to see whether a configuration works. It takes half
a minute when one of them is slow, and ends with exit code 1 when none has stamped. ` + keyHelp + `

Example:

    ledgerd anchor`
}

func (c *anchorCommand) run(ctx context.Context, std *streams) error {
	client, err := c.admin(std.err)
	if err != nil {
		return err
	}
	rsp, err := client.AnchorCheckpoint(ctx, &adminv1.AnchorCheckpointRequest{})
	if err != nil {
		return err
	}
	if c.JSON {
		err = printMessage(std.out, rsp)
	} else {
		err = printOutcomes(std.out, rsp.Outcomes)
	}
	if err != nil {
		return err
	}
	for _, o := range rsp.Outcomes {
		if o.Error == "" {
			return nil
		}
	}
	return errNotStamped
}

var errNotStamped = errors.New("no authority has stamped")

func printOutcomes(out io.Writer, list []*adminv1.AnchorOutcome) error {
	for _, o := range list {
		said := fmt.Sprintf("%s: %d entries stamped at %s, recorded as entry %d", o.Authority, o.Size, moment(o.Time), o.Index)
		if o.Error != "" {
			said = fmt.Sprintf("%s: NOT STAMPED: %s", o.Authority, whyNotStamped(o.Error, o.Detail))
		}
		if _, err := fmt.Fprintln(out, said); err != nil {
			return err
		}
	}
	return nil
}

// notStampedWords says what keeps an authority from stamping.
var notStampedWords = map[string]string{
	"timeout":      "gives no answer in time",
	"unreachable":  "cannot be reached",
	"refused":      "refuses",
	"bad_answer":   "answers with something else than a time stamp",
	"bad_token":    "gives a time stamp that does not hold",
	"busy":         "has not answered the request before",
	"not_recorded": "was not asked, or for nothing: nothing is recorded at the moment",
	"log_fault":    "was not asked, or for nothing: a file of this ledger could not be read or written",
}

func whyNotStamped(why, detail string) string {
	if detail == "" {
		return notStampedWords[why]
	}
	return notStampedWords[why] + " (" + detail + ")"
}
