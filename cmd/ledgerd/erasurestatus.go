package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// erasureStatusCommand is `ledgerd erasure-status`.
type erasureStatusCommand struct {
	serverFlags
	JSON bool `name:"json" help:"Print the server's answer as JSON: GetErasureStatusResponse of AdminService."`
}

// Help is printed by --help below the one sentence.
func (*erasureStatusCommand) Help() string {
	return `Says what is still to be destroyed and when, whether old copies of the ledger are of any use, and what the medium
of the root key honestly guarantees. Numbers and dates only, nothing about anybody. ` + keyHelp + `

Examples:

    ledgerd erasure-status
    ledgerd erasure-status --server https://consent.example.com --json`
}

func (c *erasureStatusCommand) run(ctx context.Context, std *streams) error {
	client, err := c.admin(std.err)
	if err != nil {
		return err
	}
	st, err := client.GetErasureStatus(ctx, &adminv1.GetErasureStatusRequest{})
	if err != nil {
		return err
	}
	if c.JSON {
		return printMessage(std.out, st)
	}
	return printErasureStatus(std.out, st)
}

// printMessage prints an answer as the server would send it as JSON, indented.
func printMessage(out io.Writer, m proto.Message) error {
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil { // protojson varies blanks on purpose
		return err
	}
	b.WriteByte('\n')
	_, err = b.WriteTo(out)
	return err
}

func printErasureStatus(out io.Writer, st *adminv1.GetErasureStatusResponse) error {
	w := bufio.NewWriter(out)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s%s\n", name, fmt.Sprintf(format, args...))
	}
	line("root key", "generation %d, medium: %s", st.Generation, st.Medium)
	line("pending", "%s recorded whose keys are still to be destroyed", count(st.Pending, "erasure", "erasures"))
	locked := count(st.Locked, "consent", "consents") + " kept for legal claims only"
	if st.NextUnlock != nil {
		locked += "; the first may be shredded from " + moment(st.NextUnlock)
	}
	line("locked", "%s", locked)
	traces := "no erased address can be tested against the index"
	if st.ExistencePending > 0 {
		traces = fmt.Sprintf("%s whose address can still be guessed and tested, until the index key is replaced; due by %s",
			count(st.ExistencePending, "erasure", "erasures"), moment(st.ExistenceDue))
	}
	line("traces", "%s", traces)
	line("index key", "%s", indexKey(st))
	line("key backup", "%s", keyBackup(st))
	retention := "not applied since the server started"
	if st.LastRetention != nil {
		retention = "applied " + moment(st.LastRetention)
	}
	line("retention", "%s", retention)
	for _, part := range []struct{ title, text string }{
		{"What destroying this root key is worth:", st.Guarantee}, {"About key backups:", st.BackupNote},
	} {
		if part.text != "" {
			fmt.Fprintf(w, "\n%s\n  %s\n", part.title, strings.ReplaceAll(wrap(part.text, pageWidth), "\n", "\n  "))
		}
	}
	return w.Flush()
}

func indexKey(st *adminv1.GetErasureStatusResponse) string {
	text := fmt.Sprintf("epoch %d", st.IndexEpoch)
	if st.IndexReplacedAt != nil {
		text += ", replaced " + moment(st.IndexReplacedAt)
	}
	if st.Rekeying {
		text += fmt.Sprintf(", being replaced now: %d of %s", st.RekeyDone, count(st.RekeyTotal, "step", "steps"))
	}
	return text
}

func keyBackup(st *adminv1.GetErasureStatusResponse) string {
	switch {
	case !st.BackupTarget:
		return "none configured"
	case st.BackupGeneration == 0:
		return "none written yet"
	}
	return fmt.Sprintf("generation %d, written %s", st.BackupGeneration, moment(st.BackupAt))
}

// moment writes a time of the server's.
func moment(t *timestamppb.Timestamp) string { return t.AsTime().Format(time.RFC3339) }
