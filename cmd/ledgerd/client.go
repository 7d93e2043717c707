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

// keyHelp stands in the help of every command that speaks to a server.
const keyHelp = `The environment variable LEDGERD_KEY holds an API key of role admin.`

// admin gives a client of the server's AdminService. Its errors say what to do,
// and hold nothing of what was sent but the server's address.
//
// No redirect is followed, so that the key reaches no other host. A call takes
// as long as it takes: what an administrator starts may run for minutes.
func (f *serverFlags) admin(stderr io.Writer) (adminv1connect.AdminServiceClient, error) {
	u, err := url.Parse(f.Server)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// The URL is not repeated: it may hold a password.
		return nil, errors.New("--server is not of the form http://HOST[:PORT]")
	}
	key := os.Getenv("LEDGERD_KEY")
	if key == "" {
		return nil, errors.New("no key: put an API key of role admin into the environment variable LEDGERD_KEY. " +
			"`ledgerd apikey add --data DIR --role admin --name NAME` makes one")
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		fmt.Fprintf(stderr, "ledgerd: warning: the key in LEDGERD_KEY travels to %s unencrypted; use https\n", u.Host)
	}
	base := strings.TrimRight(f.Server, "/")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	call := func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("Authorization", "Bearer "+key)
			rsp, err := next(ctx, req)
			if ctx.Err() != nil {
				return nil, errors.New("interrupted; what the server has begun it finishes")
			}
			return rsp, explainCall(base, err)
		}
	}
	return adminv1connect.NewAdminServiceClient(client, base, connect.WithInterceptors(connect.UnaryInterceptorFunc(call))), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// explainCall says what to do about a call that failed.
func explainCall(base string, err error) error {
	var said *connect.Error
	if !errors.As(err, &said) {
		return err
	}
	code, server := said.Code(), connect.IsWireError(err)
	switch {
	case !server && code == connect.CodeUnavailable:
		return fmt.Errorf("no server can be reached at %s (%s). Is `ledgerd serve` running there? "+
			"Another address: --server URL, or LEDGERD_SERVER", base, said.Message())
	case !server:
		return fmt.Errorf("what answers at %s is not a ledger's server of this version (%s). "+
			"Another address: --server URL, or LEDGERD_SERVER", base, said.Message())
	case code == connect.CodeUnauthenticated:
		return fmt.Errorf("the server at %s does not know the key in LEDGERD_KEY, or it is revoked. "+
			"`ledgerd apikey list --data DIR` shows which keys work there", base)
	case code == connect.CodePermissionDenied:
		return fmt.Errorf("the key in LEDGERD_KEY may not do this (%s). It takes a key of role admin: "+
			"`ledgerd apikey add --data DIR --role admin --name NAME`", said.Message())
	}
	return fmt.Errorf("the server says %v: %s", code, said.Message())
}
