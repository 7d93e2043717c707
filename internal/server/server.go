// Package server is the ledger's one listener: HTTP/1.1 and HTTP/2 on one port, over
// TLS or unencrypted, with limits, API keys, a request log, health and shutdown.
//
// Start with [New] and [Server.Run]. It promises that no request reaches the
// handler without a key whose role may use the path ([Allow]; the log may be
// declared public), and without a place among as many as can be answered at once
// ([Places]); that what has its place is answered; that nobody keeps a place by
// sending or reading slowly; that nothing a caller sends stands in the log; and that
// Run returns only when no handler runs any more, or when the time for that is over.
//
// # Limits
//
// A TLS handshake costs a signature and is given to everybody who asks. All callers
// behind one proxy are one address. A stream of messages may send one each
// BodyTimeout and keeps its place among streams.
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
	"github.com/consentledger/consentledger/internal/refusal"
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

	// Requests, if not nil, counts them.
	Requests Requests

	// Listen is the address, "host:port", such as "127.0.0.1:8085"; port 0 picks
	// a free one. Without TLS it must be a loopback address, because keys, tokens
	// and personal data would be readable on the way.
	Listen string

	// TLS names the certificate to serve with; nil for plain HTTP. With it plain
	// HTTP is not spoken. The files are looked at every two seconds, and by
	// [Server.ReloadCertificate]; what is new in them and can be used is served
	// from then on, to new connections.
	TLS *TLSFiles

	// AllowPlainHTTPBeyondLoopback lets Listen be any address without TLS. For
	// those who put a proxy that speaks TLS, or a private network, in between.
	AllowPlainHTTPBeyondLoopback bool

	// PublicLog lets everybody read the log, below /log/, without a key. The
	// services keep theirs.
	PublicLog bool

	// MaxBodyBytes is the largest request body. Default 32 MiB: two attachments
	// of 10 MiB in base64. Larger ones are resource_exhausted. What callers send as
	// a stream has no such end.
	MaxBodyBytes int64

	// Memory is what the process is to use, in bytes: a sixteenth of it is for small
	// bodies, an eighth for larger ones and the messages of streams, but at least two of
	// MaxBodyBytes, and a quarter for answers that are whole files. Default 1 GiB.
	Memory int64

	// BodyTimeout is how long a request's body may take to arrive, from the end
	// of its header, and for a stream each message, from the one before it.
	// Default 60 s.
	BodyTimeout time.Duration

	// WriteTimeout is how long the writing of an answer may wait for who reads it;
	// each 32 KiB that are taken give back a second. Default 30 s.
	WriteTimeout time.Duration

	// Places says how many calls are answered at once.
	Places Places

	// MaxConnections is how many connections there may be; beyond them the one is
	// closed that has waited longest for a request. At most the limit of open files
	// less 2,048. Default 10,000, or what that limit allows.
	MaxConnections int

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
	pingAfter            = 30 * time.Second // of silence over HTTP/2
	pingTimeout          = 15 * time.Second
	leftoverTimeout      = 2 * time.Second // for what is not read of a body, and for what strangers do not read of an answer
)

// Server is a listener and what serves it.
type Server struct {
	opts        Options
	listener    net.Listener
	http        *http.Server
	health      *health
	admission   *admission
	connections *connections
	certificate *certificate // nil for plain HTTP
	cancel      func()       // cancels the context of every request
}

// New checks the options and listens; [Server.Run] then serves. Connections made
// in between wait. Call Run, or Close if it comes to that no more.
func New(opts Options) (*Server, error) {
	switch {
	case opts.Handler == nil, opts.Keys == nil, opts.Ready == nil, opts.Logger == nil:
		return nil, errors.New("server: Handler, Keys, Ready and Logger are required")
	case opts.MaxBodyBytes < 0, opts.Memory < 0, opts.BodyTimeout < 0, opts.WriteTimeout < 0, opts.DrainTimeout < 0, opts.MaxConnections < 0:
		return nil, errors.New("server: a limit is negative")
	}
	setDefault(&opts.MaxBodyBytes, 32<<20)
	setDefault(&opts.BodyTimeout, 60*time.Second)
	setDefault(&opts.WriteTimeout, 30*time.Second)
	setDefault(&opts.DrainTimeout, 10*time.Second)
	s := &Server{opts: opts, health: &health{ready: opts.Ready}}
	var err error
	if s.admission, err = newAdmission(&s.opts); err != nil {
		return nil, err
	}
	most, err := maxConnections(opts.MaxConnections)
	if err != nil {
		return nil, err
	}
	s.connections = newConnections(most)
	if opts.TLS != nil {
		if s.certificate, err = loadCertificate(*opts.TLS, opts.Logger); err != nil {
			return nil, err
		}
	}
	if s.listener, err = listen(opts.Listen, opts.TLS != nil || opts.AllowPlainHTTPBeyondLoopback); err != nil {
		return nil, err
	}
	// The base context is no child of Run's: when Run is told to stop, the
	// requests that are being answered go on.
	base, cancel := context.WithCancelCause(context.Background())
	s.cancel = func() { cancel(errShuttingDown) }
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(opts.TLS != nil)
	protocols.SetUnencryptedHTTP2(opts.TLS == nil)
	s.http = &http.Server{
		Handler:   s.handler(),
		Protocols: protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxConcurrentStreams,
			SendPingTimeout:      pingAfter,
			PingTimeout:          pingTimeout,
			WriteByteTimeout:     opts.WriteTimeout,
		},
		ConnState:         s.connections.changed,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog(opts.Logger),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	if s.certificate != nil {
		s.http.TLSConfig = tlsConfig(s.certificate)
	}
	return s, nil
}

// errShuttingDown is the cause with which the contexts of requests are canceled. It is
// what their callers are told, internal/api/calls sees to that.
var errShuttingDown = refusal.Unavailable("the server is shutting down; what the call asked for may have been recorded")

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
			"keys, tokens and personal data could be read on the way. Name a certificate and its key, listen on 127.0.0.1 "+
			"behind a proxy that speaks TLS, or say that plain HTTP beyond loopback is wanted", addr)
	}
	l, err := net.ListenTCP("tcp", tcp)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return l, nil
}

// handler is the way of a request, from the outside in: request log, security
// headers, recovery, limits of slow readers and of the body (outside the keys, because
// net/http reads what is left of the body of a refused request), health, keys and
// roles, a place, the services.
func (s *Server) handler() http.Handler {
	allow := Allow
	if s.opts.PublicLog {
		allow = allowPublicLog
	}
	h := s.opts.Keys.Middleware(s.admission.middleware(s.opts.Handler), allow)
	h = s.health.middleware(h)
	h = s.limitBody(h)
	h = s.limitWaiting(h)
	h = recovery(s.opts.Logger, h)
	h = s.secure(h)
	return requestLog(s.opts.Logger, s.opts.Requests, h)
}

// secure says to browsers, which have no business here, that an answer is no page, is
// nobody else's and is not kept; what may be kept says so itself. Over TLS it says that
// this host is to be spoken to over TLS only, for a year.
func (s *Server) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		if s.certificate != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// Loads says how much is in use of what there is only so much of, by name:
// "connections"; "small_bodies", "large_bodies" and "answers" in bytes; and places, "app",
// "auditor", "legal", "admin", "log", "listing", "export", "stream", and "all" but
// streams together.
func (s *Server) Loads() map[string]Load {
	loads := map[string]Load{
		"connections":  s.connections.load(),
		"small_bodies": s.admission.small.load(),
		"large_bodies": s.admission.large.load(),
		"answers":      s.admission.answers.load(),
		"all":          s.admission.all.load(),
	}
	for kind, p := range s.admission.places {
		loads[string(kind)] = p.load()
	}
	return loads
}

// FailedKeys is how many requests had no key that works, where one is needed.
func (s *Server) FailedKeys() int64 { return s.opts.Keys.Failed() }

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close ends the listener and every connection at once. After Run it does
// nothing.
func (s *Server) Close() error {
	s.cancel()
	defer s.opts.Keys.WriteUses()
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
	go func() {
		if s.certificate == nil {
			served <- s.http.Serve(s.listener)
			return
		}
		served <- s.http.ServeTLS(s.listener, "", "") // the certificate is in TLSConfig
	}()
	if s.certificate != nil {
		looking, stop := context.WithCancel(context.Background())
		defer stop()
		go s.certificate.follow(looking)
	}
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
