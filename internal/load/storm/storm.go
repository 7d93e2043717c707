// Package storm has clients post to a ledger's server at full speed while it is killed,
// ended and started again. They repeat what was not answered, and keep what they were
// told, so that the log can be held against it.
//
// Start with [New] and [Storm.Begin]; a [Comparison] then tells whether anything that
// was acknowledged is missing, and whether anything stands twice. [Serve] starts the
// server, [Storm.Endings] is the whole story of one that is ended again and again.
//
// The ledger must know the purpose "newsletter", a double opt-in, and the notice
// newsletter-de@1 that names it. People are told apart by the number of their client:
// a ledger can go through one Storm only.
package storm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

// What is personal in what the clients send.
const (
	domain  = "@example.org"
	address = "203.0.113.42"
)

// Wires are the ways in which clients speak, each the next one's neighbour: Connect
// with protobuf, Connect with JSON, gRPC over HTTP/2.
var Wires = []string{"connect", "json", "grpc"}

// Caller calls a server that may die at any moment and come back at another address.
// Many may share one.
type Caller struct {
	url   atomic.Pointer[string]
	plain *http.Client // HTTP/1.1
	h2c   *http.Client
}

// NewCaller makes a caller with an API key.
func NewCaller(key string) *Caller {
	transport := func() *http.Transport {
		return &http.Transport{MaxIdleConnsPerHost: 256, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext}
	}
	h2c := transport()
	h2c.Protocols = new(http.Protocols)
	h2c.Protocols.SetUnencryptedHTTP2(true)
	return &Caller{plain: &http.Client{Timeout: 20 * time.Second, Transport: withKey{key, transport()}},
		h2c: &http.Client{Transport: withKey{key, h2c}}}
}

// At says where the server is now.
func (c *Caller) At(url string) { c.url.Store(&url) }

// HTTP is a client for HTTP/1.1 that sends the key.
func (c *Caller) HTTP() *http.Client { return c.plain }

// Client speaks to the server, where it is now, in one of [Wires].
func (c *Caller) Client(wire string) appv1connect.ConsentServiceClient {
	switch wire {
	case "connect":
		return appv1connect.NewConsentServiceClient(c.plain, *c.url.Load())
	case "json":
		return appv1connect.NewConsentServiceClient(c.plain, *c.url.Load(), connect.WithProtoJSON())
	case "grpc":
		return appv1connect.NewConsentServiceClient(c.h2c, *c.url.Load(), connect.WithGRPC())
	}
	panic("no wire is called " + wire)
}

// withKey sends an API key with every request.
type withKey struct {
	key  string
	next http.RoundTripper
}

func (w withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+w.key)
	return w.next.RoundTrip(r)
}

// Unanswered reports whether an error leaves open what became of the request: the
// server died, was shutting down, or has no room at the moment. Codes that come from
// the server are told from those that the client makes of a broken connection.
func Unanswered(err error) bool {
	code := connect.CodeOf(err)
	return !connect.IsWireError(err) || code == connect.CodeUnavailable || code == connect.CodeResourceExhausted
}

// Request is the request of one person.
func Request(email, key string) *appv1.RequestConsentRequest {
	return &appv1.RequestConsentRequest{Subject: Subject(email), Purposes: []string{"newsletter"}, Channel: "email",
		Notice: "newsletter-de@1", Method: "web_form", Claims: map[string]string{"ip": address}, IdempotencyKey: key}
}

// Subject is the person with an address.
func Subject(email string) *appv1.Subject { return &appv1.Subject{Email: email} }

// Email is the address of client c's nth person.
func Email(c, n int) string { return fmt.Sprintf("c%d.%d%s", c, n, domain) }

// Storm is what clients do and what they were told.
type Storm struct {
	*Caller
	rest    sync.RWMutex // held for writing while all clients are at rest
	stop    chan struct{}
	clients sync.WaitGroup

	mu       sync.Mutex // guards what follows
	told     []Told
	repeated int                 // tries that got no answer
	kinds    map[ledger.Kind]int // consents that entries of a kind must concern
	states   map[int64]string    // of consents, as told last
	again    []repeatable        // calls with an idempotency key
	erased   map[string]bool     // addresses
	failed   error               // what was answered wrongly, first
	starts   []time.Duration     // of servers, until they were ready
	drains   []time.Duration     // from SIGTERM to the end
	refused  int                 // servers that found their ledger in use
}

// repeatable is a call that can be sent again.
type repeatable struct {
	email string
	send  func(context.Context) error
}

// New makes a storm whose clients have an API key of role app. Its first server is
// told with [Caller.At].
func New(key string) *Storm {
	return &Storm{Caller: NewCaller(key), stop: make(chan struct{}), kinds: map[ledger.Kind]int{}, states: map[int64]string{}, erased: map[string]bool{}}
}

// Begin has so many clients post until End. A wrong answer ends its client, and is
// what [Storm.Failed] gives.
func (s *Storm) Begin(ctx context.Context, clients int) {
	for c := range clients {
		s.clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-s.stop:
					return
				default:
				}
				s.rest.RLock()
				err := s.person(ctx, c, n)
				s.rest.RUnlock()
				if err != nil {
					s.fail(fmt.Errorf("client %d, person %d: %w", c, n, err))
					return
				}
			}
		})
	}
}

// End waits until every client has finished with its person, which takes a server that
// answers.
func (s *Storm) End() {
	close(s.stop)
	s.clients.Wait()
}

// Rest waits until every client has finished with its person, which takes a server that
// answers, and has them wait until resume is called. What they were told is then all
// that was recorded.
func (s *Storm) Rest() (resume func()) {
	s.rest.Lock()
	return s.rest.Unlock
}

func (s *Storm) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

// Failed gives the first answer that was wrong.
func (s *Storm) Failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Figures are what a storm has come to so far.
type Figures struct {
	Told       int             // answers that said what was recorded
	Unanswered int             // tries without an answer, each made again
	Erased     int             // people
	Starts     []time.Duration // of servers, until they were ready
	Drains     []time.Duration // of servers that were ended in order
	Refused    int             // servers that found their ledger in use
}

// Figures counts.
func (s *Storm) Figures() Figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Figures{len(s.told), s.repeated, len(s.erased), slices.Clone(s.starts), slices.Clone(s.drains), s.refused}
}

// until repeats a call until the server answers it, for two minutes at most.
func until[T any](ctx context.Context, s *Storm, call func(context.Context) (T, error)) (T, error) {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		answer, err := call(ctx)
		if err == nil || !Unanswered(err) || time.Now().After(deadline) || ctx.Err() != nil {
			return answer, err
		}
		s.mu.Lock()
		s.repeated++
		s.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

// RepeatAll sends calls with an idempotency key once more, at most so many of them
// drawn at random, and demands the same answers. Those about people who were erased
// since find nobody. A [Comparison] finds out whether one of them was recorded. The
// clients must be at rest.
func (s *Storm) RepeatAll(ctx context.Context, most int) error {
	rand.Shuffle(len(s.again), func(i, j int) { s.again[i], s.again[j] = s.again[j], s.again[i] })
	for _, again := range s.again[:min(len(s.again), most)] {
		err := again.send(ctx)
		if s.erased[again.email] && connect.CodeOf(err) == connect.CodeNotFound {
			continue
		}
		if s.erased[again.email] {
			return errors.Join(errors.New("a repeated request of an erased person was answered"), err)
		}
		if err != nil {
			return fmt.Errorf("repeated: %w", err)
		}
	}
	return nil
}
