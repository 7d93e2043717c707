package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
)

// Readiness is what the ledger says about itself.
type Readiness struct {
	// Recording is whether new entries are accepted. After a fault the ledger
	// only reads: checks and audits are still answered.
	Recording bool

	// LogOnly is whether only the log is served, and of the services only the
	// auditors'.
	LogOnly bool

	// Fault says why not, without personal data and without anything that a
	// stranger may not know: /readyz needs no key. Empty while recording.
	Fault string
}

// health answers GET /healthz and /readyz, and gRPC's health service, which need no
// key.
//
// /healthz says that the process answers. /readyz says whether to send it
// requests: 200 while it answers, recording or reading only, and 503 when it
// shuts down. Whoever must not write to a ledger that only reads looks at
// "recording". The health service says the same: of "" whether the server is ready, of
// each service whether it is served, too, and of "recording" whether it records.
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
	mux.Handle(grpchealth.NewHandler(h, connect.WithReadMaxBytes(maxHealthBytes)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Asked by path, so that the mux never redirects a path that is the
		// services' or nobody's.
		if isHealth(r.URL.Path) {
			mux.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// HealthPaths are those that say how the server is, and need no key.
func HealthPaths() []string {
	return []string{"/healthz", "/readyz", "/" + grpchealth.HealthV1ServiceName + "/Check", "/" + grpchealth.HealthV1ServiceName + "/Watch"}
}

func isHealth(path string) bool { return slices.Contains(HealthPaths(), path) }

// maxHealthBytes is more than the name of any service takes.
const maxHealthBytes = 1 << 10

// Check implements [grpchealth.Checker]. Watching is unimplemented there: a stream for
// everybody, with no end, would be a slot for everybody.
func (h *health) Check(_ context.Context, req *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	well := !h.draining.Load()
	switch {
	case req.Service == "":
	case req.Service == "recording":
		well = well && h.ready().Recording
	case !isService(req.Service):
		return nil, connect.NewError(connect.CodeNotFound, errors.New("there is no such service"))
	default:
		well = well && (!h.ready().LogOnly || "/"+req.Service+"/" == auditPrefix)
	}
	if well {
		return &grpchealth.CheckResponse{Status: grpchealth.StatusServing}, nil
	}
	return &grpchealth.CheckResponse{Status: grpchealth.StatusNotServing}, nil
}

// isService says whether a service of that name stands in the table of roles.
func isService(name string) bool {
	for _, row := range access {
		if strings.Trim(row.prefix, "/") == name && row.prefix != logPrefix {
			return true
		}
	}
	return false
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
