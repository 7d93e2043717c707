package wire_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/wire"
)

// rules is who may call what: one role each. A new RPC needs a new line.
var rules = map[string]authn.Role{
	app + "RequestConsent":            authn.App,
	app + "RecordConfirmationSent":    authn.App,
	app + "ConfirmConsent":            authn.App,
	app + "RejectConfirmation":        authn.App,
	app + "RecordUses":                authn.App,
	app + "WithdrawConsent":           authn.App,
	app + "SetRestriction":            authn.App,
	app + "LiftRestriction":           authn.App,
	app + "CheckConsent":              authn.App,
	app + "BatchCheckConsents":        authn.App,
	app + "ListConsents":              authn.App,
	app + "LinkSubject":               authn.App,
	app + "EraseSubject":              authn.App,
	app + "ResendConfirmation":        authn.App,
	app + "AttachMessage":             authn.App,
	app + "RecordConfirmationFailed":  authn.App,
	app + "RecordConfirmationOpened":  authn.App,
	app + "GiveConsent":               authn.App,
	app + "RefuseConsent":             authn.App,
	app + "RenewConsent":              authn.App,
	app + "ImportConsents":            authn.App,
	app + "BatchImportConsents":       authn.App,
	app + "AssertBasis":               authn.App,
	app + "RecordObjection":           authn.App,
	app + "SetTrackingMode":           authn.App,
	app + "CheckConsents":             authn.App,
	app + "AuthoriseGuardian":         authn.App,
	app + "RecordSignal":              authn.App,
	app + "RecordWithdrawalEffected":  authn.App,
	app + "GetConsentReceipt":         authn.App,
	app + "GetCheckpoint":             authn.App,
	admin + "DefinePurpose":           authn.Admin,
	admin + "PublishNotice":           authn.Admin,
	admin + "ListPurposes":            authn.Admin,
	admin + "ListNotices":             authn.Admin,
	admin + "GetStatus":               authn.Admin,
	admin + "AddSuppression":          authn.Admin,
	admin + "RemoveSuppression":       authn.Admin,
	admin + "RunRetention":            authn.Admin,
	admin + "GetErasureStatus":        authn.Admin,
	admin + "RekeyIndex":              authn.Admin,
	admin + "Backup":                  authn.Admin,
	admin + "BackupKeys":              authn.Admin,
	admin + "AnchorCheckpoint":        authn.Admin,
	admin + "RotateKey":               authn.Admin,
	admin + "RevokeConsents":          authn.Admin,
	admin + "DeclareClaim":            authn.Admin,
	admin + "ListClaims":              authn.Admin,
	admin + "EngageProcessor":         authn.Admin,
	admin + "EndProcessor":            authn.Admin,
	admin + "ListProcessors":          authn.Admin,
	admin + "GetDocument":             authn.Admin,
	evidence + "RectifySubject":       authn.Legal,
	evidence + "SetHold":              authn.Legal,
	evidence + "LiftHold":             authn.Legal,
	evidence + "ListConsents":         authn.Legal,
	evidence + "GetConsentHistory":    authn.Legal,
	evidence + "DiscloseClaims":       authn.Legal,
	evidence + "InvalidateConsents":   authn.Legal,
	evidence + "OpenRequest":          authn.Legal,
	evidence + "ExtendRequest":        authn.Legal,
	evidence + "AnswerRequest":        authn.Legal,
	evidence + "RefuseRequest":        authn.Legal,
	evidence + "ListRequests":         authn.Legal,
	evidence + "VerifyIdentity":       authn.Legal,
	evidence + "SetRestriction":       authn.Legal,
	evidence + "LiftRestriction":      authn.Legal,
	evidence + "CorrectEntry":         authn.Legal,
	evidence + "NotifyRecipient":      authn.Legal,
	evidence + "AcknowledgeRecipient": authn.Legal,
	evidence + "ListRecipients":       authn.Legal,
	evidence + "ExportAccessReport":   authn.Legal,
	evidence + "GetAccessReport":      authn.Legal,
	evidence + "ExportBundle":         authn.Legal,
	evidence + "GetBundle":            authn.Legal,
	audit + "GetCheckpoint":           authn.Auditor,
	audit + "ListEntries":             authn.Auditor,
	audit + "BatchListEntries":        authn.Auditor,
	audit + "GetInclusionProof":       authn.Auditor,
	audit + "GetConsistencyProof":     authn.Auditor,
	audit + "CheckCheckpoint":         authn.Auditor,
	audit + "GetConsentState":         authn.Auditor,
	audit + "ExportRange":             authn.Auditor,
	audit + "GetRange":                authn.Auditor,
	audit + "GetNotice":               authn.Auditor,
}

var everyRole = []authn.Role{"", authn.App, authn.Auditor, authn.Legal, authn.Admin}

// TestRoles tries every RPC of the descriptors with every role's key and with
// none. Whoever may call is answered, be it with what is wrong about {}.
func TestRoles(t *testing.T) {
	t.Parallel()
	r := start(t)
	before := r.size()
	known := maps.Clone(rules)
	for procedure, m := range methods() {
		rule, ok := known[procedure]
		if !ok {
			t.Errorf("%s has no rule: who may call it?", procedure)
			continue
		}
		delete(known, procedure)
		b := &badCaller{t, r, procedure, m}
		req := "{}"
		switch m.Name() {
		case "RotateKey": // which is content with that
			req = `{"proof":"?"}`
		case "Backup": // there is none to go on from
			req = `{"full":true}`
		}
		contentType, body := b.frame("json", []byte(req))
		for _, role := range everyRole {
			a := r.post(procedure, r.keys[role], contentType, body)
			want := "permission_denied"
			switch role {
			case "":
				want = "unauthenticated"
			case rule:
				want = "ok or invalid_argument"
			}
			if !strings.Contains(want, a.code) {
				t.Errorf("%s by role %q: %s: %s, want %s", procedure, role, a.code, a.message, want)
			}
		}
	}
	for procedure := range known {
		t.Errorf("%s has a rule and does not exist", procedure)
	}
	if r.size() != before {
		t.Errorf("the log grew from %d to %d entries", before, r.size())
	}
}

// TestServerKnowsTheStreams: a body without end is let through for the methods that
// read messages for as long as their caller sends, and for no other.
func TestServerKnowsTheStreams(t *testing.T) {
	streams := 0
	for procedure, m := range methods() {
		if server.IsStream(procedure) != m.IsStreamingClient() {
			t.Errorf("%s: the server takes it for a stream: %v", procedure, !m.IsStreamingClient())
		}
		if m.IsStreamingClient() {
			streams++
		}
	}
	if streams == 0 {
		t.Error("there is no such method")
	}
}

// TestTilesAreTheAuditors: the log as files is for the auditor's key only.
func TestTilesAreTheAuditors(t *testing.T) {
	t.Parallel()
	r := start(t)
	for path, found := range map[string]int{"/log/checkpoint": 200, "/log/trust.keys": 200, "/log/nothing": 404, "/": 0, "/consent.app.v1.Nothing/Get": 0} {
		for _, role := range everyRole {
			want := http.StatusForbidden
			if role == "" {
				want = http.StatusUnauthorized
			} else if role == authn.Auditor && found != 0 {
				want = found
			}
			if got := r.get(path, r.keys[role]).status; got != want {
				t.Errorf("GET %s by role %q: %d, want %d", path, role, got, want)
			}
		}
	}
}

func (r *running) get(path, key string) answer {
	req, err := http.NewRequest(http.MethodGet, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	return r.send(req)
}

// TestNothingPersonalInURLs: what applications and administrators write, and
// what they ask about persons, cannot be called by GET.
func TestNothingPersonalInURLs(t *testing.T) {
	t.Parallel()
	r := start(t)
	byGet := []string{admin + "ListPurposes", admin + "ListNotices", admin + "GetStatus", admin + "GetErasureStatus", admin + "ListClaims", admin + "ListProcessors",
		admin + "GetDocument", audit + "GetCheckpoint",
		audit + "BatchListEntries", audit + "GetInclusionProof", audit + "GetConsistencyProof", audit + "CheckCheckpoint",
		audit + "GetConsentState", audit + "GetRange", audit + "GetNotice"}
	for procedure := range methods() {
		a := r.get(procedure+"?connect=v1&encoding=json&message=%7B%7D", r.keys[roleOf(procedure)])
		refused := a.status == http.StatusMethodNotAllowed
		if refused == slices.Contains(byGet, procedure) {
			t.Errorf("GET %s: %d", procedure, a.status)
		}
	}
}

// TestHandlersAskForTheRole puts the handlers behind nothing: without the
// middleware that reads keys they answer nobody.
func TestHandlersAskForTheRole(t *testing.T) {
	t.Parallel()
	r := start(t)
	bare := httptest.NewUnstartedServer(wire.Handler(r.service, wire.Options{}))
	bare.Config.Protocols = new(http.Protocols)
	bare.Config.Protocols.SetHTTP1(true)
	bare.Config.Protocols.SetUnencryptedHTTP2(true)
	bare.Start()
	defer bare.Close()
	open := &running{t: t, url: bare.URL, keys: r.keys, client: r.client}
	for procedure, m := range methods() {
		b := &badCaller{t, open, procedure, m}
		contentType, body := b.frame("json", []byte("{}"))
		if a := open.post(procedure, r.keys[roleOf(procedure)], contentType, body); a.code != "unauthenticated" {
			t.Errorf("%s: %s: %s", procedure, a.code, a.message)
		}
	}
}
