package wire_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/bundle"
)

// prey is a ledger full of canaries, as those see it who must never have one: auditors,
// readers of the public log, whoever has no key, and roles at the doors of others.
type prey struct {
	*running
	canaries   []*planted
	search     *search
	procedures []string // of all services, in order; those of auditors first
}

// FuzzAuditor makes requests of whatever the fuzzer likes at every door, with every key
// that does not open it and with the auditor's. Nothing personal may come back, or stand
// in the log or the metrics.
func FuzzAuditor(f *testing.F) {
	p := newPrey(f)
	for i := range p.procedures {
		for how := range byte(4) {
			f.Add(byte(i), how, []byte{1, 5, 3})
		}
		f.Add(byte(i), byte(8), []byte(`{"start":"3","limit":"1000","index":"5","consent_id":"8","old_size":"1","new_size":"9"}`))
	}
	for _, body := range []string{`{}`, `{"start":"0"}`, `{"start":"0","limit":"1000"}`, `{"index":"9"}`, `{"consent_id":"7"}`, `{"old_size":"1","new_size":"9"}`, `{"x":1}`, `[`, "\x08\x03"} {
		for i := range 11 {
			f.Add(byte(i), byte(8), []byte(body))
		}
	}
	for _, path := range []string{"checkpoint", "trust.keys", "tile/entries/000.p/9", "tile/0/000.p/9", "tile/entries/000", "notices/", "../vault/KEYREGISTRY", "%2e%2e/apikeys", "tile/0/x000/000", "anchors/"} {
		for how := range byte(5) {
			f.Add(byte(255), how, []byte(path))
		}
	}
	for _, c := range p.canaries { // who guesses is told nothing
		f.Add(byte(255), byte(0), []byte(url.PathEscape(c.text)))
	}
	draw := rand.New(rand.NewChaCha8([32]byte{8}))
	for range 400 {
		text := make([]byte, draw.IntN(40))
		for i := range text {
			text[i] = byte(draw.Uint32() >> draw.IntN(32)) // small ones mostly
		}
		f.Add(byte(draw.IntN(len(p.procedures))), byte(draw.Uint32()), text)
	}
	f.Fuzz(func(t *testing.T, door, how byte, text []byte) { p.try(t, door, how, text) })
}

// newPrey plants a canary wherever personal data belong, and an erased person.
func newPrey(t testing.TB) *prey {
	r := create(t)
	r.verbose = true
	r.serve()
	p := &prey{running: r}
	plant := func(kind, what string) string {
		c := kinds[kind]()
		c.what = what
		p.remember(&c)
		return c.text
	}
	do := func(method string, req object) (rsp object) {
		t.Helper()
		body, err := json.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		service, _, _ := strings.Cut(method, "/")
		procedure := "/consent." + packages[service] + ".v1." + method
		a := r.post(procedure, r.keys[roleOf(procedure)], "application/json", body)
		whole, _, _ := strings.Cut(a.body, "\n")
		if a.code != "ok" || json.Unmarshal([]byte(whole), &rsp) != nil {
			t.Fatalf("%s: %s: %s", method, a.code, a.message)
		}
		return rsp
	}
	do("AdminService/DefinePurpose", object{"id": "newsletter", "title": "Newsletter", "marketing": true, "double_opt_in": true})
	do("AdminService/PublishNotice", object{"id": "newsletter-de", "language": "de", "text": "Ja, ich will.", "purposes": []string{"newsletter"}})
	for i, who := range []object{
		{"email": plant("address", "an address")}, {"phone": plant("number", "a number")}, {"external_id": plant("customer", "a customer's number")},
		{"email": plant("address", "an erased address")}, {"email": plant("address", "a locked address")},
	} {
		claims := map[string]string{"name": plant("name", "a name"), "ip": plant("ip", "an IP address"), "user_agent": plant("name", "a browser"),
			"page_url": "https://example.org/?mail=" + plant("address", "a page"), "captcha": plant("customer", "a captcha")}
		asked := do("ConsentService/RequestConsent", object{"subject": who, "purposes": []string{"newsletter"}, "channel": []string{"email", "sms", "post", "email", "email"}[i], "notice": "newsletter-de@1",
			"method": "web_form", "claims": claims, "idempotency_key": plant("address", "an idempotency key"), "attachments": []object{
				{"name": "form_snapshot", "file_name": plant("name", "a file's name"), "media_type": "image/png", "bytes": []byte(plant("address", "a file"))}}})
		p.remember(&planted{what: "a manage token", text: asked["manage_token"].(string), secret: true})
		id := asked["consents"].([]any)[0].(object)["consent_id"]
		if i != 1 && i != 2 {
			do("ConsentService/RecordConfirmationSent", object{"consent_ids": []any{id}, "message_sha256": bytes.Repeat([]byte{7}, 32),
				"mta_response": "250 " + plant("address", "a mail server's answer")})
		}
		if i == 0 {
			p.remember(&planted{what: "an open request's token", text: asked["token"].(string), secret: true})
			continue
		}
		do("ConsentService/ConfirmConsent", object{"token": asked["token"], "claims": object{"ip": plant("ip6", "the IP address of a click")}})
		do("ConsentService/RecordUses", object{"consent_ids": []any{id}, "reference": plant("customer", "a reference")})
		switch i {
		case 2:
			do("ConsentService/WithdrawConsent", object{"subject": who, "claims": object{"ip": plant("ip", "the IP address of a withdrawal")}})
			do("AdminService/AddSuppression", object{"subject": object{"email": plant("address", "a suppressed address")}})
		case 3:
			do("ConsentService/EraseSubject", object{"subject": who, "reason": "art17", "mode": "shred_now"})
		case 4:
			do("ConsentService/EraseSubject", object{"subject": who, "reason": "art17", "mode": "lock_then_shred"})
		}
	}
	for role, key := range r.keys {
		p.remember(&planted{what: "the key of role " + string(role), text: key, secret: true})
	}
	p.search = newSearch(p.canaries)
	p.procedures = slices.SortedFunc(maps.Keys(methods()), func(a, b string) int {
		if first, second := roleOf(a) == authn.Auditor, roleOf(b) == authn.Auditor; first != second {
			return map[bool]int{true: -1, false: 1}[first]
		}
		return strings.Compare(a, b)
	})
	t.Cleanup(func() { p.operator(t) })
	return p
}

func (p *prey) remember(c *planted) {
	c.spell()
	p.canaries = append(p.canaries, c)
}

// try makes one request: at a door of auditors with their key or any other, elsewhere with
// a key of another role or none, and below /log/.
func (p *prey) try(t *testing.T, door, how byte, text []byte) {
	roles := []authn.Role{authn.Auditor, "", authn.App, authn.Legal, authn.Admin}
	if int(door) >= len(p.procedures) {
		// net/http's client sends no path that is none.
		if u, err := url.Parse(p.url + "/log/" + string(text)); err == nil && u.Host == strings.TrimPrefix(p.url, "http://") {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.String(), nil)
			if err != nil {
				return
			}
			p.ask(t, req, roles[int(how)%len(roles)])
		}
		return
	}
	procedure := p.procedures[door]
	role := authn.Auditor
	if how >= 0x80 || roleOf(procedure) != role { // at their own doors auditors ask as auditors, mostly
		role = roles[int(how>>4)%len(roles)]
	}
	if role == roleOf(procedure) && role != authn.Auditor {
		role = "" // what a role may ask at its own door is what it has a key for
	}
	b := &badCaller{method: methods()[procedure]}
	kind, body := "json", text
	if how&8 == 0 { // a message made of the text
		message := messageOf(b.method.Input(), &text)
		var err error
		if kind, body = "proto", nil; how&1 != 0 {
			kind = "json"
			body, err = protojson.Marshal(message)
		} else {
			body, err = proto.Marshal(message)
		}
		if err != nil {
			return // a string that is no UTF-8
		}
	} else if how&1 != 0 {
		kind = "proto"
	}
	contentType, framed := b.frame(kind, body)
	if how&2 != 0 && kind == "proto" {
		contentType, framed = "application/grpc-web+proto", envelope(body)
	}
	method, target := http.MethodPost, p.url+procedure
	if how&4 != 0 && !b.method.IsStreamingServer() {
		method, framed = http.MethodGet, nil
		target += "?connect=v1&encoding=" + kind + "&message=" + url.QueryEscape(string(body))
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(framed))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if len(target) > 15<<10 {
		return // more than a header may have
	}
	p.ask(t, req, role)
}

// ask sends a request and looks through what comes back and what is logged.
func (p *prey) ask(t *testing.T, req *http.Request, role authn.Role) {
	if role != "" {
		req.Header.Set("Authorization", "Bearer "+p.keys[role])
	}
	r := *p.running
	r.t = t
	a := r.send(req)
	places := []place{{name: "the answer", text: []byte(a.body)}}
	var file []byte
	for _, message := range append(a.stream, []byte(strings.SplitN(a.body, "\n", 2)[0])) {
		var part struct{ Chunk, Bundle []byte }
		if json.Unmarshal(message, &part) == nil {
			file = slices.Concat(file, part.Chunk, part.Bundle)
		}
	}
	if c, err := bundle.Open(bytes.NewReader(file), int64(len(file))); err == nil {
		for _, f := range c.Files() {
			content, err := c.File(f.Name)
			if err != nil {
				t.Fatal(err)
			}
			places = append(places, place{name: f.Name + " of the auditor's bundle", text: content})
		}
	}
	p.log.mu.Lock()
	places = append(places, place{name: "the log", text: bytes.Clone(p.log.b.Bytes())})
	p.log.b.Reset()
	p.log.mu.Unlock()
	for _, leak := range p.search.leaks(places) {
		t.Errorf("%s %s as %q: %s", req.Method, req.URL.Path, role, leak)
	}
	if a.status >= 500 && a.status != http.StatusNotImplemented && a.status != http.StatusGatewayTimeout || a.code == "internal" || a.code == "unknown" {
		t.Errorf("%s %s as %q: %d %s: %s", req.Method, req.URL.Path, role, a.status, a.code, a.message)
	}
	if role != authn.Auditor && a.status/100 == 2 && a.code == "ok" && !grpcDenies.MatchString(a.body) {
		t.Errorf("%s %s as %q: %d", req.Method, req.URL.Path, role, a.status)
	}
}

// grpcDenies finds gRPC's unauthenticated, permission_denied and resource_exhausted,
// among the headers or in a body's trailers.
var grpcDenies = regexp.MustCompile(`(?i)grpc-status: ?(16|7|8)`)

// operator looks through what an operator's tools are shown.
func (p *prey) operator(t testing.TB) {
	shown := httptest.NewRecorder()
	p.metrics.Handler().ServeHTTP(shown, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	places := []place{{name: "the metrics", text: shown.Body.Bytes()}}
	if !bytes.Contains(shown.Body.Bytes(), []byte("ledgerd_requests_total")) {
		t.Error("there are no metrics")
	}
	for _, profile := range pprof.Profiles() {
		for debug := range 3 {
			var b bytes.Buffer
			if err := profile.WriteTo(&b, debug); err != nil {
				t.Error(err)
			}
			places = append(places, place{name: fmt.Sprintf("the profile %s, %d", profile.Name(), debug), text: b.Bytes()})
		}
	}
	for _, leak := range p.search.leaks(places) {
		t.Error(leak)
	}
}

// messageOf makes a message of text: numbers are small ones mostly, since a log is short.
func messageOf(m protoreflect.MessageDescriptor, text *[]byte) *dynamicpb.Message {
	next := func() (b byte) {
		if len(*text) > 0 {
			b, *text = (*text)[0], (*text)[1:]
		}
		return b
	}
	bytesOf := func() []byte {
		n := min(int(next()), len(*text))
		b := (*text)[:n]
		*text = (*text)[n:]
		return b
	}
	message := dynamicpb.NewMessage(m)
	for i := range m.Fields().Len() {
		fd := m.Fields().Get(i)
		if fd.IsMap() || len(*text) == 0 {
			continue
		}
		var value protoreflect.Value
		switch {
		case fd.Message() != nil:
			value = protoreflect.ValueOfMessage(messageOf(fd.Message(), text))
		case fd.Kind() == protoreflect.StringKind:
			value = protoreflect.ValueOfString(string(bytesOf()))
		case fd.Kind() == protoreflect.BytesKind:
			value = protoreflect.ValueOfBytes(bytesOf())
		case fd.Kind() == protoreflect.BoolKind:
			value = protoreflect.ValueOfBool(next()&1 != 0)
		case fd.Kind() == protoreflect.Int64Kind:
			n := int64(int8(next()))
			if n == -128 {
				var wide [8]byte
				copy(wide[:], bytesOf())
				n = int64(binary.LittleEndian.Uint64(wide[:]))
			}
			value = protoreflect.ValueOfInt64(n)
		default:
			continue
		}
		if fd.IsList() {
			message.Mutable(fd).List().Append(value)
		} else {
			message.Set(fd, value)
		}
	}
	return message
}
