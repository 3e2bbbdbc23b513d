-- name: PlaceOrder :exec
INSERT INTO orders (id, total) VALUES ($1, $2);

-- name: GetOrder :one
SELECT id, total FROM orders WHERE id = $1;

-- name: ChangeOrder :exec
UPDATE orders SET total = $1 WHERE id = $2;
