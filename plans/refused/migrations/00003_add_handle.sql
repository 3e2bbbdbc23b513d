-- +goose Up
ALTER TABLE users ADD COLUMN handle text;

-- +goose Down
ALTER TABLE users DROP COLUMN handle;
