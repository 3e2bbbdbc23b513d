"""What PostgreSQL says of a version's queries before they run, on a server of our own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coordinator.adapters.rehearsals._postgresql.scratch import ScratchDatabase
from coordinator.adapters.rehearsals._postgresql.server import PostgresqlServer
from coordinator.adapters.rehearsals.postgresql import REHEARSAL
from coordinator.errors import DatabaseError, Usage
from coordinator.evidence import Objection
from coordinator.ports.databases import Batch
from coordinator.rehearsal_ports import Column, Description

SHOP = """
CREATE DOMAIN amount AS numeric(10,2) NOT NULL CHECK (VALUE >= 0);
CREATE TABLE customers (id bigint PRIMARY KEY, email varchar(80) UNIQUE, name text);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers, total amount);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    """Yield a server of our own."""
    with REHEARSAL.server(url=None, live_version=None) as found:
        assert isinstance(found, PostgresqlServer)
        yield found


@pytest.fixture
def shop(server: PostgresqlServer) -> Iterator[ScratchDatabase]:
    """Yield a scratch database with two tables."""
    with server.database() as database:
        apply(database, SHOP)
        yield database


def apply(database: ScratchDatabase, *texts: str, transaction: bool = True) -> None:
    """Apply a migration."""
    with database.session() as session:
        session.execute(Batch(texts, transaction=transaction))


def codes(answers: list[Objection | None]) -> list[str | None]:
    """Return the engine's codes."""
    return [None if each is None else each.code for each in answers]


# -- prepare and describe ---------------------------------------------------------------------------------


def test_describes_what_a_compiled_client_scans(shop):
    [found] = shop.prepare(["SELECT id, email, total FROM customers JOIN orders USING (id) WHERE total > $1"])

    assert found == Description(
        ("numeric",),
        (
            Column("id", "bigint", ("public.customers", "id"), may_be_null=False),
            Column("email", "character varying(80)", ("public.customers", "email")),
            Column("total", "numeric(10,2)", ("public.orders", "total"), may_be_null=False),
        ),
    )


def test_describes_nothing_where_a_text_returns_no_rows(shop):
    [found] = shop.prepare(["DELETE FROM orders WHERE id = $1"])

    assert found == Description(("bigint",), None)


def test_says_in_the_engines_words_what_a_renamed_column_breaks(shop):
    apply(shop, "ALTER TABLE customers RENAME COLUMN name TO full_name")

    [found] = shop.prepare(["SELECT name FROM customers"])

    assert found == Objection("42703", 'column "name" does not exist')


def test_says_that_a_new_column_makes_a_name_ambiguous(shop):
    text = "SELECT name FROM customers c, orders o"

    [before] = shop.prepare([text])
    apply(shop, "ALTER TABLE orders ADD COLUMN name text")
    [after] = shop.prepare([text])

    assert isinstance(before, Description)
    assert after == Objection("42702", 'column reference "name" is ambiguous')


@pytest.mark.parametrize(
    ("change", "type_"),
    [
        ("ALTER TABLE customers ALTER COLUMN id TYPE numeric", "numeric"),
        ("ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey, ALTER COLUMN id TYPE text", "bigint"),
        ("ALTER TABLE customers ALTER COLUMN email TYPE varchar(20)", "bigint"),
    ],
)
def test_sees_a_changed_type(shop, change, type_):
    texts = ["SELECT id, email FROM customers WHERE id = $1", "SELECT id FROM orders WHERE id = $1"]

    before = shop.prepare(texts)
    if "customers ALTER COLUMN id" in change:
        apply(shop, "ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey", change)
    else:
        apply(shop, change)
    after = shop.prepare(texts)

    assert before != after
    assert isinstance(after[0], Description)
    assert after[0].parameters == (type_,)


def test_answers_for_texts_that_cannot_even_be_sent(shop):
    found = shop.prepare(["SELECT '\0'", "SELECT '\ud800'", "SELECT 1; SELECT 2", "SELECT 1"])

    assert codes(found[:3]) == ["22021", "22021", "42601"]
    assert isinstance(found[3], Description)


def test_answers_many_long_texts_without_waiting_for_itself(shop):
    texts = [f"SELECT {number}, '{'x' * 70_000}', nope FROM customers" for number in range(40)]

    assert codes(shop.prepare(texts)) == ["42703"] * 40


# -- plan -------------------------------------------------------------------------------------------------


def test_sees_a_lost_arbiter_of_on_conflict(shop):
    text = "INSERT INTO customers (id, email) VALUES ($1, $2) ON CONFLICT (email) DO NOTHING"

    before = shop.plan([text], role=None)
    apply(shop, "ALTER TABLE customers DROP CONSTRAINT customers_email_key")

    assert before == [None]
    assert isinstance(shop.prepare([text])[0], Description)
    assert codes(shop.plan([text], role=None)) == ["42P10"]


def test_sees_a_revoked_privilege_of_the_services_role(shop):
    texts = ["SELECT id FROM orders", "INSERT INTO orders (id, total) VALUES ($1, $2)"]
    apply(shop, "GRANT SELECT, INSERT ON orders TO shop_app")

    before = shop.plan(texts, role="shop_app")
    apply(shop, "REVOKE INSERT ON orders FROM shop_app")

    assert before == [None, None]
    assert shop.plan(texts, role="shop_app") == [
        None,
        Objection("42501", "permission denied for table orders"),
    ]
    assert shop.plan(texts, role=None) == [None, None]


def test_sees_that_a_view_in_a_tables_place_has_no_grants(shop):
    apply(shop, "GRANT SELECT ON customers TO shop_reader")
    apply(shop, "ALTER TABLE customers RENAME TO clients", "CREATE VIEW customers AS SELECT * FROM clients")

    assert codes(shop.plan(["SELECT id FROM customers"], role="shop_reader")) == ["42501"]


def test_plans_for_a_domain_that_takes_no_null(shop):
    assert shop.plan(["UPDATE orders SET total = $1 WHERE id = $2"], role=None) == [None]


def test_has_no_objection_to_what_has_no_plan(shop):
    texts = ["SET work_mem = '4MB'", "LOCK TABLE orders", "LISTEN moved", "SHOW work_mem", "BEGIN"]

    assert shop.plan(texts, role=None) == [None] * 5


def test_refuses_a_role_that_nobody_made(shop):
    with pytest.raises(Usage) as caught:
        shop.plan(["SELECT 1"], role="nobody_made_it")

    assert caught.value.code == "unknown-database-role"
    assert shop.plan(["SELECT 1"], role=None) == [None]


def test_leaves_nothing_behind_that_it_asked(shop):
    schema = dict(shop.catalogue())

    shop.plan(["DELETE FROM orders", "CREATE TABLE extra AS SELECT 1 AS one"], role=None)
    shop.expand_star(["SELECT * FROM orders"])

    assert dict(shop.catalogue()) == schema


# -- session ----------------------------------------------------------------------------------------------


def test_sees_that_a_new_column_changes_what_a_held_star_returns(shop):
    texts = ["SELECT * FROM customers", "SELECT id FROM customers", "INSERT INTO customers (id) VALUES ($1)"]

    with shop.held(texts) as ask:
        before = ask()
        apply(shop, "ALTER TABLE customers ADD COLUMN phone text")
        after = ask()

    assert before == [None, None, None]
    assert after == [Objection("0A000", "cached plan must not change result type"), None, None]


def test_sees_what_a_held_write_loses(shop):
    with shop.held(["DELETE FROM orders WHERE total = $1"]) as ask:
        apply(shop, "DROP TABLE orders")

        assert codes(ask()) == ["42P01"]


def test_a_held_session_hinders_no_migration_and_no_second_answer(shop):
    with shop.held(["SELECT * FROM orders"]) as ask:
        ask()
        apply(shop, "ALTER TABLE orders ADD COLUMN note text")
        ask()
        apply(shop, "DROP TABLE orders")

        assert codes(ask()) == ["42P01"]


# -- stars ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM customers", "SELECT id, email, name FROM customers"),
        ("SELECT c.* FROM customers c", "SELECT c.id, c.email, c.name FROM customers c"),
        (
            "SELECT * FROM customers c, orders o",
            "SELECT c.id, email, name, o.id, customer_id, total FROM customers c, orders o",
        ),
        ("DELETE FROM orders RETURNING *", "DELETE FROM orders RETURNING id, customer_id, total"),
        (
            "SELECT name FROM customers UNION SELECT name FROM (SELECT * FROM customers) c",
            "SELECT name FROM customers UNION SELECT name FROM (SELECT id, email, name FROM customers) c",
        ),
        (
            "INSERT INTO orders SELECT * FROM orders WHERE id = $1",
            "INSERT INTO orders SELECT id, customer_id, total FROM orders WHERE id = $1",
        ),
        ("SELECT count(*), 2 * id FROM orders GROUP BY id", None),
        ("SELECT (c).* FROM customers c", None),
        ("SELECT * FROM nowhere", None),
    ],
)
def test_writes_a_star_out_as_a_generator_does(shop, text, expected):
    assert shop.expand_star([text]) == [expected or text]


# -- databases --------------------------------------------------------------------------------------------


def test_a_clone_has_the_schema_rows_and_settings_and_goes_its_own_way(shop):
    apply(shop, "INSERT INTO customers (id, name) VALUES (1, 'Ada')", "CREATE SCHEMA shop")
    apply(
        shop,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = shop, \"$user\", public',"
        " current_database()); END $$",
        "CREATE TABLE shop.tills (id int)",
    )
    shop.prepare(["SELECT 1"])

    with shop.clone() as copy:
        apply(copy, "ALTER TABLE customers DROP COLUMN name")
        [tills, broken] = copy.prepare(["SELECT id FROM tills", "SELECT name FROM customers"])
        [works] = shop.prepare(["SELECT name FROM customers"])
        with copy.session() as session:
            rows = session.query("SELECT id FROM customers")

    assert isinstance(tills, Description)
    assert isinstance(broken, Objection)
    assert isinstance(works, Description)
    assert rows == [(1,)]


def test_makes_a_role_that_a_migration_names(shop):
    apply(shop, "CREATE TABLE notes (id int)", "GRANT SELECT ON notes TO somebody_else", transaction=False)

    assert shop.plan(["SELECT id FROM notes"], role="somebody_else") == [None]


def test_a_migration_that_makes_a_role_applies_to_a_clone_as_well(shop):
    with shop.clone() as ahead:
        for database in (ahead, shop):
            apply(database, "CREATE ROLE twice LOGIN", "GRANT SELECT ON orders TO twice")

        assert ahead.plan(["SELECT id FROM orders"], role="twice") == [None]
    assert shop.plan(["SELECT id FROM orders"], role="twice") == [None]


def test_a_migration_that_fails_says_so(shop):
    with pytest.raises(DatabaseError) as caught:
        apply(shop, "SELECT 1", "ALTER TABLE nowhere ADD COLUMN x int")

    assert (caught.value.sqlstate, caught.value.statement) == ("42P01", 1)


def test_restores_a_dump_with_roles_that_are_not_here(server):
    dump = (
        "\\restrict abc\nSET statement_timeout = 0;\n"
        "SELECT pg_catalog.set_config('search_path', '', false);\n"
        "CREATE TABLE public.orders (id bigint NOT NULL);\nALTER TABLE public.orders OWNER TO dumped_owner;\n"
        "GRANT SELECT ON TABLE public.orders TO dumped_reader;\n\\unrestrict abc\n"
    )

    with server.database(dump) as database:
        assert database.plan(["SELECT id FROM orders"], role="dumped_reader") == [None]
        assert codes(database.plan(["DELETE FROM orders"], role="dumped_reader")) == ["42501"]
    assert server.notes == ()


def test_says_which_statement_of_a_dump_cannot_be_restored(server):
    with pytest.raises(DatabaseError) as caught, server.database("CREATE EXTENSION no_such_extension;"):
        pytest.fail("it was restored")

    assert caught.value.code == "dump-not-restored"
    assert "no_such_extension" in str(caught.value)
