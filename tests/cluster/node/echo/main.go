// Command echo is the service of the node's own tests: it answers with its version, and can be made to misbehave.
//
// `echo sleep 3s` is what a preStop hook of an image without a shell calls. BEHAVIOUR=dies ends it with exit
// code 3 after a line on stderr, BEHAVIOUR=unready never becomes ready, BEHAVIOUR=sick is ready and answers 500.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "sleep" {
		length, err := time.ParseDuration(os.Args[2])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		time.Sleep(length)
		return
	}
	if os.Getenv("BEHAVIOUR") == "dies" {
		fmt.Fprintln(os.Stderr, "echo dies, as it was told to")
		os.Exit(3)
	}
	serve()
}

func serve() {
	var open atomic.Int64
	server := &http.Server{Addr: ":8080", Handler: answers(&open), ReadHeaderTimeout: 10 * time.Second}
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
	stop, done := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer done()
	go func() {
		if err := server.ListenAndServe(); err != http.ErrServerClosed {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}()
	fmt.Printf("echo %s serves\n", os.Getenv("VERSION"))
	<-stop.Done()
	within, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := server.Shutdown(within); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func answers(open *atomic.Int64) http.Handler {
	version, behaviour := os.Getenv("VERSION"), os.Getenv("BEHAVIOUR")
	mux := http.NewServeMux()
	handle := func(path string, answer http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Version", version)
			answer(w, r)
		})
	}
	handle("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	handle("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if behaviour == "unready" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	handle("/", func(w http.ResponseWriter, _ *http.Request) {
		if behaviour == "sick" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprintln(w, version)
	})
	// The version once more, in the form that a human and a check after a switch read.
	handle("/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, version) })
	handle("/env", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, strings.Join(os.Environ(), "\n")) })
	handle("/slow", func(w http.ResponseWriter, r *http.Request) {
		length, err := time.ParseDuration(r.URL.Query().Get("for"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(length)
		fmt.Fprintln(w, version)
	})
	// Whether a Pod reaches a server, for example a database of the machine.
	handle("/reaches", func(w http.ResponseWriter, r *http.Request) {
		connection, err := net.DialTimeout("tcp", r.URL.Query().Get("address"), 3*time.Second)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_ = connection.Close()
		fmt.Fprintln(w, "reached")
	})
	handle("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE echo_open_connections gauge\necho_open_connections %d\n", open.Load())
	})
	return mux
}
