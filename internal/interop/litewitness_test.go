package interop

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/ledger"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
)

// liteWitness is torchwood's litewitness, a process of its own. Its key is held by an
// SSH agent in this one, as by its manual it is in production.
type liteWitness struct {
	*testing.T
	name, addr, vkey    string
	program, db, socket string
	fingerprint         string
	cmd                 *exec.Cmd // nil while it is dead
}

// newLiteWitness starts a witness that knows the log of a trust policy.
func newLiteWitness(t *testing.T, name, trust string) *liteWitness {
	t.Helper()
	dir := t.TempDir()
	w := &liteWitness{T: t, name: name, addr: freeAddress(t), db: filepath.Join(dir, "w.db"), socket: filepath.Join(dir, "agent"),
		program: build(t, "litewitness", "filippo.io/torchwood/cmd/litewitness")}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.serveAgent(key)
	signer, err := torchwood.NewCosignatureSigner(name, key)
	if err != nil {
		t.Fatal(err)
	}
	w.vkey = signer.Verifier().String()
	w.start()
	w.know(trust)
	return w
}

// know tells it of the log of a trust policy, or of a further key of that log.
func (w *liteWitness) know(trust string) {
	w.Helper()
	policy, err := ledger.ParsePolicy([]byte(trust))
	if err != nil {
		w.Fatal(err)
	}
	add := exec.Command(build(w.T, "litewitness", "./addlog"), w.db, policy.Origin(), policy.Keys().Ed25519.String())
	if out, err := add.CombinedOutput(); err != nil {
		w.Fatalf("%v: %v\n%s", add.Args, err, out)
	}
}

// freeAddress gives an address where nobody listens: litewitness does not say which
// port it was given.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serveAgent answers at the socket as an SSH agent with this key.
func (w *liteWitness) serveAgent(key ed25519.PrivateKey) {
	w.Helper()
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: &key}); err != nil {
		w.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		w.Fatal(err)
	}
	w.fingerprint = ssh.FingerprintSHA256(public)
	l, err := net.Listen("unix", w.socket)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(ring, conn) // ends with the witness
		}
	}()
}

// start starts it on what it left behind, and waits until it answers.
func (w *liteWitness) start() {
	w.Helper()
	w.cmd = exec.Command(w.program, "-db", w.db, "-name", w.name, "-key", w.fingerprint, "-ssh-agent", w.socket, "-listen", w.addr)
	var said bytes.Buffer
	w.cmd.Stderr = &said
	if err := w.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(w.kill)
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		rsp, err := http.Get("http://" + w.addr)
		if err == nil {
			rsp.Body.Close()
			return
		}
		if time.Now().After(end) {
			w.kill()
			w.Fatalf("litewitness does not answer: %v\n%s", err, &said)
		}
	}
}

// kill ends it as a power cut does.
func (w *liteWitness) kill() {
	if w.cmd != nil {
		w.cmd.Process.Kill()
		w.cmd.Wait()
		w.cmd = nil
	}
}

// line is its line for policies.
func (w *liteWitness) line() string {
	return fmt.Sprintf("witness %s %s http://%s\n", w.name, w.vkey, w.addr)
}

// patience is how long something may take that happens at once on an idle machine.
const patience = 30 * time.Second

// until waits for something to be so.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// witnessed is a ledger of ledgerd's under a policy with witnesses, read by torchwood.
type witnessed struct {
	*ledgerServer
	file   string // holds the policy
	theirs torchwood.Policy
	ours   *ledger.Policy
}

// under writes the policy that adds these witnesses, all of them demanded, to the one
// that the ledger was made with, or to another trust.
func under(s *ledgerServer, lines, names string, trust ...string) *witnessed {
	s.Helper()
	text := []byte(strings.Replace(append(trust, s.trust())[0], "group hybrid all self-pq", lines+"group hybrid all self-pq "+names, 1))
	p := &witnessed{ledgerServer: s, file: filepath.Join(s.TempDir(), "witnessed.policy")}
	err := os.WriteFile(p.file, text, 0o600)
	if err == nil {
		p.theirs, err = torchwood.ParsePolicy(text)
	}
	if err == nil {
		p.ours, err = ledger.ParsePolicy(text)
	}
	if err != nil {
		s.Fatalf("%v\n%s", err, text)
	}
	return p
}

// serve serves the ledger and brings its checkpoints to the witnesses.
func (p *witnessed) serve() {
	p.Helper()
	p.ledgerServer.serve("--witness-policy", p.file, "--publish-interval", "50ms")
}

// published gives the size that torchwood reads in the checkpoint, under the policy;
// 0 before the first.
func (p *witnessed) published() int64 {
	p.Helper()
	signed := p.ledgerServer.file("checkpoint")
	if signed == nil {
		return 0
	}
	c, n, err := torchwood.VerifyCheckpoint(signed, p.theirs)
	if err != nil {
		p.Fatalf("torchwood: %v\n%s", err, signed)
	}
	for _, sig := range n.Sigs {
		if stamp, err := torchwood.CosignatureTimestamp(sig); err == nil && stamp != 0 && time.Since(time.Unix(stamp, 0)) > time.Minute {
			p.Errorf("cosigned at %d", stamp)
		}
	}
	return c.N
}

// wait waits until a size is published, and lets our verifier check all of the log.
func (p *witnessed) wait(size int64) {
	p.Helper()
	until(p.T, fmt.Sprintf("size %d is cosigned", size), func() bool { return p.published() >= size })
	report, err := logfiles.Source{Where: p.logURL(), Key: p.keys["auditor"]}.Verify(p.Context(), ledger.VerifyOptions{Policy: p.ours})
	if err != nil || int64(report.Size) < size {
		p.Fatalf("%+v, %v", report, err)
	}
}

func (p *witnessed) status() *adminv1.GetStatusResponse {
	p.Helper()
	resp := new(adminv1.GetStatusResponse)
	if err := p.call("admin", "admin.v1.AdminService/GetStatus", new(adminv1.GetStatusRequest), resp); err != nil {
		p.Fatal(err)
	}
	return resp
}

// witness gives how a witness is, by its place in the policy.
func (p *witnessed) witness(i int) *adminv1.Witness {
	p.Helper()
	return p.status().GetWitnesses()[i]
}

// TestLitewitness: a ledger asks two witnesses, torchwood's and ours, each a process
// of its own. What it publishes satisfies torchwood and our verifier, receipts
// included; it goes on where it stood after either side was killed or restarted.
func TestLitewitness(t *testing.T) {
	t.Parallel()
	s := makeLedger(t)
	lite := newLiteWitness(t, "lite.example.org", s.trust())
	ours := startWitness(t, s)
	p := under(s, lite.line()+ours, lite.name+" "+witnessName)
	p.serve()
	p.record(5)
	p.wait(7) // created and the first source before them
	p.receipt()

	lite.kill()
	p.record(3)
	until(t, "the dead witness is seen", func() bool { return p.witness(0).GetError() == "unreachable" })
	if n := p.published(); n >= 10 {
		t.Errorf("size %d is published without litewitness", n)
	}
	lite.start()
	p.wait(10)
	if w := p.witness(0); w.GetSize() != 10 || w.GetError() != "" {
		t.Errorf("the status of litewitness is %v", w)
	}

	// The ledger does not remember how far a witness is; the witness tells.
	p.stop()
	p.serve()
	p.record(60)
	p.wait(70)
	p.receipt()
}

// TestLitewitnessRemembers: a ledger that was set back to an older copy learns from
// litewitness that there is more, before it signs anything; and so does one that was
// given other entries meanwhile. It records nothing then, and can still be read.
func TestLitewitnessRemembers(t *testing.T) {
	t.Parallel()
	s := makeLedger(t)
	lite := newLiteWitness(t, "lite.example.org", s.trust())
	p := under(s, lite.line(), lite.name)
	p.serve()
	p.record(3)
	p.wait(5)
	p.stop()
	older, other := s.copy(), s.copy()
	p.serve()
	p.record(5)
	p.wait(10)
	p.stop()

	p.data = older
	p.refuses("says, without proof so far: it has cosigned 10 entries")
	p.data = other
	p.ledgerServer.serve() // without a witness it has nobody to tell
	p.record(7)
	p.stop()
	p.refuses("says, without proof so far:")
}

// refuses serves the ledger and demands that it publishes no more than it had, records
// nothing and says why.
func (p *witnessed) refuses(why string) {
	p.Helper()
	p.serve()
	defer p.stop()
	if err := p.tryToRecord(); status.Code(err) != codes.Unavailable { // the very first call
		p.Errorf("recording gives %v", err)
	}
	if fault := p.status().GetWitnessesFault(); !strings.Contains(fault, why) {
		p.Errorf("the status says %q, want %q", fault, why)
	}
	if n := p.published(); n != 5 {
		p.Errorf("size %d is published", n)
	}
}

// TestLitewitnessRotated: after the log's keys are replaced, litewitness cosigns once
// it is told of the new one, what extends what it saw before; torchwood verifies what
// either pair signed under the policy of its time. Recording never stops.
func TestLitewitnessRotated(t *testing.T) {
	t.Parallel()
	s := makeLedger(t)
	lite := newLiteWitness(t, "lite.example.org", s.trust())
	p := under(s, lite.line(), lite.name)
	p.serve()
	p.record(3)
	p.wait(5)
	before := p.proof(1)
	resp := new(adminv1.RotateKeyResponse)
	if err := p.call("admin", "admin.v1.AdminService/RotateKey", new(adminv1.RotateKeyRequest), resp); err != nil {
		t.Fatal(err)
	}
	p.record(2)
	until(t, "litewitness refuses a key that it does not know", func() bool { return p.witness(0).GetError() == "refused" })
	if n := p.published(); n != 5 {
		t.Errorf("size %d is published", n)
	}
	lite.know(resp.GetPolicy())
	old := p.theirs
	p.theirs = under(s, lite.line(), lite.name, resp.GetPolicy()).theirs
	until(t, "litewitness cosigns again", func() bool { return p.witness(0).GetSize() == 8 })
	p.wait(8)
	p.receipt()
	leaf := tlog.RecordHash([]byte(p.entry(1)))
	if err := torchwood.VerifyProof(old, leaf, before); err != nil {
		t.Errorf("the receipt from before the rotation: %v", err)
	}
	if torchwood.VerifyProof(old, leaf, p.proof(1)) == nil || torchwood.VerifyProof(p.theirs, leaf, before) == nil {
		t.Error("a receipt verifies under the other pair's policy")
	}
}

// startWitness serves a witness of ours for the ledger and gives its lines.
func startWitness(t *testing.T, s *ledgerServer) (lines string) {
	t.Helper()
	dir, addr := filepath.Join(t.TempDir(), "witness"), freeAddress(t)
	s.ledgerd("witness", "init", "--data", dir, "--name", witnessName, "--url", "http://"+addr)
	background(t, exec.Command(build(t, "../..", "./cmd/ledgerd"), "witness", "serve", "--data", dir, "--listen", addr,
		"--logs", filepath.Join(s.data, "trust.policy")))
	text, err := os.ReadFile(filepath.Join(dir, "witness.policy"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// proof gives the receipt of an entry, with the newest checkpoint that is cosigned.
func (p *witnessed) proof(i int64) []byte {
	p.Helper()
	receipt := new(auditv1.GetInclusionProofResponse)
	if err := p.call("auditor", "audit.v1.AuditService/GetInclusionProof", &auditv1.GetInclusionProofRequest{Index: i}, receipt); err != nil {
		p.Fatal(err)
	}
	return []byte(receipt.GetReceipt())
}

// receipt lets torchwood verify the receipt of entry 1 under the policy.
func (p *witnessed) receipt() {
	p.Helper()
	leaf, receipt := tlog.RecordHash([]byte(p.entry(1))), p.proof(1)
	if err := torchwood.VerifyProof(p.theirs, leaf, receipt); err != nil {
		p.Errorf("the receipt: %v", err)
	}
	if torchwood.VerifyProof(p.theirs, tlog.Hash{1}, receipt) == nil {
		p.Error("the receipt proves another entry")
	}
}
