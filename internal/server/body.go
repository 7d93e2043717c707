package server

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// limitBody bounds the size of a request's body and the time it may take to
// arrive.
//
// http.Server.ReadTimeout would do the latter, but it goes on counting while the
// answer is being made and then cancels the request; so the deadline is set here
// and taken away when the body has been read.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			control := http.NewResponseController(w)
			if err := control.SetReadDeadline(time.Now().Add(s.opts.BodyTimeout)); err == nil {
				r.Body = &timedBody{r.Body, control}
			}
		}
		next.ServeHTTP(w, r)
	}), s.opts.MaxBodyBytes)
}

type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		// If the connection is gone, so is the deadline.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
