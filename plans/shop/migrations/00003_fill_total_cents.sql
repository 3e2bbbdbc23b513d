-- coordinator: phase=migrate
-- In batches, each in a transaction of its own: nobody waits for more than a thousand rows, and what was
-- filled before an interruption is not done again.
-- +goose NO TRANSACTION
-- +goose Up
-- +goose StatementBegin
DO $$
DECLARE
    batch bigint := 1000;
    first bigint := (SELECT min(id) FROM orders);
    last bigint := (SELECT max(id) FROM orders);
BEGIN
    WHILE first <= last LOOP
        UPDATE orders SET total_cents = round(total * 100)
        WHERE id >= first AND id < first + batch AND total_cents IS NULL;
        COMMIT;
        first := first + batch;
    END LOOP;
END
$$;
-- +goose StatementEnd

ALTER TABLE orders VALIDATE CONSTRAINT orders_total_cents_present;

-- +goose Down
-- Nothing to undo: 1.4 does not read the column.
