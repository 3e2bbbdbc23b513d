"""What a rehearsal on MariaDB sees of each change that hurts, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fixtures.mariadb import ENGINE, enforces_checks, root_connection
from fixtures.mysql_rehearsal import INSERT, REHEARSAL, SCHEMA, live, scratch, version_with
from fixtures.sqlite_rehearsal import apply, found_by

from coordinator.diagnostics import Place
from coordinator.errors import DatabaseError
from coordinator.evidence import Objection
from coordinator.model import Engine, Layer
from coordinator.ports.databases import Batch
from coordinator.queries import Query
from coordinator.rehearsal_ports import VOLATILE, Description, Ran, RehearsalDatabase, RehearsalServer
from coordinator.rehearse.ask import ask_queries, compile_queries
from coordinator.rehearse.between import Between
from coordinator.rehearse.moment import is_no_answer
from coordinator.rehearse.state import State
from coordinator.secret import Secret

pytestmark = pytest.mark.mariadb
BY_A_CHECK = {Engine.MARIADB: "4025", Engine.MYSQL: "3819"}
"""With which number a row is refused."""
COUNTED = {
    Engine.MARIADB: (
        "CREATE SEQUENCE numbers START WITH 7",
        "CREATE TABLE made (id int PRIMARY KEY DEFAULT nextval(numbers), a int, b int AS (a + 1) STORED)",
    ),
    Engine.MYSQL: (
        "CREATE TABLE made (id int PRIMARY KEY AUTO_INCREMENT, a int, b int AS (a + 1) STORED)",
        "ALTER TABLE made AUTO_INCREMENT = 7",
    ),
}
"""A table whose rows are counted in the server's other way: MySQL has no sequences."""


@pytest.fixture(scope="module")
def server() -> Iterator[RehearsalServer]:
    with REHEARSAL.server(url=None, live_version=None) as server:
        yield server


@pytest.fixture
def database(server: RehearsalServer) -> Iterator[RehearsalDatabase]:
    with scratch(server) as database:
        yield database


# -- what it sees ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("migration", "query", "layer", "said"),
    [
        ("ALTER TABLE orders DROP COLUMN note", "SELECT note FROM orders", "prepare", "1054"),
        ("RENAME TABLE orders TO sales", "SELECT id FROM orders", "prepare", "1146"),
        ("ALTER TABLE orders DROP COLUMN note", "SELECT id FROM noted", "prepare", "1356"),
        ("ALTER TABLE customers ADD COLUMN phone varchar(9) NOT NULL AFTER id",
         "INSERT INTO customers VALUES (?, ?, ?, ?)", "prepare", "1136"),
        ("ALTER TABLE customers ADD COLUMN phone varchar(9)", "SELECT * FROM customers", "describe", "phone"),
        ("ALTER TABLE orders MODIFY note int", "SELECT note FROM orders", "describe", "int"),
        ("ALTER TABLE orders ADD COLUMN place varchar(9) NOT NULL", INSERT, "execute", "1364"),
        ("ALTER TABLE orders MODIFY note varchar(3)",
         "INSERT INTO orders (customer_id, total, note) VALUES (?, ?, ?)", "execute", "1406"),
        ("ALTER TABLE orders MODIFY state enum('paid') NOT NULL DEFAULT 'paid'",
         "UPDATE orders SET state = 'open' WHERE id = ?", "execute", "1265"),
        ("CREATE TRIGGER no BEFORE DELETE ON orders FOR EACH ROW SIGNAL SQLSTATE '45000'",
         "DELETE FROM orders WHERE id = ?", "execute", "1644"),
        ("CREATE UNIQUE INDEX one_name ON customers (name)",
         "INSERT INTO customers (email, name) VALUES (?, ?)", "execute", "1062"),
        ("ALTER TABLE orders ALTER COLUMN state SET DEFAULT 'paid'", INSERT, "result", "paid"),
        ("CREATE OR REPLACE VIEW big AS SELECT id, total FROM orders WHERE total < 0", "SELECT id FROM big",
         "result", "gone"),
        ("ALTER TABLE customers ADD COLUMN phone varchar(9)", "SELECT id, email FROM customers", "", ""),
        ("CREATE INDEX by_total ON orders (total)", INSERT, "", ""),
        ("ALTER TABLE orders MODIFY note longtext", "SELECT note FROM orders", "", ""),
    ],
)  # fmt: skip
def test_sees_what_a_change_does_to_a_query_and_at_which_layer(
    database: RehearsalDatabase, migration: str, query: str, layer: str, said: str
):
    found, text = found_by(database, _without_rows_in_the_way(migration), query)

    assert (found, said in text) == (layer, True), text


def _without_rows_in_the_way(migration: str) -> str:
    """Let a migration pass that sample rows would refuse: what it does to later rows is the question."""
    if "MODIFY" in migration and ENGINE is Engine.MARIADB:
        return f"SET SESSION check_constraint_checks = 0, sql_mode = ''; {migration}"
    if "MODIFY" in migration:
        return f"SET SESSION sql_mode = ''; {migration}"
    return migration


def test_sees_what_a_new_check_does_to_a_query_where_the_server_enforces_it(database: RehearsalDatabase):
    change = "ALTER TABLE orders ADD CONSTRAINT small CHECK (total < 0 OR total > 1000)"

    found, text = found_by(database, f"DELETE FROM orders; {change}", INSERT)

    assert found == ("execute" if enforces_checks() else ""), text
    assert text.startswith(f"{BY_A_CHECK[ENGINE]}: " if enforces_checks() else "")


def test_a_new_child_of_a_row_that_is_deleted_is_no_break(server: RehearsalServer, mariadb_url: str):
    """Its rows are samples; what the new version writes there, nobody knows."""
    layers = frozenset({Layer.EXECUTE})
    query = Query("Delete", "DELETE FROM customers WHERE id = ?", Place("q.sql", 1))
    with scratch(server) as database:
        database.fill()
        [compiled] = compile_queries(State(database, layers), [query], role=None)
        key = "FOREIGN KEY (customer_id) REFERENCES customers (id)"
        apply(database, f"CREATE TABLE visits (customer_id int NOT NULL, {key})")
        apply(database, "INSERT INTO visits SELECT id FROM customers")
        state = State(database, layers)

        [alone] = ask_queries(state, [compiled], role=None, between=Between())
        [beside] = ask_queries(
            state, [compiled], role=None, between=Between(new_tables=frozenset({"visits"}))
        )

    assert alone.broken is not None
    assert "coordinator_rehearsal" not in alone.broken[1].message
    assert beside.broken is None
    assert "refers to its row" in beside.unchecked[0][1]


# -- what cannot be compared, or not be taken back --------------------------------------------------------


def test_a_number_that_the_server_gives_is_not_compared(database: RehearsalDatabase):
    assert found_by(database, "INSERT INTO logs (line) VALUES ('x')", INSERT) == ("", "")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT uuid(), connection_id() FROM customers",
        "SELECT group_concat(id) FROM orders",
        "SELECT id FROM orders LIMIT 1",
        "SELECT database()",
        "SELECT table_name FROM information_schema.tables WHERE table_schema = database()",
    ],
)
def test_what_is_the_moments_the_servers_or_the_plans_is_not_compared(
    database: RehearsalDatabase, query: str
):
    database.fill()

    [ran] = database.execute([(query, ())], role=None)

    assert isinstance(ran, Ran), ran
    assert ran.count is None or all(cell == VOLATILE for row in ran.rows for cell in row)


@pytest.mark.parametrize(
    "query", ["SELECT id FROM orders ORDER BY id LIMIT 10", "SELECT id FROM orders LIMIT 9;"]
)
def test_a_result_is_compared_of_which_a_limit_at_its_end_cuts_nothing_off(
    database: RehearsalDatabase, query: str
):
    database.fill()

    ran, nested = database.execute(
        [(query, ()), ("SELECT max(id) FROM (SELECT id FROM orders LIMIT 1) AS o", ())], role=None
    )

    assert isinstance(ran, Ran), ran
    assert ran.rows
    assert all(cell != VOLATILE for row in ran.rows for cell in row)
    assert isinstance(nested, Ran), nested
    assert {cell for row in nested.rows for cell in row} == {VOLATILE}


def test_a_group_with_several_values_is_not_compared_where_the_live_mode_lets_it_pass(mariadb: str):
    """MySQL's own mode refuses such a query, MariaDB's does not."""
    live_one = version_with(sql_mode="STRICT_TRANS_TABLES")
    with (
        REHEARSAL.server(url=Secret(f"{mariadb}mysql"), live_version=live_one) as server,
        scratch(server) as database,
    ):
        database.fill()
        [ran] = database.execute([("SELECT id, total FROM orders GROUP BY state", ())], role=None)

    assert isinstance(ran, Ran), ran
    assert {cell for row in ran.rows for cell in row} == {VOLATILE}


def test_a_grouped_result_with_one_value_in_each_group_is_compared(database: RehearsalDatabase):
    database.fill()

    [ran] = database.execute([("SELECT state, count(*) FROM orders GROUP BY state", ())], role=None)

    assert isinstance(ran, Ran)
    assert VOLATILE not in {cell for row in ran.rows for cell in row}


@pytest.mark.parametrize(
    ("query", "trigger"),
    [
        ("INSERT INTO logs (line) VALUES ('x')", None),
        ("DELETE FROM customers WHERE id = 99", "AFTER DELETE ON customers"),
    ],
)
def test_does_not_run_what_a_table_without_transactions_would_keep(
    database: RehearsalDatabase, query: str, trigger: str | None
):
    if trigger:
        apply(database, f"CREATE TRIGGER t {trigger} FOR EACH ROW INSERT INTO logs (line) VALUES ('x')")

    [ran] = database.execute([(query, ())], role=None)
    [chosen] = database.choose([query], role=None)

    assert isinstance(ran, Objection)
    assert "`logs`, whose storage engine keeps" in ran.message
    assert ran == chosen
    assert is_no_answer(ran.code)
    assert isinstance(database.prepare([query])[0], Description)


@pytest.mark.parametrize(
    "query",
    ["CALL p()", "SET NAMES utf8mb4", "ALTER TABLE orders ADD x int", "/*!50000 DROP TABLE orders */"],
)
def test_asks_nothing_about_what_might_commit_by_itself(database: RehearsalDatabase, query: str):
    [prepared] = database.prepare([query])

    assert isinstance(prepared, Objection)
    assert is_no_answer(prepared.code)


def test_does_not_guess_what_a_role_may_do(database: RehearsalDatabase):
    [planned] = database.plan(["SELECT id FROM orders"], role="app")

    assert isinstance(planned, Objection)
    assert is_no_answer(planned.code)


def test_an_open_session_goes_on_with_what_it_prepared_as_a_new_one_does(mariadb_url: str):
    """The reason why the layer `session` is not asked."""
    with (
        root_connection(mariadb_url) as connection,
        connection.cursor() as cursor,
        live(mariadb_url) as session,
    ):
        cursor.execute(f"USE {mariadb_url.rpartition('/')[2]}")
        cursor.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
        cursor.execute("INSERT INTO t VALUES (1, 2)")
        cursor.execute("PREPARE s FROM 'SELECT * FROM t'")
        answers = []
        for change in ("ADD COLUMN b int DEFAULT 3 FIRST", "MODIFY a varchar(9)", "DROP COLUMN a"):
            session.execute(Batch((f"ALTER TABLE t {change}",), transaction=False))
            cursor.execute("EXECUTE s")
            answers.append(cursor.fetchall())

    assert answers == [((3, 1, 2),), ((3, 1, "2"),), ((3, 1),)]


# -- scratch databases ------------------------------------------------------------------------------------


def test_a_clone_has_everything_and_goes_on_counting(database: RehearsalDatabase):
    apply(
        database,
        *COUNTED[ENGINE],
        "CREATE VIEW above AS SELECT doubled(id) AS id FROM big",
        "CREATE TRIGGER t BEFORE INSERT ON made FOR EACH ROW SET NEW.a = coalesce(NEW.a, 5)",
    )
    database.fill()
    inserts = [("INSERT INTO customers (email) VALUES ('x')", ()), ("INSERT INTO made (id) VALUES (99)", ())]
    reads = [("SELECT * FROM made", ()), ("SELECT * FROM above", ()), ("SELECT * FROM logs", ())]

    with database.clone() as clone:
        assert dict(clone.catalogue()) == dict(database.catalogue())
        ours, theirs = database.execute(reads + inserts, role=None), clone.execute(reads + inserts, role=None)

    assert ours == theirs
    assert not [each for each in ours if isinstance(each, Objection)]


def test_what_was_asked_does_not_change_the_number_of_a_row_that_comes_later(database: RehearsalDatabase):
    apply(database, *COUNTED[ENGINE])
    database.fill()
    query = "INSERT INTO customers (email, name) VALUES (?, 'asked')"
    later = ("INSERT INTO customers (email) VALUES ('later')", "INSERT INTO made (a) VALUES (5)")
    ends = []
    with database.clone() as clone:
        for _ in range(3):
            [values] = database.choose([query], role=None)
            assert isinstance(values, tuple)
            database.execute([(query, values)], role=None)
        for each in (database, clone):
            apply(each, *later)
            with each.session() as session:
                ends.append([session.query(f"SELECT * FROM {table}") for table in ("customers", "made")])

    assert ends[0] == ends[1]


def test_a_clone_keeps_the_books_of_the_migration_tools(database: RehearsalDatabase):
    apply(database, "CREATE TABLE goose_db_version (id int)", "INSERT INTO goose_db_version VALUES (1)")

    with database.clone() as clone, clone.session() as session:
        assert session.query("SELECT id FROM goose_db_version") == [(1,)]

    assert "table goose_db_version" not in database.catalogue()


def test_a_migration_reaches_no_other_database(server: RehearsalServer, database: RehearsalDatabase):
    with scratch(server) as other:
        with other.session() as session:
            [[name]] = session.query("SELECT DATABASE()")

        for text in (
            f"DROP TABLE {name}.logs",
            "CREATE DATABASE elsewhere",
            "SET GLOBAL max_connections = 9",
        ):
            with pytest.raises(DatabaseError, match=r"(?i)denied"):
                apply(database, text)

        assert "table logs" in other.catalogue()


def test_statements_about_accounts_are_left_out_and_said(server: RehearsalServer):
    with server.database() as database:
        apply(
            database,
            "CREATE TABLE t (id int)",
            "CREATE USER app@'%' IDENTIFIED BY 'x'; GRANT SELECT ON t TO app@'%'",
            "CREATE DEFINER=app@'%' SQL SECURITY DEFINER VIEW v AS SELECT id FROM t",
        )
        [prepared] = database.prepare(["SELECT id FROM v"])

    assert isinstance(prepared, Description)
    assert "`CREATE USER …`, `GRANT SELECT …`" in " ".join(server.notes)


# -- the live database --------------------------------------------------------------------------------------


def test_a_dump_makes_the_live_schema_again(server: RehearsalServer, mariadb_url: str):
    with live(mariadb_url) as session:
        session.execute(
            Batch(
                (
                    *SCHEMA,
                    "CREATE VIEW a_first AS SELECT id FROM big",
                    "CREATE TRIGGER t AFTER DELETE ON orders FOR EACH ROW BEGIN SET @x = 'a;b'; DO 1; END",
                    "CREATE PROCEDURE p (IN n int) BEGIN SELECT n; SELECT 2; END",
                ),
                transaction=False,
            )
        )
        catalogue = REHEARSAL.live_catalogue(session)
        sizes = REHEARSAL.live_sizes(session)

    with server.database(REHEARSAL.dump(Secret(mariadb_url))) as database:
        assert dict(database.catalogue()) == dict(catalogue)

    assert {"customers", "orders", "logs"} <= sizes.keys()
    assert "procedure p" in catalogue


def test_says_what_of_a_dump_the_scratch_server_does_not_take(server: RehearsalServer):
    with pytest.raises(DatabaseError) as refusal, server.database("CREATE TABLE t (a nothing);\n"):
        pass

    assert refusal.value.code == "dump-not-restored"
