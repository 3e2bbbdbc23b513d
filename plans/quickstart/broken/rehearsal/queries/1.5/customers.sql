-- name: CreateCustomer :one
INSERT INTO customers (full_name) VALUES ($1) RETURNING id, full_name;

-- name: ReadCustomer :one
SELECT id, fullname FROM customers WHERE id = $1;

-- name: UpdateCustomer :one
UPDATE customers SET full_name = $1 WHERE id = $2 RETURNING id, full_name;

-- name: DeleteCustomer :one
DELETE FROM customers WHERE id = $1 RETURNING id, full_name;

-- name: ListCustomers :many
SELECT id, full_name FROM customers ORDER BY id DESC LIMIT 10;
