package interop

import (
	"crypto/sha256"
	"testing"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
)

// TestHeld: a running ledgerd is held to checkpoints that people kept, in every form;
// merkle and x/mod verify what it proves with, torchwood what it proves to. A copy of
// the ledger that went its own way is found out by what it signed.
func TestHeld(t *testing.T) {
	t.Parallel()
	s := makeLedger(t)
	h := &held{ledgerServer: s}
	var err error
	if h.policy, err = torchwood.ParsePolicy([]byte(s.trust())); err != nil {
		t.Fatal(err)
	}
	ours, err := ledger.ParsePolicy([]byte(s.trust()))
	if err != nil {
		t.Fatal(err)
	}
	if h.ed, err = note.NewVerifier(ours.Keys().Ed25519.String()); err != nil {
		t.Fatal(err)
	}
	s.serve()
	var kept []string
	for _, n := range []int{0, 1, 30, 300} {
		s.record(n)
		kept = append(kept, h.forms()...)
	}
	for _, text := range kept {
		if _, verdict := h.check(text); verdict != "contained" {
			t.Errorf("the ledger says of its own checkpoint %q:\n%s", verdict, text)
		}
	}
	s.stop()

	// Another history of the same log, signed with the same keys.
	mine, other := s.data, s.copy()
	s.data = other
	s.serve()
	s.record(1)
	ahead := h.forms()
	s.stop()
	s.data = mine
	s.serve()
	for _, text := range ahead {
		if resp, verdict := h.check(text); verdict != "ahead" || len(resp.GetHashes()) > 0 {
			t.Errorf("the ledger says of a larger checkpoint %q, %v", verdict, resp)
		}
	}
	s.record(40)
	for _, text := range ahead {
		if _, verdict := h.check(text); verdict != "diverged" {
			t.Errorf("the ledger says of another history's checkpoint %q", verdict)
		}
	}
}

// held is a ledger of ledgerd's and what others need to read it.
type held struct {
	*ledgerServer
	policy torchwood.Policy
	ed     note.Verifier
}

// forms gives the newest checkpoint as people keep it: the file, the line, the header
// in the source of a mail.
func (h *held) forms() []string {
	h.Helper()
	audit, app := new(auditv1.GetCheckpointResponse), new(appv1.GetCheckpointResponse)
	if err := h.call("auditor", "audit.v1.AuditService/GetCheckpoint", new(auditv1.GetCheckpointRequest), audit); err != nil {
		h.Fatal(err)
	}
	if err := h.call("app", "app.v1.ConsentService/GetCheckpoint", new(appv1.GetCheckpointRequest), app); err != nil {
		h.Fatal(err)
	}
	if app.GetHeaderName() != ledger.CheckpointHeader || app.GetHeaderValue() != audit.GetLine() {
		h.Errorf("for mails %s: %s, for auditors %s", app.GetHeaderName(), app.GetHeaderValue(), audit.GetLine())
	}
	return []string{string(h.file("checkpoint")), audit.GetLine(), mailedByPython(h.T, app.GetHeaderValue())}
}

// check asks the ledger about a checkpoint and lets others verify the answer.
func (h *held) check(text string) (*auditv1.CheckCheckpointResponse, string) {
	h.Helper()
	resp := new(auditv1.CheckCheckpointResponse)
	if err := h.call("auditor", "audit.v1.AuditService/CheckCheckpoint", &auditv1.CheckCheckpointRequest{Checkpoint: text}, resp); err != nil {
		h.Fatal(err)
	}
	newest, _, err := torchwood.VerifyCheckpoint([]byte(resp.GetCheckpoint()), h.policy)
	if err != nil {
		h.Fatalf("torchwood: %v", err)
	}
	n, err := note.Open(noteOf(resp.GetLine()), note.VerifierList(h.ed))
	if err != nil || n.Text != newest.String() {
		h.Errorf("x/mod opens the line as %v, %v", n, err)
	}
	if resp.GetVerdict() == "ahead" {
		return resp, "ahead"
	}
	about, err := ledger.ParseKept([]byte(text))
	if err != nil {
		h.Fatal(err)
	}
	root := resp.GetRoot()
	if same := string(root) == string(about.Root[:]); same != (resp.GetVerdict() == "contained") || resp.GetSize() != int64(about.Size) || len(root) != sha256.Size {
		h.Errorf("%s: the root of %d entries is %x, asked about %v", resp.GetVerdict(), resp.GetSize(), root, about.Root)
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(about.Size), uint64(newest.N), resp.GetHashes(), root, newest.Hash[:]); err != nil {
		h.Errorf("merkle: from %d to %d: %v", about.Size, newest.N, err)
	}
	var hashes []tlog.Hash
	for _, b := range resp.GetHashes() {
		hashes = append(hashes, tlog.Hash(b))
	}
	if newest.N > int64(about.Size) {
		if err := tlog.CheckTree(hashes, newest.N, newest.Hash, int64(about.Size), tlog.Hash(root)); err != nil {
			h.Errorf("x/mod: from %d to %d: %v", about.Size, newest.N, err)
		}
	}
	return resp, resp.GetVerdict()
}
