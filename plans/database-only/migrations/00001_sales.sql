-- coordinator: phase=expand
-- +goose Up
CREATE TABLE sales (day date NOT NULL, region text, amount numeric NOT NULL);

-- +goose Down
DROP TABLE sales;
