-- name: CreateOrder :one
INSERT INTO orders (customer, total_cents, email) VALUES ($1, $2, $3)
RETURNING id, customer, status, created_at, total_cents, email;

-- name: GetOrder :one
SELECT id, customer, status, created_at, total_cents, email FROM orders WHERE id = $1;

-- name: ListOrders :many
SELECT id, customer, status, created_at, total_cents, email FROM orders ORDER BY id DESC LIMIT 20;

-- name: SetStatus :one
UPDATE orders SET status = $1 WHERE id = $2
RETURNING id, customer, status, created_at, total_cents, email;
