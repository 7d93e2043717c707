package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// client is one client of a server, with one connection that is kept alive. It shares
// the processors with the server, so it is as cheap as a client can be: over HTTP/1.1 a
// call is one write and one read, in the goroutine that makes it.
//
// The zero value is ready; it speaks to one server.
type client struct {
	bytes int64 // of the answers so far, without headers

	conn   net.Conn // of HTTP/1.1; nil before it is needed
	reader *bufio.Reader
	buf    []byte
	h2     *http.Client // of gRPC, over h2c; nil before it is needed
}

// connect makes the connection of HTTP/1.1.
func (c *client) connect(url string) error {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err == nil {
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	return err
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
	if c.h2 != nil {
		c.h2.CloseIdleConnections()
	}
}

// post makes one call of ConsentService and gives its answer's bytes.
func (c *client) post(url, key, wire, method string, body []byte) ([]byte, error) {
	path := "/consent.app.v1.ConsentService/" + method
	if wire == "grpc" {
		return c.grpc(url+path, key, body)
	}
	resp, err := c.do(http.MethodPost, url, path, key, "Content-Type: application/"+wire, body)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	c.bytes += int64(len(answer))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return answer, err
}

// do makes one request over HTTP/1.1 with one more header. The body of the answer must
// be read before the next one.
func (c *client) do(method, url, path, key, header string, body []byte) (*http.Response, error) {
	if c.conn == nil {
		if err := c.connect(url); err != nil {
			return nil, err
		}
	}
	b := append(c.buf[:0], method...)
	for _, part := range []string{" ", path, " HTTP/1.1\r\nHost: ", strings.TrimPrefix(url, "http://"), "\r\nAuthorization: Bearer ", key, "\r\n", header, "\r\nContent-Length: "} {
		b = append(b, part...)
	}
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	c.buf = append(b, body...)
	if _, err := c.conn.Write(c.buf); err != nil {
		c.close()
		return nil, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.close()
	} else if resp.Close {
		c.conn = nil // the server closes it; the body is still to be read
	}
	return resp, err
}

// grpc makes one unary call over h2c.
func (c *client) grpc(url, key string, body []byte) ([]byte, error) {
	if c.h2 == nil {
		c.h2 = newH2C()
	}
	frame := make([]byte, 5, 5+len(body))
	binary.BigEndian.PutUint32(frame[1:], uint32(len(body)))
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(append(frame, body...)))
	if err != nil {
		return nil, err
	}
	req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "Authorization": {"Bearer " + key}}
	resp, err := c.h2.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	c.bytes += int64(len(answer))
	if err != nil {
		return nil, err
	}
	if resp.Trailer.Get("Grpc-Status") != "0" || len(answer) < 5 {
		return nil, fmt.Errorf("%s: %v %v", resp.Status, resp.Header, resp.Trailer)
	}
	return answer[5:], nil
}
