-- coordinator: phase=contract
-- +goose Up
DROP TABLE drafts;
