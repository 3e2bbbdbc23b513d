-- name: GetUser :one
SELECT id, nickname FROM users WHERE id = $1;

-- name: CreateUser :exec
INSERT INTO users (id, nickname) VALUES ($1, $2);
