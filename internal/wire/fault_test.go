package wire_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// TestReadsOnlyAfterAFault serves a ledger whose last entry lies ahead of the
// clock: nothing is recorded, everything is answered, and GetStatus says so.
func TestReadsOnlyAfterAFault(t *testing.T) {
	t.Parallel()
	r := create(t)
	beginAgain(t, r.dir, time.Now().Add(time.Hour))
	r.serve()
	w := &world{story: &story{t, r, r.callJSON}}
	for _, c := range []*consent{&w.open, &w.other, &w.spare, &w.confirmed, &w.withdrawn, &w.frozen, &w.held, &w.misspelt,
		&w.renewable, &w.revoked, &w.invalid, &w.resent, &w.child, &w.ended,
		&w.asker, &w.iced} {
		*c = consent{who: object{"email": canary + "@example.org"}, id: "5", token: newToken(), manage: newToken()}
	}
	for _, id := range []*string{&w.toAnswer, &w.toExtend, &w.toRefuse, &w.prolonged, &w.done, &w.strange, &w.ending, &w.notified, &w.acknowledged} {
		*id = "5"
	}
	w.engaged, w.hold, w.suppressed, w.number, w.objector = "5", "5", w.open.who, w.open.who, w.open.who
	writes := []string{"RequestConsent", "RecordConfirmationSent", "ConfirmConsent", "RejectConfirmation", "RecordUses", "WithdrawConsent",
		"SetRestriction", "LiftRestriction", "LinkSubject", "EraseSubject", "DefinePurpose", "PublishNotice", "AddSuppression",
		"RemoveSuppression", "RekeyIndex", "RectifySubject", "SetHold", "LiftHold", "ResendConfirmation", "AttachMessage", "RecordConfirmationFailed",
		"RecordConfirmationOpened", "GiveConsent", "RefuseConsent", "RenewConsent", "ImportConsents", "AssertBasis", "RecordObjection",
		"SetTrackingMode", "RevokeConsents", "InvalidateConsents", "AuthoriseGuardian", "RecordSignal", "RecordWithdrawalEffected",
		"EngageProcessor", "EndProcessor", "DeclareClaim", "OpenRequest", "ExtendRequest", "AnswerRequest", "RefuseRequest", "VerifyIdentity",
		"CorrectEntry", "NotifyRecipient", "AcknowledgeRecipient", "GetAccessReport", "ExportAccessReport", "RotateKey"}
	table := badInputs()
	for procedure, m := range methods() {
		req := table[procedure].good(w)
		// These are looked at before the ledger is asked to record, and w is made up.
		if m.Name() == "ConfirmConsent" {
			delete(req, "claims")
		}
		if m.Name() != "AttachMessage" {
			delete(req, "message")
		}
		b := &badCaller{t, r, procedure, m}
		a := b.send(b.encode(req))
		if want := slices.Contains(writes, string(m.Name())); (a.code == "unavailable") != want {
			t.Errorf("%s: %s: %s", procedure, a.code, a.message)
		} else if want && !strings.Contains(a.message, "clock") {
			t.Errorf("%s does not say why: %s", procedure, a.message)
		}
	}
	status := w.do("AdminService/GetStatus", object{})
	w.same("recording", status["recording"], any(false))
	if fault := status["fault"].(string); !strings.Contains(fault, "clock") {
		t.Errorf("fault: %q", fault)
	}
	w.check(object{"email": canary + "@example.org"}, false, "unknown_purpose")
	if r.size() != 1 {
		t.Errorf("the log has %d entries", r.size())
	}
}

// beginAgain replaces the log of a ledger by a new one that begins at a time.
func beginAgain(t *testing.T, dir string, at time.Time) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "signing.keys"))
	if err != nil {
		t.Fatal(err)
	}
	var seeds [2]ledger.Hash
	for i, line := range strings.Split(string(text), "\n")[2:4] {
		if seeds[i], err = ledger.ParseHash(line); err != nil {
			t.Fatal(err)
		}
	}
	signer, err := ledger.NewSigner(origin, seeds[0], seeds[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"head", "log"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Create(store.Options{Dir: dir, Signer: signer}, "ledger.example.com", at); err != nil {
		t.Fatal(err)
	}
}
