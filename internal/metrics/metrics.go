// Package metrics counts what the ledger does, for Prometheus.
//
// Start with [New], which makes the numbers, and [Metrics.Handler], which shows them.
// Names, labels and meanings are a promise, and stand in METRICS.md; a test holds it
// to what is shown. No label has a value that a caller chose, so nothing personal can
// stand in one and their number is bounded. All methods are safe for concurrent use.
package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the numbers of one server, on a registry of their own.
type Metrics struct {
	registry *prometheus.Registry
	paths    map[string]bool // that stand in a label as they are

	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

// logPrefix is where the log's tiles are: their paths are too many for a label.
const logPrefix = "/log/"

// durations are the upper bounds of the histogram, in seconds: from a check of a
// consent to an export.
var durations = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// New makes the numbers of a program of that version. paths are those of requests
// that are counted apart, such as "/consent.app.v1.ConsentService/CheckConsent"; all
// of the log count as "/log/", and what is neither as "other".
func New(version string, paths []string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		paths:    make(map[string]bool, len(paths)),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ledgerd_requests_total",
			Help: "Requests answered, by path and HTTP status; a gRPC answer counts with the status that Connect gives its code."},
			[]string{"path", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ledgerd_request_duration_seconds",
			Help: "How long requests took, from their header to the end of their answer.", Buckets: durations}, []string{"path"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ledgerd_requests_in_flight",
			Help: "Requests that are being answered."}),
	}
	for _, p := range paths {
		m.paths[p] = true
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ledgerd_build_info", Help: "1, with the version of the program.",
		ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.duration, m.inFlight, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Begin counts a request in, and gives the function that counts it out: with its path
// and the HTTP status of its answer, 0 if it was cut off before there was one.
func (m *Metrics) Begin() (end func(path string, status int)) {
	began := time.Now()
	m.inFlight.Inc()
	return func(path string, status int) {
		m.inFlight.Dec()
		path = m.label(path)
		m.requests.WithLabelValues(path, statusLabel(status)).Inc()
		m.duration.WithLabelValues(path).Observe(time.Since(began).Seconds())
	}
}

func (m *Metrics) label(path string) string {
	switch {
	case m.paths[path]:
		return path
	case strings.HasPrefix(path, logPrefix):
		return logPrefix
	}
	return "other"
}

func statusLabel(status int) string {
	if status == 0 {
		return "none"
	}
	if http.StatusText(status) == "" && status != statusCanceled {
		return "other"
	}
	return strconv.Itoa(status)
}

// statusCanceled is Connect's for a caller who went away.
const statusCanceled = 499

// Handler shows the numbers as Prometheus reads them. A number that cannot be had is
// left out, and the others shown; ledgerd_up then is 0.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry: m.registry, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}
