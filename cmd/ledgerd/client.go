package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/proto/consent/admin/v1/adminv1connect"
)

// serverFlags say which server a command speaks to. The key is no flag, because
// everybody on the machine can read a command line.
type serverFlags struct {
	Server string `default:"http://127.0.0.1:8080" env:"LEDGERD_SERVER" placeholder:"URL" help:"The running server. Default: ${default}."`
}

// keyHelp stands in the help of every command that speaks to the AdminService.
const keyHelp = `The environment variable LEDGERD_KEY holds an API key of role admin.`

// admin gives a client of the server's AdminService; see connection.
func (f *serverFlags) admin(stderr io.Writer) (adminv1connect.AdminServiceClient, error) {
	c, err := f.connect("admin", stderr)
	if err != nil {
		return nil, err
	}
	return adminv1connect.NewAdminServiceClient(c.client, c.base, connect.WithInterceptors(connect.UnaryInterceptorFunc(c.unary))), nil
}

// connection speaks to a server with the key in LEDGERD_KEY. Its errors say what to
// do, and hold nothing of what was sent but the server's address.
//
// No redirect is followed, so that the key reaches no other host. A call takes as
// long as it takes: what an administrator starts may run for minutes.
type connection struct {
	base, role string
	client     *http.Client
}

// connect prepares calls with a key of a role.
func (f *serverFlags) connect(role string, stderr io.Writer) (*connection, error) {
	u, err := url.Parse(f.Server)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(f.Server, "?#") {
		// The URL is not repeated: it may hold a password.
		return nil, errors.New("--server is not of the form http://HOST[:PORT]")
	}
	key := os.Getenv("LEDGERD_KEY")
	if key == "" {
		return nil, fmt.Errorf("no key: put an API key of role %s into the environment variable LEDGERD_KEY. "+
			"`ledgerd apikey add --data DIR --role %s --name NAME` makes one", role, role)
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		fmt.Fprintf(stderr, "ledgerd: warning: the key in LEDGERD_KEY travels to %s unencrypted; use https\n", u.Host)
	}
	c := &connection{base: strings.TrimRight(f.Server, "/"), role: role}
	c.client = &http.Client{Transport: keyed(key), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// keyed is the transport of a connection: it adds the key to each request.
type keyed string

// RoundTrip implements [http.RoundTripper].
func (key keyed) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+string(key))
	return http.DefaultTransport.RoundTrip(req)
}

// unary is the interceptor that explains what went wrong.
func (c *connection) unary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		rsp, err := next(ctx, req)
		return rsp, c.explain(ctx, err)
	}
}

// explain says what to do about a call that failed.
func (c *connection) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted; what the server has begun it finishes")
	}
	return c.explainCall(err)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *connection) explainCall(err error) error {
	var said *connect.Error
	if !errors.As(err, &said) {
		return err
	}
	code, server := said.Code(), connect.IsWireError(err)
	switch {
	case !server && code == connect.CodeUnavailable:
		return fmt.Errorf("no server can be reached at %s (%s). Is `ledgerd serve` running there? "+
			"Another address: --server URL, or LEDGERD_SERVER", c.base, said.Message())
	case !server:
		return fmt.Errorf("what answers at %s is not a ledger's server of this version (%s). "+
			"Another address: --server URL, or LEDGERD_SERVER", c.base, said.Message())
	case code == connect.CodeUnauthenticated:
		return fmt.Errorf("the server at %s does not know the key in LEDGERD_KEY, or it is revoked. "+
			"`ledgerd apikey list --data DIR` shows which keys work there", c.base)
	case code == connect.CodePermissionDenied:
		return fmt.Errorf("the key in LEDGERD_KEY may not do this (%s). It takes a key of role %s: "+
			"`ledgerd apikey add --data DIR --role %s --name NAME`", said.Message(), c.role, c.role)
	}
	return fmt.Errorf("the server says %v: %s", code, said.Message())
}
