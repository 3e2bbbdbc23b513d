-- name: AddNote :one
INSERT INTO notes (body, colour) VALUES (?, ?) RETURNING id, body;

-- name: ListNotes :many
SELECT id, body, colour FROM notes ORDER BY id;

-- name: TagNote :exec
INSERT INTO tags (note, tag) VALUES (?, ?);

-- name: NotesWithTag :many
SELECT notes.id, notes.body FROM notes JOIN tags ON tags.note = notes.id WHERE tags.tag = ? ORDER BY notes.id;
