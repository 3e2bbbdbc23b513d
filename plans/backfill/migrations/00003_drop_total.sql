-- +goose Up
-- coordinator: phase=contract
DROP TRIGGER keep_both_totals ON bookings;
DROP FUNCTION keep_both_totals();
ALTER TABLE bookings DROP COLUMN total;

-- +goose Down
ALTER TABLE bookings ADD COLUMN total numeric(12, 2);
