-- +goose Up
-- coordinator: phase=expand
ALTER TABLE bookings ADD COLUMN total_cents bigint, ALTER COLUMN total DROP NOT NULL;
-- +goose StatementBegin
CREATE FUNCTION keep_both_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- 3.1 writes the one and 3.2 the other; a new row has both
    NEW.total := coalesce(NEW.total, NEW.total_cents / 100.0);
    NEW.total_cents := coalesce(NEW.total_cents, NEW.total * 100);
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER keep_both_totals BEFORE INSERT ON bookings
    FOR EACH ROW EXECUTE FUNCTION keep_both_totals();

-- +goose Down
DROP TRIGGER keep_both_totals ON bookings;
DROP FUNCTION keep_both_totals();
ALTER TABLE bookings DROP COLUMN total_cents, ALTER COLUMN total SET NOT NULL;
