package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// retentionCommand is `ledgerd retention`.
type retentionCommand struct {
	Run retentionRun `cmd:"" help:"Show what the purposes' periods make due, or do it now."`
}

type retentionRun struct {
	serverFlags
	DryRun bool `name:"dry-run" xor:"mode" required:"" help:"Show what is due, and change nothing."`
	Now    bool `xor:"mode" required:"" help:"Do what is due. What is shredded is gone."`
	Ahead  span `placeholder:"TIME" help:"With --dry-run: show also what falls due within this time, such as 30d or 12h."`
}

// Help is printed by --help below the one sentence.
func (*retentionRun) Help() string {
	return `The server does this by itself every day. Rules: "lapsed" (nobody confirmed the request), "withdrawn" (the consent
ended), "validity", "unused" and "evidence" (kept for legal claims until then). Measures: "expire" and "lock" change what may be
done with the data, "shred" destroys their keys, "warn" does nothing. ` + keyHelp + `

Examples:

    ledgerd retention run --dry-run --ahead 30d
    ledgerd retention run --now`
}

// Validate refuses flags that do not go together.
func (c *retentionRun) Validate() error {
	if c.Now && c.Ahead != 0 {
		return errors.New("--ahead belongs to --dry-run")
	}
	return nil
}

func (c *retentionRun) run(ctx context.Context, std *streams) error {
	client, err := c.admin(std.err)
	if err != nil {
		return err
	}
	req := &adminv1.RunRetentionRequest{Mode: "dry_run"}
	if c.Now {
		req.Mode = "now"
	} else if c.Ahead != 0 {
		req.Ahead = durationpb.New(time.Duration(c.Ahead))
	}
	report, err := client.RunRetention(ctx, req)
	if err != nil {
		return err
	}
	return printRetention(std.out, report, time.Duration(c.Ahead))
}

func printRetention(out io.Writer, r *adminv1.RunRetentionResponse, ahead time.Duration) error {
	title := "Due at " + r.At.AsTime().Add(ahead).Format(time.RFC3339) + "; nothing was changed."
	if r.Applied {
		title = "Applied at " + moment(r.At) + "."
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, title)
	if len(r.Items) == 0 {
		fmt.Fprintln(w, "Nothing is due.")
	} else {
		fmt.Fprintln(w, "\nRULE\tMEASURE\tPURPOSE\tCONSENTS\tFIRST DUE")
	}
	for _, i := range r.Items {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", i.Rule, i.Measure, i.Purpose, i.Consents, moment(i.FirstDue))
	}
	if r.Kept > 0 {
		fmt.Fprintf(w, "\n%s due and not shredded, because a legal hold or a restriction keeps the evidence.\n",
			count(r.Kept, "consent is", "consents are"))
	}
	return w.Flush()
}

// span is a duration that may be given in days.
type span time.Duration

// UnmarshalText reads "30d", or what [time.ParseDuration] reads.
func (s *span) UnmarshalText(text []byte) error {
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return errors.New("a number of days must be whole and at most 65535, such as 30d")
		}
		*s = span(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return errors.New("must be a time such as 30d, 72h or 10s")
	}
	*s = span(d)
	return nil
}
