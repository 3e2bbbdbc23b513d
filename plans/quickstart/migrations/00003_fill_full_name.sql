-- coordinator: phase=migrate
-- One UPDATE is right for a small table; a large one is filled in batches, each in a transaction of its own.
-- +goose Up
UPDATE customers SET full_name = name WHERE full_name IS NULL;
ALTER TABLE customers VALIDATE CONSTRAINT customers_full_name_present;

-- +goose Down
-- Nothing to undo: 1.4 does not read the column.
