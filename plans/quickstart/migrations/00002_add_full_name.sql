-- 1.4 writes `name`, 1.5 writes `full_name`; while both run, the trigger copies each into the other.
-- NOT VALID: rows of today may lack a full name until 00003, every row that is written from now on has one.
-- +goose Up
ALTER TABLE customers ADD COLUMN full_name text;

-- +goose StatementBegin
CREATE FUNCTION customers_copy_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.name IS DISTINCT FROM OLD.name THEN
        NEW.full_name := NEW.name;
    ELSIF TG_OP = 'UPDATE' AND NEW.full_name IS DISTINCT FROM OLD.full_name THEN
        NEW.name := NEW.full_name;
    ELSE
        NEW.full_name := coalesce(NEW.full_name, NEW.name);
        NEW.name := coalesce(NEW.name, NEW.full_name);
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER customers_copy_name BEFORE INSERT OR UPDATE ON customers
    FOR EACH ROW EXECUTE FUNCTION customers_copy_name();

ALTER TABLE customers ADD CONSTRAINT customers_full_name_present CHECK (full_name IS NOT NULL) NOT VALID;

-- +goose Down
DROP TRIGGER customers_copy_name ON customers;
DROP FUNCTION customers_copy_name();
ALTER TABLE customers DROP COLUMN full_name;
