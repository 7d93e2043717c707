package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

// hesitant answers the messages of a stream one by one, as it is told to; meanwhile it
// reads on.
type hesitant struct {
	appv1connect.UnimplementedConsentServiceHandler
	came   chan error // for each message, or the end
	answer chan struct{}
}

func (h *hesitant) CheckConsents(ctx context.Context, stream *connect.BidiStream[appv1.CheckConsentRequest, appv1.CheckResult]) error {
	ended := make(chan error, 1)
	go func() {
		for {
			_, err := stream.Receive()
			h.came <- err
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	for {
		select {
		case err := <-ended:
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		case <-h.answer:
			if err := stream.Send(new(appv1.CheckResult)); err != nil {
				return err
			}
		}
	}
}

// stream opens one to a handler, behind an admission with so much room for large bodies.
func (h *hesitant) stream(t *testing.T, room int64, change func(*Options)) (*admission, *connect.BidiStreamForClientSimple[appv1.CheckConsentRequest, appv1.CheckResult]) {
	opts := &Options{MaxBodyBytes: room / 2, BodyTimeout: time.Minute}
	if change != nil {
		change(opts)
	}
	a, err := newAdmission(opts)
	if err != nil {
		t.Fatal(err)
	}
	a.large = newPool(room)
	h.came, h.answer = make(chan error, 10), make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle(appv1connect.NewConsentServiceHandler(h))
	s := httptest.NewUnstartedServer(a.middleware(mux))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	stream, err := appv1connect.NewConsentServiceClient(clients(t)["HTTP/2.0"], s.URL, connect.WithGRPC(), connect.WithSendGzip(), connect.WithCompressMinBytes(1000)).
		CheckConsents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a, stream
}

// holds waits until so much of the room for large bodies is held.
func (a *admission) holds(t *testing.T, want int64) {
	t.Helper()
	for begin := time.Now(); a.large.load().Used != want; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("%d bytes are held, want %d", a.large.load().Used, want)
		}
	}
}

// message gives one of so many bytes.
func message(n int) *appv1.CheckConsentRequest {
	return &appv1.CheckConsentRequest{Purpose: strings.Repeat("x", n-3)} // tag and length take 3
}

// Messages of a stream hold room until they are answered; for one that has no room
// nothing is read until there is.
func TestStreamsHoldRoom(t *testing.T) {
	t.Parallel()
	h := new(hesitant)
	a, stream := h.stream(t, 2000, nil) // 1500 of them for one key
	send := func(n int) {
		t.Helper()
		if err := stream.Send(message(n)); err != nil {
			t.Fatal(err)
		}
	}
	came := func() {
		t.Helper()
		if err := <-h.came; err != nil {
			t.Fatal(err)
		}
	}
	send(600)
	came()
	a.holds(t, 600)
	send(700)
	came()
	a.holds(t, 1300)
	send(800)
	select {
	case err := <-h.came:
		t.Fatalf("a message beyond the room came: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	a.holds(t, 1300)
	h.answer <- struct{}{}
	came()
	a.holds(t, 1500) // 700 and 800
	h.answer <- struct{}{}
	a.holds(t, 800)
	h.answer <- struct{}{}
	a.holds(t, 0)

	// What is compressed may become more, but not more than any message may have.
	send(1000)
	came()
	a.holds(t, 1000)
	if err := stream.CloseRequest(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := stream.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	a.holds(t, 0)
}

// Who waits too long is told, and holds nothing any more.
func TestStreamsWithoutRoomEnd(t *testing.T) {
	t.Parallel()
	h := new(hesitant)
	a, stream := h.stream(t, 1000, func(o *Options) { o.MaxBodyBytes, o.BodyTimeout = 900, 200*time.Millisecond })
	if err := stream.Send(message(500)); err != nil {
		t.Fatal(err)
	}
	if err := <-h.came; err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(message(600)); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Receive(); connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), "room") {
		t.Errorf("it ended with %v", err)
	}
	a.holds(t, 0)
	if shed := a.large.load().Shed; shed != 1 {
		t.Errorf("%d were turned away", shed)
	}
}

// Who waits for room goes on when enough was given back, or ends with its context.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(100)
		if !p.await(t.Context(), "a", 60, 0) {
			t.Fatal("there is room")
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := map[string]bool{}
		wait := func(ctx context.Context, key string, n int64) {
			go func() { got[key] = p.await(ctx, key, n, time.Hour) }()
			synctest.Wait()
		}
		wait(ctx, "canceled", 50)
		wait(t.Context(), "b", 50)
		wait(t.Context(), "a", 30) // more than its share
		p.give("a", 5)
		synctest.Wait()
		if len(got) != 0 {
			t.Errorf("after 5: %v", got)
		}
		cancel()
		synctest.Wait()
		p.give("a", 5)
		synctest.Wait()
		if l := p.load(); got["canceled"] || len(got) != 2 || l.Used != 100 || l.Shed != 1 {
			t.Errorf("after 10: %v, %+v", got, l)
		}
		p.give("b", 50)
		synctest.Wait()
		if len(got) != 2 {
			t.Error("a key has more than its share")
		}
		p.give("a", 10)
		synctest.Wait()
		if l := p.load(); !got["a"] || l.Used != 70 {
			t.Errorf("at the end: %v, %+v", got, l)
		}
	})
}
