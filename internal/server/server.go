// Package server is the ledger's one listener: HTTP/1.1 and unencrypted HTTP/2
// on one port, with limits, API keys, a request log, health and shutdown.
//
// Start with [New] and [Server.Run]. It promises that no request reaches the
// handler without a key whose role may use the path ([Allow]; the log may be
// declared public), that nothing a
// caller sends stands in the log, and that Run returns only when no handler runs
// any more, or when the time for that is over.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
)

// Options says how to serve. Handler, Keys, Ready, Logger and Listen are
// required.
type Options struct {
	// Handler answers what is authenticated and allowed.
	Handler http.Handler

	// Keys knows who may call.
	Keys *authn.Keys

	// Ready is asked at every GET /readyz.
	Ready func() Readiness

	// Logger gets one line per request and every fault.
	Logger *slog.Logger

	// Listen is the address, "host:port", such as "127.0.0.1:8085"; port 0 picks
	// a free one. It must be a loopback address, because this version speaks
	// plain HTTP: keys, tokens and personal data would be readable on the way.
	Listen string

	// AllowPlainHTTPBeyondLoopback lets Listen be any address. For those who put
	// a proxy that speaks TLS, or a private network, in between.
	AllowPlainHTTPBeyondLoopback bool

	// PublicLog lets everybody read the log, below /log/, without a key. The
	// services keep theirs.
	PublicLog bool

	// MaxBodyBytes is the largest request body. Default 32 MiB: two attachments
	// of 10 MiB in base64. Larger ones are resource_exhausted. What callers send as
	// a stream has no such end.
	MaxBodyBytes int64

	// BodyTimeout is how long a request's body may take to arrive, from the end
	// of its header, and for a stream the longest pause of its caller. Default 60 s.
	BodyTimeout time.Duration

	// DrainTimeout is how long Run waits, once told to stop, for requests that
	// are being answered. After half of it their contexts are canceled, which
	// ends streams. Default 10 s.
	DrainTimeout time.Duration
}

// The limits that nobody needs to change.
const (
	readHeaderTimeout    = 5 * time.Second
	idleTimeout          = 60 * time.Second
	maxHeaderBytes       = 16 << 10
	maxConcurrentStreams = 256
)

// Server is a listener and what serves it.
type Server struct {
	opts     Options
	listener net.Listener
	http     *http.Server
	health   *health
	cancel   context.CancelFunc // cancels the context of every request
}

// New checks the options and listens; [Server.Run] then serves. Connections made
// in between wait. Call Run, or Close if it comes to that no more.
func New(opts Options) (*Server, error) {
	switch {
	case opts.Handler == nil, opts.Keys == nil, opts.Ready == nil, opts.Logger == nil:
		return nil, errors.New("server: Handler, Keys, Ready and Logger are required")
	case opts.MaxBodyBytes < 0, opts.BodyTimeout < 0, opts.DrainTimeout < 0:
		return nil, errors.New("server: a limit is negative")
	}
	setDefault(&opts.MaxBodyBytes, 32<<20)
	setDefault(&opts.BodyTimeout, 60*time.Second)
	setDefault(&opts.DrainTimeout, 10*time.Second)
	listener, err := listen(opts.Listen, opts.AllowPlainHTTPBeyondLoopback)
	if err != nil {
		return nil, err
	}
	// The base context is no child of Run's: when Run is told to stop, the
	// requests that are being answered go on.
	base, cancel := context.WithCancel(context.Background())
	s := &Server{opts: opts, listener: listener, health: &health{ready: opts.Ready}, cancel: cancel}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler:           s.handler(),
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxConcurrentStreams},
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog(opts.Logger),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	return s, nil
}

func setDefault[T int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// listen refuses plain HTTP beyond loopback unless told otherwise. It judges the
// address that it then really listens on, not the name.
func listen(addr string, beyondLoopback bool) (net.Listener, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen address: %w", err)
	}
	if !tcp.IP.IsLoopback() && !beyondLoopback {
		return nil, fmt.Errorf("listen address %s can be reached from other machines, and this is plain HTTP: "+
			"keys, tokens and personal data could be read on the way. Listen on 127.0.0.1 behind a proxy that speaks TLS, "+
			"or say that plain HTTP beyond loopback is wanted", addr)
	}
	l, err := net.ListenTCP("tcp", tcp)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return l, nil
}

// handler is the way of a request, from the outside in: request log, recovery,
// limits of the body (outside the keys, because net/http reads what is left of
// the body of a refused request), health, keys and roles, the services.
func (s *Server) handler() http.Handler {
	allow := Allow
	if s.opts.PublicLog {
		allow = allowPublicLog
	}
	h := s.opts.Keys.Middleware(s.opts.Handler, allow)
	h = s.health.middleware(h)
	h = s.limitBody(h)
	h = recovery(s.opts.Logger, h)
	return requestLog(s.opts.Logger, h)
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close ends the listener and every connection at once. After Run it does
// nothing.
func (s *Server) Close() error {
	s.cancel()
	return errors.Join(ignoreClosed(s.http.Close()), ignoreClosed(s.listener.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Run serves until ctx is done, then lets the requests that are being answered
// end: new connections are refused, /readyz says no, after half of DrainTimeout
// the contexts of requests are canceled, after all of it their connections are
// closed. It returns nil when all could end, and is called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	s.health.draining.Store(true)
	s.opts.Logger.Info("shutting down", "drain_seconds", s.opts.DrainTimeout.Seconds())
	drain, stop := context.WithTimeout(context.Background(), s.opts.DrainTimeout)
	defer stop()
	// Streams that have no end would use up all of the time.
	half := time.AfterFunc(s.opts.DrainTimeout/2, s.cancel)
	defer half.Stop()
	if err := s.http.Shutdown(drain); err != nil {
		return fmt.Errorf("shutting down: requests were still being answered after %v: %w", s.opts.DrainTimeout, err)
	}
	return nil
}
