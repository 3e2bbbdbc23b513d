-- coordinator: phase=contract
-- +goose Up
SET LOCAL lock_timeout = '2s';
ALTER TABLE sales DROP COLUMN region;
