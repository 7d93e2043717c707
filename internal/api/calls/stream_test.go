package calls_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/calls"
	apierrors "github.com/consentledger/consentledger/internal/api/errors"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/refusal"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

type (
	question = appv1.CheckConsentRequest
	result   = appv1.CheckResult
	items    = []calls.Item[question]
)

// checker answers streams with what a test says.
type checker struct {
	appv1connect.UnimplementedConsentServiceHandler
	answer func(context.Context, items) ([]*result, error)
}

func (c *checker) CheckConsents(ctx context.Context, stream *connect.BidiStream[question, result]) error {
	return calls.Answer(ctx, stream, "checks", c.answer)
}

// echo answers each question with its purpose, or with what is wrong.
func echo(_ context.Context, list items) ([]*result, error) {
	answers := make([]*result, len(list))
	for i, item := range list {
		answers[i] = &result{Error: apierrors.Item(item.Path, item.Err, nil)}
		if item.Err == nil {
			answers[i].Error = item.Path + " " + item.Message.Purpose
		}
	}
	return answers, nil
}

type clientStream = connect.BidiStreamForClientSimple[question, result]

// stream opens a stream to c.
func stream(t *testing.T, ctx context.Context, c *checker, options ...connect.ClientOption) *clientStream {
	t.Helper()
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	url, client := serveChecker(t, c, h2c)
	s, err := appv1connect.NewConsentServiceClient(client, url, options...).CheckConsents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func serveChecker(t *testing.T, c *checker, transport *http.Transport) (url string, client *http.Client) {
	options := append(calls.Options(authn.App, 1000), calls.Refusals(slog.New(slog.DiscardHandler)))
	_, h := appv1connect.NewConsentServiceHandler(c, options...)
	url, clients := listen(t, h, transport, authn.App)
	return url, clients[authn.App]
}

// TestStreamAnswersInOrder sends without waiting, and reads everything after that.
func TestStreamAnswersInOrder(t *testing.T) {
	for name, options := range map[string][]connect.ClientOption{"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()}} {
		s := stream(t, t.Context(), &checker{answer: echo}, options...)
		sent := make(chan error, 1)
		go func() {
			for n := range 3000 {
				if err := s.Send(&question{Purpose: fmt.Sprint(n)}); err != nil {
					sent <- err
					return
				}
			}
			sent <- s.CloseRequest()
		}()
		for n := range 3000 {
			got, err := s.Receive()
			if want := fmt.Sprintf("checks[%d] %d", n, n); err != nil || got.Error != want {
				t.Fatalf("%s: answer %d: %v, %v", name, n, got, err)
			}
		}
		if _, err := s.Receive(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: the end: %v", name, err)
		}
		if err := errors.Join(<-sent, s.CloseResponse()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStreamGivesEachItsAnswer: messages that cannot be read do not end a stream, and
// those behind them are read from where they begin.
func TestStreamGivesEachItsAnswer(t *testing.T) {
	bodies := []string{`{"purpose":"a"}`, `{"purpos":"secret"}`, `{"purpose":"b"}`, `["secret"]`, `{"at":"secret"}`, `{"subject":{"mail":"secret"}}`, ``, `{"purpose":"c"}`}
	want := []string{"checks[0] a", "invalid_argument: checks[1].purpos: is unknown", "checks[2] b", "invalid_argument: checks[3]: must be an object",
		`invalid_argument: checks[4].at: must be a time in RFC 3339 such as "2026-11-21T22:36:10Z"`,
		"invalid_argument: checks[5].subject.mail: is unknown", "checks[6] ", "checks[7] c"}
	var body []byte
	for _, b := range bodies {
		body = append(binary.BigEndian.AppendUint32(append(body, 0), uint32(len(b))), b...)
	}
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	url, client := serveChecker(t, &checker{answer: echo}, h2c)
	rsp, err := client.Post(url+appv1connect.ConsentServiceCheckConsentsProcedure, "application/connect+json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(rsp.Body)
	if err != nil || strings.Contains(string(text), "secret") {
		t.Errorf("%s: %v", text, err)
	}
	for n, w := range want {
		if !strings.Contains(string(text), strings.ReplaceAll(w, `"`, `\"`)) {
			t.Errorf("answer %d: %s is not in %s", n, w, text)
		}
	}
	if !strings.HasSuffix(string(text), "\x02\x00\x00\x00\x02{}") {
		t.Errorf("the stream ended with %q", text[max(0, len(text)-80):])
	}
}

// sent reports whether a message went out as far as the other side read it: one that
// has ended the stream meanwhile says why in its answer, which Connect tells by EOF.
func sent(err error) bool { return err == nil || errors.Is(err, io.EOF) }

// TestStreamEnds: an error ends a stream, and what it says is for the caller.
func TestStreamEnds(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code connect.Code
	}{
		"a refusal":      {refusal.Unavailable("only reads"), connect.CodeUnavailable},
		"anything else":  {errors.New("secret"), connect.CodeInternal},
		"a late context": {context.DeadlineExceeded, connect.CodeDeadlineExceeded},
	} {
		s := stream(t, t.Context(), &checker{answer: func(context.Context, items) ([]*result, error) { return nil, c.err }})
		if err := s.Send(&question{}); !sent(err) {
			t.Fatal(err)
		}
		if _, err := s.Receive(); connect.CodeOf(err) != c.code || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %v", name, err, c.code)
		}
	}
	s := stream(t, t.Context(), &checker{answer: echo})
	if err := s.Send(&question{Purpose: strings.Repeat("x", 1001)}); !sent(err) {
		t.Fatal(err)
	}
	if _, err := s.Receive(); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("a message that is too large: %v", err)
	}
}

// TestStreamHasItsCallersDeadline: it ends a stream on which nothing comes, and what
// is being answered.
func TestStreamHasItsCallersDeadline(t *testing.T) {
	wait := func(ctx context.Context, _ items) ([]*result, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, send := range map[string]int{"silent": 0, "busy": 1} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		ended := make(chan struct{})
		s := stream(t, ctx, &checker{answer: func(ctx context.Context, list items) ([]*result, error) {
			defer close(ended)
			return wait(ctx, list)
		}})
		if err := s.Send(nil); err != nil { // opens it
			t.Fatal(err)
		}
		for range send {
			if err := s.Send(new(question)); !sent(err) {
				t.Fatal(err)
			}
		}
		if _, err := s.Receive(); connect.CodeOf(err) != connect.CodeDeadlineExceeded {
			t.Errorf("%s: %v", name, err)
		}
		if send > 0 {
			<-ended
		}
	}
}

// TestStreamWaitsForItsAnswers: whoever sends faster than is answered is not read any
// further, and what waited is answered together.
func TestStreamWaitsForItsAnswers(t *testing.T) {
	release, sizes := make(chan struct{}), []int{}
	s := stream(t, t.Context(), &checker{answer: func(ctx context.Context, list items) ([]*result, error) {
		<-release
		sizes = append(sizes, len(list))
		return echo(ctx, list)
	}})
	sent := make(chan error, 1)
	go func() {
		for range 5000 {
			if err := s.Send(&question{Purpose: "p"}); err != nil {
				sent <- err
				return
			}
		}
		sent <- s.CloseRequest()
	}()
	time.Sleep(300 * time.Millisecond)
	close(release)
	for n := range 5000 {
		if _, err := s.Receive(); err != nil {
			t.Fatalf("answer %d: %v", n, err)
		}
	}
	if _, err := s.Receive(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if most := slices.Max(sizes); most > 1000 || len(sizes) > 1000 || most < 10 {
		t.Errorf("%d answers to at most %d messages", len(sizes), most)
	}
}

// TestStreamNeedsHTTP2: others are told to use the batch, not kept waiting.
func TestStreamNeedsHTTP2(t *testing.T) {
	url, client := serveChecker(t, &checker{answer: echo}, new(http.Transport))
	rsp, err := client.Post(url+appv1connect.ConsentServiceCheckConsentsProcedure, "application/connect+json", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	rsp.Body.Close()
	if rsp.StatusCode != http.StatusHTTPVersionNotSupported {
		t.Errorf("over HTTP/1.1: %s", rsp.Status)
	}
}
