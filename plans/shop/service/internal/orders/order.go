// Package orders is the shop without HTTP: what an order is, and where each version of the program keeps it.
package orders

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNotFound says that no order has the number that was asked for.
var ErrNotFound = errors.New("no such order")

// Statuses are what an order may be, in the order in which it usually becomes it.
var Statuses = []string{"new", "paid", "sent", "cancelled"}

// Order is an order as clients see it; its form is the same in every version, so that they need not know
// which one answered. What a version does not keep is left out.
type Order struct {
	ID        int64     `json:"id"`
	Customer  string    `json:"customer"`
	Total     Cents     `json:"total"`
	Status    string    `json:"status"`
	Fax       *string   `json:"fax,omitempty"`
	Email     *string   `json:"email,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// Draft is what a client says of a new order.
type Draft struct {
	Customer string  `json:"customer"`
	Total    Cents   `json:"total"`
	Fax      *string `json:"fax"`
	Email    *string `json:"email"`
}

// Check returns what is wrong with a draft, in a sentence for the client.
func (d Draft) Check() error {
	if d.Customer == "" {
		return errors.New("an order needs a customer")
	}
	return nil
}

// CheckStatus returns what is wrong with a status.
func CheckStatus(status string) error {
	if !slices.Contains(Statuses, status) {
		return fmt.Errorf("%q is no status; there are %q", status, Statuses)
	}
	return nil
}

// Cents is an amount of money; in JSON it is a text such as "12.50", because a number would be rounded.
type Cents int64

var amount = regexp.MustCompile(`^([0-9]{1,9})\.([0-9]{2})$`)

// MarshalText writes the amount with its two decimals.
func (c Cents) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d.%02d", c/100, c%100), nil
}

// UnmarshalText reads what MarshalText writes.
func (c *Cents) UnmarshalText(text []byte) error {
	found := amount.FindSubmatch(text)
	if found == nil {
		return fmt.Errorf("%q is no amount such as \"12.50\"", text)
	}
	value, err := strconv.ParseInt(string(found[1])+string(found[2]), 10, 64)
	*c = Cents(value)
	return err
}

// Store keeps orders.
type Store interface {
	Create(ctx context.Context, draft Draft) (Order, error)
	Get(ctx context.Context, id int64) (Order, error)
	List(ctx context.Context) ([]Order, error)
	SetStatus(ctx context.Context, id int64, status string) (Order, error)
}

// Versions are the versions of the shop that this program can be.
var Versions = map[string]func(*pgxpool.Pool) Store{"1.4": newV14, "1.5": newV15, "1.6": newV16}

// one turns what a query for one row returned into an order.
func one[Row any](row Row, err error, order func(Row) Order) (Order, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return Order{}, ErrNotFound
	}
	if err != nil {
		return Order{}, err
	}
	return order(row), nil
}

// many turns rows into orders; no rows are an empty list, never null.
func many[Row any](rows []Row, err error, order func(Row) Order) ([]Order, error) {
	orders := make([]Order, 0, len(rows))
	for _, row := range rows {
		orders = append(orders, order(row))
	}
	return orders, err
}
