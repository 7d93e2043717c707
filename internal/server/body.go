package server

import (
	"net/http"
	"time"
)

// limitBody bounds the size of a request's body and the time it may take to
// arrive.
//
// http.Server.ReadTimeout would count the header in and would not know HTTP/2's
// streams apart. The deadline ends with the body: net/http takes it away when
// the body has been read, so an answer may take longer.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			// It fails only when the connection is gone.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.opts.BodyTimeout))
		}
		next.ServeHTTP(w, r)
	}), s.opts.MaxBodyBytes)
}
