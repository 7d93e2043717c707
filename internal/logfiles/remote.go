package logfiles

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Limits on a request for one file of a log.
const (
	connectTimeout = 10 * time.Second
	headerTimeout  = 30 * time.Second
	requestTimeout = 2 * time.Minute // the whole request, for a bundle of 4 MiB on a slow line
)

// remote reads a log over HTTP, as the [ledger.LogReader] of a verification.
// Every file is asked for once; nothing is retried and no redirect followed, so
// that the key reaches no other host.
type remote struct {
	base   string // without a slash at the end
	key    string // API key, "" for none
	client *http.Client
}

// openRemote checks the URL of a log. Every error wraps [ledger.ErrMissing].
func (s Source) openRemote() (*remote, error) {
	base := s.Where
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(base, "?#") {
		// The URL is not repeated: it may hold a password.
		return nil, fmt.Errorf("%w: the log's URL is not of the form https://HOST[:PORT][/PATH]", ledger.ErrMissing)
	}
	r := &remote{base: strings.TrimRight(base, "/"), key: s.Key}
	if r.key != "" && u.Scheme == "http" && !isLoopback(u.Hostname()) && s.Warn != nil {
		s.Warn("the key in LEDGERD_KEY travels to " + u.Host + " unencrypted; use https")
	}
	r.client = &http.Client{
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSHandshakeTimeout:    connectTimeout,
			ResponseHeaderTimeout:  headerTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxConnsPerHost:        maxWorkers,
			MaxIdleConnsPerHost:    maxWorkers,
			DisableCompression:     true, // the sizes that are limited are those on the line
			ForceAttemptHTTP2:      true,
		},
	}
	return r, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// ReadPath implements [ledger.LogReader].
func (r *remote) ReadPath(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+"/"+path, nil)
	if err != nil {
		return nil, unreadable(err)
	}
	req.Header.Set("User-Agent", "consent-ledger-verify")
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, unreadable(err)
	}
	defer resp.Body.Close()
	if err := r.checkStatus(resp); err != nil {
		// A short body is read to its end, so that the connection can be used again.
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
		return nil, unreadable(err)
	}
	return readLimited(resp.Body, path, resp.ContentLength)
}

func (r *remote) checkStatus(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusNotFound:
		return fmt.Errorf("%w: the server has no such file", ledger.ErrMissing)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		if r.key == "" {
			return fmt.Errorf("the server answered %d: put the key of an auditor into the environment variable LEDGERD_KEY", code)
		}
		return fmt.Errorf("the server answered %d: the key in LEDGERD_KEY is not the key of an auditor", code)
	case code >= 300 && code < 400:
		return fmt.Errorf("the server redirects to %q, which is not followed; give the log's own URL", resp.Header.Get("Location"))
	default:
		return fmt.Errorf("the server answered %d", code)
	}
}
