-- +goose Up
UPDATE orders SET total_cents = round(total * 100) WHERE total_cents IS NULL;

-- +goose Down
-- Nothing to undo: the old versions do not read the column.
