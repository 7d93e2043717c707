package hostile

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"
)

// patience is how long an attacker waits for an answer.
const patience = 10 * time.Second

// dial connects from the attacker's address, over TLS if the server speaks it, and asks
// for this protocol there: "h2" or "http/1.1".
func (a *assault) dial(ctx context.Context, protocol string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(a.from)}, Timeout: patience}
	conn, err := dialer.DialContext(ctx, "tcp", a.addr)
	if err != nil || a.tls == nil {
		return conn, err
	}
	config := a.tls.Clone()
	config.NextProtos = []string{protocol}
	over := tls.Client(conn, config)
	if err := over.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return over, nil
}

// exchange sends bytes over a connection of its own and gives the answers, one after the
// other, until the server closes it, or says nothing for as long as wait, and after an
// answer for a second.
func (a *assault) exchange(ctx context.Context, raw []byte, wait time.Duration) (answers string, err error) {
	conn, err := a.dial(ctx, "http/1.1")
	if err != nil {
		return "", err
	}
	defer conn.Close()
	a.sends(1)
	go func() {
		// A server that has heard enough closes before all is sent.
		_, _ = conn.Write(raw)
	}()
	method, _, _ := strings.Cut(string(raw[:min(len(raw), 16)]), " ")
	return a.listen(conn, method, wait)
}

// expect says what is wrong when the answers to these bytes, over a connection of their
// own, are not what they should be, by a regular expression for all of them.
func (a *assault) expect(ctx context.Context, name string, raw []byte, answers string) error {
	got, err := a.exchange(ctx, raw, patience)
	if err == nil && !regexp.MustCompile(`^(?:`+answers+`)$`).MatchString(got) {
		err = fmt.Errorf("%s: the answer was %.200q, want %s", name, got, answers)
	}
	return err
}

// listen gives the answers over HTTP/1.1 to requests of a method.
func (a *assault) listen(conn net.Conn, method string, wait time.Duration) (answers string, err error) {
	var kinds []string
	in := bufio.NewReader(conn)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return "", err
		}
		rsp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil && len(kinds) > 0 {
			return strings.Join(kinds, ", then "), nil
		}
		var kind string
		var said []byte
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			kind = "silence"
		case err != nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err)):
			kind = "closed"
		case err != nil:
			kind = "no HTTP"
		default:
			body, err := io.ReadAll(rsp.Body)
			if kind = kindOf(rsp, body); err != nil && !isReset(err) {
				kind += " cut"
			}
			said = append(fmt.Appendf(nil, "%v %v\n", rsp.Header, rsp.Trailer), body...)
			wait = time.Second
		}
		kinds = append(kinds, kind)
		if a.answer(kind, said); err != nil {
			return kind, nil
		}
	}
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

// kindOf says what an answer is: its status, and Connect's or gRPC's code if there is
// one.
func kindOf(rsp *http.Response, body []byte) string {
	kind := fmt.Sprint(rsp.StatusCode)
	if code := rsp.Header.Get("Grpc-Status") + rsp.Trailer.Get("Grpc-Status"); code != "" {
		return kind + " grpc " + code
	}
	if strings.HasPrefix(rsp.Header.Get("Content-Type"), "application/connect+") && len(body) >= 5 {
		if at := bytes.LastIndex(body, []byte(`{"error"`)); at >= 0 {
			var end struct{ Error struct{ Code string } }
			if json.Unmarshal(body[at:], &end) == nil {
				return kind + " " + end.Error.Code
			}
		}
		return kind
	}
	var said struct{ Code string }
	if json.Unmarshal(body, &said) == nil && said.Code != "" {
		kind += " " + said.Code
	}
	return kind
}

// post gives a request to a method of the ConsentService as bytes.
func (a *assault) post(method, contentType string, header []string, body []byte) []byte {
	b := fmt.Appendf(nil, "POST %s%s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nAuthorization: Bearer %s\r\nConnection: close\r\n",
		appPath, method, a.addr, contentType, len(body), a.key)
	for _, line := range header {
		b = append(b, line+"\r\n"...)
	}
	return append(append(b, "\r\n"...), body...)
}
