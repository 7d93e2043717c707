package audit_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
)

// commitState has the log commit its state.
func commitState(t testing.TB, s *store.Store) ledger.Index {
	t.Helper()
	g, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.CommitState(g.Last()); err != nil {
		t.Fatal(err)
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	return g.Next() - 1
}

// proven asks for the state of a consent and checks the answer as somebody does who
// does not believe it; seen is the size of the checkpoint that it must lead to.
func proven(t testing.TB, c auditv1connect.AuditServiceClient, id ledger.ConsentID, seen ledger.Size) *auditv1.GetConsentStateResponse {
	t.Helper()
	rsp, err := c.GetConsentState(t.Context(), &auditv1.GetConsentStateRequest{ConsentId: int64(id)})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := ledger.VerifyReceipt([]byte(rsp.Receipt), rsp.Committed, policy(t), nil)
	if err != nil || rep.Size != seen || int64(rep.Index) != rsp.Size {
		t.Errorf("the receipt is of entry %d in a log of %d, want %d (%v)", rep.Index, rep.Size, seen, err)
	}
	e, err := ledger.ParseEntry(rsp.Committed)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ledger.VerifyStateProof([]byte(rsp.Proof), e)
	if err != nil || p.Consent != id || int64(p.Last) != rsp.Last || p.State.String() != rsp.State ||
		!slices.Equal(p.Overlays.Names(), rsp.Overlays) || int64(p.Size) != rsp.Size {
		t.Errorf("consent %d: the proof shows %+v, the answer is %v (%v)", id, p, rsp, err)
	}
	return rsp
}

// TestGetConsentState asks for every consent, before and after it changes, and for
// what is none.
func TestGetConsentState(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 299)
	c, _ := serve(t, s, slog.New(slog.DiscardHandler))
	refuse := func(id int64, code connect.Code, want string) {
		t.Helper()
		_, err := c.GetConsentState(t.Context(), &auditv1.GetConsentStateRequest{ConsentId: id})
		if connect.CodeOf(err) != code || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("consent %d: %v; want %v: %s", id, err, code, want)
		}
	}
	const first = testledger.Prelude + 1
	refuse(first, connect.CodeFailedPrecondition, "not_committed")
	at := commitState(t, s)
	states := map[string]int{}
	for id := int64(1); id < int64(at); id++ {
		p := s.Snapshot()
		now, ok, err := p.Consent(ledger.ConsentID(id))
		p.Release()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			refuse(id, connect.CodeNotFound, "consent_id")
			continue
		}
		rsp := proven(t, c, now.ID, ledger.Size(at)+1)
		if states[rsp.State]++; rsp.Newest != int64(now.Last) || rsp.Last != rsp.Newest {
			t.Errorf("consent %d: entry %d, and now %d, want %d", id, rsp.Last, rsp.Newest, now.Last)
		}
	}
	if len(states) < 2 {
		t.Errorf("all consents are %v", states)
	}
	for _, id := range []int64{int64(at), int64(at) + 1, 1 << 40} {
		refuse(id, connect.CodeNotFound, "consent_id")
	}
	refuse(0, connect.CodeInvalidArgument, "consent_id")
	refuse(-1, connect.CodeInvalidArgument, "consent_id")
	// What comes later does not change what was committed.
	before := proven(t, c, first, ledger.Size(at)+1)
	g, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	newer := ledger.ConsentID(g.Next())
	list, err := g.Append(g.Last(), testledger.Requested(g.Next()), &ledger.Entry{Kind: ledger.ConsentWithdrawn, Source: "shop",
		Consents: []ledger.Link{{Consent: newer, After: ledger.Index(newer)}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	after := proven(t, c, first, ledger.Size(at)+3)
	if after.Proof != before.Proof || after.Size != int64(at) {
		t.Errorf("the proof is of %d entries, want %d", after.Size, at)
	}
	refuse(int64(newer), connect.CodeFailedPrecondition, "not_committed")
	now := commitState(t, s)
	if rsp := proven(t, c, newer, ledger.Size(now)+1); rsp.State != "withdrawn" || rsp.Last != int64(list[1].Entry.Index) {
		t.Errorf("answered %v", rsp)
	}
}

// TestGetConsentStateCosigned: the receipt is in what witnesses have cosigned, if that
// holds the state.committed.
func TestGetConsentStateCosigned(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 99)
	at := commitState(t, s)
	testledger.Fill(t, s, 20)
	_, newest := s.Checkpoint()
	for _, r := range []struct{ cosigned, want ledger.Size }{
		{0, newest}, {50, newest}, {ledger.Size(at), newest}, {ledger.Size(at) + 1, ledger.Size(at) + 1}, {newest, newest},
	} {
		c, _ := serveSeen(t, cosigned{s, nil, r.cosigned}, s, slog.New(slog.DiscardHandler))
		proven(t, c, testledger.Prelude+1, r.want)
	}
}
