package audit_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
)

// signed gives a checkpoint of the log as it was at a size, or with another root.
func signed(t testing.TB, signer *ledger.Signer, size ledger.Size, root ledger.Hash) []byte {
	t.Helper()
	b, err := signer.SignCheckpoint(ledger.Checkpoint{Origin: signer.Origin(), Size: size, Root: root}, 1_790_000_000)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rootAt(t testing.TB, s *store.Store, size ledger.Size) ledger.Hash {
	t.Helper()
	root, err := s.RootAt(size)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// lineOf gives the one-line form.
func lineOf(t testing.TB, signed []byte) string {
	t.Helper()
	line, err := ledger.CheckpointLine(signed)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// checked asks about a checkpoint, and checks everything about the answer that somebody
// can check who does not believe it.
func checked(t testing.TB, c auditv1connect.AuditServiceClient, asked string, kept ledger.Checkpoint) *auditv1.CheckCheckpointResponse {
	t.Helper()
	rsp, err := c.CheckCheckpoint(t.Context(), &auditv1.CheckCheckpointRequest{Checkpoint: asked})
	if err != nil {
		t.Fatal(err)
	}
	newest, err := ledger.OpenCheckpoint([]byte(rsp.Checkpoint), policy(t))
	if err != nil {
		t.Fatal(err)
	}
	if rsp.Line != lineOf(t, []byte(rsp.Checkpoint)) || rsp.Size != int64(kept.Size) {
		t.Errorf("answered %v", rsp)
	}
	if rsp.Verdict == "ahead" {
		if newest.Size >= kept.Size || rsp.Root != nil || rsp.Hashes != nil {
			t.Errorf("ahead of %d entries: %v", newest.Size, rsp)
		}
		return rsp
	}
	var proof []ledger.Hash
	for _, h := range rsp.Hashes {
		proof = append(proof, ledger.Hash(h))
	}
	if err := ledger.VerifyConsistency(kept.Size, ledger.Hash(rsp.Root), newest.Checkpoint, proof); err != nil {
		t.Error(err)
	}
	if contained := bytes.Equal(rsp.Root, kept.Root[:]); contained != (rsp.Verdict == "contained") || !contained && rsp.Verdict != "diverged" {
		t.Errorf("the verdict is %q", rsp.Verdict)
	}
	return rsp
}

// TestCheckCheckpoint asks about every size, in each form.
func TestCheckCheckpoint(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 299)
	var log bytes.Buffer
	c, _ := serve(t, s, slog.New(slog.NewTextHandler(&log, nil)))
	own := testledger.Signer(t)
	for _, size := range []ledger.Size{0, 1, 2, 3, 7, 128, 255, 256, 257, 299, 300} {
		kept := ledger.Checkpoint{Size: size, Root: rootAt(t, s, size)}
		note := signed(t, own, size, kept.Root)
		for _, form := range []string{string(note), lineOf(t, note), ledger.CheckpointHeader + ": " + strings.ReplaceAll(lineOf(t, note), " ", "\r\n ")} {
			if rsp := checked(t, c, form, kept); rsp.Verdict != "contained" {
				t.Errorf("%d entries, asked as %q: %s", size, form, rsp.Verdict)
			}
		}
	}
	if log.Len() > 0 {
		t.Errorf("the log says %s", &log)
	}
	for _, bad := range []struct {
		size ledger.Size
		want string
	}{{1, "diverged"}, {128, "diverged"}, {300, "diverged"}, {301, "ahead"}, {1 << 40, "ahead"}} {
		kept := ledger.Checkpoint{Size: bad.size, Root: ledger.Hash{1}}
		note := signed(t, own, bad.size, kept.Root)
		for _, form := range []string{string(note), lineOf(t, note)} {
			if rsp := checked(t, c, form, kept); rsp.Verdict != bad.want {
				t.Errorf("%d entries: %s, want %s", bad.size, rsp.Verdict, bad.want)
			}
		}
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 10 {
		t.Errorf("the operator reads of %d, want 10:\n%s", n, &log)
	}
}

// cosigned is a log of which witnesses have cosigned a beginning, or nothing.
type cosigned struct {
	*store.Store
	signed []byte
	size   ledger.Size
}

func (l cosigned) Checkpoint() ([]byte, ledger.Size) { return l.signed, l.size }

// TestCheckCosigned: the answer leads to what witnesses have cosigned, if that reaches
// far enough, and what is newer than that is in the log all the same.
func TestCheckCosigned(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 299)
	own := testledger.Signer(t)
	newest, _ := s.Checkpoint()
	at200 := signed(t, own, 200, rootAt(t, s, 200))
	for _, r := range []struct {
		seen cosigned
		asks ledger.Size
		want []byte
	}{
		{cosigned{s, at200, 200}, 0, at200}, {cosigned{s, at200, 200}, 100, at200}, {cosigned{s, at200, 200}, 200, at200},
		{cosigned{s, at200, 200}, 201, newest}, {cosigned{s, at200, 200}, 300, newest}, {cosigned{s, nil, 0}, 0, newest}, {cosigned{s, nil, 0}, 7, newest},
	} {
		c, _ := serveSeen(t, r.seen, s, slog.New(slog.DiscardHandler))
		kept := ledger.Checkpoint{Size: r.asks, Root: rootAt(t, s, r.asks)}
		if rsp := checked(t, c, string(signed(t, own, r.asks, kept.Root)), kept); rsp.Verdict != "contained" || rsp.Checkpoint != string(r.want) {
			t.Errorf("%d entries of %d cosigned: %s, with\n%s", r.asks, r.seen.size, rsp.Verdict, rsp.Checkpoint)
		}
	}
}

// TestCheckRefuses: what the log did not sign is no checkpoint of it.
func TestCheckRefuses(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 19)
	c, _ := serve(t, s, slog.New(slog.DiscardHandler))
	signer := func(origin string) *ledger.Signer {
		other, err := ledger.NewSigner(origin, [32]byte{3}, [32]byte{4})
		if err != nil {
			t.Fatal(err)
		}
		return other
	}
	root := rootAt(t, s, 10)
	good := signed(t, testledger.Signer(t), 10, root)
	lines := strings.SplitAfter(string(good), "\n")
	line := lineOf(t, good)
	const invalid, precondition = connect.CodeInvalidArgument, connect.CodeFailedPrecondition
	for _, r := range []struct {
		name, asked string
		code        connect.Code
		want        string
	}{
		{"nothing", "", invalid, "neither a signed note nor the one-line form"},
		{"a text", "x", invalid, "neither a signed note nor the one-line form"},
		{"too large", string(good) + strings.Repeat("— x AAAAAAA=\n", 6000), invalid, "neither a signed note nor the one-line form"},
		{"without Ed25519", strings.Join(append(lines[:4:4], lines[5:]...), ""), invalid, "was not signed by this log"},
		{"without ML-DSA-44", strings.Join(lines[:5], ""), invalid, "was not signed by this log"},
		{"another root", strings.Replace(string(good), root.String(), ledger.Hash{1}.String(), 1), invalid, "was not signed by this log"},
		{"another root on the line", strings.Replace(line, root.String(), ledger.Hash{1}.String(), 1), invalid, "was not signed by this log"},
		{"another size on the line", strings.Replace(line, " 10 ", " 11 ", 1), invalid, "was not signed by this log"},
		{"another log's", string(signed(t, signer("other.example"), 10, root)), invalid, "was not signed by this log"},
		{"another log's line", lineOf(t, signed(t, signer("other.example"), 10, root)), invalid, "was not signed by this log"},
		{"by others in its name", string(signed(t, signer(testledger.Origin), 10, root)), precondition, "unknown_keys"},
		{"a line by others in its name", lineOf(t, signed(t, signer(testledger.Origin), 10, root)), precondition, "unknown_keys"},
	} {
		rsp, err := c.CheckCheckpoint(t.Context(), &auditv1.CheckCheckpointRequest{Checkpoint: r.asked})
		if connect.CodeOf(err) != r.code || !strings.Contains(fmt.Sprint(err), r.want) || rsp != nil {
			t.Errorf("%s: %v, %v; want %v: %s", r.name, rsp, err, r.code, r.want)
		}
	}
}
