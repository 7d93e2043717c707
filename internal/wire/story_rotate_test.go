package wire_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/ledger"
)

// TestRotateKey rotates the keys by every way to the port, one after the other. What
// was answered before verifies with the first policy and the newest key entries, the
// newest checkpoint with the policy that the answer gives.
func TestRotateKey(t *testing.T) {
	t.Parallel()
	r := start(t)
	text, err := os.ReadFile(filepath.Join(r.dir, "trust.policy"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := ledger.ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	type proven struct{ entry, receipt []byte }
	var all []proven
	n := 0
	for name, call := range callers(t, r) {
		n++
		t.Run(name, func(t *testing.T) {
			s := &story{t, r, call}
			s.registry()
			// Of an entry below the rotation, as long as the old pair signs.
			size := r.size()
			old := s.do("AuditService/GetInclusionProof", object{"index": "0"})["receipt"].(string)
			rsp := s.twice("AdminService/RotateKey", object{"proof": "log"})
			s.receiptOf(rsp)
			keys, err := base64.StdEncoding.DecodeString(rsp["trust_keys"].(string))
			if err != nil {
				t.Fatal(err)
			}
			policy, err := ledger.ParsePolicy([]byte(rsp["policy"].(string)))
			if err != nil {
				t.Fatal(err)
			}
			pair, err := ledger.ParseKeyPair(rsp["ed25519_key"].(string), rsp["mldsa44_key"].(string))
			if err != nil || policy.Keys().Ed25519.String() != pair.Ed25519.String() || policy.Keys().MLDSA44.String() != pair.MLDSA44.String() {
				t.Errorf("the policy is not that of the keys: %v", err)
			}
			checkpoint := s.do("AuditService/GetCheckpoint", object{})["checkpoint"].(string)
			if _, err := ledger.OpenCheckpoint([]byte(checkpoint), policy); err != nil {
				t.Error(err)
			}
			entry, err := r.service.Log().EntryPage(0, 1)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, proven{entry[0], []byte(old)})
			for _, p := range all {
				if _, err := ledger.VerifyReceipt(p.receipt, p.entry, first, keys); err != nil {
					t.Errorf("a receipt from before: %v", err)
				}
			}
			if served := r.get("/log/trust.keys", r.keys[authn.Auditor]); served.status != http.StatusOK || !strings.HasPrefix(served.body, string(keys)) {
				t.Errorf("/log/trust.keys: %d", served.status)
			}
			if kept, err := os.ReadFile(filepath.Join(r.dir, "trust.keys")); err != nil || !bytes.Equal(kept, keys) {
				t.Errorf("DIR/trust.keys is another one: %v", err)
			}
			if got := bytes.Count(keys, []byte("\nkind key.rotated\n")); got != n {
				t.Errorf("trust.keys has %d rotations, want %d", got, n)
			}
			s.refused("AuditService/GetInclusionProof", object{"index": "0", "size": fmt.Sprint(size)}, "failed_precondition", "size")
			s.do("AuditService/GetConsistencyProof", object{"old_size": fmt.Sprint(size), "new_size": fmt.Sprint(r.size())})
		})
	}
}

// receiptOf checks the entry of a rotation.
func (s *story) receiptOf(rsp object) {
	s.t.Helper()
	entry := rsp["entry"].(object)
	s.receipt(entry, "kind key.rotated\n")
	s.receipt(entry, "add "+rsp["ed25519_key"].(string)+"\n")
	s.receipt(entry, "add "+rsp["mldsa44_key"].(string)+"\n")
}
