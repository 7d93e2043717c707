package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"

	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// statusCommand is `ledgerd status`.
type statusCommand struct {
	serverFlags
	Refresh bool `help:"Look now what is due; without, it is as the server saw it last, at most an hour ago."`
	JSON    bool `name:"json" help:"Print the server's answer as JSON: GetStatusResponse of AdminService."`
}

// Help is printed by --help below the one sentence.
func (*statusCommand) Help() string {
	return `Shows whether the ledger records, and what is overdue or coming due: rights requests, withdrawals that have not
taken effect, recipients to be told, links about to expire, what retention is to do, consents that nobody uses. Numbers and
dates only, nothing about anybody. ` + keyHelp + `

Examples:

    ledgerd status
    ledgerd status --server https://consent.example.com --refresh --json`
}

func (c *statusCommand) run(ctx context.Context, std *streams) error {
	client, err := c.admin(std.err)
	if err != nil {
		return err
	}
	st, err := client.GetStatus(ctx, &adminv1.GetStatusRequest{Refresh: c.Refresh})
	if err != nil {
		return err
	}
	if c.JSON {
		return printMessage(std.out, st)
	}
	return printStatus(std.out, st)
}

// dueWords says what the reasons of a watch mean, and what the indexes are.
var dueWords = map[string][2]string{
	"request_overdue":         {"rights requests whose time is over (Art. 12(3) GDPR)", "request.received"},
	"request_due":             {"rights requests to be answered within 7 days", "request.received"},
	"withdrawal_not_effected": {"ends that have not taken effect everywhere in time", "consents"},
	"recipient_untold":        {"entries of which a processor is still to be told (Art. 19 GDPR)", "entries"},
	"recipient_silent":        {"recipients who were told 30 days ago and have not acknowledged", "recipient.notified"},
	"confirmation_expiring":   {"requests for consent whose link expires within 24 hours", "requests"},
	"retention_due":           {"consents that retention would lock, shred or expire now", "consents"},
	"dormant":                 {"consents that were not used for long", "consents"},
}

func printStatus(out io.Writer, st *adminv1.GetStatusResponse) error {
	w := bufio.NewWriter(out)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s%s\n", name, fmt.Sprintf(format, args...))
	}
	line("log", "%s of %s", st.Origin, st.Controller)
	line("entries", "%d, root %s", st.Size, base64.StdEncoding.EncodeToString(st.Root))
	line("last entry", "%s", moment(st.LastEntryTime))
	if st.Recording {
		line("recording", "yes")
	} else {
		line("recording", "NO: %s", st.Fault)
	}
	line("version", "%s", st.Version)
	switch watch := st.Watch; {
	case watch == nil:
		line("due", "nobody has looked since the server was started; --refresh looks now")
	case len(watch.Items) == 0:
		line("due", "nothing, at %s", moment(watch.AsOf))
	default:
		line("due", "at %s:", moment(watch.AsOf))
		for _, item := range watch.Items {
			printDue(w, item)
		}
	}
	return w.Flush()
}

func printDue(w io.Writer, item *adminv1.WatchItem) {
	words := dueWords[item.What]
	fmt.Fprintf(w, "\n  %s %d: %s\n  since or by %s; %s", item.What, item.Count, words[0], moment(item.Oldest), words[1])
	for _, ref := range item.First {
		fmt.Fprintf(w, " %d", ref.Index)
	}
	if more := item.Count - int64(len(item.First)); more > 0 {
		fmt.Fprintf(w, " and %d more", more)
	}
	fmt.Fprintln(w)
}
