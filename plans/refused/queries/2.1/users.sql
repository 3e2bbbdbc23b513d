-- name: GetUser :one
SELECT id, handle FROM users WHERE id = $1;

-- name: CreateUser :exec
INSERT INTO users (id, handle) VALUES ($1, $2);
