-- 1.6 reaches customers by e-mail; 1.5 does not know the column and leaves it empty.
-- +goose Up
ALTER TABLE orders ADD COLUMN email text;

-- +goose Down
ALTER TABLE orders DROP COLUMN email;
