package orders

import (
	"context"
	"math/big"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	db "shop/internal/db/v14"
)

// v14 keeps the total as a decimal number, and fax numbers.
type v14 struct{ queries *db.Queries }

func newV14(pool *pgxpool.Pool) Store { return v14{db.New(pool)} }

func (s v14) Create(ctx context.Context, draft Draft) (Order, error) {
	total := pgtype.Numeric{Int: big.NewInt(int64(draft.Total)), Exp: -2, Valid: true}
	row, err := s.queries.CreateOrder(ctx, db.CreateOrderParams{
		Customer: draft.Customer, Total: total, Fax: draft.Fax,
	})
	return one(row, err, orderOfV14)
}

func (s v14) Get(ctx context.Context, id int64) (Order, error) {
	row, err := s.queries.GetOrder(ctx, id)
	return one(row, err, orderOfV14)
}

func (s v14) List(ctx context.Context) ([]Order, error) {
	rows, err := s.queries.ListOrders(ctx)
	return many(rows, err, orderOfV14)
}

func (s v14) SetStatus(ctx context.Context, id int64, status string) (Order, error) {
	row, err := s.queries.SetStatus(ctx, db.SetStatusParams{ID: id, Status: status})
	return one(row, err, orderOfV14)
}

func orderOfV14(row db.Order) Order {
	return Order{
		ID: row.ID, Customer: row.Customer, Total: centsOf(row.Total), Status: row.Status,
		Fax: row.Fax, CreatedAt: row.CreatedAt,
	}
}

// centsOf returns a decimal number of two places, whatever exponent the driver gives it, as cents.
func centsOf(total pgtype.Numeric) Cents {
	cents := new(big.Int).Set(total.Int)
	ten := big.NewInt(10)
	for exponent := total.Exp; exponent < -2; exponent++ {
		cents.Quo(cents, ten)
	}
	for exponent := total.Exp; exponent > -2; exponent-- {
		cents.Mul(cents, ten)
	}
	return Cents(cents.Int64())
}
