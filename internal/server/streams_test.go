package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/calls"
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

// together answers streams as the services do, the first message when it is told to.
type together struct {
	appv1connect.UnimplementedConsentServiceHandler
	release chan struct{}
	batches []int // how many messages were answered at once; belongs to the stream
}

func (g *together) CheckConsents(ctx context.Context, stream *connect.BidiStream[appv1.CheckConsentRequest, appv1.CheckResult]) error {
	return calls.Answer(ctx, stream, "checks", func(_ context.Context, list []calls.Item[appv1.CheckConsentRequest]) ([]*appv1.CheckResult, error) {
		<-g.release
		g.batches = append(g.batches, len(list))
		answers := make([]*appv1.CheckResult, len(list))
		for i, item := range list {
			answers[i] = &appv1.CheckResult{Error: item.Message.GetPurpose()}
		}
		return answers, nil
	})
}

// flushes counts the flushes of an answer; it belongs to the stream.
type flushes struct {
	http.ResponseWriter
	n int
}

func (f *flushes) Flush() {
	f.n++
	_ = http.NewResponseController(f.ResponseWriter).Flush()
}

func (f *flushes) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// TestStreamsAnswerTogether: what is answered together is sent together, in order, and
// at once; also the error that ends a stream, and what was answered before it.
func TestStreamsAnswerTogether(t *testing.T) {
	t.Parallel()
	a, err := newAdmission(&Options{MaxBodyBytes: 1 << 20, BodyTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	g, counted := &together{release: make(chan struct{})}, new(flushes)
	mux := http.NewServeMux()
	mux.Handle(appv1connect.NewConsentServiceHandler(g))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counted.ResponseWriter = w
		a.middleware(mux).ServeHTTP(counted, r)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	stream, err := appv1connect.NewConsentServiceClient(clients(t)["HTTP/2.0"], s.URL).CheckConsents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const messages = 500
	purpose := func(n int) string { return strings.Repeat("x", n%300) }
	for n := range messages {
		if err := stream.Send(&appv1.CheckConsentRequest{Purpose: purpose(n)}); err != nil {
			t.Fatal(err)
		}
	}
	for a.large.load().Used == 0 { // the first is being answered
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // the others wait
	close(g.release)
	for n := range messages {
		if got, err := stream.Receive(); err != nil || got.Error != purpose(n) {
			t.Fatalf("answer %d: %v, %v", n, got, err)
		}
	}
	// The stream waits for its caller, who has got everything.
	if err := stream.Send(&appv1.CheckConsentRequest{Purpose: "alone"}); err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Receive(); err != nil || got.Error != "alone" {
		t.Fatalf("%v, %v", got, err)
	}
	if err := stream.CloseRequest(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	s.Close() // waits for the handler
	if most := slices.Max(g.batches); most < 10 || counted.n > len(g.batches)+2 {
		t.Errorf("%d flushes for batches of %v", counted.n, g.batches)
	}
	a.holds(t, 0)
}

// reads gives one piece per read.
type reads struct{ pieces [][]byte }

func (r *reads) Read(p []byte) (int, error) {
	if len(r.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.pieces[0])
	r.pieces = r.pieces[1:]
	time.Sleep(time.Second)
	return n, nil
}

func (*reads) Close() error { return nil }

// TestStreamDeadlineIsForMessages: it moves with each that begins, wherever reads end,
// and not with the bytes of one.
func TestStreamDeadlineIsForMessages(t *testing.T) {
	message := append([]byte{0, 0, 0, 0, 95}, make([]byte, 95)...)
	for name, c := range map[string]struct {
		size, reads int // how much each gives
		moved       int // how often the deadline has
	}{
		"whole messages":        {100, 20, 20},
		"more than a message":   {130, 15, 15},
		"less than a message":   {50, 20, 10},
		"a byte now and then":   {1, 101, 2},
		"a header in two reads": {102, 60, 60},
	} {
		synctest.Test(t, func(t *testing.T) {
			var body []byte
			for len(body) < c.size*c.reads {
				body = append(body, message...)
			}
			moved := 0
			b := &timedBody{body: &reads{slices.Collect(slices.Chunk(body[:c.size*c.reads], c.size))}, pause: 4 * time.Second, until: time.Now(),
				set: func(until time.Time) error {
					if until.After(time.Now()) {
						moved++
					}
					return nil
				}}
			for range c.reads {
				if _, err := b.Read(make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
			}
			if moved != c.moved {
				t.Errorf("%s: the deadline was moved %d times, want %d", name, moved, c.moved)
			}
		})
	}
}
