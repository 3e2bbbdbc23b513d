-- name: FindMember :one
SELECT id, name, fax FROM members WHERE id = $1;

-- name: AddMember :exec
INSERT INTO members (name, fax) VALUES ($1, $2);
