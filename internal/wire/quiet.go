package wire

import (
	"net/http"
	"path"
	"regexp"
	"strings"
)

// quiet keeps net/http and Connect from repeating in their answers what a caller
// wrote into a path, a query or a header: it may be an address that somebody put
// in the wrong place, and answers are kept by proxies and clients.
//
// A path that is not in its clean form is nowhere; [http.ServeMux] would name
// path and query in a Location. A value that Connect would refuse and quote is
// replaced by one that it refuses alike.
func quiet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isClean(r.URL.EscapedPath()) {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, withoutQuotes(r))
	})
}

// isClean reports whether a mux would take the path as it is.
func isClean(p string) bool {
	clean := path.Clean(p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		clean += "/"
	}
	return p == clean && p[0] == '/'
}

// notShown stands for a value that is wrong; it is wrong for every field.
const notShown = "not shown"

var (
	compression = regexp.MustCompile(`^(gzip|identity)?$`)

	// quotedHeaders and quotedParameters are what Connect v1.21 quotes when it is
	// wrong, and what is right.
	quotedHeaders = map[string]*regexp.Regexp{
		"Content-Encoding":         compression,
		"Connect-Content-Encoding": compression,
		"Grpc-Encoding":            compression,
		"Connect-Protocol-Version": regexp.MustCompile(`^1?$`),
		"Connect-Timeout-Ms":       regexp.MustCompile(`^([0-9]{1,10})?$`),
		"Grpc-Timeout":             regexp.MustCompile(`^([0-9]{1,8}[HMSmun])?$`),
	}
	quotedParameters = map[string]*regexp.Regexp{
		"connect":     regexp.MustCompile(`^(v1)?$`),
		"encoding":    regexp.MustCompile(`^(json|proto)?$`),
		"compression": compression,
	}
)

// withoutQuotes gives the request with notShown for what would be quoted.
func withoutQuotes(r *http.Request) *http.Request {
	for name, right := range quotedHeaders {
		if values := r.Header[name]; len(values) > 0 && !right.MatchString(values[0]) {
			r = r.Clone(r.Context())
			r.Header.Set(name, notShown)
		}
	}
	if r.URL.RawQuery == "" {
		return r
	}
	query, wrong := r.URL.Query(), false
	for name, right := range quotedParameters {
		if !right.MatchString(query.Get(name)) {
			query.Set(name, notShown)
			wrong = true
		}
	}
	if wrong {
		r = r.Clone(r.Context())
		r.URL.RawQuery = query.Encode()
	}
	return r
}
