-- +goose Up
CREATE TABLE bookings (id bigint PRIMARY KEY, total numeric(12, 2) NOT NULL);

-- +goose Down
DROP TABLE bookings;
