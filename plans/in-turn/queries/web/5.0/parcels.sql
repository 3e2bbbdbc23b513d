-- name: ListParcels :many
SELECT id, weight FROM parcels ORDER BY id;
