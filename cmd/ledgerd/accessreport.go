package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
	"github.com/consentledger/consentledger/proto/consent/evidence/v1/evidencev1connect"
)

// accessReportCommand is `ledgerd access-report`.
type accessReportCommand struct {
	serverFlags
	Email      string `xor:"person" required:"" placeholder:"ADDR" help:"The person, by e-mail address,"`
	Phone      string `xor:"person" required:"" placeholder:"NUMBER" help:"by telephone number, such as +4930123456,"`
	ExternalID string `xor:"person" required:"" placeholder:"ID" help:"or by your own number for them."`
	Format     string `required:"" enum:"json,csv" placeholder:"json|csv" help:"json: complete, for machines (Art. 20 GDPR); csv: one table, for a spreadsheet."`
	Recipient  string `placeholder:"TEXT" help:"To whom it goes, if not to the person; kept in the vault."`
	Out        string `required:"" placeholder:"FILE" help:"The file to write, which nobody else may read. It must not exist."`
}

// Help is printed by --help below the one sentence.
func (*accessReportCommand) Help() string {
	return `Everything that is held about a person, as Art. 15 and 20 GDPR give them a right to. Who they are must have been verified
within 92 days (VerifyIdentity of EvidenceService). That the report was made stands in the log before the first byte is
written. The environment variable LEDGERD_KEY holds an API key of role legal.

The address stays in your shell's history; nothing of the person is printed.

Examples:

    ledgerd access-report --email anna@example.org --format json --out anna.json
    ledgerd access-report --server https://consent.example.com --external-id 4711 --format csv --out 4711.csv`
}

func (c *accessReportCommand) run(ctx context.Context, std *streams) error {
	conn, err := c.connect("legal", std.err)
	if err != nil {
		return err
	}
	req := &evidencev1.ExportAccessReportRequest{Format: c.Format, Recipient: c.Recipient,
		Subject: &appv1.Subject{Email: c.Email, Phone: c.Phone, ExternalId: c.ExternalID}}
	var about *evidencev1.AccessReport
	bar := newProgress(std.err, "receiving", 0)
	// The file first: what the server is asked for stands in the log.
	var size int64
	err = writeWhole(c.Out, func(f *os.File) error {
		var err error
		if about, err = receiveReport(ctx, conn, req, f, func(done int64) { bar.report(done, 0) }); err == nil {
			size, err = f.Seek(0, io.SeekEnd)
		}
		return err
	})
	bar.finish()
	if err != nil {
		return err
	}
	return c.printDone(std.out, about, size)
}

// receiveReport writes what the server streams, and gives what is said about it.
func receiveReport(ctx context.Context, conn *connection, req *evidencev1.ExportAccessReportRequest, w io.Writer,
	progress func(done int64)) (*evidencev1.AccessReport, error) {
	stream, err := evidencev1connect.NewEvidenceServiceClient(conn.client, conn.base).ExportAccessReport(ctx, req)
	if err != nil {
		return nil, conn.explain(ctx, err)
	}
	defer stream.Close()
	if !stream.Receive() { // the first piece has no bytes
		return nil, conn.explain(ctx, cmp.Or(stream.Err(), errNoReport))
	}
	about, done := stream.Msg().About, int64(0)
	for stream.Receive() {
		n, err := w.Write(stream.Msg().Chunk)
		if err != nil {
			return nil, err
		}
		done += int64(n)
		progress(done)
	}
	return about, conn.explain(ctx, stream.Err())
}

// errNoReport is what a server says that ends its answer before it began.
var errNoReport = errors.New("the server sent no report")

// printDone says what was written, and nothing of the person.
func (c *accessReportCommand) printDone(out io.Writer, about *evidencev1.AccessReport, size int64) error {
	text := fmt.Sprintf("%s holds the report, %s. Only you may read it; give it to nobody but the person.\n", c.Out, count(size, "byte", "bytes"))
	switch n := len(about.GetEntries()); n {
	case 0:
		text += "Nothing is held about the person, and the report says so. No entry was made.\n"
	default:
		text += fmt.Sprintf("That it was made stands in the log, in entry %d.\n", about.Entries[0].Index)
	}
	if about.GetUnverified() > 0 {
		text += fmt.Sprintf("%s kept under the same address, of people whose identity was not verified; they are not in the report.\n",
			count(about.Unverified, "more record is", "more records are"))
	}
	_, err := io.WriteString(out, text)
	return err
}
