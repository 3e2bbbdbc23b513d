-- name: CreateOrder :one
INSERT INTO orders (customer, total_cents, fax) VALUES ($1, $2, $3)
RETURNING id, customer, status, fax, created_at, total_cents;

-- name: GetOrder :one
SELECT id, customer, status, fax, created_at, total_cents FROM orders WHERE id = $1;

-- name: ListOrders :many
SELECT id, customer, status, fax, created_at, total_cents FROM orders ORDER BY id DESC LIMIT 20;

-- name: SetStatus :one
UPDATE orders SET status = $1 WHERE id = $2
RETURNING id, customer, status, fax, created_at, total_cents;
