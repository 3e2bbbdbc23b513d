package orders

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	db "shop/internal/db/v15"
)

// v15 keeps the total in cents, and fax numbers.
type v15 struct{ queries *db.Queries }

func newV15(pool *pgxpool.Pool) Store { return v15{db.New(pool)} }

func (s v15) Create(ctx context.Context, draft Draft) (Order, error) {
	row, err := s.queries.CreateOrder(ctx, db.CreateOrderParams{
		Customer: draft.Customer, TotalCents: int64(draft.Total), Fax: draft.Fax,
	})
	return one(row, err, orderOfV15)
}

func (s v15) Get(ctx context.Context, id int64) (Order, error) {
	row, err := s.queries.GetOrder(ctx, id)
	return one(row, err, orderOfV15)
}

func (s v15) List(ctx context.Context) ([]Order, error) {
	rows, err := s.queries.ListOrders(ctx)
	return many(rows, err, orderOfV15)
}

func (s v15) SetStatus(ctx context.Context, id int64, status string) (Order, error) {
	row, err := s.queries.SetStatus(ctx, db.SetStatusParams{ID: id, Status: status})
	return one(row, err, orderOfV15)
}

func orderOfV15(row db.Order) Order {
	return Order{
		ID: row.ID, Customer: row.Customer, Total: Cents(row.TotalCents), Status: row.Status,
		Fax: row.Fax, CreatedAt: row.CreatedAt,
	}
}
