// Shop is a small order service whose releases change its schema. One program for its three versions: what
// tells them apart stands in queries/<version> and internal/orders/v*.go, so that they can be read side by
// side; in a repository of yours they would be three commits.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"shop/internal/orders"
	"shop/internal/web"
)

// After SIGTERM, clients that keep their connection are told with their next answer, for as long as `notice`;
// then open requests may take as long as `farewell`. The manifest's grace period is longer than both and
// preStop together.
const (
	notice   = 5 * time.Second
	farewell = 10 * time.Second
)

func main() {
	switch {
	case len(os.Args) == 1:
		os.Exit(serve())
	case len(os.Args) == 3 && os.Args[1] == "sleep": // for preStop where the kubelet cannot sleep itself
		os.Exit(sleep(os.Args[2]))
	default:
		fmt.Fprintln(os.Stderr, "usage: shop | shop sleep 3s")
		os.Exit(2)
	}
}

func sleep(text string) int {
	duration, err := time.ParseDuration(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	time.Sleep(duration)
	return 0
}

func serve() int {
	s, err := readSettings()
	id := s.identity
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil)).
		With("env", id.Color, "version", id.Version, "release", id.Release)
	if err != nil {
		log.Error("cannot start", "error", err.Error())
		return 2
	}
	if s.fault.Name == "crash" {
		crash(s.fault, log)
	}
	if err := run(s, log); err != nil {
		log.Error("ended", "error", err.Error())
		return 1
	}
	return 0
}

// crash ends the program when the fault begins, which may be now.
func crash(fault web.Fault, log *slog.Logger) {
	end := func() {
		log.Error("crashing because SHOP_FAULT says so")
		os.Exit(3)
	}
	if fault.Is("crash") {
		end()
	}
	time.AfterFunc(time.Until(fault.At), end)
}

// run serves until SIGTERM, and then until the last request is answered or `farewell` is over.
func run(s settings, log *slog.Logger) error {
	told, forget := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer forget()
	pool, err := open(s)
	if err != nil {
		return err
	}
	defer pool.Close() // last of all: requests that are still open need it

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), about(s.identity))
	shop := web.Shop{
		Identity:    s.identity,
		Store:       orders.Versions[s.identity.Version](pool),
		Ping:        pool.Ping,
		Fault:       s.fault,
		Connections: web.NewConnections(registry, s.connectionAge),
		Log:         log,
	}
	public := &http.Server{
		Handler:           shop.Handler(registry),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       s.idleTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	shop.Connections.Watch(public)
	admin := &http.Server{Handler: metrics(registry), ReadHeaderTimeout: 5 * time.Second}

	ended := make(chan error, 2)
	for _, each := range []struct {
		name, port string
		server     *http.Server
	}{{"public", s.port, public}, {"admin", s.adminPort, admin}} {
		listener, err := net.Listen("tcp", net.JoinHostPort("", each.port))
		if err != nil {
			return err
		}
		log.Info("listening", "port", each.name, "address", listener.Addr().String())
		go func() { ended <- each.server.Serve(listener) }()
	}
	select {
	case err := <-ended:
		return err
	case <-told.Done():
	}
	return stop(shop.Connections, public, admin, log)
}

func open(s settings) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(s.databaseURL)
	if err != nil {
		return nil, errors.New("DATABASE_URL is no URL of a PostgreSQL database") // the error would quote it
	}
	// coordinator finds the sessions of a version by this name, and waits for their end before contract
	config.ConnConfig.RuntimeParams["application_name"] = "shop-" + s.identity.Version
	return pgxpool.NewWithConfig(context.Background(), config)
}

// about is the series that others are joined with, to tell blue from green.
func about(identity web.Identity) prometheus.Collector {
	labels := prometheus.Labels{"env": identity.Color, "version": identity.Version, "release": identity.Release}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "shop_info", Help: "Who this is; always 1.", ConstLabels: labels,
	})
	info.Set(1)
	return info
}

func metrics(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// stop lets clients and their requests go in peace. The admin port closes after the public one, so that whoever
// watches the drain sees its end.
func stop(connections *web.Connections, public, admin *http.Server, log *slog.Logger) error {
	began := time.Now()
	connections.End(notice)
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	err := public.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("requests were cut after %s: %w", farewell, err)
	} else {
		log.Info("stopped, every request answered", "seconds", time.Since(began).Seconds())
	}
	return errors.Join(err, admin.Close())
}
