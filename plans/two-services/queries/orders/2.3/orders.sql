-- name: PlaceOrder :exec
INSERT INTO orders (id, total_cents) VALUES ($1, $2);

-- name: GetOrder :one
SELECT id, total_cents FROM orders WHERE id = $1;

-- name: ChangeOrder :exec
UPDATE orders SET total_cents = $1 WHERE id = $2;
