-- name: Book
INSERT INTO bookings (id, total) VALUES ($1, $2);
-- name: GetBooking
SELECT id, total FROM bookings WHERE id = $1;
