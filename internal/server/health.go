package server

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
)

// Readiness is what the ledger says about itself.
type Readiness struct {
	// Recording is whether new entries are accepted. After a fault the ledger
	// only reads: checks and audits are still answered.
	Recording bool

	// Fault says why not, without personal data and without anything that a
	// stranger may not know: /readyz needs no key. Empty while recording.
	Fault string
}

// health answers GET /healthz and /readyz, which need no key.
//
// /healthz says that the process answers. /readyz says whether to send it
// requests: 200 while it answers, recording or reading only, and 503 when it
// shuts down. Whoever must not write to a ledger that only reads looks at
// "recording".
type health struct {
	ready    func() Readiness
	draining atomic.Bool
}

func (h *health) middleware(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", h.readyz)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Asked by path, so that the mux never redirects a path that is the
		// services' or nobody's.
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			mux.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *health) readyz(w http.ResponseWriter, _ *http.Request) {
	now := h.ready()
	answer := struct {
		Ready     bool   `json:"ready"`
		Recording bool   `json:"recording"`
		Mode      string `json:"mode"` // recording, reading or draining
		Fault     string `json:"fault,omitempty"`
	}{true, now.Recording, "recording", now.Fault}
	status := http.StatusOK
	switch {
	case h.draining.Load():
		answer.Ready, answer.Mode, status = false, "draining", http.StatusServiceUnavailable
	case !now.Recording:
		answer.Mode = "reading"
	}
	writeJSON(w, status, answer)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// Nothing can be done about a caller who has gone.
	_ = json.NewEncoder(w).Encode(v)
}
