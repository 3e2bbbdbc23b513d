-- 1.4 writes `total`, 1.5 writes `total_cents`; while both run, the trigger keeps the two in step.
-- NOT VALID: rows of today may lack the cents until 00003, every row that is written from now on has them.
-- +goose Up
ALTER TABLE orders ADD COLUMN total_cents bigint;

-- +goose StatementBegin
CREATE FUNCTION orders_copy_total() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.total IS DISTINCT FROM OLD.total THEN
        NEW.total_cents := round(NEW.total * 100);
    ELSIF TG_OP = 'UPDATE' AND NEW.total_cents IS DISTINCT FROM OLD.total_cents THEN
        NEW.total := NEW.total_cents / 100.0;
    ELSE
        NEW.total_cents := coalesce(NEW.total_cents, round(NEW.total * 100));
        NEW.total := coalesce(NEW.total, NEW.total_cents / 100.0);
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER orders_copy_total BEFORE INSERT OR UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION orders_copy_total();

ALTER TABLE orders ADD CONSTRAINT orders_total_cents_present CHECK (total_cents IS NOT NULL) NOT VALID;

-- +goose Down
DROP TRIGGER orders_copy_total ON orders;
DROP FUNCTION orders_copy_total();
ALTER TABLE orders DROP COLUMN total_cents;
