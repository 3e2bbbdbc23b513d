package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// measures are what /metrics says of requests. Paths are patterns, so that a label has few values.
type measures struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMeasures(registry prometheus.Registerer) measures {
	labels := []string{"path", "status"}
	m := measures{
		prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shop_requests_total", Help: "Requests that were answered.",
		}, labels),
		prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "shop_request_seconds", Help: "How long the answers took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, labels),
	}
	registry.MustRegister(m.requests, m.seconds)
	return m
}

func (m measures) measured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		seen := &seenWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		path := r.Pattern // the mux has set it on the same request
		if path == "" {
			path = "none"
		}
		labels := prometheus.Labels{"path": path, "status": strconv.Itoa(seen.status)}
		m.requests.With(labels).Inc()
		m.seconds.With(labels).Observe(time.Since(began).Seconds())
	})
}

// seenWriter remembers the status that it wrote.
type seenWriter struct {
	http.ResponseWriter
	status int
}

func (s *seenWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}
