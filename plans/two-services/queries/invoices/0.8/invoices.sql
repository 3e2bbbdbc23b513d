-- name: ListOpenAmounts :many
SELECT id, total FROM orders WHERE total > 0 ORDER BY id;
