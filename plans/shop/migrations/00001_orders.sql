-- The schema that 1.4 was written for.
-- +goose Up
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL,
    total numeric(12, 2) NOT NULL,
    status text NOT NULL DEFAULT 'new',
    fax text,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE orders;
