package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// grpcConn is a connection of gRPC over h2c with one call at a time, so that a call
// is one write and one or two reads, in the goroutine that makes it: a transport of net/http
// takes twice as much CPU time.
type grpcConn struct {
	conn    net.Conn
	writer  *bufio.Writer
	framer  *http2.Framer
	headers *hpack.Encoder
	block   bytes.Buffer

	stream          uint32
	window, initial int64 // what may be sent on the connection, and on a new stream
	received        int   // on the connection, and not yet given back
}

// ample is the window of what the server may send.
const ample = 1 << 30

func dialGRPC(url string) (*grpcConn, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return nil, err
	}
	g := &grpcConn{conn: conn, writer: bufio.NewWriter(conn), window: 65535, initial: 65535} // RFC 9113, 6.9.2
	g.framer = http2.NewFramer(g.writer, bufio.NewReader(conn))
	g.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	g.framer.SetReuseFrames()
	g.headers = hpack.NewEncoder(&g.block)
	g.writer.WriteString(http2.ClientPreface) // an error comes again when it is flushed
	g.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: ample})
	g.framer.WriteWindowUpdate(0, ample)
	return g, nil
}

// call makes a unary call and gives the message of its answer.
func (g *grpcConn) call(authority, path, key string, message []byte) ([]byte, error) {
	g.stream += 1 + g.stream&1 // odd: 1, 3, …
	g.block.Reset()
	for _, h := range []hpack.HeaderField{{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path}, {Name: ":authority", Value: authority},
		{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"}, {Name: "authorization", Value: "Bearer " + key}} {
		g.headers.WriteField(h)
	}
	g.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: g.stream, BlockFragment: g.block.Bytes(), EndHeaders: true})
	a := &grpcAnswer{window: g.initial}
	rest := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	for len(rest) > 0 {
		n := min(int64(len(rest)), 16384, g.window, a.window)
		if n <= 0 {
			if err := g.read(a); err != nil {
				return nil, err
			}
			continue
		}
		g.framer.WriteData(g.stream, n == int64(len(rest)), rest[:n])
		g.window, a.window, rest = g.window-n, a.window-n, rest[n:]
	}
	for !a.ended {
		if err := g.read(a); err != nil {
			return nil, err
		}
	}
	if a.status != "0" || len(a.data) < 5 {
		return nil, fmt.Errorf("status %q: %s", a.status, a.message)
	}
	return a.data[5:], nil
}

// grpcAnswer is what has come of one.
type grpcAnswer struct {
	data            []byte
	status, message string
	ended           bool
	window          int64 // what may still be sent on its stream
}

// read sends what waits and reads one frame.
func (g *grpcConn) read(a *grpcAnswer) error {
	if g.writer.Buffered() > 0 {
		if err := g.writer.Flush(); err != nil {
			return err
		}
	}
	frame, err := g.framer.ReadFrame()
	if err != nil {
		return err
	}
	switch f := frame.(type) {
	case *http2.DataFrame:
		a.data, a.ended = append(a.data, f.Data()...), f.StreamEnded()
		if g.received += int(f.Length); g.received > ample/2 {
			g.framer.WriteWindowUpdate(0, uint32(g.received))
			g.received = 0
		}
	case *http2.MetaHeadersFrame:
		for _, h := range f.Fields {
			switch h.Name {
			case "grpc-status":
				a.status = h.Value
			case "grpc-message":
				a.message = h.Value
			}
		}
		a.ended = f.StreamEnded()
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			g.window += int64(f.Increment)
		} else {
			a.window += int64(f.Increment)
		}
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if size, ok := f.Value(http2.SettingInitialWindowSize); ok {
			a.window += int64(size) - g.initial
			g.initial = int64(size)
		}
		return g.framer.WriteSettingsAck()
	case *http2.PingFrame:
		if !f.IsAck() {
			return g.framer.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("the stream was reset: %v", f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server goes away: %v %s", f.ErrCode, f.DebugData())
	}
	return nil
}
