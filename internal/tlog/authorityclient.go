package tlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
)

// Why an authority has not stamped, beside [WhyTimeout], [WhyUnreachable],
// [WhyRefused] (a status that is not 200, or a request that it does not grant),
// [WhyBadAnswer] (no time-stamp response) and [WhyLog].
const (
	WhyBadToken    = "bad_token"    // a token that fails a check, which the detail names
	WhyNotRecorded = "not_recorded" // a good token, or none was asked for: the ledger records nothing at the moment
	WhyBusy        = "busy"         // it has not answered the request before
)

// The media types of RFC 3161 § 3.4.
const (
	mediaQuery = "application/timestamp-query"
	mediaReply = "application/timestamp-reply"
)

// stamped is a token that was verified, with its whole chain of certificates.
type stamped struct {
	token *timestamp.Token
	stamp *timestamp.Stamp
	// Between sent and received the authority looked at its clock.
	sent, received time.Time
}

// clockDifference is how far the authority's clock is ahead of ours at the least;
// negative: behind, 0: they may agree.
func (s *stamped) clockDifference() time.Duration {
	switch at := s.stamp.Time; {
	case at.After(s.received):
		return at.Sub(s.received)
	case at.Before(s.sent):
		return at.Sub(s.sent)
	}
	return 0
}

// authorityClient asks authorities over HTTP.
type authorityClient struct{ http *http.Client }

// newAuthorityClient gives a client whose calls take no longer than timeout.
func newAuthorityClient(timeout time.Duration) *authorityClient {
	return &authorityClient{&http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout:    dialTimeout,
			DisableKeepAlives:      true, // the next request is an hour away
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		// An authority is where the configuration says: a name and a password go nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// stamp asks for a token over an imprint, with a fresh nonce, and verifies it at its
// own time. The errors hold nothing of what the authority said but what an
// [*timestamp.Error] shows.
func (c *authorityClient) stamp(ctx context.Context, by *Authority, imprint ledger.Hash) (*stamped, error) {
	request := timestamp.NewRequest(imprint, nil)
	query, err := request.Marshal()
	if err != nil {
		return nil, err
	}
	s := &stamped{sent: time.Now()}
	answer, err := c.post(ctx, by.URL, query)
	if err != nil {
		return nil, err
	}
	s.received = time.Now()
	if s.token, err = timestamp.ParseResponse(answer); err != nil {
		return nil, badToken(err)
	}
	if s.stamp, err = timestamp.Verify(s.token, imprint, by.Authority, request); err != nil {
		return nil, badToken(err)
	}
	// In ten years nobody may know any more where to find a certificate that it lacks.
	if s.token, err = s.token.Complete(s.stamp.Chain); err != nil {
		return nil, badToken(err)
	}
	return s, nil
}

// badToken sorts what internal/timestamp refuses.
func badToken(err error) error {
	var refused *timestamp.Error
	if errors.As(err, &refused) {
		switch refused.Check {
		case timestamp.CheckStatus:
			return &failure{WhyRefused, err}
		case timestamp.CheckEncoding:
			return &failure{WhyBadAnswer, err}
		}
	}
	return &failure{WhyBadToken, err}
}

// post makes the call of RFC 3161 § 3.4.
func (c *authorityClient) post(ctx context.Context, target string, query []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(query))
	if err != nil {
		return nil, failed(WhyUnreachable, "%w", err)
	}
	req.Header.Set("Content-Type", mediaQuery)
	req.Header.Set("Accept", mediaReply)
	rsp, err := c.http.Do(req)
	if err != nil {
		return nil, unanswered(err)
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		return nil, failed(WhyRefused, "status %d", rsp.StatusCode)
	}
	if media, _, err := mime.ParseMediaType(rsp.Header.Get("Content-Type")); err != nil || media != mediaReply {
		return nil, failed(WhyBadAnswer, "the media type is not %s", mediaReply)
	}
	answer, err := io.ReadAll(io.LimitReader(rsp.Body, timestamp.MaxResponseSize+1))
	switch {
	case err != nil:
		return nil, unanswered(err)
	case len(answer) > timestamp.MaxResponseSize:
		return nil, failed(WhyBadAnswer, "the answer has more than %d bytes", timestamp.MaxResponseSize)
	}
	return answer, nil
}

// detailOf is what more may be shown of a failure than its class: words of ours, in
// which an authority has no say. What net/http says may quote one.
func detailOf(err error) string {
	var f *failure
	if !errors.As(err, &f) {
		return ""
	}
	switch f.why {
	case WhyRefused, WhyBadAnswer, WhyBadToken, WhyNotRecorded:
		return f.err.Error()
	}
	return ""
}
