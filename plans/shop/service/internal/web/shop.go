package web

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"shop/internal/orders"
)

// Shop is everything that the public port needs.
type Shop struct {
	Identity    Identity
	Store       orders.Store
	Ping        func(context.Context) error
	Fault       Fault
	Connections *Connections
	Log         *slog.Logger
}

// Handler returns what answers at the public port.
func (s Shop) Handler(registry prometheus.Registerer) http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range (api{s.Store, s.Log}).routes() {
		mux.HandleFunc(pattern, s.Fault.orErrors(handle))
	}
	probes := probes{s.Identity, s.Ping, s.Fault, s.Connections}
	mux.HandleFunc("GET /health", probes.health)
	mux.HandleFunc("GET /ready", probes.ready)
	mux.HandleFunc("GET /version", probes.version)
	return s.signed(s.Connections.retiring(newMeasures(registry).measured(mux)))
}

// signed says on every answer, also on a 404, which version gave it.
func (s Shop) signed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version", s.Identity.Version)
		next.ServeHTTP(w, r)
	})
}
