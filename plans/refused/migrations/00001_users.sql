-- +goose Up
CREATE TABLE users (id bigint PRIMARY KEY, nickname text);

-- +goose Down
DROP TABLE users;
