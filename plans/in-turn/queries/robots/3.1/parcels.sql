-- name: FetchParcel :one
SELECT id, weight FROM parcels WHERE id = $1;

-- name: WeighParcel :exec
UPDATE parcels SET weight = $1 WHERE id = $2;
