package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// stream is a method that answers every message of a stream by one. Messages and answers
// have the same frames in Connect and in gRPC: flags, length, message.
type stream struct {
	method, wire string
	next         func() (person int64, message []byte, err error)
	judge        func(person int64, answer []byte) error
}

// streams is a row of streams, one per client, each over a connection of its own.
func (b *bench) streams(what, url string, clients int, s stream) *tableRow {
	return b.row(what, clients, func(ctx context.Context, r *result, duration time.Duration) error {
		ctx, cancel := context.WithTimeout(ctx, duration)
		defer cancel()
		r.begin = time.Now()
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				m := measured{result: r}
				defer m.done()
				if err := b.stream(ctx, url, s, &m); err != nil {
					m.note(0, 0, err)
				}
			})
		}
		wg.Wait()
		r.finish()
		return nil
	})
}

// stream sends until the time is over and waits for the answers on their way.
func (b *bench) stream(ctx context.Context, url string, s stream, m *measured) error {
	h2 := newH2C()
	defer h2.CloseIdleConnections()
	open, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	q := &sender{stream: s, over: ctx, broken: open, slots: make(chan struct{}, b.Window), underWay: make(chan asked, b.Window)}
	req, err := http.NewRequestWithContext(open, http.MethodPost, url+"/consent.app.v1.ConsentService/"+s.method, q)
	if err != nil {
		return err
	}
	contentType := "application/connect+" + s.wire
	if s.wire == "grpc" {
		contentType = "application/grpc"
	}
	req.Header = http.Header{"Content-Type": {contentType}, "Te": {"trailers"}, "Authorization": {"Bearer " + b.key}}
	resp, err := h2.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answers := bufio.NewReaderSize(resp.Body, 1<<16)
	var frame [5]byte
	for {
		if _, err := io.ReadFull(answers, frame[:]); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		answer := make([]byte, binary.BigEndian.Uint32(frame[1:]))
		if _, err := io.ReadFull(answers, answer); err != nil {
			return err
		}
		const endOfStream = 2 // of Connect, with what went wrong
		if frame[0]&endOfStream != 0 {
			if string(answer) != "{}" {
				return fmt.Errorf("the stream ended: %s", answer)
			}
			break
		}
		select {
		case a := <-q.underWay:
			<-q.slots
			m.bytes += int64(len(answer))
			m.note(1, time.Since(a.begin), s.judge(a.person, answer))
		default:
			return errors.New("an answer to nothing")
		}
	}
	if status := resp.Trailer.Get("Grpc-Status"); resp.StatusCode != http.StatusOK || s.wire == "grpc" && status != "0" {
		return fmt.Errorf("the stream ended: %s, status %q: %s", resp.Status, status, resp.Trailer.Get("Grpc-Message"))
	}
	if n := len(q.underWay); n > 0 {
		return fmt.Errorf("%d messages have no answer", n)
	}
	return nil
}

// asked is a message that a stream has under way.
type asked struct {
	person int64
	begin  time.Time
}

// sender is the body of a stream's request: as many messages as may be under way, as
// they are read, until the time is over.
type sender struct {
	stream
	over, broken context.Context
	slots        chan struct{} // one for each message under way
	underWay     chan asked    // in order
	rest         []byte        // of what did not fit the last read
}

func (q *sender) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(q.rest) == 0 {
			if !q.slot(n == 0) {
				break
			}
			person, message, err := q.next()
			if err != nil {
				return n, err
			}
			q.rest = append(binary.BigEndian.AppendUint32(append(q.rest[:0], 0), uint32(len(message))), message...)
			q.underWay <- asked{person, time.Now()}
		}
		copied := copy(p[n:], q.rest)
		n, q.rest = n+copied, q.rest[copied:]
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// slot takes a place for one more message; it waits for one if it must, as long as the
// time is not over.
func (q *sender) slot(wait bool) bool {
	if q.over.Err() != nil || q.broken.Err() != nil {
		return false
	}
	select {
	case q.slots <- struct{}{}:
		return true
	default:
	}
	if !wait {
		return false
	}
	select {
	case q.slots <- struct{}{}:
		return true
	case <-q.over.Done():
	case <-q.broken.Done():
	}
	return false
}

// newH2C gives a client of one connection of HTTP/2 without TLS.
func newH2C() *http.Client {
	t := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	t.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: t}
}
