package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// client is one client of one server, with one connection that is kept alive. It shares
// the processors with the server, so it is as cheap as a client can be: a call is a write
// and a read, in the goroutine that makes it. The zero value is ready.
type client struct {
	bytes int64 // of the answers so far, without headers

	conn   net.Conn // of HTTP/1.1; nil before it is needed
	reader *bufio.Reader
	buf    []byte
	grpc   *grpcConn // nil before it is needed
}

// connect makes the connection, for those who do not want the first call to do it.
func (c *client) connect(url, wire string) (err error) {
	if wire == "grpc" {
		c.grpc, err = dialGRPC(url)
		return err
	}
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
	if c.grpc != nil {
		c.grpc.conn.Close()
		c.grpc = nil
	}
}

// post makes one call of ConsentService and gives its answer's bytes.
func (c *client) post(url, key, wire, method string, body []byte) ([]byte, error) {
	path := "/consent.app.v1.ConsentService/" + method
	if wire == "grpc" {
		if c.grpc == nil {
			if err := c.connect(url, wire); err != nil {
				return nil, err
			}
		}
		answer, err := c.grpc.call(strings.TrimPrefix(url, "http://"), path, key, body)
		if err != nil {
			c.close()
		}
		c.bytes += int64(len(answer))
		return answer, err
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
		if err := c.connect(url, "http"); err != nil {
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
