package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"time"

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
	return `Shows whether the ledger records, how its witnesses and time-stamping authorities are, and what is overdue or coming due: rights requests,
withdrawals that have not taken effect, recipients to be told, links about to expire, what retention is to do, consents
that nobody uses. Numbers and dates only, nothing about anybody. ` + keyHelp + `

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
	switch {
	case st.DataBackupTime != nil:
		line("data backup", "%s, %d entries", moment(st.DataBackupTime), st.DataBackupSize)
	case st.BackupTarget:
		line("data backup", "none that is known; `ledgerd backup` makes one")
	default:
		line("data backup", "no target configured")
	}
	printWitnesses(w, st)
	printAuthorities(w, st.TimestampAuthorities)
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

// whyWords says what keeps a witness from cosigning.
var whyWords = map[string]string{
	"timeout":       "gives no answer in time",
	"unreachable":   "cannot be reached",
	"refused":       "refuses: does it know this log, and is it well?",
	"inconsistent":  "says that this log is not the one that it cosigned",
	"ahead":         "says that it has cosigned more entries than this log has",
	"conflict":      "is brought checkpoints by somebody else all the time",
	"bad_answer":    "answers, but not as tlog-witness demands",
	"bad_signature": "signs what does not verify",
	"bad_time":      "dates its signature more than 5 minutes ahead of this machine's clock, or before the newest entry: one of the two clocks is wrong",
	"incomplete":    "does not sign with all of its keys",
	"log_fault":     "could not be asked, because this log could not be read",
}

// printWitnesses prints how the witnesses are; nothing if none are asked.
func printWitnesses(w io.Writer, st *adminv1.GetStatusResponse) {
	if len(st.Witnesses) == 0 {
		return
	}
	fmt.Fprintf(w, "%-12s%d of %d entries\n", "cosigned", st.CosignedSize, st.Size)
	if st.WitnessesFault != "" {
		fmt.Fprintf(w, "%-12sNOT ASKED ANY MORE: %s\n", "witnesses", st.WitnessesFault)
	}
	for _, witness := range st.Witnesses {
		last := "nothing cosigned since the start"
		if witness.LastSuccess != nil {
			last = fmt.Sprintf("%d entries cosigned, last at %s", witness.Size, moment(witness.LastSuccess))
		}
		if witness.Error != "" {
			last = fmt.Sprintf("FAILING, %d times: %s; %s", witness.Failures, whyWords[witness.Error], last)
		}
		fmt.Fprintf(w, "%-12s%s: %s\n", "witness", witness.Url, last)
	}
}

// printAuthorities prints how the time-stamping authorities are.
func printAuthorities(w io.Writer, list []*adminv1.TimestampAuthority) {
	for _, a := range list {
		said := "nothing stamped yet"
		if a.Size > 0 {
			said = fmt.Sprintf("%d entries stamped, last at %s", a.Size, moment(a.LastStamp))
		}
		if d := a.ClockDifference.AsDuration().Round(time.Second); d > 0 {
			said += fmt.Sprintf("; ITS CLOCK is %v ahead of the ledger's", d)
		} else if d < 0 {
			said += fmt.Sprintf("; ITS CLOCK is %v behind the ledger's", -d)
		}
		if a.Error != "" {
			said = fmt.Sprintf("FAILING, %d times: %s; %s", a.Failures, whyNotStamped(a.Error, a.Detail), said)
		}
		qualified := ""
		if a.Qualified {
			qualified = ", qualified"
		}
		fmt.Fprintf(w, "%-12s%s (%s%s): %s\n", "time stamps", a.Name, a.Url, qualified, said)
	}
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
