-- Applied when no 1.4 is left. The validated CHECK spares SET NOT NULL its scan of the table.
-- There is no Down: what 1.4 needs is gone, and the way back from here is the next release.
-- +goose Up
DROP TRIGGER customers_copy_name ON customers;
DROP FUNCTION customers_copy_name();
ALTER TABLE customers DROP COLUMN name;
ALTER TABLE customers ALTER COLUMN full_name SET NOT NULL;
ALTER TABLE customers DROP CONSTRAINT customers_full_name_present;
