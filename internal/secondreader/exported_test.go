package secondreader

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testbundle/exported"
	"github.com/consentledger/consentledger/ledger"
)

// TestExported has both verifiers judge bundles that a real ledger has just exported, with mails, stamps, and reports, also of somebody
// who was erased; and then one of them with one bit changed, often.
func TestExported(t *testing.T) {
	s := exported.Tell(t)
	bundles := map[string][]byte{"before the withdrawal": s.Early, "the newsletter": s.Lawsuit(), "everything": s.Case()}
	_, err := s.Service.EraseSubject(s.Context(), exported.Shop, service.Erasure{Subject: exported.Erika.Subject(), Reason: "art17", Mode: "shred_now"})
	if err != nil {
		t.Fatal(err)
	}
	bundles["erased"] = s.Export(service.BundleRequest{ConsentIDs: []ledger.ConsentID{s.Newsletter, s.Tips}})
	r, dir := startReader(t), t.TempDir()
	policy := filepath.Join(dir, "trust.policy")
	write(t, policy, s.Policy)
	agree := func(what string, b []byte, want int) {
		t.Helper()
		if first, second, said, text := r.judges(b, filepath.Join(dir, "b.asice"), policy, nil); first != want || second != want {
			t.Errorf("%s: the first verifier %s (%s), verify.py %s (%s), want %s", what, verdicts[first], said, verdicts[second], text, verdicts[want])
		}
	}
	for what, b := range bundles {
		agree(what, b, 0)
	}
	good, random := bundles["the newsletter"], newRandom(t)
	token := bytes.LastIndex(good, []byte("PK\x03\x04")) // the last file is the token over the manifest, which nothing covers
	for range 60 {
		bad, at, bit := bytes.Clone(good), random.IntN(token), random.IntN(8)
		bad[at] ^= 1 << bit
		agree(fmt.Sprintf("bit %d of byte %d flipped", bit, at), bad, 1)
	}
}
