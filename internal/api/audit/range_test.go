package audit_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
)

// exported asks for a bundle of a run of entries, as a stream and at once, verifies both
// and gives the stream's.
func exported(t *testing.T, c auditv1connect.AuditServiceClient, start, limit int64) (*bundle.Container, *verdict.Report) {
	t.Helper()
	stream, err := c.ExportRange(t.Context(), &auditv1.ExportRangeRequest{Start: start, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	var file []byte
	for stream.Receive() {
		if n := len(stream.Msg().Data); n == 0 || n > 64<<10 {
			t.Errorf("a piece of %d bytes", n)
		}
		file = append(file, stream.Msg().Data...)
	}
	if err := errors.Join(stream.Err(), stream.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := c.GetRange(t.Context(), &auditv1.GetRangeRequest{Start: start, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	verified(t, whole.Bundle)
	return verified(t, file)
}

func verified(t *testing.T, file []byte) (*bundle.Container, *verdict.Report) {
	t.Helper()
	rep, err := verdict.Verify(t.Context(), bytes.NewReader(file), int64(len(file)), verdict.Options{Policy: policy(t)})
	if err != nil {
		t.Fatal(err)
	}
	c, err := bundle.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return c, rep
}

// kinds counts the files of each kind.
func kinds(c *bundle.Container) map[bundle.Kind]int {
	list := map[bundle.Kind]int{}
	for _, f := range c.Files() {
		list[f.Kind]++
	}
	return list
}

// TestExportRange: a bundle holds the entries asked for, as far as the log goes, each
// byte for byte and proven, what they rest on, and nothing else.
func TestExportRange(t *testing.T) {
	c, s := newClient(t)
	for _, r := range []struct {
		start, limit, end int64
		besides           []ledger.Index // what the entries name, beyond the range
		notices           int            // texts and facts
	}{
		{0, 1, 1, nil, 0}, {0, 100, 100, nil, 2}, {0, 5000, entriesForTest, nil, 2}, {4, 1, 5, []ledger.Index{0}, 0},
		{700, 50, 750, []ledger.Index{0, 1, 2, 3, 4}, 0}, {entriesForTest - 1, 5000, entriesForTest, []ledger.Index{0, 4}, 0},
	} {
		t.Run(fmt.Sprint(r.start, "-", r.end), func(t *testing.T) {
			file, rep := exported(t, c, r.start, r.limit)
			if rep.Range == nil || int64(rep.Range.Start) != r.start || int64(rep.Range.End) != r.end || !strings.HasPrefix(rep.Anchors, "UNANCHORED") {
				t.Errorf("the verdict is about %+v, %s", rep.Range, rep.Anchors)
			}
			var others []ledger.Index
			for _, f := range file.Files() {
				if f.Kind != bundle.KindEntry {
					continue
				}
				if i := int64(f.Index()); i < r.start || i >= r.end {
					others = append(others, f.Index())
				}
				text, err := file.File(f.Name)
				if err != nil || !bytes.Equal(text, entry(t, s, int64(f.Index()))) {
					t.Errorf("entry %d is another one: %v", f.Index(), err)
				}
			}
			if !slices.Equal(others, r.besides) {
				t.Errorf("beside the range there are %v, want %v", others, r.besides)
			}
			have := kinds(file)
			for kind, want := range map[bundle.Kind]int{
				bundle.KindEntry: int(r.end-r.start) + len(r.besides), bundle.KindProof: int(r.end-r.start) + len(r.besides), bundle.KindNotice: r.notices,
				bundle.KindState: 0, bundle.KindDisclosure: 0, bundle.KindFile: 0, bundle.KindToken: 0, bundle.KindPDFDe: 1, bundle.KindHTMLEn: 1,
			} {
				if have[kind] != want {
					t.Errorf("%d files %s, want %d", have[kind], kind, want)
				}
			}
		})
	}
}

// TestExportRangeNotice: the text of a notice is there, and proves what was published.
func TestExportRangeNotice(t *testing.T) {
	c, s := newClient(t)
	file, _ := exported(t, c, 3, 1)
	e, err := ledger.ParseEntry(entry(t, s, 3))
	if err != nil || e.Kind != ledger.NoticePublished {
		t.Fatalf("entry 3 is %v, %v", e.Kind, err)
	}
	want, err := s.NoticeText(e.Notice.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := file.File("evidence/notices/" + hex.EncodeToString(e.Notice.SHA256[:])); err != nil || !bytes.Equal(text, want) {
		t.Errorf("the notice is %q, %v", text, err)
	}
}

// TestExportRangeRefused: what is no run of entries of the log.
func TestExportRangeRefused(t *testing.T) {
	c, _ := newClient(t)
	for _, r := range []struct {
		start, limit int64
		code         connect.Code
		says         string
	}{
		{-1, 1, connect.CodeInvalidArgument, "start: is below 0"},
		{0, 0, connect.CodeInvalidArgument, "limit: must be 1 to 5000"},
		{0, -1, connect.CodeInvalidArgument, "limit: must be 1 to 5000"},
		{0, 5001, connect.CodeInvalidArgument, "limit: must be 1 to 5000"},
		{entriesForTest, 1, connect.CodeNotFound, "start: the newest checkpoint has 1300 entries"},
	} {
		_, err := c.GetRange(t.Context(), &auditv1.GetRangeRequest{Start: r.start, Limit: r.limit})
		stream, streamErr := c.ExportRange(t.Context(), &auditv1.ExportRangeRequest{Start: r.start, Limit: r.limit})
		if streamErr == nil {
			if stream.Receive() {
				t.Errorf("%d from %d: something is streamed", r.limit, r.start)
			}
			streamErr = stream.Err()
			stream.Close()
		}
		for _, err := range []error{err, streamErr} {
			var said *connect.Error
			if !errors.As(err, &said) || said.Code() != r.code || said.Message() != r.says {
				t.Errorf("%d from %d: %v, want %s", r.limit, r.start, err, r.says)
			}
		}
	}
}

// TestExportRangeCosigned: the bundle ends where the newest cosigned checkpoint does and
// carries it, unless nobody can sign for it any more: then it is the log's own.
func TestExportRangeCosigned(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 299)
	at200 := signed(t, testledger.Signer(t), 200, rootAt(t, s, 200))
	carries := func(seen cosigned, want []byte, end ledger.Index) {
		t.Helper()
		c, _ := serveSeen(t, seen, s, slog.New(slog.DiscardHandler))
		file, rep := exported(t, c, 150, 5000)
		if note, err := file.File("checkpoint.note"); err != nil || !bytes.Equal(note, want) || rep.Range.End != end {
			t.Errorf("up to entry %d, %v, under\n%s", rep.Range.End, err, note)
		}
	}
	carries(cosigned{s, at200, 200}, at200, 200)

	c, _ := serveSeen(t, cosigned{s, nil, 0}, s, slog.New(slog.DiscardHandler))
	_, err := c.GetRange(t.Context(), &auditv1.GetRangeRequest{Limit: 1})
	if connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("before anything is cosigned: %v", err)
	}
	_, err = c.GetRange(t.Context(), &auditv1.GetRangeRequest{Start: 200, Limit: 1})
	if connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("before anything is cosigned: %v", err)
	}

	rotate(t, s)
	newest, size := s.Checkpoint()
	carries(cosigned{s, at200, 200}, newest, ledger.Index(size))
}

// rotate gives the log other keys.
func rotate(t *testing.T, s *store.Store) {
	t.Helper()
	next, err := ledger.NewSigner(testledger.Origin, [32]byte{5}, [32]byte{6})
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Rotate(g.Last(), "admin", next); err != nil {
		t.Fatal(err)
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
}
