-- coordinator: phase=expand
-- +goose Up
ALTER TABLE tickets ADD COLUMN priority smallint NOT NULL DEFAULT 3;

-- +goose Down
ALTER TABLE tickets DROP COLUMN priority;
