-- +goose Up
DROP TRIGGER orders_copy_total ON orders;
DROP FUNCTION orders_copy_total();
ALTER TABLE orders DROP COLUMN total;
