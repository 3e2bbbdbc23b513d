-- name: CreateOrder :one
INSERT INTO orders (customer, total, fax) VALUES ($1, $2, $3)
RETURNING id, customer, total, status, fax, created_at;

-- name: GetOrder :one
SELECT id, customer, total, status, fax, created_at FROM orders WHERE id = $1;

-- name: ListOrders :many
SELECT id, customer, total, status, fax, created_at FROM orders ORDER BY id DESC LIMIT 20;

-- name: SetStatus :one
UPDATE orders SET status = $1 WHERE id = $2
RETURNING id, customer, total, status, fax, created_at;
