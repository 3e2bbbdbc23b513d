-- name: FindMember :one
SELECT id, name, email FROM members WHERE id = $1;

-- name: AddMember :exec
INSERT INTO members (name, email) VALUES ($1, $2);

-- name: LastLetter :one
SELECT max(sent) FROM letters WHERE member = $1;
