-- Applied when no 1.5 is left, the last version that writes fax numbers.
-- There is no Down: the numbers are gone.
-- +goose Up
ALTER TABLE orders DROP COLUMN fax;
