-- coordinator: phase=expand
-- A statement that refuses a transaction stands alone in its file.
-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY sales_by_day ON sales (day);

-- +goose Down
DROP INDEX CONCURRENTLY sales_by_day;
