package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/load/storm"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// TestServeDrains sends SIGTERM to a server under the load of 64 clients, with streams
// that would never end among them: it ends in order, within its deadline, everything
// that was acknowledged is there, and every client is told in a way of its wire that it
// should come again.
func TestServeDrains(t *testing.T) {
	dir, key := newLedger(t)
	server, err := startChild(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	caller := storm.NewCaller(key)
	caller.At(server.URL)

	d := &draining{caller: caller, signalled: make(chan struct{})}
	rows := []struct {
		name    string
		clients int
		life    func(ctx context.Context, c int) error
		clean   func(error) bool // whether a last answer says that one should come again
	}{
		{"unary connect", 16, d.unary("connect"), storm.Unanswered},
		{"unary json", 16, d.unary("json"), storm.Unanswered},
		{"unary grpc", 16, d.unary("grpc"), storm.Unanswered},
		// What nobody can wait for the end of is ended by the server, which says so.
		{"stream of imports", 8, d.imports, saidUnavailable},
		{"stream of checks", 6, d.checks, saidUnavailable},
		{"silent stream", 2, d.silence, saidUnavailable},
	}
	var clients sync.WaitGroup
	for _, row := range rows {
		for c := range row.clients {
			clients.Go(func() {
				err := row.life(t.Context(), c)
				if !d.over() || !row.clean(err) {
					t.Errorf("%s, client %d: its last answer is %v, after the signal: %v", row.name, c, err, d.over())
				}
				d.count(row.name, connect.CodeOf(err))
			})
		}
	}
	time.Sleep(time.Second)
	begin := time.Now()
	close(d.signalled)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	clients.Wait()
	if took > 10*time.Second {
		t.Errorf("the shutdown took %v", took)
	}
	if len(d.told) < 64 {
		t.Errorf("%d requests were acknowledged: that was no test", len(d.told))
	}
	t.Logf("%d requests acknowledged, %d of them after the signal; the shutdown took %v; last answers: %v", len(d.told), d.after, took, d.ends)

	opened(t, dir, func(svc *service.Service) {
		if err := storm.NewComparison().Hold(d.told, storm.Stored(svc)); err != nil {
			t.Error(err)
		}
		report, err := svc.Check(nil)
		if err != nil {
			t.Fatal(err)
		}
		testledger.Verify(t, svc.Log())
		// What was recorded and not acknowledged was on its way: one per client.
		if most := len(d.told) + 3*16 + 8*inFlight; report.Held < len(d.told) || report.Held > most {
			t.Errorf("%d consents are recorded, %d were acknowledged, so at most %d", report.Held, len(d.told), most)
		}
	})
	if err := server.Log.Check(); err != nil || server.Log.String() == "" {
		t.Errorf("the server's log is %q: %v", server.Log, err)
	}
}

// saidUnavailable reports whether the server itself said that it is not available.
func saidUnavailable(err error) bool {
	return connect.IsWireError(err) && connect.CodeOf(err) == connect.CodeUnavailable
}

// inFlight is how many imports a stream has under way.
const inFlight = 4

// draining is what clients were told before and after the signal.
type draining struct {
	caller    *storm.Caller
	signalled chan struct{}

	mu    sync.Mutex // guards what follows
	told  []storm.Told
	after int // answers after the signal
	ends  map[string]int
}

func (d *draining) over() bool {
	select {
	case <-d.signalled:
		return true
	default:
		return false
	}
}

func (d *draining) count(name string, code connect.Code) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ends == nil {
		d.ends = map[string]int{}
	}
	d.ends[fmt.Sprintf("%s: %v", name, code)]++
}

func (d *draining) acknowledged(kind ledger.Kind, consents ...*appv1.Consent) error {
	told, err := storm.Acknowledged(kind, consents)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, told)
	if d.over() {
		d.after++
	}
	return nil
}

// unary has one person after the other ask, until one is not answered.
func (d *draining) unary(wire string) func(context.Context, int) error {
	return func(ctx context.Context, c int) error {
		for n := 0; ; n++ {
			resp, err := d.caller.Client(wire).RequestConsent(ctx, storm.Request(wire+storm.Email(c, n), ""))
			if err != nil {
				return err
			}
			if err := d.acknowledged(ledger.ConsentRequested, resp.Consents...); err != nil {
				return err
			}
		}
	}
}

// imports sends one person after the other over one stream, four ahead of the answers.
func (d *draining) imports(ctx context.Context, c int) error {
	stream, err := d.caller.Client("grpc").ImportConsents(ctx)
	if err != nil {
		return err
	}
	defer stream.CloseResponse()
	send := func(n int) error {
		return stream.Send(&appv1.ImportItem{Subject: storm.Subject("import" + storm.Email(c, n)), Purpose: "newsletter", Channel: "email",
			Notice: "newsletter-de@1", Method: "web_form", Grade: "E", OccurredAt: timestamppb.New(time.Date(2024, 5, 17, 9, 30, 0, 0, time.UTC))})
	}
	for n := 0; ; n++ {
		if err := send(n); err != nil && !errors.Is(err, io.EOF) { // then Receive knows more
			return err
		}
		if n < inFlight {
			continue
		}
		result, err := stream.Receive()
		if err != nil {
			return err
		}
		if d.over() && strings.HasPrefix(result.GetError(), connect.CodeUnavailable.String()+": ") {
			continue // the stream ends next
		}
		if err := d.acknowledged(ledger.ConsentImported, result.GetConsent()); err != nil {
			return fmt.Errorf("%w: %s", err, cmp.Or(result.GetError(), result.GetSkipped()))
		}
	}
}

// silence asks once and then waits for ever.
func (d *draining) silence(ctx context.Context, _ int) error {
	stream, err := d.caller.Client("grpc").CheckConsents(ctx)
	if err != nil {
		return err
	}
	defer stream.CloseResponse()
	if err := stream.Send(&appv1.CheckConsentRequest{Subject: storm.Subject("nobody@example.org"), Purpose: "newsletter", Channel: "email"}); err != nil {
		return err
	}
	for {
		if _, err := stream.Receive(); err != nil {
			return err
		}
	}
}

// checks asks about one person over and over.
func (d *draining) checks(ctx context.Context, _ int) error {
	stream, err := d.caller.Client("grpc").CheckConsents(ctx)
	if err != nil {
		return err
	}
	defer stream.CloseResponse()
	for {
		err := stream.Send(&appv1.CheckConsentRequest{Subject: storm.Subject("nobody@example.org"), Purpose: "newsletter", Channel: "email"})
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		result, err := stream.Receive()
		if err != nil {
			return err
		}
		if reason := result.GetResponse().GetReason(); reason != "unknown_subject" {
			return fmt.Errorf("a stranger is %q: %s", reason, result.GetError())
		}
	}
}
