"""What rehearsal_ports promises of scratch databases, held against every engine that can be rehearsed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator import discovery
from coordinator.errors import DatabaseError
from coordinator.evidence import Objection
from coordinator.model import Engine, Layer
from coordinator.ports import Batch
from coordinator.rehearsal_ports import Description, Ran, RehearsalDatabase, RehearsalEngine, RehearsalServer

ENGINES = [Engine(name) for name in discovery.names(discovery.REHEARSALS)]
SCHEMA = (
    "CREATE TABLE customers (id integer PRIMARY KEY, email text NOT NULL UNIQUE, name text)",
    """CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers (id),
    total integer NOT NULL CHECK (total > 0), note text)""",
    "CREATE VIEW totals AS SELECT customer_id, total FROM orders",
)
QUERIES = {
    Engine.POSTGRESQL: (
        "SELECT id, email FROM customers WHERE id = $1",
        "SELECT customer_id, total FROM totals ORDER BY total, customer_id",
        "INSERT INTO customers (id, email, name) VALUES ($1, $2, $3)",
        "INSERT INTO orders (id, customer_id, total, note) VALUES ($1, $2, $3, $4) RETURNING id",
        "UPDATE orders SET total = total + 1, note = $1 WHERE customer_id = $2",
        "DELETE FROM orders WHERE id = $1",
        "WITH gone AS (SELECT id FROM orders) SELECT count(*) FROM gone",
    ),
    Engine.SQLITE: (
        "SELECT id, email FROM customers WHERE id = ?",
        "SELECT customer_id, total FROM totals ORDER BY total, customer_id",
        "INSERT INTO customers (id, email, name) VALUES (?, ?, ?)",
        "INSERT INTO orders (id, customer_id, total, note) VALUES (?, ?, ?, ?) RETURNING id",
        "UPDATE orders SET total = total + 1, note = ? WHERE customer_id = ?",
        "DELETE FROM orders WHERE id = ?",
        "WITH gone AS (SELECT id FROM orders) SELECT count(*) FROM gone",
    ),
}
NO_QUERY = (
    "/* a comment without end",
    "SELECT 'a string without end",
    'SELECT "a name without end',
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE customers",
    "SELECT '\0'",
    "SELECT 1\0; DROP TABLE customers",
    "SELECT nothing_of_this_name FROM customers",
    "SELECT 1 FROM nothing_of_this_name",
    "nonsense",
    "QUERY PLAN SELECT 1",
    "ANALYZE SELECT 1 FROM customers",
    "SELECT " + "(" * 20_000,
    "SELECT '" + "x" * 1_000_000,
    "\ud800",
)
"""No engine can prepare any of these."""
HARM = (
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "END",
    "SAVEPOINT here",
    "RELEASE SAVEPOINT here",
    "DROP TABLE orders CASCADE",
    "DROP TABLE orders",
    "DROP VIEW totals",
    "DELETE FROM orders",
    "TRUNCATE orders",
    "CREATE TABLE left_behind (x integer)",
    "CREATE TEMP TABLE left_behind (x integer)",
    "ALTER TABLE customers ADD COLUMN left_behind text",
    "VACUUM",
    "VACUUM INTO 'left_behind.db'",
    "ATTACH DATABASE 'left_behind.db' AS other",
    "DETACH DATABASE main",
    "PRAGMA writable_schema = ON",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA user_version = 7",
    "SET search_path = nowhere",
    "DISCARD ALL",
    "COPY customers TO '/dev/null'",
    "COPY customers FROM STDIN",
    "SELECT load_extension('left_behind')",
    "",
    "   \n\t",
    ";",
    "-- a comment alone",
    "/* a comment alone */",
)
"""Whatever an engine answers, nothing of these may stay, and the next question must be answered."""

ENDLESS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"


@dataclass(frozen=True)
class Place:
    engine: Engine
    server: RehearsalServer


@pytest.fixture(scope="module", params=ENGINES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with discovery.rehearsal(request.param).server(url=None, live_version=None) as server:
        yield Place(request.param, server)


@pytest.fixture
def database(place: Place) -> Iterator[RehearsalDatabase]:
    with place.server.database() as database:
        apply(database, *SCHEMA)
        database.take_statements()
        yield database


@pytest.fixture(scope="module")
def filled(place: Place) -> Iterator[RehearsalDatabase]:
    """Yield a database with sample rows that many tests share, because they only ask."""
    with place.server.database() as database:
        apply(database, *SCHEMA)
        database.fill()
        database.take_statements()
        yield database


def apply(database: RehearsalDatabase, *statements: str) -> None:
    with database.session() as session:
        session.execute(Batch(statements, transaction=True))


def rows_of(database: RehearsalDatabase) -> list[object]:
    """Return all rows of all tables, by a way that has nothing to do with questions."""
    with database.session() as session:
        return [
            sorted(session.query(f"SELECT * FROM {table}"), key=repr)
            for table in ("customers", "orders", "totals")
        ]


def everything(database: RehearsalDatabase) -> object:
    return dict(database.catalogue()), rows_of(database)


def asks(database: RehearsalDatabase, queries: tuple[str, ...]) -> list[tuple[str, tuple[object, ...]]]:
    """Return each query with values that were found for it."""
    found = database.choose(queries, role=None)
    assert not [each for each in found if isinstance(each, Objection)]
    return list(zip(queries, found, strict=True))


def no_values(database: RehearsalDatabase) -> tuple[object, ...]:
    """Return what stands for the values of a query without parameters."""
    [values] = database.choose(["SELECT 1"], role=None)
    assert isinstance(values, tuple)
    return values


# -- the engine and its server --------------------------------------------------------------------------


def test_an_engine_says_which_layers_it_answers(place: Place):
    engine: RehearsalEngine = discovery.rehearsal(place.engine)

    assert {Layer.PREPARE, Layer.DESCRIBE, Layer.EXECUTE, Layer.RESULT} <= engine.layers <= set(Layer)


def test_a_server_names_its_engine_and_version(place: Place):
    name, version = place.server.version.split(" ")

    assert name == place.engine
    assert version[0].isdigit()


def test_a_database_is_empty_at_first(place: Place):
    with place.server.database() as database:
        assert not [name for name in database.catalogue() if name.startswith(("table", "column", "view"))]


def test_a_dump_is_the_schema_that_it_was_made_from(place: Place):
    dump = ";\n".join(SCHEMA) + ";\n"

    with place.server.database(dump) as database:
        found = database.catalogue()
        assert database.take_statements() == ()

    assert any(name.startswith("column") and name.endswith("orders.total") for name in found)


# -- migrations -----------------------------------------------------------------------------------------


def test_sees_every_statement_of_a_migration_once(database: RehearsalDatabase):
    apply(
        database,
        "ALTER TABLE customers ADD COLUMN phone text;\nCREATE TABLE visits (id integer)",
        "UPDATE orders SET note = 'x'",
    )

    seen = database.take_statements()

    assert [each.statement.text.rstrip(";") for each in seen] == [
        "ALTER TABLE customers ADD COLUMN phone text",
        "CREATE TABLE visits (id integer)",
        "UPDATE orders SET note = 'x'",
    ]
    assert [each.statement.line for each in seen] == [1, 2, 1]
    assert all(each.in_transaction and each.seconds >= 0 for each in seen)
    assert database.take_statements() == ()


def test_tells_what_a_statement_changed_and_what_it_would_write(place: Place, database: RehearsalDatabase):
    schema = "public" if place.engine is Engine.POSTGRESQL else "main"
    apply(database, "ALTER TABLE customers ADD COLUMN phone text", "UPDATE orders SET note = 'x'")

    added, updated = database.take_statements()

    assert [(each.kind, each.relation, each.name, each.before) for each in added.changes] == [
        ("column", f"{schema}.customers", "phone", None)
    ]
    assert updated.written == (f"{schema}.orders",), "the table is empty, and would be written"


def test_keeps_what_ran_before_a_statement_that_failed(database: RehearsalDatabase):
    with database.session() as session, pytest.raises(DatabaseError) as failure:
        session.execute(Batch(("CREATE TABLE a (x integer)", "SELEC 1"), transaction=True))

    assert failure.value.statement == 1
    assert [each.statement.text for each in database.take_statements()] == ["CREATE TABLE a (x integer)"]
    assert not [name for name in database.catalogue() if "left_behind" in name]


# -- clones ---------------------------------------------------------------------------------------------


def test_a_clone_is_equal(place: Place, database: RehearsalDatabase):
    database.fill()

    with database.clone() as clone:
        assert everything(clone) == everything(database)
        questions = asks(database, QUERIES[place.engine])
        assert clone.execute(questions, role=None) == database.execute(questions, role=None)
        assert clone.prepare(QUERIES[place.engine]) == database.prepare(QUERIES[place.engine])


def test_a_clone_stands_apart(database: RehearsalDatabase):
    with database.clone() as clone:
        apply(clone, "ALTER TABLE customers ADD COLUMN phone text")
        apply(database, "ALTER TABLE customers ADD COLUMN fax text")

        theirs, ours = " ".join(clone.catalogue()), " ".join(database.catalogue())

    assert "phone" in theirs
    assert "fax" not in theirs
    assert "fax" in ours
    assert "phone" not in ours


def test_a_clone_is_gone_and_its_source_is_not(database: RehearsalDatabase):
    with database.clone() as clone:
        apply(clone, "DROP VIEW totals")

    assert any("totals" in name for name in database.catalogue())


# -- questions ------------------------------------------------------------------------------------------


def test_answers_are_as_many_as_questions_and_in_their_order(place: Place, filled: RehearsalDatabase):
    good = QUERIES[place.engine]
    mixed = [text for each in good for text in (each, "SELECT nothing_of_this_name")]

    prepared = filled.prepare(mixed)
    planned = filled.plan(mixed, role=None)
    chosen = filled.choose(mixed, role=None)
    none = no_values(filled)
    ran = filled.execute([(text, none) for text in mixed[1::2]], role=None)

    assert [isinstance(each, Objection) for each in prepared] == [False, True] * len(good)
    assert [each is not None for each in planned] == [False, True] * len(good)
    assert [isinstance(each, Objection) for each in chosen] == [False, True] * len(good)
    assert [isinstance(each, Objection) for each in ran] == [True] * len(good)
    assert filled.expand_star(mixed) == mixed
    assert filled.prepare([]) == filled.plan([], role=None) == filled.execute([], role=None) == []


def test_describes_parameters_and_columns(place: Place, filled: RehearsalDatabase):
    answers = filled.prepare(QUERIES[place.engine])

    shown = [
        (len(each.parameters), each.columns and [column.name for column in each.columns])
        for each in answers
        if isinstance(each, Description)
    ]
    assert shown == [
        (1, ["id", "email"]),
        (0, ["customer_id", "total"]),
        (3, None),
        (4, ["id"]),
        (2, None),
        (1, None),
        (0, ["count" if place.engine is Engine.POSTGRESQL else "count(*)"]),
    ]


def test_describes_another_type_after_a_column_has_one(place: Place, database: RehearsalDatabase):
    query = "SELECT note FROM orders"
    [before] = database.prepare([query])
    if place.engine is Engine.POSTGRESQL:
        apply(database, "ALTER TABLE orders ALTER COLUMN note TYPE integer USING NULL")
    else:
        apply(database, "ALTER TABLE orders DROP COLUMN note", "ALTER TABLE orders ADD COLUMN note integer")

    [after] = database.prepare([query])

    assert isinstance(before, Description)
    assert isinstance(after, Description)
    assert before != after


def test_an_objection_is_the_engines_own(place: Place, database: RehearsalDatabase):
    apply(database, "ALTER TABLE customers RENAME COLUMN email TO mail")

    [answer] = database.prepare(["SELECT email FROM customers"])

    assert isinstance(answer, Objection)
    assert "email" in answer.message
    assert answer.code == ("42703" if place.engine is Engine.POSTGRESQL else "SQLITE_ERROR")


def test_writes_out_a_star_as_it_stands_now(database: RehearsalDatabase):
    [frozen] = database.expand_star(["SELECT * FROM customers"])
    apply(database, "ALTER TABLE customers ADD COLUMN phone text")

    [then] = database.prepare([frozen])
    [now] = database.prepare(["SELECT * FROM customers"])

    assert isinstance(then, Description)
    assert isinstance(now, Description)
    assert [column.name for column in then.columns or ()] == ["id", "email", "name"]
    assert [column.name for column in now.columns or ()] == ["id", "email", "name", "phone"]


def test_leaves_a_star_whose_columns_cannot_be_told(filled: RehearsalDatabase):
    texts = ["SELECT * FROM nothing_of_this_name", "SELECT count(*), 2 * 3 FROM orders", "*", ""]

    assert filled.expand_star(texts) == texts


def test_fills_every_empty_table_and_no_other(database: RehearsalDatabase):
    apply(database, "INSERT INTO customers (id, email) VALUES (77, 'a@b')")

    assert database.fill() == ()
    customers, orders, totals = rows_of(database)

    assert customers == [(77, "a@b", None)]
    assert len(orders) == len(totals) > 1
    assert {row[1] for row in orders} == {77}


def test_filling_again_adds_nothing(filled: RehearsalDatabase):
    before = everything(filled)

    assert filled.fill() == ()

    assert everything(filled) == before


def test_says_which_table_could_not_be_filled(database: RehearsalDatabase):
    apply(database, "CREATE TABLE stubborn (x integer NOT NULL CHECK (x > 5 AND x < 5))")

    [clause] = database.fill()

    assert "stubborn" in clause


def test_runs_what_it_chose_values_for(place: Place, filled: RehearsalDatabase):

    answers = filled.execute(asks(filled, QUERIES[place.engine]), role=None)

    assert not [each for each in answers if isinstance(each, Objection)]
    assert all(each.count > 0 for each in answers if isinstance(each, Ran))


def test_the_same_question_has_the_same_answer(place: Place, filled: RehearsalDatabase):
    questions = asks(filled, QUERIES[place.engine])

    assert asks(filled, QUERIES[place.engine]) == questions
    assert filled.execute(questions, role=None) == filled.execute(questions, role=None)


def test_sees_a_constraint_that_an_old_query_does_not_meet(place: Place, database: RehearsalDatabase):
    database.fill()
    query = QUERIES[place.engine][2]
    questions = asks(database, (query,))
    apply(database, "ALTER TABLE customers ADD COLUMN phone text NOT NULL DEFAULT ''")
    [works] = database.execute(questions, role=None)
    broken_questions = asks(database, ("INSERT INTO customers (id, email) VALUES (900, 'new@example')",))
    if place.engine is Engine.POSTGRESQL:
        apply(database, "ALTER TABLE customers ALTER COLUMN phone DROP DEFAULT")
    else:
        apply(
            database,
            "CREATE TABLE copy (id integer PRIMARY KEY, email text NOT NULL UNIQUE, name text,"
            " phone text NOT NULL)",
            "INSERT INTO copy SELECT * FROM customers",
            "DROP TABLE customers",
            "ALTER TABLE copy RENAME TO customers",
        )

    [refused] = database.execute(broken_questions, role=None)

    assert isinstance(works, Ran)
    assert isinstance(refused, Objection)
    assert refused.code in ("23502", "SQLITE_CONSTRAINT_NOTNULL")


# -- nothing stays --------------------------------------------------------------------------------------


def test_nothing_that_is_asked_stays(place: Place, filled: RehearsalDatabase):
    before = everything(filled)
    queries = QUERIES[place.engine]

    filled.prepare(queries)
    filled.plan(queries, role=None)
    filled.expand_star(queries)
    filled.execute(asks(filled, queries), role=None)
    with filled.held(queries) as ask_again:
        assert ask_again() == [None] * len(queries)

    assert everything(filled) == before
    assert filled.take_statements() == ()


def test_a_text_that_is_no_query_is_refused_at_every_layer(filled: RehearsalDatabase):
    before = everything(filled)
    none = no_values(filled)

    answers = {
        "prepare": filled.prepare(NO_QUERY),
        "plan": filled.plan(NO_QUERY, role=None),
        "choose": filled.choose(NO_QUERY, role=None),
        "execute": filled.execute([(text, none) for text in NO_QUERY], role=None),
    }

    accepted = [
        (layer, text[:40])
        for layer, given in answers.items()
        for text, answer in zip(NO_QUERY, given, strict=True)
        if not isinstance(answer, Objection)
    ]
    assert accepted == []
    assert len(filled.expand_star(NO_QUERY)) == len(NO_QUERY)
    assert everything(filled) == before


def test_a_text_that_would_do_harm_does_none(
    filled: RehearsalDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    before = everything(filled)
    none = no_values(filled)

    for text in HARM:
        filled.prepare([text])
        filled.plan([text], role=None)
        filled.expand_star([text])
        filled.choose([text], role=None)
        filled.execute([(text, none)], role=None)
        with filled.held([text]) as ask_again:
            ask_again()
        assert everything(filled) == before, text
        assert isinstance(filled.prepare(["SELECT id FROM customers"])[0], Description), text

    assert list(tmp_path.iterdir()) == []
    assert filled.take_statements() == ()


def test_a_query_that_does_not_end_is_ended(filled: RehearsalDatabase):
    [prepared] = filled.prepare([ENDLESS])
    [chosen] = filled.choose([ENDLESS], role=None)

    assert isinstance(prepared, Description)
    assert isinstance(chosen, Objection)


def test_a_prepared_query_lets_migrations_pass(place: Place, database: RehearsalDatabase):
    with database.held(QUERIES[place.engine]) as ask_again:
        ask_again()
        apply(database, "ALTER TABLE customers ADD COLUMN phone text")
        assert ask_again() == [None] * len(QUERIES[place.engine])
        apply(database, "DROP VIEW totals")
        [_, broken, *_] = ask_again()

    assert isinstance(broken, Objection)
