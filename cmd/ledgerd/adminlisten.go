package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/metrics"
	"github.com/consentledger/consentledger/internal/server"
)

// adminFlags say where the operator's own tools may look into the running server.
type adminFlags struct {
	AdminListen    string `env:"LEDGERD_ADMIN_LISTEN" placeholder:"ADDR" help:"Where to show metrics, at /metrics, and profiles, at /debug/pprof/, to whoever can connect: a loopback address. Without it, nowhere."`
	AllowOpenAdmin bool   `env:"LEDGERD_ALLOW_OPEN_ADMIN" help:"Let --admin-listen be any address: in a private network. Beyond loopback there are no profiles."`
}

// longestProfile is for how long a profile may look; one that asks for more ends then.
const longestProfile = 2 * time.Minute

// operator is the listener for the operator's tools; one that is nil does nothing.
type operator struct {
	listener net.Listener
	http     *http.Server
}

// listen begins to show what --admin-listen is for; nil without it.
//
// There are no keys here, so it stays on loopback. What it shows is nothing personal,
// but profiles are of the program's innards, and taking them costs time.
func (f *adminFlags) listen(shown *metrics.Metrics, logger *slog.Logger) (*operator, error) {
	if f.AdminListen == "" {
		return nil, nil
	}
	tcp, err := net.ResolveTCPAddr("tcp", f.AdminListen)
	if err != nil {
		return nil, fmt.Errorf("--admin-listen: %w", err)
	}
	loopback := tcp.IP.IsLoopback()
	if !loopback && !f.AllowOpenAdmin {
		return nil, fmt.Errorf("--admin-listen %s can be reached from other machines, and takes no key. "+
			"Let it be 127.0.0.1:%d, or give --allow-open-admin in a private network", f.AdminListen, tcp.Port)
	}
	l, err := net.ListenTCP("tcp", tcp)
	if err != nil {
		return nil, fmt.Errorf("--admin-listen: %w", err)
	}
	o := &operator{l, &http.Server{Handler: adminHandler(shown, loopback, longestProfile), ReadTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		WriteTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}}
	if err := server.BoundConnections(o.http, 100); err != nil {
		return nil, errors.Join(fmt.Errorf("--admin-listen: %w", err), l.Close())
	}
	go func() {
		if err := o.http.Serve(l); err != http.ErrServerClosed {
			logger.Error("metrics are not shown any more", "error", err)
		}
	}()
	return o, nil
}

// adminHandler serves metrics, and profiles if it is on loopback.
func adminHandler(shown *metrics.Metrics, loopback bool, longest time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", shown.Handler())
	if !loopback {
		return mux
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A web page that its own name server sends to loopback says its own name here.
		if !isLoopbackHost(r.Host) {
			http.Error(w, "this is shown to those who ask for 127.0.0.1, [::1] or localhost", http.StatusForbidden)
			return
		}
		// net/http/pprof looks for as long as it is asked to, and lets the server's
		// WriteTimeout wait.
		ctx, cancel := context.WithTimeout(r.Context(), longest)
		defer cancel()
		mux.ServeHTTP(w, r.WithContext(ctx))
	})
}

func isLoopbackHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.IsLoopback()
}

// String is the line that tells where it is.
func (o *operator) String() string {
	if o == nil {
		return ""
	}
	return fmt.Sprintf("Metrics at http://%s/metrics\n", o.listener.Addr())
}

// Close ends what is being shown, at once.
func (o *operator) Close() error {
	if o == nil {
		return nil
	}
	return o.http.Close()
}
