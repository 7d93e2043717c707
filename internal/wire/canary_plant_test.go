package wire_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// garden is where canaries are planted, and what came back.
type garden struct {
	*world
	mu       sync.Mutex // guards what follows
	canaries []*planted
	answers  bytes.Buffer // everything of answers to calls that succeeded
	refusals bytes.Buffer // everything of the others
	shown    bytes.Buffer // everything of answers that are there to show personal values
	handed   bytes.Buffer // everything of answers that hand out whatever is held about a person
	masked   bytes.Buffer // everything of answers that show personal values masked
	persons  []object     // every subject of a call that succeeded
	// filled are the fields, by RPC and path, that held a canary in a call that
	// succeeded.
	filled map[string]bool
}

// newGarden makes a ledger whose every request carries canaries in headers and
// in its query.
func newGarden(t *testing.T) *garden {
	r := create(t)
	r.verbose = true
	r.serve()
	g := &garden{world: &world{story: &story{t, r, r.callJSON}}, filled: map[string]bool{}}
	r.client = &http.Client{
		Transport:     &spy{g, newTransports(""), g.decorations()},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return g
}

// plant draws a canary and remembers it.
func (g *garden) plant(kind, what string) *planted {
	p := kinds[kind]()
	p.what = what + ", " + kind
	g.remember(&p)
	return &p
}

func (g *garden) remember(p *planted) {
	p.spell()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.canaries = append(g.canaries, p)
}

// spy puts canaries around every request and keeps every answer.
type spy struct {
	*garden
	next  http.RoundTripper
	about map[string]string // header fields; "?" is the query
}

// decorations are the headers that a browser or a proxy could send along.
func (g *garden) decorations() map[string]string {
	about := map[string]string{}
	for name, kind := range map[string]string{
		"User-Agent": "name", "X-Request-Id": "customer", "X-Forwarded-For": "ip", "Forwarded": "ip6", "X-Real-Ip": "ip", "From": "customer",
		"Referer": "address", "Cookie": "customer", "Origin": "customer", "Traceparent": "number", "Accept-Language": "name", "?": "address",
	} {
		about[name] = g.plant(kind, "the header "+name).text
	}
	return about
}

func (s *spy) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	for name, value := range s.about {
		if name == "?" {
			query := req.URL.Query()
			query.Set("mail", value)
			req.URL.RawQuery = query.Encode()
		} else {
			req.Header.Set(name, value)
		}
	}
	rsp, err := s.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(rsp.Body)
	if err != nil {
		return nil, err
	}
	rsp.Body.Close()
	rsp.Body = io.NopCloser(bytes.NewReader(body))
	s.keep(req.URL.Path, rsp, body)
	return rsp, nil
}

func (g *garden) keep(procedure string, rsp *http.Response, body []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	to := &g.answers
	switch {
	case rsp.StatusCode != http.StatusOK || rsp.Trailer.Get("Grpc-Status")+rsp.Header.Get("Grpc-Status") > "0":
		to = &g.refusals
	case procedure == evidence+"DiscloseClaims":
		to = &g.shown
	case slices.Contains(slices.Concat(reports, bundling, ranging), procedure):
		to = &g.handed
	case slices.Contains(masking, procedure):
		to = &g.masked
	}
	fmt.Fprintf(to, "%s\n", rsp.Status)
	for _, header := range []http.Header{rsp.Header, rsp.Trailer} {
		// As it is: Header.Write would quote line ends away.
		for name, values := range header {
			fmt.Fprintf(to, "%s: %s\n", name, strings.Join(values, "\n"))
		}
	}
	if slices.Contains(slices.Concat(bundling, ranging), procedure) && to == &g.handed {
		return // the file is looked into where it was asked for
	}
	to.Write(body)
	to.WriteString("\n\n")
}

// grow makes a call that must succeed, and notes which of its fields held a
// canary.
func (g *garden) grow(method string, req object) object {
	g.t.Helper()
	rsp := g.do(method, req)
	g.noteFilled(method, "", req)
	g.noteSubjects(req)
	if key := req["idempotency_key"]; key != nil {
		// What is kept for retries is destroyed with the rest.
		g.useAgain(method, key, req["mode"] == "shred_now")
	}
	return rsp
}

// noteSubjects notes the persons of a call that succeeded.
func (g *garden) noteSubjects(req object) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, field := range []string{"subject", "add"} {
		if who, ok := req[field].(object); ok {
			g.persons = append(g.persons, who)
		}
	}
}

// useAgain sends another request with an idempotency key that was used.
func (g *garden) useAgain(method string, key any, gone bool) {
	other, req := "ConsentService/WithdrawConsent", object{"subject": object{"external_id": "4711"}, "idempotency_key": key}
	switch {
	case strings.HasPrefix(method, "AdminService/"):
		other, req = "AdminService/DefinePurpose", object{"id": "another", "title": "Another", "idempotency_key": key}
	case strings.HasPrefix(method, "EvidenceService/"):
		other = "EvidenceService/SetHold"
	}
	code := "failed_precondition"
	if gone {
		code = "not_found"
	}
	g.refused(other, req, code, "idempotency_key")
}

// noteFilled walks through a request. Fields of lists have no number in their
// path, values of maps no key.
func (g *garden) noteFilled(method, path string, value any) {
	switch v := value.(type) {
	case object:
		for name, member := range v {
			g.noteFilled(method, strings.TrimPrefix(path+"."+name, "."), member)
		}
	case map[string]string: // a map of the message
		for _, member := range v {
			g.noteFilled(method, path+"{}", member)
		}
	case []object:
		for _, member := range v {
			g.noteFilled(method, path+"[]", member)
		}
	case []byte:
		g.noteFilled(method, path, string(v))
	case string:
		if slices.ContainsFunc(g.canaries, func(p *planted) bool { return strings.Contains(v, p.text) }) {
			g.filled[method+" "+path] = true
		}
	}
}

// tell tells a story of calls that succeed, with a canary in every field that
// may hold personal data.
func (g *garden) tell() {
	claims := append(g.callersClaims(), "x.canary")
	subjects := []object{
		{"email": g.plant("address", "subject.email").text},
		{"phone": g.plant("number", "subject.phone").text},
		{"external_id": g.plant("customer", "subject.external_id").text},
	}
	g.define()
	for i, who := range subjects {
		before := len(g.canaries)
		channel := []string{"email", "sms", "post"}[i]
		opened := g.request(who, channel, claims)
		g.deliver(opened, claims)
		g.click(opened)
		g.attach(who, channel)
		g.use(who, channel, opened)
		g.give(who, claims)
		g.takeOver(who, claims)
		g.ground(who, claims)
		g.track(i, who, opened, claims)
		g.care(who, opened, claims)
		g.restrict(who, claims)
		g.disclose(opened)
		g.withdraw(i, who, opened, claims)
		g.effect(opened, claims)
		g.object(who, claims)
		g.end(claims)
		g.verify(who, claims)
		g.demand(who, claims)
		g.report(who, before)
		g.prove(who, opened)
		g.rectify(i, who, claims)
		g.hold(who, opened, claims)
		g.suppress(who)
		g.grow("ConsentService/EraseSubject", object{"subject": who, "reason": "art17", "mode": "shred_now", "idempotency_key": g.key("EraseSubject")})
	}
	g.lockAway(claims)
	for _, who := range subjects { // the same persons, who stay until the end
		g.request(who, "web", claims)
	}
}

// key is an idempotency key as a careless caller makes it.
func (g *garden) key(method string) string {
	return "retry of " + g.plant("address", method+" idempotency_key").text
}

// callersClaims asks the ledger which claims callers may set, and gives each a
// value.
func (g *garden) callersClaims() []string {
	_, f := g.call(g.t, "ConsentService/ConfirmConsent", object{"token": newToken(), "claims": object{"zq": "1"}})
	_, list, ok := strings.Cut(f.message, "the claims are ")
	list, _, _ = strings.Cut(list, ", and what is declared")
	if names := strings.Split(list, ", "); ok && len(names) > 10 {
		return names
	}
	g.t.Fatalf("the refusal of an unknown claim does not list the claims: %s", f.message)
	return nil
}

func (g *garden) claims(method string, names []string) map[string]string {
	values := map[string]string{}
	for i, name := range names {
		kind := slices.Sorted(maps.Keys(kinds))[i%len(kinds)]
		if name == "ip" {
			kind = "ip"
		}
		values[name] = g.plant(kind, method+" claims."+name).text
	}
	return values
}

// define defines what the story needs. Ids of purposes and notices and the words
// of a notice are public by design and hold no canary here.
func (g *garden) define() {
	title := g.plant("name", "DefinePurpose title")
	title.shown = true
	purpose := object{"id": "canaries", "title": "Post für " + title.text, "marketing": true, "double_opt_in": true,
		"unused_days": 400, "unused_measure": "expire", "idempotency_key": g.key("DefinePurpose")}
	g.grow("AdminService/DefinePurpose", purpose)
	g.grow("AdminService/DefinePurpose", purpose) // a retry
	g.grow("AdminService/DefinePurpose", object{"id": "canaries-contract", "title": "Vertrag", "bases": []string{"contract", "legitimate_interest"},
		"balancing": g.document("DefinePurpose", "balancing")})
	g.grow("AdminService/PublishNotice", object{"id": "canaries-de", "language": "de", "text": "Ja, auch das will ich.",
		"purposes": []string{"canaries"}, "idempotency_key": g.key("PublishNotice")})
	g.engage()
}

// opened is a consent that the story opened.
type opened struct{ id, token, manage string }

func (g *garden) request(who object, channel string, claims []string) opened {
	method := "ConsentService/RequestConsent"
	req := object{"subject": who, "purposes": []string{"canaries"}, "channel": channel, "notice": "canaries-de@1", "method": "paper",
		"claims": g.claims(method, claims), "idempotency_key": g.key(method), "proof": "log"}
	g.attachFiles(method, req, "form_snapshot", "checkbox_state", "reference")
	rsp := g.grow(method, req)
	g.grow(method, req)
	o := opened{rsp["consents"].([]any)[0].(object)["consent_id"].(string), rsp["token"].(string), rsp["manage_token"].(string)}
	g.remember(&planted{what: "the manage token", text: o.manage, secret: true})

	mail := []byte("To: " + g.plant("address", "RecordConfirmationSent message").text + "\r\n\r\n" + o.token)
	sum := sha256.Sum256(mail)
	g.grow("ConsentService/RecordConfirmationSent", object{"consent_ids": []string{o.id}, "message_sha256": sum[:], "message": mail,
		"mta_response": "250 2.1.5 " + g.plant("address", "mta_response").text + " Ok", "media_type": "text/" + g.plant("dialled", "media_type").text,
		"idempotency_key": g.key("RecordConfirmationSent"), "proof": "log"})
	return o
}

// attachFiles makes claims of a request attachments.
func (g *garden) attachFiles(method string, req object, names ...string) {
	values := req["claims"].(map[string]string)
	var files []object
	for _, name := range names {
		delete(values, name) // one of the two
		files = append(files, object{"name": name, "file_name": g.plant("name", method+" file_name").text + ".png",
			"media_type": "image/" + g.plant("dialled", method+" media_type").text, "bytes": []byte("\x89PNG " + g.plant("address", method+" bytes").text)})
	}
	req["attachments"] = files
}

// click confirms. Token and lock are in the log from then on, by design.
func (g *garden) click(o opened) {
	method := "ConsentService/ConfirmConsent"
	claims := map[string]string{"ip": g.plant("ip6", method+" claims.ip").text, "user_agent": g.plant("name", method+" claims.user_agent").text}
	click := object{"token": o.token, "claims": claims, "proof": "log"}
	g.grow(method, click)
	g.grow(method, click)
}

func (g *garden) use(who object, channel string, o opened) {
	question := object{"subject": who, "purpose": "canaries", "channel": channel}
	g.grow("ConsentService/CheckConsent", question)
	g.grow("ConsentService/BatchCheckConsents", object{"checks": []object{question}})
	g.grow("ConsentService/ListConsents", object{"subject": who})
	g.grow("ConsentService/RecordUses", object{"consent_ids": []string{o.id}, "reference": g.plant("name", "RecordUses reference").text,
		"processor": "canary-mailer", "recipient": g.plant("name", "RecordUses recipient").text,
		"idempotency_key": g.key("RecordUses"), "proof": "log"})
}

func (g *garden) restrict(who object, claims []string) {
	set, lift := "ConsentService/SetRestriction", "ConsentService/LiftRestriction"
	g.grow(set, object{"subject": who, "ground": "art18_1_a", "claims": g.claims(set, claims), "idempotency_key": g.key(set), "proof": "log"})
	g.grow(lift, object{"subject": who, "informed_at": ahead(-1), "claims": g.claims(lift, claims), "idempotency_key": g.key(lift), "proof": "log"})
}

func (g *garden) withdraw(i int, who object, o opened, claims []string) {
	method := "ConsentService/WithdrawConsent"
	req := object{"subject": who, "claims": g.claims(method, claims), "idempotency_key": g.key(method)}
	if i == 0 {
		delete(req, "subject")
		req["manage_token"] = o.manage
	}
	g.grow(method, req)
	g.grow(method, req)
	stranger := object{"email": g.plant("address", method+" subject.email of a stranger").text}
	g.grow(method, object{"subject": stranger, "claims": g.claims(method, claims), "proof": "log"})
}

// closed are the fields that hold no personal value in a call that succeeds, and
// why. They hold canaries in calls that are refused.
var closed = map[string]string{
	"proof": "a vocabulary", "channel": "a vocabulary", "method": "a vocabulary", "ground": "a vocabulary",
	"ConsentService/EraseSubject reason": "a vocabulary", "mode": "a vocabulary", "attachments[].name": "a vocabulary", "language": "a vocabulary",
	"double_opt_in_channels[]": "a vocabulary", "claims{} key": "a vocabulary", "unused_measure": "a vocabulary", "age": "a vocabulary",
	"click": "a vocabulary", "signals[]": "a vocabulary", "failure": "a vocabulary", "grade": "a vocabulary", "basis": "a vocabulary",
	"conditions[]": "a vocabulary", "article": "a vocabulary", "cause": "a vocabulary", "claims[]": "a vocabulary", "disclose[]": "a vocabulary", "minimum_grade": "a vocabulary",
	"ip_policy": "a vocabulary", "bases[]": "a vocabulary", "tracking_mode": "a vocabulary", "use": "a vocabulary",
	"checkbox_default": "a vocabulary", "conditional_on": "a vocabulary", "means": "a vocabulary", "refusal": "a vocabulary", "format": "a vocabulary",
	"id": "public by design", "purpose": "public by design", "purposes[]": "public by design", "parent": "public by design",
	"processor": "public by design", "system": "public by design", "country": "a vocabulary", "signal": "a vocabulary",
	"value": "a signal of a browser, with no room for anything else", "agreement_sha256": "a hash, public by design",
	"notice": "public by design", "template": "public by design", "text": "public by design, as published", "facts": "public by design, as published",
	"token": "32 random bytes, public after the click", "lock": "a hash, public by design", "message_sha256": "a hash, and committed only",
	"sha256": "a hash, public by design", "checkpoint": "public by design, and refused unless the log signed it",
}

// closedAs gives the row of closed that a field has, "" for none: by itself, by its path
// alone, as a field of an item, or by the message that it is in.
func closedAs(method, path string) string {
	item := path
	for _, list := range []string{"items[].", "checks[]."} {
		item = strings.TrimPrefix(item, list)
	}
	outer, _, _ := strings.Cut(path, ".")
	for _, row := range []string{method + " " + path, path, item, outer} {
		if _, ok := closed[row]; ok {
			return row
		}
	}
	return ""
}

// everyFieldIsPlanted: a new field needs a canary in the story or a reason in
// closed.
func (g *garden) everyFieldIsPlanted(t *testing.T) {
	used := map[string]bool{}
	for procedure, m := range methods() {
		method := shortName(procedure)
		for _, path := range textFields(m.Input(), "") {
			row := closedAs(method, path)
			used[row] = true
			if g.filled[method+" "+path] == (row != "") {
				t.Errorf("%s %s: in the story: %v, among the closed fields: %v", method, path, row == "", row != "")
			}
		}
	}
	for row := range closed {
		if !used[row] {
			t.Errorf("closed names %s, which no request has", row)
		}
	}
}

// textFields gives the paths of all fields, at every depth, that are strings or
// bytes.
func textFields(m protoreflect.MessageDescriptor, prefix string) []string {
	var list []string
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		path := prefix + string(f.Name())
		switch {
		case f.IsMap():
			list = append(list, path+"{} key", path+"{}")
			continue
		case f.IsList():
			path += "[]"
		}
		switch {
		case f.Kind() == protoreflect.StringKind || f.Kind() == protoreflect.BytesKind:
			list = append(list, path)
		case f.Message() != nil && f.Message().ParentFile().Package() != "google.protobuf":
			list = append(list, textFields(f.Message(), path+".")...)
		}
	}
	return list
}

// shortName turns "/consent.app.v1.ConsentService/CheckConsent" into
// "ConsentService/CheckConsent".
func shortName(procedure string) string { return procedure[strings.LastIndex(procedure, ".")+1:] }
