-- Applied when no 1.4 is left. The validated CHECK spares SET NOT NULL its scan of the table.
-- There is no Down: what 1.4 needs is gone, and the way back from here is the next release.
-- +goose Up
DROP TRIGGER orders_copy_total ON orders;
DROP FUNCTION orders_copy_total();
ALTER TABLE orders DROP COLUMN total;
ALTER TABLE orders ALTER COLUMN total_cents SET NOT NULL;
ALTER TABLE orders DROP CONSTRAINT orders_total_cents_present;
