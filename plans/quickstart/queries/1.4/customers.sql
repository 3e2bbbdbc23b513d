-- name: CreateCustomer :one
INSERT INTO customers (name) VALUES ($1) RETURNING id, name;

-- name: ReadCustomer :one
SELECT id, name FROM customers WHERE id = $1;

-- name: UpdateCustomer :one
UPDATE customers SET name = $1 WHERE id = $2 RETURNING id, name;

-- name: DeleteCustomer :one
DELETE FROM customers WHERE id = $1 RETURNING id, name;

-- name: ListCustomers :many
SELECT id, name FROM customers ORDER BY id DESC LIMIT 10;
