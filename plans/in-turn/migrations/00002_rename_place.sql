-- +goose Up
ALTER TABLE parcels RENAME COLUMN place TO shelf;

-- +goose Down
ALTER TABLE parcels RENAME COLUMN shelf TO place;
