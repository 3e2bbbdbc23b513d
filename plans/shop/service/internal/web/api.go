// Package web is the shop over HTTP: the orders, the probes, and what can be measured of both.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"shop/internal/orders"
)

// patience is how long an answer may wait for the database.
const patience = 5 * time.Second

// api answers what clients ask of orders.
type api struct {
	store orders.Store
	log   *slog.Logger
}

func (a api) routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"POST /orders":            a.create,
		"GET /orders":             a.list,
		"GET /orders/{id}":        a.get,
		"PUT /orders/{id}/status": a.setStatus,
	}
}

func (a api) create(w http.ResponseWriter, r *http.Request) {
	var draft orders.Draft
	if err := read(w, r, &draft); err != nil {
		refuse(w, err)
		return
	}
	if err := draft.Check(); err != nil {
		refuse(w, err)
		return
	}
	a.answer(w, r, http.StatusCreated, func(ctx context.Context) (any, error) {
		return a.store.Create(ctx, draft)
	})
}

func (a api) list(w http.ResponseWriter, r *http.Request) {
	a.answer(w, r, http.StatusOK, func(ctx context.Context) (any, error) {
		return a.store.List(ctx)
	})
}

func (a api) get(w http.ResponseWriter, r *http.Request) {
	a.answer(w, r, http.StatusOK, func(ctx context.Context) (any, error) {
		return a.store.Get(ctx, number(r))
	})
}

func (a api) setStatus(w http.ResponseWriter, r *http.Request) {
	var wanted struct{ Status string }
	if err := read(w, r, &wanted); err != nil {
		refuse(w, err)
		return
	}
	if err := orders.CheckStatus(wanted.Status); err != nil {
		refuse(w, err)
		return
	}
	a.answer(w, r, http.StatusOK, func(ctx context.Context) (any, error) {
		return a.store.SetStatus(ctx, number(r), wanted.Status)
	})
}

// answer writes what the store found. What the database says goes to the log and not to the client.
func (a api) answer(w http.ResponseWriter, r *http.Request, status int, ask func(context.Context) (any, error)) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	found, err := ask(ctx)
	switch {
	case errors.Is(err, orders.ErrNotFound):
		write(w, http.StatusNotFound, map[string]string{"error": err.Error()})
	case err != nil:
		a.log.Error("the database did not answer", "request", r.Pattern, "error", err.Error())
		write(w, http.StatusInternalServerError, map[string]string{"error": "the order could not be read or written"})
	default:
		write(w, status, found)
	}
}

// number returns the order's number in the path; 0, which no order has, for anything else.
func number(r *http.Request) int64 {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0
	}
	return id
}

func read(w http.ResponseWriter, r *http.Request, into any) error {
	return json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(into)
}

func refuse(w http.ResponseWriter, err error) {
	write(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}

func write(w http.ResponseWriter, status int, content any) {
	body, err := json.Marshal(content)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error": "the answer has no form"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone, and that is its own business
}
