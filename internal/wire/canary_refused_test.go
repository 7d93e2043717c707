package wire_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

// tryEveryField puts canaries into each field of each RPC, one at a time. A
// request that would be good is refused for the canary or, sent again, for
// something else. It gives how many were refused.
func (g *garden) tryEveryField() (refused int) {
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	defer h2c.CloseIdleConnections()
	grpc := *g.r
	grpc.client = &http.Client{Transport: &spy{g, h2c, nil}}
	var sum atomic.Int64
	var procedures sync.WaitGroup
	for procedure, m := range methods() {
		procedures.Go(func() {
			b := &badCaller{g.t, g.r, procedure, m}
			for _, path := range append(textFields(m.Input(), ""), unknownFields(procedure)...) {
				n := g.tryField(b, &grpc, path)
				if n == 0 {
					g.t.Errorf("%s: nothing in %s was refused", procedure, path)
				}
				sum.Add(int64(n))
			}
		})
	}
	procedures.Wait()
	return int(sum.Load())
}

func (g *garden) tryField(b *badCaller, grpc *running, path string) (refused int) {
	for _, c := range g.misfits(shortName(b.procedure) + " " + path) {
		c.canary.shown = path == "title"
		req := badInputs()[b.procedure].good(g.world)
		put(req, path, c.value)
		for _, a := range b.sendEveryWay(grpc, req, c.value == c.canary.text) {
			if a.code != "ok" {
				refused++
				continue
			}
			c.canary.public = c.canary.public || path == "text" || strings.HasPrefix(path, "facts.")
			g.noteSubjects(req)
		}
	}
	return refused
}

// sendEveryWay sends a request as JSON and in binary, and if more is asked for as
// JSON with something else wrong and by gRPC. It gives the answers, without that
// of gRPC.
func (b *badCaller) sendEveryWay(grpc *running, req object, more bool) []answer {
	key := b.r.keys[roleOf(b.procedure)]
	var answers []answer
	sendJSON := func(req object) {
		answers = append(answers, b.send(bytes.ReplaceAll(b.encode(req), []byte(surrogate), []byte(`\ud800`))))
	}
	if more {
		spoilt := maps.Clone(req)
		spoilt["proof"] = "zq" // or a field that does not exist
		sendJSON(spoilt)
	}
	sendJSON(req)
	raw := b.binary(req)
	if raw == nil {
		return answers
	}
	contentType, framed := b.frame("proto", raw)
	answers = append(answers, b.r.post(b.procedure, key, contentType, framed))
	if more {
		grpc.post(b.procedure, key, "application/grpc+proto", envelope(raw))
	}
	return answers
}

// misfit is a value for a field, and the canary in it.
type misfit struct {
	canary *planted
	value  string
}

// misfits gives what could stand in a field: personal values as they are, among
// others, with a control character, too long, in a bad encoding.
func (g *garden) misfits(field string) []misfit {
	var list []misfit
	for kind := range kinds {
		few := strings.Contains(field, "Bundle ") // those that succeed are whole documents, and take long
		if few && kind != "address" {
			continue
		}
		p := g.plant(kind, field)
		for i, value := range []string{p.text, p.text + "\a", "." + p.text, "Anna <" + p.text + ">", p.text + p.text} {
			if few && i > 0 {
				break
			}
			list = append(list, misfit{p, value})
		}
		if strings.HasSuffix(field, " lock") && len(p.text) < 32 {
			list = append(list, misfit{p, p.text + strings.Repeat("\x00", 32-len(p.text))}, misfit{p, strings.Repeat(p.text, 32)[:32]})
		}
		if kind == "address" {
			list = append(list, misfit{p, surrogate + p.text}, misfit{p, strings.Repeat(p.text, 66000/len(p.text))})
		}
	}
	return list
}

// unknownFields gives paths of fields that do not exist, at every depth; put
// makes the canary their name.
func unknownFields(procedure string) []string {
	paths := []string{"?"}
	for _, path := range textFields(methods()[procedure].Input(), "") {
		if i := strings.LastIndex(path, "."); i >= 0 && !slices.Contains(paths, path[:i+1]+"?") {
			paths = append(paths, path[:i+1]+"?")
		}
	}
	return paths
}

// put sets a field of a good request by its path, as textFields gives it.
func put(req object, path, value string) {
	outer, rest, nested := strings.Cut(path, ".")
	name, isList := strings.CutSuffix(outer, "[]")
	switch {
	case nested && isList:
		list, _ := req[name].([]object)
		if len(list) == 0 {
			list = []object{{"name": "form_snapshot", "file_name": "a.png", "media_type": "image/png", "bytes": []byte("a")}}
		}
		put(list[0], rest, value)
		req[name] = list
	case nested: // a subject has one identifier
		inner := object{}
		put(inner, rest, value)
		req[name] = inner
	case isList:
		req[name] = []string{value}
	case strings.HasSuffix(name, "{} key"):
		req[strings.TrimSuffix(name, "{} key")] = object{value: "1"}
	case strings.HasSuffix(name, "{}"):
		req[strings.TrimSuffix(name, "{}")] = object{"name": value}
	case name == "?":
		req[value] = value
	case strings.HasSuffix(value, "\a"): // in a field of bytes this is no base64
		req[name] = value
	case name == "bytes" || name == "message" || name == "lock" || strings.HasSuffix(name, "sha256"):
		req[name] = []byte(value)
	case name == "manage_token": // instead of a person
		clear(req)
		req[name] = value
	default:
		req[name] = value
	}
}

// binary gives a request in protobuf's encoding; nil when it has no such form.
func (b *badCaller) binary(req object) []byte {
	message := dynamicpb.NewMessage(b.method.Input())
	if protojson.Unmarshal(b.encode(req), message) != nil {
		return nil
	}
	raw, err := proto.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	return raw
}

// tryEverythingAround puts canaries where a request has places besides its
// fields: paths, queries, headers, and bytes that are no HTTP.
func (g *garden) tryEverythingAround() {
	var procedures sync.WaitGroup
	for procedure := range methods() {
		procedures.Go(func() {
			g.tryURLs(procedure)
			g.tryHeaders(procedure)
		})
	}
	procedures.Wait()
	for _, path := range []string{"/", "/log/", "/log/tile/", "/log/tile/entries/", "/log/notices/", "//", "/../", "/log/../", "/log//", "/healthz/", "/healthz?", "/readyz?q=", "/log/checkpoint?"} {
		for _, kind := range []string{"address", "customer", "number", "ip"} {
			text := url.QueryEscape(g.plant(kind, "the path behind "+path).text)
			for _, role := range everyRole {
				g.r.get(path+text, g.r.keys[role])
			}
		}
	}
	g.tryNoHTTP()
}

func (g *garden) tryURLs(procedure string) {
	key := g.r.keys[roleOf(procedure)]
	method := shortName(procedure)
	p := g.plant("customer", method+" in the URL").text
	service := procedure[:strings.LastIndex(procedure, "/")+1]
	for _, path := range []string{procedure + "/" + p, procedure + p, service + p, service + "/" + p, service + "../" + p, procedure + "//?q=" + p} {
		g.r.post(path, key, "application/json", []byte("{}"))
		g.r.get(path, key)
	}
	escaped := url.QueryEscape(p)
	for _, query := range []string{
		"connect=v1&encoding=json&message=" + url.QueryEscape(`{"`+p+`":1}`), "connect=v1&encoding=json&base64=1&message=" + escaped,
		"connect=v1&encoding=proto&message=" + escaped, "connect=v1&encoding=" + escaped + "&message={}", "connect=" + escaped + "&encoding=json&message={}",
		"connect=v1&encoding=json&message={}&compression=" + escaped, "connect=v1&encoding=json&message={}&base64=" + escaped, "a;b=" + escaped,
	} {
		g.r.get(procedure+"?"+query, key)
	}
}

// tryHeaders puts canaries into the headers that are looked at.
func (g *garden) tryHeaders(procedure string) {
	for _, name := range []string{"Content-Type", "Content-Encoding", "Accept-Encoding", "Connect-Protocol-Version", "Connect-Timeout-Ms",
		"Connect-Content-Encoding", "Connect-Accept-Encoding", "Grpc-Encoding", "Grpc-Accept-Encoding", "Grpc-Timeout", "Authorization",
		"Te", "Expect", "Range", "If-None-Match", "Host"} {
		contentTypes := []string{"application/json", "application/grpc+proto"}
		switch {
		case strings.HasPrefix(name, "Grpc-"):
			contentTypes[0] = "application/grpc-web+proto"
		case methods()[procedure].IsStreamingServer():
			contentTypes[0] = "application/connect+json"
		}
		for _, contentType := range contentTypes {
			body := []byte("{}")
			if contentType != "application/json" {
				body = append([]byte{0, 0, 0, 0, 2}, body...)
			}
			req, err := http.NewRequest(http.MethodPost, g.r.url+procedure, bytes.NewReader(body))
			if err != nil {
				g.t.Fatal(err)
			}
			req.Header.Set("Content-Type", contentType)
			req.Header.Set("Authorization", "Bearer "+g.r.keys[roleOf(procedure)])
			text := g.plant("customer", shortName(procedure)+", the header "+name).text
			switch name {
			case "Host":
				req.Host = text
			case "Authorization":
				req.Header.Set(name, "Bearer "+text)
			case "Connect-Timeout-Ms": // looks right until it is counted
				req.Header.Set(name, g.plant("dialled", name).text[1:])
			case "Grpc-Timeout":
				req.Header.Set(name, text+"S")
			default:
				req.Header.Set(name, text)
			}
			// An answer may be an error of HTTP alone.
			if rsp, err := g.r.client.Do(req); err == nil {
				rsp.Body.Close()
			}
		}
	}
}

// tryNoHTTP sends what net/http itself refuses.
func (g *garden) tryNoHTTP() {
	const rest = " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
	for _, template := range []string{
		"GET /CANARY", "GET /CANARY HTTP/9.9\r\n\r\n", "CANARY / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "CANARY\r\n\r\n",
		"GET http://[CANARY/" + rest + "\r\n", "GET /%zzCANARY" + rest + "\r\n", "GET /" + rest + "CANARY\r\n\r\n", "GET /" + rest + "A b: CANARY\r\n\r\n",
		"GET /" + rest + "CANARY b: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: CANARY /\r\n\r\n", "POST /" + rest + "Content-Length: CANARY\r\n\r\n",
		"POST /" + rest + "Transfer-Encoding: CANARY\r\n\r\n", "POST /" + rest + "Transfer-Encoding: chunked\r\n\r\nCANARY\r\n\r\n",
		"POST /" + rest + "Expect: CANARY\r\n\r\n", "GET /" + rest + "X: CANARY\x00\r\n\r\n", "GET /" + rest + "Upgrade: CANARY\r\nConnection: upgrade\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nCANARY CANARY CANARY",
	} {
		for _, kind := range []string{"customer", "name", "ip"} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(g.r.url, "http://"))
			if err != nil {
				g.t.Fatal(err)
			}
			text := g.plant(kind, fmt.Sprintf("%q", template)).text
			io.WriteString(conn, strings.ReplaceAll(template, "CANARY", text))
			conn.(*net.TCPConn).CloseWrite()
			// Whatever comes back, also when the connection is reset.
			answer, _ := io.ReadAll(conn)
			conn.Close()
			g.mu.Lock()
			g.refusals.Write(answer)
			g.mu.Unlock()
		}
	}
}
