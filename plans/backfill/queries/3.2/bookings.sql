-- name: Book
INSERT INTO bookings (id, total_cents) VALUES ($1, $2);
-- name: GetBooking
SELECT id, total_cents FROM bookings WHERE id = $1;
