-- +goose Up
DROP TABLE drafts;
