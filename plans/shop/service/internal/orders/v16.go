package orders

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	db "shop/internal/db/v16"
)

// v16 keeps the total in cents, and e-mail addresses.
type v16 struct{ queries *db.Queries }

func newV16(pool *pgxpool.Pool) Store { return v16{db.New(pool)} }

func (s v16) Create(ctx context.Context, draft Draft) (Order, error) {
	row, err := s.queries.CreateOrder(ctx, db.CreateOrderParams{
		Customer: draft.Customer, TotalCents: int64(draft.Total), Email: draft.Email,
	})
	return one(row, err, orderOfV16)
}

func (s v16) Get(ctx context.Context, id int64) (Order, error) {
	row, err := s.queries.GetOrder(ctx, id)
	return one(row, err, orderOfV16)
}

func (s v16) List(ctx context.Context) ([]Order, error) {
	rows, err := s.queries.ListOrders(ctx)
	return many(rows, err, orderOfV16)
}

func (s v16) SetStatus(ctx context.Context, id int64, status string) (Order, error) {
	row, err := s.queries.SetStatus(ctx, db.SetStatusParams{ID: id, Status: status})
	return one(row, err, orderOfV16)
}

func orderOfV16(row db.Order) Order {
	return Order{
		ID: row.ID, Customer: row.Customer, Total: Cents(row.TotalCents), Status: row.Status,
		Email: row.Email, CreatedAt: row.CreatedAt,
	}
}
