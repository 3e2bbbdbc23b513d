-- name: ListParcels :many
SELECT id, weight, shelf FROM parcels ORDER BY id;
