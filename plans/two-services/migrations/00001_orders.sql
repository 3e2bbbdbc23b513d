-- +goose Up
CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(12, 2));

-- +goose Down
DROP TABLE orders;
