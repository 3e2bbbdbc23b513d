-- name: ListOpenAmounts :many
SELECT id, total_cents FROM orders WHERE total_cents > 0 ORDER BY id;
