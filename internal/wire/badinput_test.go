package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/consentledger/consentledger/internal/authn"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// badInput is what TestBadInput knows of one RPC.
type badInput struct {
	// good is a request that succeeds. Every row changes it in one way, and in
	// the end it is sent as it is: so a row is refused for its change.
	good func(w *world) object
	rows func(w *world) []row
}

// row is one malformed request: the good one, changed, and what must be
// answered: the code and the path of the field (or the name of the rule).
type row struct {
	name, code, at string
	change         func(object)
}

func bad(name, code, at string, changes ...func(object)) row {
	return row{name, code, at, func(req object) {
		for _, c := range changes {
			c(req)
		}
	}}
}

// set sets a field by its path, drop takes it away.
func set(path string, value any) func(object) {
	return func(req object) {
		outer, name := holder(req, path)
		outer[name] = value
	}
}

func drop(path string) func(object) {
	return func(req object) {
		outer, name := holder(req, path)
		delete(outer, name)
	}
}

func holder(req object, path string) (object, string) {
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		if req[name] == nil {
			req[name] = object{}
		}
		req = req[name].(object)
	}
	return req, names[len(names)-1]
}

// methods gives every RPC of every service by its procedure.
func methods() map[string]protoreflect.MethodDescriptor {
	all := map[string]protoreflect.MethodDescriptor{}
	for _, file := range []protoreflect.FileDescriptor{
		appv1.File_consent_app_v1_service_proto, adminv1.File_consent_admin_v1_admin_proto, auditv1.File_consent_audit_v1_audit_proto,
		evidencev1.File_consent_evidence_v1_evidence_proto,
	} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				all[fmt.Sprintf("/%s/%s", service.FullName(), m.Name())] = m
			}
		}
	}
	return all
}

// badInputs is the whole table.
func badInputs() map[string]badInput {
	all := map[string]badInput{}
	for _, part := range []map[string]badInput{badConfirmations, badDeliveries, badGivings, badBases, badChecks, badWithdrawals, badSubjects,
		badGrounds, badAdmin, badProcessors, badErasures, badAudit, badEvidence, badHistories, badRights, badBundles} {
		maps.Copy(all, part)
	}
	return all
}

func TestEveryRPCHasBadInput(t *testing.T) {
	table := badInputs()
	for procedure, m := range methods() {
		b, ok := table[procedure]
		if !ok {
			t.Errorf("%s has no bad input", procedure)
			continue
		}
		if m.Input().Fields().Len() > 0 && b.rows == nil {
			t.Errorf("%s has fields and no rows about them", procedure)
		}
		delete(table, procedure)
	}
	for procedure := range table {
		t.Errorf("%s has bad input and does not exist", procedure)
	}
}

// TestBadInput sends everything in the table and everything that follows from
// the descriptors. Nothing of it may be recorded, and no refusal may repeat what
// was sent.
func TestBadInput(t *testing.T) {
	t.Parallel()
	r := start(t)
	w := newWorld(t, r)
	before := r.size()
	table := badInputs()
	for _, procedure := range slices.Sorted(maps.Keys(methods())) {
		t.Run(procedure, func(t *testing.T) {
			b := &badCaller{t, r, procedure, methods()[procedure]}
			b.everyone()
			b.malformed()
			b.wrongTypes()
			if table[procedure].rows == nil {
				return
			}
			for _, row := range table[procedure].rows(w) {
				req := table[procedure].good(w)
				row.change(req)
				b.expect(row.name, b.encode(req), row.code, row.at)
			}
		})
	}
	if after := r.size(); after != before {
		t.Errorf("the log grew from %d to %d entries", before, after)
	}
	for _, procedure := range slices.Sorted(maps.Keys(methods())) {
		b := &badCaller{t, r, procedure, methods()[procedure]}
		req, proves := table[procedure].good(w), b.method.Input().Fields().ByName("proof") != nil
		if proves {
			req["proof"] = "log"
		}
		if a := b.send(b.encode(req)); a.code != "ok" || proves != strings.Contains(a.body, `"receipt":"c2sp.org/tlog-proof@v1`) && !unasked[procedure] {
			t.Errorf("%s: the good request: %s: %s, %s", procedure, a.code, a.message, a.body)
		}
	}
	if strings.Contains(r.log.String(), canary) {
		t.Error("the server's log holds what was sent")
	}
}

// unasked are the methods that answer a proof without being asked.
var unasked = map[string]bool{audit + "GetInclusionProof": true, audit + "GetConsentState": true, evidence + "GetConsentHistory": true,
	evidence + "ExportAccessReport": true, evidence + "GetAccessReport": true}

// badCaller sends malformed requests to one RPC.
type badCaller struct {
	t         *testing.T
	r         *running
	procedure string
	method    protoreflect.MethodDescriptor
}

func (b *badCaller) encode(req any) []byte {
	b.t.Helper()
	body, err := json.Marshal(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return body
}

// frame puts a message into the form in which it is sent: a stream's in an
// envelope.
func (b *badCaller) frame(codec string, body []byte) (contentType string, framed []byte) {
	if !b.method.IsStreamingServer() {
		return "application/" + codec, body
	}
	return "application/connect+" + codec, envelope(body)
}

func (b *badCaller) send(body []byte) answer {
	b.t.Helper()
	contentType, framed := b.frame("json", body)
	return b.r.post(b.procedure, b.r.keys[roleOf(b.procedure)], contentType, framed)
}

func (b *badCaller) expect(name string, body []byte, code, at string) {
	b.t.Helper()
	b.compare(name, b.send(body), code, at)
}

func (b *badCaller) compare(name string, a answer, code, at string) {
	b.t.Helper()
	message := strings.TrimPrefix(a.message, "unmarshal message: ")
	rest, ok := strings.CutPrefix(message, at)
	if a.code != code || !ok || at != "" && !strings.HasPrefix(rest, ": ") && !strings.HasPrefix(rest, " ") {
		b.t.Errorf("%s: %s: %q, want %s: %s", name, a.code, a.message, code, at)
	}
	if strings.Contains(a.body, canary) {
		b.t.Errorf("%s: the answer repeats what was sent: %s", name, a.body)
	}
}

// everyone: who may not call is told so whatever the request says.
func (b *badCaller) everyone() {
	contentType, body := b.frame("json", b.encode(object{"zq": canary}))
	other := authn.Legal
	if roleOf(b.procedure) == other {
		other = authn.Admin
	}
	// An address may fail a hundred times a minute: each service has its own.
	from := map[authn.Role]string{authn.App: "127.0.0.3", authn.Auditor: "127.0.0.4", authn.Admin: "127.0.0.5", authn.Legal: "127.0.0.6"}
	r, done := b.r.from(from[roleOf(b.procedure)])
	defer done()
	for _, c := range []struct{ name, key, code string }{
		{"no key", "", "unauthenticated"},
		{"revoked key", b.r.revoked, "unauthenticated"},
		{"unknown key", "clk_" + newToken(), "unauthenticated"},
		{"another role's key", b.r.keys[other], "permission_denied"},
	} {
		b.compare(c.name, r.post(b.procedure, c.key, contentType, body), c.code, "")
	}
}

// itself is how refusals name the message itself: in a stream it has a place.
func (b *badCaller) itself() string {
	if b.method.IsStreamingClient() {
		return ""
	}
	return "the body"
}

// malformed: bodies that are no message at all.
func (b *badCaller) malformed() {
	b.expect("unknown field", []byte(`{"occured_at": "`+canary+`"}`), "invalid_argument", "occured_at")
	b.expect("unknown field that may be a value", []byte(`{"`+canary+`": 1}`), "invalid_argument", b.itself())
	b.expect("no JSON", []byte(`{"`+canary), "invalid_argument", b.itself())
	b.expect("more behind it", []byte(`{} {"a": "`+canary+`"}`), "invalid_argument", b.itself())
	b.expect("an array", []byte(`["`+canary+`"]`), "invalid_argument", b.itself())
	b.expect("null", []byte(`null`), "invalid_argument", b.itself())
	b.expect("no UTF-8", []byte("{\"a\": \""+canary+"\xff\"}"), "invalid_argument", b.itself())
	if !b.method.IsStreamingServer() {
		// Connect gives an empty envelope of a stream to no codec: it is {}.
		b.expect("an empty body", nil, "invalid_argument", b.itself())
	}
	limit := map[authn.Role]int{authn.App: 16 << 20, authn.Admin: 16 << 20, authn.Auditor: 64 << 10, authn.Legal: 16 << 20}[roleOf(b.procedure)]
	b.expect("too large", append([]byte(`{"a": "`+canary+`"}`), bytes.Repeat([]byte(" "), limit)...), "resource_exhausted", "")
	contentType, unknown := b.frame("proto", []byte{0xc2, 0x3e, 9, 'z', 'q', 'c', 'a', 'n', 'a', 'r', 'y', '7'}) // field 1000
	b.compare("unknown field number", b.r.post(b.procedure, b.r.keys[roleOf(b.procedure)], contentType, unknown),
		"invalid_argument", b.itself())
	contentType, broken := b.frame("proto", []byte{0x0a, 0x7f, 'z'})
	b.compare("no protobuf", b.r.post(b.procedure, b.r.keys[roleOf(b.procedure)], contentType, broken), "invalid_argument", b.itself())
	if fields := b.method.Input().Fields(); fields.Len() > 0 {
		name := string(fields.Get(0).Name())
		b.expect("a field twice", []byte(`{"`+name+`": null, "`+name+`": null}`), "invalid_argument", name)
	}
}

// wrongTypes: every field at every depth, with values of the wrong type.
func (b *badCaller) wrongTypes() {
	seen := 0
	for _, wrong := range wrongValues(b.method.Input()) {
		seen++
		body := bytes.ReplaceAll(b.encode(wrong.value), []byte(surrogate), []byte(`\ud800`))
		b.expect(fmt.Sprintf("wrong type %s", body), body, "invalid_argument", wrong.at)
	}
	if (seen > 0) != (b.method.Input().Fields().Len() > 0) {
		b.t.Errorf("%d values of wrong types", seen)
	}
}

// surrogate is replaced by half of a UTF-16 pair, which JSON can spell and UTF-8
// cannot.
const surrogate = "SURROGATE"

type wrongValue struct {
	value any // the whole message
	at    string
}

// wrongValues gives messages with one wrong field each.
func wrongValues(m protoreflect.MessageDescriptor) []wrongValue {
	var list []wrongValue
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		name := string(f.Name())
		wrap := func(values []wrongValue, hold func(any) any, suffix string) {
			for _, v := range values {
				list = append(list, wrongValue{object{name: hold(v.value)}, name + suffix + v.at})
			}
		}
		plain := func(v any) any { return v }
		switch {
		case f.IsMap():
			wrap([]wrongValue{{canary, ""}, {[]any{}, ""}, {object{"name": 4711}, ""}, {object{"name": surrogate}, ""}}, plain, "")
		case f.IsList():
			wrap([]wrongValue{{canary, ""}, {object{}, ""}}, plain, "")
			wrap(wrongSingle(f), func(v any) any { return []any{v} }, "[0]")
		default:
			wrap(wrongSingle(f), plain, "")
		}
	}
	return list
}

// wrongSingle gives wrong values of one field, without regard to its cardinality.
func wrongSingle(f protoreflect.FieldDescriptor) []wrongValue {
	of := func(values ...any) []wrongValue {
		var list []wrongValue
		for _, v := range values {
			list = append(list, wrongValue{v, ""})
		}
		return list
	}
	switch f.Kind() {
	case protoreflect.StringKind:
		return of(4711, true, object{}, []any{canary}, surrogate)
	case protoreflect.BytesKind:
		return of(4711, canary+"!", object{}, []any{1, 2})
	case protoreflect.BoolKind:
		return of(canary, "true", 1)
	case protoreflect.Int64Kind:
		return of(canary, 1.5, "1.5", "9223372036854775808", true)
	}
	switch f.Message().FullName() {
	case "google.protobuf.Timestamp":
		return of(canary, 4711, "2026-02-30T00:00:00Z", "2026-01-01", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "2026-01-01T25:00:00Z")
	case "google.protobuf.Duration":
		return of(canary, 4711, "1h", "60", "999999999999999s")
	}
	list := of(canary, 4711, []any{})
	for _, v := range wrongValues(f.Message()) {
		list = append(list, wrongValue{v.value, "." + v.at})
	}
	return list
}
