package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
	"github.com/consentledger/consentledger/proto/consent/evidence/v1/evidencev1connect"
)

// bundleCommand is `ledgerd bundle`.
type bundleCommand struct {
	serverFlags
	Email      string   `xor:"about" required:"" placeholder:"ADDR" help:"The person, by e-mail address,"`
	Phone      string   `xor:"about" required:"" placeholder:"NUMBER" help:"by telephone number, such as +4930123456,"`
	ExternalID string   `xor:"about" required:"" placeholder:"ID" help:"by your own number for them,"`
	Consent    []int64  `xor:"about" required:"" placeholder:"ID" help:"or just these consents, also of people who were erased;"`
	Start      *int64   `xor:"about" required:"" placeholder:"INDEX" help:"or, for an auditor, the entries of the log from this one on, without personal data."`
	Limit      int64    `placeholder:"N" help:"With --start: how many entries, 1 to 5000."`
	Purpose    []string `placeholder:"ID" help:"Only the records of this purpose, and what stops them; may be repeated. Without it: all."`
	Disclose   []string `placeholder:"CLAIM" help:"Show the values of this claim, such as email; may be repeated. All others stay hidden."`
	Recipient  string   `placeholder:"TEXT" help:"For whom it is; kept in the vault and shown in the bundle."`
	Reason     string   `placeholder:"TEXT" help:"Why; kept in the vault and shown in the bundle."`
	At         *instant `placeholder:"TIME" help:"The moment to ask about, such as 2026-11-21T22:36:10Z. Without it: now."`
	Out        string   `required:"" placeholder:"FILE" help:"The file to write, which nobody else may read; by custom it ends in .asice. It must not exist."`
}

// instant is a time as RFC 3339 writes it.
type instant struct{ time.Time }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (i *instant) UnmarshalText(text []byte) (err error) {
	if i.Time, err = time.Parse(time.RFC3339, string(text)); err != nil {
		return errors.New("must be a time such as 2026-11-21T22:36:10Z")
	}
	return nil
}

// Help is printed by --help below the one sentence.
func (*bundleCommand) Help() string {
	return `One file with everything that somebody needs who does not trust you: the entries with their proofs, the words that were
shown, the state of each consent, a report in German and English, and of the personal values those that --disclose names.
"verify bundle" checks it offline; docs/VERIFY.txt in it says how to do so by hand. That it was made stands in the log before
the first byte is written. The environment variable LEDGERD_KEY holds an API key of role legal.

With --start it is an auditor's bundle: a run of entries, without personal data, of which nothing is recorded. LEDGERD_KEY
then holds an API key of role auditor.

The address stays in your shell's history; nothing of the person is printed. The file is whole or not there.

Examples:

    ledgerd bundle --email anna@example.org --purpose newsletter --disclose email --disclose ip --recipient "District Court" --reason "7 O 1/26" --out anna.asice
    ledgerd bundle --server https://consent.example.com --consent 1042 --recipient "Supervisory authority" --reason "complaint 4711" --at 2026-03-01T12:00:00Z --out 1042.asice
    ledgerd bundle --start 0 --limit 1000 --out first-thousand.asice`
}

// Validate refuses flags that do not go together.
func (c *bundleCommand) Validate() error {
	about := c.Recipient != "" || c.Reason != "" || c.At != nil || len(c.Purpose) > 0 || len(c.Disclose) > 0
	switch {
	case c.Start != nil && about:
		return errors.New("--start takes --limit and none of --purpose, --disclose, --recipient, --reason and --at: it shows nobody's data")
	case c.Start != nil && c.Limit < 1:
		return errors.New("--start needs --limit, 1 to 5000")
	case c.Start != nil:
		return nil
	case c.Limit != 0:
		return errors.New("--limit goes with --start")
	case c.Email+c.Phone+c.ExternalID == "" && len(c.Consent) == 0: // the parser says which flags are missing
		return nil
	case c.Recipient == "" || c.Reason == "":
		return errors.New("--recipient and --reason are required: for whom and why stands in the bundle")
	}
	return nil
}

func (c *bundleCommand) run(ctx context.Context, std *streams) error {
	role := "legal"
	if c.Start != nil {
		role = "auditor"
	}
	conn, err := c.connect(role, std.err)
	if err != nil {
		return err
	}
	bar := newProgress(std.err, "receiving", 0)
	defer bar.finish()
	// The file first: what the server is asked for stands in the log.
	return writeWhole(c.Out, func(f *os.File) error {
		size, err := c.receive(ctx, conn, f, func(done int64) { bar.report(done, 0) })
		if err != nil {
			return err
		}
		bar.finish()
		text, err := describe(f, size)
		if err != nil {
			return fmt.Errorf("what the server sent is not a whole bundle: %w", err)
		}
		_, err = fmt.Fprintf(std.out, "%s: %s\n", c.Out, text)
		return err
	})
}

// receive writes what the server streams, and gives its size.
func (c *bundleCommand) receive(ctx context.Context, conn *connection, w io.Writer, progress func(done int64)) (int64, error) {
	if c.Start != nil {
		client := auditv1connect.NewAuditServiceClient(conn.client, conn.base)
		stream, err := client.ExportRange(ctx, &auditv1.ExportRangeRequest{Start: *c.Start, Limit: c.Limit})
		return receiveFile(ctx, conn, stream, err, (*auditv1.ExportRangeResponse).GetData, w, progress)
	}
	req := &evidencev1.ExportBundleRequest{ConsentIds: c.Consent, Purposes: c.Purpose, Disclose: c.Disclose, Recipient: c.Recipient, Reason: c.Reason}
	if len(c.Consent) == 0 {
		req.Subject = &appv1.Subject{Email: c.Email, Phone: c.Phone, ExternalId: c.ExternalID}
	}
	if c.At != nil {
		req.At = timestamppb.New(c.At.Time)
	}
	client := evidencev1connect.NewEvidenceServiceClient(conn.client, conn.base)
	stream, err := client.ExportBundle(ctx, req)
	return receiveFile(ctx, conn, stream, err, (*evidencev1.ExportBundleResponse).GetData, w, progress)
}

// receiveFile writes a file that the server streams, and gives its size.
func receiveFile[T any](ctx context.Context, conn *connection, stream *connect.ServerStreamForClient[T], err error, data func(*T) []byte,
	w io.Writer, progress func(done int64)) (size int64, _ error) {
	if err != nil {
		return 0, conn.explain(ctx, err)
	}
	defer stream.Close()
	for stream.Receive() {
		n, err := w.Write(data(stream.Msg()))
		if err != nil {
			return size, err
		}
		size += int64(n)
		progress(size)
	}
	return size, conn.explain(ctx, stream.Err())
}

// describe checks a bundle's container and says what it holds, and nothing of a person.
func describe(r io.ReaderAt, size int64) (string, error) {
	container, err := bundle.Open(r, size)
	if err != nil {
		return "", err
	}
	text, err := container.File(string(bundle.KindIndex))
	if err != nil {
		return "", err
	}
	index, err := bundle.ParseIndex(text)
	if err != nil {
		return "", err
	}
	if text, err = container.File(string(bundle.KindCheckpoint)); err != nil {
		return "", err
	}
	note, err := ledger.ParseSignedNote(text)
	if err != nil {
		return "", err
	}
	entries, others := 0, map[string]bool{}
	for _, f := range container.Files() {
		if f.Kind == bundle.KindEntry {
			entries++
		}
	}
	for _, line := range note.Lines {
		others[line.Name] = line.Name != index.Origin
	}
	delete(others, index.Origin)
	said := "not cosigned by a witness"
	if len(others) > 0 {
		said = "with cosignatures of " + count(len(others), "witness", "witnesses")
	}
	said = fmt.Sprintf("%s, %s, %s", count(size, "byte", "bytes"), count(entries, "entry", "entries"), said)
	if index.Exported != nil {
		said += fmt.Sprintf("; that it was made stands in the log, in entry %d", *index.Exported)
	}
	return said, nil
}

// writeWhole writes a file that is not there yet, for its owner's eyes only: whole, or
// not at all.
func writeWhole(name string, write func(*os.File) error) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s exists already, and nothing is written over", name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
