-- +goose Up
CREATE TABLE tickets (id bigint PRIMARY KEY, subject text NOT NULL);
CREATE TABLE drafts (id bigint PRIMARY KEY, body text NOT NULL);

-- +goose Down
DROP TABLE drafts;
DROP TABLE tickets;
