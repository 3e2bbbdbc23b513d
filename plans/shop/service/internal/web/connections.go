package web

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Connections counts the clients' connections and lets none of them live for long: a client that keeps its
// connection would else stay with this Pod after the Service has moved on.
type Connections struct {
	open   atomic.Int64
	age    time.Duration
	ending atomic.Bool
}

// NewConnections registers the gauge; after `age` a connection is closed with its next answer.
func NewConnections(registry prometheus.Registerer, age time.Duration) *Connections {
	c := &Connections{age: age}
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "shop_open_connections", Help: "Connections of clients to the public port.",
	}, func() float64 { return float64(c.open.Load()) }))
	return c
}

// Watch makes a server report its connections here; to be called before it serves.
func (c *Connections) Watch(server *http.Server) {
	server.ConnState = c.count
	server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, bornKey{}, time.Now())
	}
}

func (c *Connections) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}

// bornKey is where a request's context has the time at which its connection was opened.
type bornKey struct{}

// retiring says with the answer that a connection ends here, when it is old or the shop shuts down. A client
// hears it before it sends another request, so none is lost, as one may be when an idle connection is closed.
func (c *Connections) retiring(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		born, _ := r.Context().Value(bornKey{}).(time.Time)
		next.ServeHTTP(&lastWord{w, func() bool { return c.ending.Load() || time.Since(born) > c.age }}, r)
	})
}

// lastWord decides when the answer begins, because SIGTERM may come while a request is worked on.
type lastWord struct {
	http.ResponseWriter
	isLast func() bool
}

func (l *lastWord) WriteHeader(status int) {
	if l.isLast() {
		l.Header().Set("Connection", "close")
	}
	l.ResponseWriter.WriteHeader(status)
}

// End makes every answer the last one of its connection, and returns when no connection is left or `notice` is
// over. http.Server.Shutdown alone is not enough: it closes idle connections at once and does not answer a
// request that is read after it began, and a client that keeps its connection may be sending one just then.
func (c *Connections) End(notice time.Duration) {
	c.ending.Store(true)
	for over := time.Now().Add(notice); c.open.Load() > 0 && time.Now().Before(over); {
		time.Sleep(20 * time.Millisecond)
	}
}
