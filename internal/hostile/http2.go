package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// expectOverHTTP2 sends a frame with an honest client of HTTP/2.
func (a *assault) expectOverHTTP2(ctx context.Context, f frame) error {
	transport := &http.Transport{Protocols: new(http.Protocols), DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(a.from)}}).DialContext}
	defer transport.CloseIdleConnections()
	transport.Protocols.SetUnencryptedHTTP2(a.tls == nil)
	transport.Protocols.SetHTTP2(a.tls != nil)
	if a.tls != nil {
		transport.TLSClientConfig = a.tls.Clone()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url()+appPath+f.method, bytes.NewReader(f.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", f.contentType)
	req.Header.Set("Authorization", "Bearer "+a.key)
	for _, line := range f.header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	a.sends(1)
	rsp, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(rsp.Body)
	kind := kindOf(rsp, body)
	if err != nil {
		kind += " cut"
	}
	a.answer(kind, append(fmt.Appendf(nil, "%v %v\n", rsp.Header, rsp.Trailer), body...))
	if !regexp.MustCompile(`^(?:` + f.answers + `)$`).MatchString(kind) {
		return fmt.Errorf("%s: the answer was %q, want %s", f.name, kind, f.answers)
	}
	return nil
}

// raw2 is a connection on which frames of HTTP/2 are written as one likes.
type raw2 struct {
	*http2.Framer
	a    *assault
	conn net.Conn
	head *hpack.Encoder
	buf  bytes.Buffer
	read sync.WaitGroup // of what the server says
}

// open2 connects and begins to count what the server says: statuses, resets of streams
// and, when it has enough, its last word.
func (a *assault) open2(ctx context.Context, settings ...http2.Setting) (*raw2, error) {
	conn, err := a.dial(ctx, "h2")
	if err != nil {
		return nil, err
	}
	r := &raw2{a: a, conn: conn, Framer: http2.NewFramer(conn, conn)}
	r.AllowIllegalWrites = true
	r.head = hpack.NewEncoder(&r.buf)
	if _, err = io.WriteString(conn, http2.ClientPreface); err == nil {
		err = r.WriteSettings(settings...)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	r.read.Go(r.listen)
	return r, nil
}

func (r *raw2) listen() {
	for {
		f, err := r.ReadFrame()
		if err != nil {
			r.a.answer("closed", nil)
			return
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if status := f.PseudoValue("status"); status != "" {
				r.a.answer(status, fmt.Append(nil, f.Fields))
			}
		case *http2.DataFrame:
			if bytes.Contains(f.Data(), []byte(Canary)) {
				r.a.answer("data", f.Data())
			}
		case *http2.RSTStreamFrame:
			r.a.answer("reset "+f.ErrCode.String(), nil)
		case *http2.GoAwayFrame:
			r.a.answer("goaway "+f.ErrCode.String(), f.DebugData())
		}
	}
}

// fields encodes a header.
func (r *raw2) fields(list ...string) []byte {
	r.buf.Reset()
	for i := 0; i < len(list); i += 2 {
		// It writes to memory.
		_ = r.head.WriteField(hpack.HeaderField{Name: list[i], Value: list[i+1]})
	}
	return r.buf.Bytes()
}

// ask opens a stream that asks for a path of the log, which is public.
func (r *raw2) ask(stream uint32, path string) error {
	return r.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, EndStream: true, EndHeaders: true,
		BlockFragment: r.fields(":method", "GET", ":scheme", "http", ":authority", r.a.addr, ":path", path)})
}

// call opens a stream that calls CheckConsent, with more of a header; its body is still
// to come.
func (r *raw2) call(stream uint32, more ...string) error {
	list := append([]string{":method", "POST", ":scheme", "http", ":path", appPath + "CheckConsent"}, more...)
	return r.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, EndHeaders: true, BlockFragment: r.fields(list...)})
}

// over waits until the server has closed the connection, or for so long.
func (r *raw2) over(wait time.Duration) {
	done := time.AfterFunc(wait, func() { r.conn.Close() })
	defer done.Stop()
	r.read.Wait()
	r.conn.Close()
}

// flood is what is written over one connection, again and again, until it is over.
type flood struct {
	name    string
	times   int
	answers string
	write   func(r *raw2, i int) error
}

const tile = "/log/tile/0/000"

// floods are those of HTTP/2 that have stopped servers.
var floods = []flood{
	{"streams that are reset at once", 20_000, `goaway ENHANCE_YOUR_CALM|reset .*|200|429|closed`, func(r *raw2, i int) error {
		if err := r.ask(uint32(2*i+1), tile); err != nil {
			return err
		}
		return r.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
	}},
	{"streams that the server must reset", 20_000, `goaway (ENHANCE_YOUR_CALM|PROTOCOL_ERROR)|reset .*|[2-4][0-9][0-9]|closed`, func(r *raw2, i int) error {
		if err := r.ask(uint32(2*i+1), tile); err != nil {
			return err
		}
		return r.WriteWindowUpdate(uint32(2*i+1), 0)
	}},
	{"continuations without an end", 20_000, `goaway (ENHANCE_YOUR_CALM|PROTOCOL_ERROR|COMPRESSION_ERROR)|431|closed`, func(r *raw2, i int) error {
		if i == 0 {
			return r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.fields(":method", "GET", ":scheme", "http", ":path", "/")})
		}
		return r.WriteContinuation(1, false, r.fields(fmt.Sprint("x-", i), Canary+strings.Repeat("a", 1000)))
	}},
	{"empty continuations", 100_000, `goaway (ENHANCE_YOUR_CALM|PROTOCOL_ERROR)|431|closed`, func(r *raw2, i int) error {
		if i == 0 {
			return r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.fields(":method", "GET", ":scheme", "http", ":path", "/")})
		}
		return r.WriteContinuation(1, false, nil)
	}},
	{"a header that unpacks to 100 MiB", 100, `goaway (ENHANCE_YOUR_CALM|PROTOCOL_ERROR|COMPRESSION_ERROR)|431|closed`, func(r *raw2, i int) error {
		var list []string
		for range 1000 {
			list = append(list, "x", strings.Repeat("a", 4000)) // from the second time on one byte
		}
		block := bytes.Clone(r.fields(append([]string{":method", "GET", ":scheme", "http", ":path", tile}, list...)...))
		if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block[:min(len(block), 16000)], EndHeaders: true, EndStream: true}); err != nil {
			return err
		}
		return nil
	}},
	{"settings", 100_000, `goaway (ENHANCE_YOUR_CALM|PROTOCOL_ERROR)|closed`, func(r *raw2, i int) error {
		return r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i)})
	}},
	{"pings", 100_000, `goaway ENHANCE_YOUR_CALM|closed`, func(r *raw2, i int) error { return r.WritePing(false, [8]byte{byte(i)}) }},
	{"priorities", 100_000, `goaway (ENHANCE_YOUR_CALM|PROTOCOL_ERROR)|closed`, func(r *raw2, i int) error {
		return r.WritePriority(uint32(2*i+1), http2.PriorityParam{StreamDep: uint32(2*i + 3), Weight: 1})
	}},
	{"windows opened byte by byte", 100_000, `goaway ENHANCE_YOUR_CALM|closed`, func(r *raw2, i int) error { return r.WriteWindowUpdate(0, 1) }},
	{"empty data", 100_000, `goaway (ENHANCE_YOUR_CALM|PROTOCOL_ERROR|STREAM_CLOSED)|reset .*|[24][0-9][0-9]|closed`, func(r *raw2, i int) error {
		if i == 0 {
			return r.call(1, ":authority", r.a.addr, "authorization", "Bearer "+r.a.key)
		}
		return r.WriteData(1, false, nil)
	}},
}

// violation is a short exchange that breaks a rule of HTTP/2.
type violation struct {
	name, answers string
	write         func(r *raw2) error
}

func (r *raw2) header(stream uint32, list ...string) error {
	return r.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, EndStream: true, EndHeaders: true, BlockFragment: r.fields(list...)})
}

var violations = []violation{
	{"a window of 2^31", `goaway FLOW_CONTROL_ERROR`, func(r *raw2) error { return r.WriteWindowUpdate(0, 1<<31-1) }},
	{"a first window of 2^31", `goaway (FLOW_CONTROL_ERROR|PROTOCOL_ERROR)`, func(r *raw2) error {
		return r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
	}},
	{"frames of 0 bytes at most", `goaway PROTOCOL_ERROR`, func(r *raw2) error { return r.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 0}) }},
	{"an even stream", `goaway PROTOCOL_ERROR`, func(r *raw2) error { return r.ask(2, tile) }},
	{"stream 0", `goaway PROTOCOL_ERROR`, func(r *raw2) error { return r.ask(0, tile) }},
	{"a stream that goes back", `goaway (PROTOCOL_ERROR|STREAM_CLOSED)`, func(r *raw2) error {
		// The first is not answered, for its body does not come.
		return errors.Join(r.call(5, "authorization", "Bearer "+r.a.key, "content-type", typeJSON), r.ask(3, "/log/"))
	}},
	{"data on no stream", `goaway PROTOCOL_ERROR`, func(r *raw2) error { return r.WriteData(7, true, []byte(Canary)) }},
	{"a promise", `goaway PROTOCOL_ERROR`, func(r *raw2) error {
		return r.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
	}},
	{"no packed header", `goaway COMPRESSION_ERROR`, func(r *raw2) error {
		return r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: bytes.Repeat([]byte{0xff}, 64)})
	}},
	{"a table that is too large", `goaway COMPRESSION_ERROR`, func(r *raw2) error {
		return r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: []byte{0x3f, 0xe1, 0xff, 0xff, 0x7f}})
	}},
	{"a frame of 2 MiB", `goaway FRAME_SIZE_ERROR`, func(r *raw2) error { return r.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 2<<20)) }},
	{"a ping of 7 bytes", `goaway FRAME_SIZE_ERROR`, func(r *raw2) error { return r.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 7)) }},
	{"padding beyond the frame", `goaway PROTOCOL_ERROR`, func(r *raw2) error {
		return r.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{200, 1, 2})
	}},
	{"an unknown frame, and a question", `404`, func(r *raw2) error {
		return errors.Join(r.WriteRawFrame(0xbb, 0xff, 99, []byte(Canary)), r.ask(1, "/log/"))
	}},
	{"capitals", `reset PROTOCOL_ERROR|400`, func(r *raw2) error {
		return r.header(1, ":method", "GET", ":scheme", "http", ":path", tile, "X-"+Canary, "a")
	}},
	{"a line end in a value", `reset PROTOCOL_ERROR|400`, func(r *raw2) error {
		return r.header(1, ":method", "GET", ":scheme", "http", ":path", tile, "x", "a\r\nauthorization: "+Canary)
	}},
	{"a line end in the path", `reset PROTOCOL_ERROR|400`, func(r *raw2) error {
		return r.header(1, ":method", "GET", ":scheme", "http", ":path", tile+" HTTP/1.1\r\nx: "+Canary)
	}},
	{"a blank in the method", `reset PROTOCOL_ERROR|40[015]`, func(r *raw2) error {
		return r.header(1, ":method", "GET /"+Canary, ":scheme", "http", ":path", tile)
	}},
	{"no path", `reset PROTOCOL_ERROR|400`, func(r *raw2) error { return r.header(1, ":method", "GET", ":scheme", "http") }},
	{"two paths", `reset PROTOCOL_ERROR|400`, func(r *raw2) error {
		return r.header(1, ":method", "GET", ":scheme", "http", ":path", "/healthz", ":path", "/"+Canary)
	}},
	{"a path at the end", `reset PROTOCOL_ERROR|400`, func(r *raw2) error {
		return r.header(1, ":method", "GET", ":scheme", "http", "x", "a", ":path", "/healthz")
	}},
	{"a pseudo-header of our own", `reset PROTOCOL_ERROR|400`, func(r *raw2) error {
		return r.header(1, ":method", "GET", ":scheme", "http", ":path", "/healthz", ":"+Canary, "a")
	}},
	{"Connection", `reset PROTOCOL_ERROR|400`, func(r *raw2) error {
		return r.header(1, ":method", "GET", ":scheme", "http", ":path", "/healthz", "connection", "close")
	}},
	{"Transfer-Encoding", `reset PROTOCOL_ERROR|400`, func(r *raw2) error {
		return r.header(1, ":method", "GET", ":scheme", "http", ":path", "/healthz", "transfer-encoding", "chunked")
	}},
	{"two hosts", `200|reset PROTOCOL_ERROR|400`, func(r *raw2) error {
		return r.header(1, ":method", "GET", ":scheme", "http", ":authority", r.a.addr, ":path", "/healthz", "host", Canary)
	}},
	{"less than the length said", `reset PROTOCOL_ERROR|400`, func(r *raw2) error {
		return errors.Join(r.call(1, "authorization", "Bearer "+r.a.key, "content-type", typeJSON, "content-length", "999"), r.WriteData(1, true, []byte(question)))
	}},
	{"more than the length said", `reset PROTOCOL_ERROR|400`, func(r *raw2) error {
		return errors.Join(r.call(1, "authorization", "Bearer "+r.a.key, "content-type", typeJSON, "content-length", "2"), r.WriteData(1, true, []byte(question)))
	}},
	{"a key in the trailers", `401`, func(r *raw2) error {
		return errors.Join(r.call(1, "content-type", typeJSON), r.WriteData(1, false, []byte(question)), r.header(1, "authorization", "Bearer "+r.a.key))
	}},
	{"ten thousand headers", `431|goaway ENHANCE_YOUR_CALM`, func(r *raw2) error {
		list := []string{":method", "GET", ":scheme", "http", ":path", "/healthz"}
		for range 10_000 {
			list = append(list, "cookie", "a")
		}
		return r.header(1, list...)
	}},
}

func http2Attacks() (list []Attack) {
	for _, f := range floods {
		list = append(list, Attack{"HTTP/2: " + f.name, "app", f.answers, func(ctx context.Context, a *assault) error {
			return together(4, func(int) error {
				r, err := a.open2(ctx)
				if err != nil {
					return err
				}
				n := 0
				// The server closes the connection when it has enough.
				for ; n < a.times(f.times) && f.write(r, n) == nil; n++ {
				}
				a.sends(n)
				r.over(time.Second)
				return nil
			})
		}})
	}
	return append(list, Attack{"HTTP/2 that breaks a rule", "app", `.*`, func(ctx context.Context, a *assault) error {
		return together(len(violations), func(i int) error { return a.violate(ctx, violations[i]) })
	}})
}

// violate breaks a rule over a connection of its own; the server's first word must be
// what is expected.
func (a *assault) violate(ctx context.Context, v violation) error {
	alone := &assault{Victim: a.Victim, from: a.from, key: a.key, answers: map[string]int{}}
	r, err := alone.open2(ctx)
	if err != nil {
		return err
	}
	// What the server closes under the writing is told by what it says.
	_ = v.write(r)
	deadline := time.Now().Add(patience)
	for said := 0; said == 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		alone.mu.Lock()
		said = len(alone.answers)
		alone.mu.Unlock()
	}
	r.over(100 * time.Millisecond)
	a.sends(1)
	delete(alone.answers, "closed")
	allowed, got := regexp.MustCompile(`^(?:`+v.answers+`)$`), ""
	if slices.ContainsFunc(slices.Collect(maps.Keys(alone.answers)), allowed.MatchString) {
		// The answer came before all was sent: no more is wanted, or what is on its way is
		// for a stream that is over (RFC 9113 §§ 8.1 and 5.1).
		delete(alone.answers, "reset NO_ERROR")
		delete(alone.answers, "reset STREAM_CLOSED")
	}
	for kind := range alone.answers {
		a.answer(kind, nil)
		if got == "" || !allowed.MatchString(kind) {
			got = kind
		}
	}
	if !allowed.MatchString(got) {
		err = fmt.Errorf("%s: the answer was %q, want %s", v.name, got, v.answers)
	}
	return errors.Join(err, alone.wrong)
}
