package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/internal/api/audit"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
)

const entriesForTest = 1300

// whole is a log that no witnesses are asked for.
type whole interface {
	audit.Log
	audit.Whole
}

func serve(t testing.TB, log whole, logger *slog.Logger) (auditv1connect.AuditServiceClient, string) {
	return serveSeen(t, log, log, logger)
}

// serveSeen serves a log of which auditors see what witnesses have cosigned.
func serveSeen(t testing.TB, seen audit.Log, log audit.Whole, logger *slog.Logger) (auditv1connect.AuditServiceClient, string) {
	mux := http.NewServeMux()
	mux.Handle(auditv1connect.NewAuditServiceHandler(audit.New(seen, log, audit.Bundles{Tool: "test"}, logger)))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return auditv1connect.NewAuditServiceClient(srv.Client(), srv.URL), srv.URL
}

func newClient(t testing.TB) (auditv1connect.AuditServiceClient, *store.Store) {
	s := testledger.New(t)
	testledger.Fill(t, s, entriesForTest-1)
	c, _ := serve(t, s, slog.New(slog.DiscardHandler))
	return c, s
}

func policy(t testing.TB) *ledger.Policy {
	p, err := ledger.ParsePolicy(ledger.NewPolicy(testledger.Signer(t).Keys()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGetCheckpoint(t *testing.T) {
	c, s := newClient(t)
	rsp, err := c.GetCheckpoint(t.Context(), &auditv1.GetCheckpointRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want, size := s.Checkpoint()
	opened, err := ledger.OpenCheckpoint([]byte(rsp.Checkpoint), policy(t))
	if err != nil || rsp.Checkpoint != string(want) || opened.Size != size || size != entriesForTest {
		t.Errorf("%v: %v", opened, err)
	}
	if line, err := ledger.CheckpointLine(want); err != nil || rsp.Line != line {
		t.Errorf("the line is %q, want %q, %v", rsp.Line, line, err)
	}
}

// entry gives an entry's bytes past the service.
func entry(t testing.TB, s *store.Store, i int64) []byte {
	p := s.Snapshot()
	defer p.Release()
	b, err := p.Entry(ledger.Index(i))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b)
}

func TestListEntries(t *testing.T) {
	c, s := newClient(t)
	for _, r := range []struct{ start, limit, count int64 }{
		{0, 0, entriesForTest}, {0, 1, 1}, {255, 2, 2}, {0, 256, 256}, {1, 1200, 1200}, {entriesForTest - 1, 5, 1}, {entriesForTest, 0, 0},
		{entriesForTest + 1, 7, 0}, {7, math.MaxInt64, entriesForTest - 7}, {math.MaxInt64, math.MaxInt64, 0}, {0, math.MaxInt64, entriesForTest},
	} {
		stream, err := c.ListEntries(t.Context(), &auditv1.ListEntriesRequest{Start: r.start, Limit: r.limit})
		if err != nil {
			t.Fatal(err)
		}
		next := r.start
		for stream.Receive() {
			if m := stream.Msg(); m.Index != next || !bytes.Equal(m.Raw, entry(t, s, next)) {
				t.Fatalf("%+v: message %d is not entry %d", r, m.Index, next)
			}
			next++
		}
		if err := errors.Join(stream.Err(), stream.Close()); err != nil || next-r.start != r.count {
			t.Errorf("%+v: %d entries, %v", r, next-r.start, err)
		}
	}
}

func TestBatchListEntries(t *testing.T) {
	c, s := newClient(t)
	for _, r := range []struct{ start, limit, count int64 }{
		{0, 0, 1000}, {0, 1000, 1000}, {3, 17, 17}, {entriesForTest - 1, 5, 1}, {entriesForTest, 0, 0}, {math.MaxInt64, 1000, 0}, {400, 1000, 900},
	} {
		rsp, err := c.BatchListEntries(t.Context(), &auditv1.BatchListEntriesRequest{Start: r.start, Limit: r.limit})
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(rsp.Entries)) != r.count {
			t.Errorf("%+v: %d entries", r, len(rsp.Entries))
		}
		for i, e := range rsp.Entries {
			if want := r.start + int64(i); e.Index != want || !bytes.Equal(e.Raw, entry(t, s, want)) {
				t.Fatalf("%+v: %d is not entry %d", r, e.Index, want)
			}
		}
	}
}

// declareClaims declares so many claims.
func declareClaims(t *testing.T, s *store.Store, n int) (names []string) {
	t.Helper()
	g, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		names = append(names, fmt.Sprintf("x.claim%03d", i))
		if _, err := g.Append(g.Last(), &ledger.Entry{Kind: ledger.ClaimDeclared, Source: "admin", Claim: names[i]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	return names
}

// TestBatchFitsAMessage fills a page with large entries: it ends early, and
// asking again from its end gives the rest.
func TestBatchFitsAMessage(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, testledger.Prelude)
	names := declareClaims(t, s, 200)
	for range 15 {
		g, err := s.Begin()
		if err != nil {
			t.Fatal(err)
		}
		for !g.Full() {
			e := testledger.Requested(g.Next())
			for i, name := range names {
				e.Commits = append(e.Commits, ledger.Commitment{Claim: name, Digest: ledger.Lock(fmt.Sprint(g.Next(), i))})
			}
			if _, err := g.Append(g.Last(), e); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	c, _ := serve(t, s, slog.New(slog.DiscardHandler))
	_, size := s.Checkpoint()
	pages, next := 0, int64(0)
	for next < int64(size) {
		rsp, err := c.BatchListEntries(t.Context(), &auditv1.BatchListEntriesRequest{Start: next})
		if err != nil || len(rsp.Entries) == 0 {
			t.Fatalf("from %d: %d entries, %v", next, len(rsp.GetEntries()), err)
		}
		bytes := 0
		for _, e := range rsp.Entries {
			bytes += len(e.Raw)
		}
		if bytes > 2<<20 {
			t.Errorf("a page of %d bytes", bytes)
		}
		pages, next = pages+1, next+int64(len(rsp.Entries))
	}
	if pages < 3 || size > 1000 {
		t.Errorf("%d entries in %d pages: not what this test is about", size, pages)
	}
}

func TestGetInclusionProof(t *testing.T) {
	c, s := newClient(t)
	ptr := func(n int64) *int64 { return &n }
	for _, r := range []struct {
		index int64
		size  *int64
	}{
		{0, nil}, {entriesForTest - 1, nil}, {700, nil}, {700, ptr(entriesForTest)}, {700, ptr(701)}, {0, ptr(1)}, {255, ptr(256)}, {256, ptr(257)}, {3, ptr(513)},
	} {
		rsp, err := c.GetInclusionProof(t.Context(), &auditv1.GetInclusionProofRequest{Index: r.index, Size: r.size})
		if err != nil {
			t.Fatal(err)
		}
		want := int64(entriesForTest)
		if r.size != nil {
			want = *r.size
		}
		raw := entry(t, s, r.index)
		rep, err := ledger.VerifyReceipt([]byte(rsp.Receipt), raw, policy(t), nil)
		if leaf := ledger.LeafHash(raw); err != nil || int64(rep.Index) != r.index || int64(rep.Size) != want || !bytes.Equal(rsp.LeafHash, leaf[:]) {
			t.Errorf("%d in %d: %+v, %v", r.index, want, rep, err)
		}
		if _, err := ledger.VerifyReceipt([]byte(rsp.Receipt), entry(t, s, (r.index+1)%entriesForTest), policy(t), nil); err == nil {
			t.Errorf("the receipt of %d proves another entry, too", r.index)
		}
	}
}

func TestGetConsistencyProof(t *testing.T) {
	c, s := newClient(t)
	roots := map[int64]ledger.Hash{}
	var tree ledger.Tree
	for i := range int64(entriesForTest) {
		tree.Append(ledger.LeafHash(entry(t, s, i)), nil)
		roots[i+1] = tree.Root()
	}
	for _, r := range [][2]int64{{1, 1}, {1, 2}, {255, 256}, {256, 257}, {256, 512}, {1, entriesForTest}, {700, 1024}, {1299, entriesForTest}, {entriesForTest, entriesForTest}} {
		rsp, err := c.GetConsistencyProof(t.Context(), &auditv1.GetConsistencyProofRequest{OldSize: r[0], NewSize: r[1]})
		if err != nil {
			t.Fatal(err)
		}
		if r[0] == r[1] {
			if len(rsp.Hashes) != 0 {
				t.Errorf("%v: %d hashes", r, len(rsp.Hashes))
			}
			continue
		}
		var proof tlog.TreeProof
		for _, h := range rsp.Hashes {
			proof = append(proof, tlog.Hash(h))
		}
		if err := tlog.CheckTree(proof, r[1], roots[r[1]], r[0], roots[r[0]]); err != nil {
			t.Errorf("%v: %v", r, err)
		}
		if tlog.CheckTree(proof, r[1], roots[r[1]], r[0], roots[r[0]%7+3]) == nil {
			t.Errorf("%v: proves another root, too", r)
		}
	}
}

func TestGetNotice(t *testing.T) {
	c, s := newClient(t)
	// A second version with the same words, under another id.
	sum := ledger.TextHash([]byte(testledger.NoticeText))
	g, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Append(g.Last(), &ledger.Entry{Kind: ledger.NoticePublished, Source: "admin",
		Notice: ledger.NoticeRef{ID: "a-later-one", Version: 1, SHA256: sum}, Language: "de", Covers: []string{"newsletter"}}); err != nil {
		t.Fatal(err)
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	rsp, err := c.GetNotice(t.Context(), &auditv1.GetNoticeRequest{Sha256: sum[:]})
	if err != nil || rsp.Notice != "newsletter-de@1" || rsp.Language != "de" || rsp.Text != testledger.NoticeText {
		t.Errorf("%v, %v", rsp, err)
	}
}

func TestRefusals(t *testing.T) {
	c, _ := newClient(t)
	list := func(start, limit int64) error {
		stream, err := c.ListEntries(t.Context(), &auditv1.ListEntriesRequest{Start: start, Limit: limit})
		if err != nil {
			return err
		}
		defer stream.Close()
		if stream.Receive() {
			t.Errorf("%d, %d: an entry", start, limit)
		}
		return stream.Err()
	}
	batch := func(start, limit int64) error {
		_, err := c.BatchListEntries(t.Context(), &auditv1.BatchListEntriesRequest{Start: start, Limit: limit})
		return err
	}
	include := func(index int64, size ...int64) error {
		req := &auditv1.GetInclusionProofRequest{Index: index}
		if len(size) > 0 {
			req.Size = &size[0]
		}
		_, err := c.GetInclusionProof(t.Context(), req)
		return err
	}
	consist := func(old, size int64) error {
		_, err := c.GetConsistencyProof(t.Context(), &auditv1.GetConsistencyProofRequest{OldSize: old, NewSize: size})
		return err
	}
	notice := func(sum []byte) error {
		_, err := c.GetNotice(t.Context(), &auditv1.GetNoticeRequest{Sha256: sum})
		return err
	}
	const invalid, missing, n = connect.CodeInvalidArgument, connect.CodeNotFound, entriesForTest
	for i, r := range []struct {
		err  error
		code connect.Code
		text string
	}{
		{list(-1, 0), invalid, "start: is below 0"},
		{list(0, -1), invalid, "limit: is below 0"},
		{batch(-1, 0), invalid, "start: is below 0"},
		{batch(0, -1), invalid, "limit: is below 0"},
		{batch(0, 1001), invalid, "limit: is more than 1000"},
		{include(-1), invalid, "index: is below 0"},
		{include(n), missing, "index: the newest checkpoint has 1300 entries"},
		{include(math.MaxInt64), missing, "index: the newest checkpoint has 1300 entries"},
		{include(5, 5), invalid, "size: is not more than index"},
		{include(5, 0), invalid, "size: is not more than index"},
		{include(5, -1), invalid, "size: is not more than index"},
		{include(5, n+1), missing, "size: the newest checkpoint has 1300 entries"},
		{consist(0, 5), invalid, "old_size: is below 1"},
		{consist(-5, 5), invalid, "old_size: is below 1"},
		{consist(6, 5), invalid, "new_size: is less than old_size"},
		{consist(1, n+1), missing, "new_size: the newest checkpoint has 1300 entries"},
		{notice(nil), invalid, "sha256: has 0 bytes, want 32"},
		{notice(make([]byte, 33)), invalid, "sha256: has 33 bytes, want 32"},
		{notice(make([]byte, 32)), missing, "sha256: no notice has a text with this hash"},
	} {
		var ce *connect.Error
		if !errors.As(r.err, &ce) || ce.Code() != r.code || ce.Message() != r.text {
			t.Errorf("row %d: %v, want %v: %s", i, r.err, r.code, r.text)
		}
	}
}

// TestGet calls methods as a browser or curl without a body would.
func TestGet(t *testing.T) {
	_, url := serve(t, testledger.New(t), slog.New(slog.DiscardHandler))
	rsp, err := http.Get(url + auditv1connect.AuditServiceGetCheckpointProcedure + "?encoding=json&message=%7B%7D")
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	b, err := io.ReadAll(rsp.Body)
	if err != nil || rsp.StatusCode != 200 || !strings.Contains(string(b), testledger.Origin) {
		t.Errorf("%s %s %v", rsp.Status, b, err)
	}
}

// faulty is a log whose disk has a fault from entry 300 on.
type faulty struct{ *store.Store }

func (f faulty) EntryPage(start ledger.Index, limit int) ([][]byte, error) {
	if start+ledger.Index(limit) > 300 {
		return nil, fmt.Errorf("%w: canary", store.ErrDamaged)
	}
	return f.Store.EntryPage(start, limit)
}

func TestFaultIsLoggedAndNotTold(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 600)
	var log bytes.Buffer
	c, _ := serve(t, faulty{s}, slog.New(slog.NewTextHandler(&log, nil)))
	stream, err := c.ListEntries(t.Context(), &auditv1.ListEntriesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	count := 0
	for stream.Receive() {
		count++
	}
	if err := stream.Err(); connect.CodeOf(err) != connect.CodeInternal || strings.Contains(err.Error(), "canary") || count != 256 {
		t.Errorf("%d entries, %v", count, err)
	}
	if !strings.Contains(log.String(), "canary") {
		t.Errorf("the log is %q", log.String())
	}
}

// slow lets entries be added while a stream runs.
type slow struct {
	*store.Store
	between func()
}

func (f slow) EntryPage(start ledger.Index, limit int) ([][]byte, error) {
	page, err := f.Store.EntryPage(start, limit)
	f.between()
	return page, err
}

// TestStreamEndsAtTheCall writes while a stream runs: the stream holds no
// snapshot, and ends where the log ended when it was asked for.
func TestStreamEndsAtTheCall(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 599)
	c, _ := serve(t, slow{s, func() { testledger.Fill(t, s, 256) }}, slog.New(slog.DiscardHandler))
	stream, err := c.ListEntries(context.Background(), &auditv1.ListEntriesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	count := 0
	for stream.Receive() {
		count++
	}
	if _, size := s.Checkpoint(); stream.Err() != nil || count != 600 || size != 600+3*256 {
		t.Errorf("%d entries of %d, %v", count, size, stream.Err())
	}
}
