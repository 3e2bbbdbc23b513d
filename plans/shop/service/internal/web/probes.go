package web

import (
	"context"
	"net/http"
	"time"
)

// Identity is who answers: the same three that every line of the log carries.
type Identity struct {
	Version string `json:"version"`
	Color   string `json:"color"`
	Release string `json:"release"`
}

// probes answers what Kubernetes and coordinator ask.
type probes struct {
	identity    Identity
	ping        func(context.Context) error
	fault       Fault
	connections *Connections
}

// health is liveness: the process answers. A database that is away is no reason to restart it.
func (p probes) health(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, map[string]string{"health": "ok"})
}

// ready is readiness: an order could be served now. Between preStop's begin and SIGTERM it stays ready,
// because clients still come while the news that this Pod goes is under way.
func (p probes) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	switch {
	case p.connections.ending.Load():
		write(w, http.StatusServiceUnavailable, map[string]string{"ready": "no: shutting down"})
	case p.fault.Is("unready"):
		write(w, http.StatusServiceUnavailable, map[string]string{"ready": "no: SHOP_FAULT says so"})
	case p.ping(ctx) != nil:
		write(w, http.StatusServiceUnavailable, map[string]string{"ready": "no: the database does not answer"})
	default:
		write(w, http.StatusOK, map[string]string{"ready": "yes"})
	}
}

func (p probes) version(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, p.identity)
}
