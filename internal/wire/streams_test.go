package wire_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/consentledger/consentledger/internal/server"
)

// transports carries streams over h2c, which they need, and everything else over
// HTTP/1.1, which more can go wrong with.
type transports struct{ h1, h2c *http.Transport }

// newTransports dials from an address of this machine; "" for any.
func newTransports(from string) *transports {
	dialer := new(net.Dialer)
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, addr)
	}
	t := &transports{h1: &http.Transport{DialContext: dial}, h2c: &http.Transport{DialContext: dial, Protocols: new(http.Protocols)}}
	t.h2c.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// RoundTrip implements [http.RoundTripper].
func (t *transports) RoundTrip(req *http.Request) (*http.Response, error) {
	if server.IsStream(req.URL.Path) {
		return t.h2c.RoundTrip(req)
	}
	return t.h1.RoundTrip(req)
}

func (t *transports) close() {
	t.h1.CloseIdleConnections()
	t.h2c.CloseIdleConnections()
}

// envelope frames a message of a stream.
func envelope(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// envelopes takes a stream apart.
func envelopes(b []byte) (list [][]byte) {
	for len(b) >= 5 {
		n := 5 + int(binary.BigEndian.Uint32(b[1:5]))
		list, b = append(list, b[5:n]), b[n:]
	}
	return list
}

// itemError gives the error of the first answer of a stream that answers each message
// with one, as an error of a unary call has it: code and message without the item's
// place.
func itemError(m protoreflect.MethodDescriptor, contentType string, stream [][]byte) (code, message string) {
	if len(stream) < 2 { // the last one is the stream's end
		return "ok", ""
	}
	answer := dynamicpb.NewMessage(m.Output())
	var err error
	if strings.HasSuffix(contentType, "json") {
		err = protojson.Unmarshal(stream[0], answer)
	} else {
		err = proto.Unmarshal(stream[0], answer)
	}
	text := answer.Get(m.Output().Fields().ByName("error")).String()
	if err != nil || text == "" {
		return "ok", ""
	}
	code, message, _ = strings.Cut(text, ": ")
	_, message, _ = strings.Cut(message, "[0]")
	if path, ok := strings.CutPrefix(message, "."); ok {
		return code, path
	}
	return code, strings.TrimPrefix(message, ": ")
}
