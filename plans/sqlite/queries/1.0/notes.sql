-- name: AddNote :one
INSERT INTO notes (body) VALUES (?) RETURNING id, body;

-- name: ListNotes :many
SELECT id, body FROM notes ORDER BY id;
