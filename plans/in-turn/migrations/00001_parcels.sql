-- +goose Up
CREATE TABLE parcels (id bigint PRIMARY KEY, weight integer NOT NULL, place text);

-- +goose Down
DROP TABLE parcels;
