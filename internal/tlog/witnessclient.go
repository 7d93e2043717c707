package tlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Why a witness has not cosigned, as GetStatus shows it. What the witness says
// itself is shown nowhere: it is a stranger's text.
const (
	WhyTimeout      = "timeout"       // no whole answer in time
	WhyUnreachable  = "unreachable"   // no connection, or it broke
	WhyRefused      = "refused"       // a status that is not 200, 409 or 422: it does not know the log, or has stopped
	WhyInconsistent = "inconsistent"  // 422: it says that the log has another history than it cosigned
	WhyAhead        = "ahead"         // 409: it says that it has cosigned more than the log holds
	WhyConflict     = "conflict"      // 409 again and again, with other sizes
	WhyBadAnswer    = "bad_answer"    // not in the form of tlog-witness
	WhyBadSignature = "bad_signature" // a line by its key that does not verify, or of time 0
	WhyBadTime      = "bad_time"      // dated more than 5 minutes ahead of our clock, or before the newest entry
	WhyIncomplete   = "incomplete"    // not a line by each of the keys that the policy has for it
	WhyLog          = "log_fault"     // our own log could not be read
)

// failure is why one attempt failed.
type failure struct {
	why string
	err error
}

func (f *failure) Error() string { return f.why + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func failed(why, format string, args ...any) error {
	return &failure{why, fmt.Errorf(format, args...)}
}

// whyOf gives the class of an error, "" for none.
func whyOf(err error) string {
	var f *failure
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.why
	}
	return WhyLog
}

// maxAnswer is the largest answer of a witness that is read, in bytes.
const maxAnswer = ledger.MaxNoteSize

// Limits of a connection to a witness. Connections are kept open: a log comes back
// every second.
const (
	dialTimeout      = 5 * time.Second
	idleConnsTimeout = 2 * time.Minute
)

// witnessClient speaks tlog-witness over HTTP.
type witnessClient struct{ http *http.Client }

// newWitnessClient gives a client whose calls take no longer than timeout.
func newWitnessClient(timeout time.Duration) *witnessClient {
	return &witnessClient{&http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout:    dialTimeout,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        idleConnsTimeout,
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		// A witness is where the policy says. To follow would also turn a POST into a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// checkWitnessURL checks where a policy says that a witness is, and gives the
// prefix of its calls.
func checkWitnessURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", fmt.Errorf("%q is not an http or https URL", text)
	case u.User != nil:
		return "", errors.New("a witness's URL holds a user name or a password")
	case strings.ContainsAny(text, "?#"): // empty ones, too: the calls would stand in them
		return "", fmt.Errorf("the witness's URL %q has a query or a fragment", text)
	}
	return strings.TrimRight(text, "/"), nil
}

// add is the add-checkpoint call. With status 200 it gives what stands in the
// answer, with 409 the size; any other status is an error, with its class.
func (c *witnessClient) add(ctx context.Context, prefix string, request []byte) (lines []byte, size ledger.Size, err error) {
	status, mediaType, body, err := c.do(ctx, http.MethodPost, prefix+"/add-checkpoint", request)
	switch {
	case err != nil:
		return nil, 0, err
	case status == http.StatusOK:
		return body, 0, nil
	case status == http.StatusUnprocessableEntity:
		return nil, 0, failed(WhyInconsistent, "status %d", status)
	case status != http.StatusConflict:
		return nil, 0, failed(WhyRefused, "status %d", status)
	}
	text, ended := strings.CutSuffix(string(body), "\n")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || !ended || strconv.FormatInt(n, 10) != text || mediaType != "text/x.tlog.size" {
		return nil, 0, failed(WhyBadAnswer, "status 409 without a size")
	}
	return nil, ledger.Size(n), errConflict
}

// errConflict says that the witness has cosigned another size.
var errConflict = errors.New("the witness has cosigned another size")

// checkpoint is the call of monitors: what the witness has cosigned last of a log.
func (c *witnessClient) checkpoint(ctx context.Context, prefix, origin string) ([]byte, error) {
	name := sha256.Sum256([]byte(origin))
	status, _, body, err := c.do(ctx, http.MethodGet, prefix+"/"+hex.EncodeToString(name[:])+"/checkpoint", nil)
	if err == nil && status != http.StatusOK {
		err = failed(WhyRefused, "status %d", status)
	}
	return body, err
}

// do makes one call. Errors name no address but the witness's own.
func (c *witnessClient) do(ctx context.Context, method, target string, body []byte) (int, string, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, failed(WhyUnreachable, "%w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", mediaText)
	}
	rsp, err := c.http.Do(req)
	if err != nil {
		return 0, "", nil, unanswered(err)
	}
	defer rsp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(rsp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, "", nil, unanswered(err)
	case len(answer) > maxAnswer:
		return 0, "", nil, failed(WhyBadAnswer, "the answer has more than %d bytes", maxAnswer)
	}
	return rsp.StatusCode, rsp.Header.Get("Content-Type"), answer, nil
}

func unanswered(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return failed(WhyTimeout, "%w", err)
	}
	return failed(WhyUnreachable, "%w", err)
}
