package hostile

import (
	"context"
	"fmt"
	"strings"
)

// shape is a request that no client sends.
type shape struct{ name, raw, answers string }

// refusedShape is how net/http turns down what is no HTTP.
const refusedShape = `400|closed`

// shapes are those of HTTP/1.1 about which proxies and servers have disagreed. GOOD
// stands for a request that is answered with 200, HOST for the host.
var shapes = []shape{
	{"length and chunks, a request behind the chunks", "POST /healthz HTTP/1.1\r\nHOST\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGOOD", `(405, then )?(200|400)|closed`},
	{"length and chunks, a request in the body", "POST /healthz HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGOOD\r\n0\r\n\r\n", `405|400|closed`},
	{"two lengths", "POST /healthz HTTP/1.1\r\nHOST\r\nContent-Length: 0\r\nContent-Length: 60\r\n\r\nGOOD", refusedShape},
	{"a list of lengths", "POST /healthz HTTP/1.1\r\nHOST\r\nContent-Length: 0, 60\r\n\r\nGOOD", refusedShape},
	{"a length with a sign", "POST /healthz HTTP/1.1\r\nHOST\r\nContent-Length: +0\r\n\r\nGOOD", refusedShape},
	{"a negative length", "POST /healthz HTTP/1.1\r\nHOST\r\nContent-Length: -1\r\n\r\nGOOD", refusedShape},
	{"a length in hexadecimal", "POST /healthz HTTP/1.1\r\nHOST\r\nContent-Length: 0x0\r\n\r\nGOOD", refusedShape},
	{"a length beyond 64 bits", "POST /healthz HTTP/1.1\r\nHOST\r\nContent-Length: 18446744073709551616\r\n\r\nGOOD", refusedShape},
	{"chunked twice", "POST /healthz HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGOOD", `501|` + refusedShape},
	{"chunked, identity", "POST /healthz HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nGOOD", `501|` + refusedShape},
	{"xchunked", "POST /healthz HTTP/1.1\r\nHOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGOOD", `501|` + refusedShape},
	{"chunked after a vertical tab", "POST /healthz HTTP/1.1\r\nHOST\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\nGOOD", `501|` + refusedShape},
	{"a blank before the colon", "POST /healthz HTTP/1.1\r\nHOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nGOOD", refusedShape},
	{"a line that goes on", "POST /healthz HTTP/1.1\r\nHOST\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\nGOOD", `405, then 200|` + refusedShape},
	{"a chunk's size beyond 64 bits", "POST " + appPath + "CheckConsent HTTP/1.1\r\nHOST\r\nContent-Type: application/json\r\nKEY\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nCANARY", `400 invalid_argument|` + refusedShape},
	{"a chunk's size with a sign", "POST " + appPath + "CheckConsent HTTP/1.1\r\nHOST\r\nContent-Type: application/json\r\nKEY\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n", `400 invalid_argument|` + refusedShape},
	{"a chunk that ends elsewhere", "POST " + appPath + "CheckConsent HTTP/1.1\r\nHOST\r\nContent-Type: application/json\r\nKEY\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}CANARY\r\n0\r\n\r\n", `400 invalid_argument|` + refusedShape},
	{"chunks with extensions for ever", "POST " + appPath + "CheckConsent HTTP/1.1\r\nHOST\r\nContent-Type: application/json\r\nKEY\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;CANARY="+strings.Repeat("x", 3000)+"\r\n \r\n", 64) + "0\r\n\r\n", `400 invalid_argument|` + refusedShape},
	{"trailers that are headers", "POST " + appPath + "CheckConsent HTTP/1.1\r\nHOST\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n2\r\n{}\r\n0\r\nKEY\r\nContent-Length: 60\r\n\r\nGOOD", `401 unauthenticated(, then 200)?|` + refusedShape},
	{"line feeds alone", "GET /healthz HTTP/1.1\nHost: CANARY\nConnection: close\n\n", `200|` + refusedShape},
	{"a carriage return alone", "GET /healthz HTTP/1.1\r\nHOST\r\nX: a\rGET /CANARY HTTP/1.1\r\n\r\n", refusedShape},
	{"a NUL in a header", "GET /healthz HTTP/1.1\r\nHOST\r\nX: CANARY\x00\r\n\r\n", refusedShape},
	{"no host", "GET /healthz HTTP/1.1\r\n\r\n", refusedShape},
	{"two hosts", "GET /healthz HTTP/1.1\r\nHOST\r\nHost: CANARY\r\n\r\n", refusedShape},
	{"a host that is a path", "GET /healthz HTTP/1.1\r\nHost: CANARY/../\r\n\r\n", refusedShape},
	{"a URL of another host", "GET http://CANARY/healthz HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n", `200|` + refusedShape},
	{"a URL that is a file", "GET file:///etc/passwd HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n", `401 unauthenticated|` + refusedShape},
	{"a path without a slash", "GET CANARY HTTP/1.1\r\nHOST\r\n\r\n", refusedShape},
	{"CONNECT", "CONNECT CANARY:443 HTTP/1.1\r\nHost: CANARY:443\r\nConnection: close\r\n\r\n", `401 unauthenticated|` + refusedShape},
	{"TRACE", "TRACE /healthz HTTP/1.1\r\nHOST\r\nX: CANARY\r\nConnection: close\r\n\r\n", `405|` + refusedShape},
	{"a method that is none", "CANARY /healthz HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n", `405|` + refusedShape},
	{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n", `200|` + refusedShape},
	{"HTTP/1.0 with chunks", "POST /healthz HTTP/1.0\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGOOD", `405|501|` + refusedShape},
	{"HTTP/0.9", "GET /healthz\r\n", refusedShape},
	{"HTTP/3.0", "GET /healthz HTTP/3.0\r\nHOST\r\n\r\n", `505|` + refusedShape},
	{"an upgrade to h2c", "GET /healthz HTTP/1.1\r\nHOST\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n", `200|` + refusedShape},
	{"an upgrade to a socket", "GET " + appPath + "CheckConsents HTTP/1.1\r\nHOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: CANARY\r\nSec-WebSocket-Version: 13\r\n\r\n", `401 unauthenticated|` + refusedShape},
	{"expectations", "POST /healthz HTTP/1.1\r\nHOST\r\nExpect: CANARY\r\nContent-Length: 1\r\n\r\na", `417|` + refusedShape},
	{"a continuation and no body", "POST " + appPath + "CheckConsent HTTP/1.1\r\nHOST\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\nGOOD", `401 unauthenticated|` + refusedShape},
	{"two keys", "POST " + appPath + "CheckConsent HTTP/1.1\r\nHOST\r\nKEY\r\nKEY\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", `401 unauthenticated`},
	{"headers of 17 KiB", "GET /healthz HTTP/1.1\r\nHOST\r\nX: " + strings.Repeat("CANARY", 3000) + "\r\n\r\n", `431|closed`},
	{"ten thousand headers", "GET /healthz HTTP/1.1\r\nHOST\r\n" + strings.Repeat("CANARY: a\r\n", 10_000) + "\r\n", `431|closed`},
	{"a path of 1 MiB", "GET /" + strings.Repeat("CANARY/", 150_000) + " HTTP/1.1\r\nHOST\r\n\r\n", `414|431|` + refusedShape},
	{"a header without an end", "GET /healthz HTTP/1.1\r\nX: " + strings.Repeat("a", 10<<20), `431|closed`},
	{"a body that is not read", "POST /healthz HTTP/1.1\r\nHOST\r\nContent-Length: 104857600\r\n\r\n" + strings.Repeat("CANARY", 1<<20), `405|` + refusedShape},
	{"a thousand requests at once", strings.Repeat("GET /readyz HTTP/1.1\r\nHOST\r\n\r\n", 999) + "GET /readyz HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n", `200(, then 200){999}`},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03CANARY", refusedShape},
	{"SSH", "SSH-2.0-CANARY\r\n\r\n", refusedShape},
	{"zeros", strings.Repeat("\x00", 4096), refusedShape},
	{"line ends", strings.Repeat("\r\n", 4096), refusedShape},
}

// http1Attacks sends every shape, and plain bytes to what speaks TLS.
func http1Attacks() []Attack {
	return []Attack{
		{"HTTP/1.1 that proxies disagree about", "app", `.*`, func(ctx context.Context, a *assault) error {
			return together(len(shapes), func(i int) error {
				s := shapes[i]
				good := fmt.Sprintf("GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nX-Padding: aaaaaaaa\r\n\r\n", a.addr)
				raw := strings.NewReplacer("GOOD", good, "HOST", "Host: "+a.addr, "KEY", "Authorization: Bearer "+a.key, "CANARY", Canary).Replace(s.raw)
				return a.expect(ctx, s.name, []byte(raw), s.answers)
			})
		}},
		{"plain HTTP where TLS is spoken", "", `400|200|closed`, func(ctx context.Context, a *assault) error {
			plain := &assault{Victim: &Victim{addr: a.addr}, from: a.from, answers: a.answers}
			_, err := plain.exchange(ctx, []byte("GET /healthz?"+Canary+" HTTP/1.1\r\nHost: "+Canary+"\r\nConnection: close\r\n\r\n"), patience)
			a.sent, a.wrong = plain.sent, plain.wrong
			return err
		}},
	}
}
