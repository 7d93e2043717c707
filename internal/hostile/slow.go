package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// lasts is how long a slow attack goes on: at full scale longer than the server's
// patience with a reader.
func (a *assault) lasts() time.Duration {
	return max(3*time.Second, time.Duration(a.scale*float64(40*time.Second)))
}

// hold opens n connections, 64 at a time, lets each begin, and then drip one byte every
// half second as long as the attack goes on, and counts what the server said in the end.
func (a *assault) hold(ctx context.Context, n int, begin func(conn net.Conn) error, drip string) error {
	conns := make([]net.Conn, 0, n)
	var mu sync.Mutex // guards conns
	err := together(min(64, n), func(part int) error {
		for range (n + 63 - part) / 64 {
			conn, err := a.dial(ctx, "http/1.1")
			if err == nil {
				err = begin(conn)
			}
			if err != nil && !isReset(err) {
				return err
			}
			if err == nil {
				mu.Lock()
				conns = append(conns, conn)
				mu.Unlock()
			}
		}
		return nil
	})
	a.sends(len(conns))
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	for end := time.Now().Add(a.lasts()); err == nil && time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		for _, conn := range conns {
			if drip != "" {
				_, _ = conn.Write([]byte(drip)) // some are closed by now
			}
		}
	}
	return errors.Join(err, together(min(64, len(conns)), func(part int) error {
		for i := part; i < len(conns); i += 64 {
			a.lastWord(conns[i])
		}
		return nil
	}))
}

// lastWord counts how a connection stands.
func (a *assault) lastWord(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	text, err := io.ReadAll(io.LimitReader(conn, 4096))
	kind := "closed"
	switch {
	case len(text) > 0:
		kind = strings.TrimSpace(strings.TrimPrefix(strings.SplitN(string(text), "\r\n", 2)[0], "HTTP/1.1"))
	case errors.Is(err, os.ErrDeadlineExceeded):
		kind = "still open"
	}
	a.answer(kind, text)
}

func slowAttacks() []Attack {
	write := func(text string) func(net.Conn) error {
		return func(conn net.Conn) error {
			_, err := io.WriteString(conn, text)
			return err
		}
	}
	return []Attack{
		{"connections that say nothing", "", `still open|closed`, func(ctx context.Context, a *assault) error {
			return a.hold(ctx, a.times(9000), func(net.Conn) error { return nil }, "")
		}},
		{"headers, a byte at a time", "", `still open|closed|40[08] .*`, func(ctx context.Context, a *assault) error {
			return a.hold(ctx, a.times(5000), write("GET /healthz HTTP/1.1\r\nHost: "+Canary+"\r\nX: "), "a")
		}},
		{"bodies, a byte at a time", "hoarder", `still open|closed|429 .*`, func(ctx context.Context, a *assault) error {
			head := strings.SplitN(string(a.post("CheckConsent", typeJSON, nil, make([]byte, 1000))), "\r\n\r\n", 2)[0]
			return a.hold(ctx, a.times(5000), write(head+"\r\n\r\n{"), " ")
		}},
		{"large bodies that stop", "hoarder", `still open|closed|429 .*`, func(ctx context.Context, a *assault) error {
			head := strings.SplitN(string(a.post("CheckConsent", typeJSON, nil, make([]byte, 16<<20))), "\r\n\r\n", 2)[0]
			return a.hold(ctx, a.times(500), write(head+"\r\n\r\n{"+strings.Repeat(" ", 1<<20)), "")
		}},
		{"answers that nobody reads", "auditor", `still open|closed|(200|429) .*`, func(ctx context.Context, a *assault) error {
			ask := strings.Repeat("GET "+tile+" HTTP/1.1\r\nHost: "+a.addr+"\r\nAuthorization: Bearer "+a.key+"\r\n\r\n", 1000)
			return a.hold(ctx, a.times(1000), func(conn net.Conn) error {
				if tcp, ok := conn.(*net.TCPConn); ok {
					_ = tcp.SetReadBuffer(4096) // it is only slower to fill otherwise
				}
				// The server reads no further when it cannot write.
				_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
				_, _ = io.WriteString(conn, ask)
				return nil
			}, "")
		}},
		{"HTTP/2 windows that stay closed", "auditor", `200|429|reset .*|goaway .*|closed`, func(ctx context.Context, a *assault) error {
			return together(a.times(50), func(int) error {
				r, err := a.open2(ctx, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				if err != nil {
					return err
				}
				for i := range 200 {
					if err := r.header(uint32(2*i+1), ":method", "GET", ":scheme", "http", ":path", tile, "authorization", "Bearer "+a.key); err != nil {
						return fmt.Errorf("stream %d: %w", i, err)
					}
				}
				a.sends(200)
				r.over(a.lasts())
				return nil
			})
		}},
		{"streams that stay silent", "hoarder", `200|429|reset .*|goaway .*|closed`, func(ctx context.Context, a *assault) error {
			return together(a.times(20), func(int) error {
				r, err := a.open2(ctx)
				if err != nil {
					return err
				}
				for i := range 100 {
					err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), EndHeaders: true, BlockFragment: r.fields(":method", "POST", ":scheme", "http",
						":path", appPath+"CheckConsents", "content-type", typeStream, "authorization", "Bearer "+a.key)})
					if err != nil {
						return fmt.Errorf("stream %d: %w", i, err)
					}
				}
				a.sends(100)
				r.over(a.lasts())
				return nil
			})
		}},
	}
}
