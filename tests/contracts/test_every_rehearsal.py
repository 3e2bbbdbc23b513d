"""What rehearsal_ports promises of scratch databases, held against every engine that can be rehearsed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fixtures.rehearsal_place import (
    QUERIES,
    SCHEMA,
    SCHEMA_PREFIX,
    Place,
    apply,
    asks,
    everything,
    no_values,
    rows_of,
)

from coordinator import discovery
from coordinator.errors import DatabaseError
from coordinator.evidence import Objection
from coordinator.model import Engine, Layer
from coordinator.ports.databases import Batch
from coordinator.rehearsal_ports import Description, Ran, RehearsalDatabase, RehearsalEngine
from coordinator.secret import Secret

# -- the engine and its server --------------------------------------------------------------------------


def test_an_engine_says_which_layers_it_answers(place: Place):
    engine: RehearsalEngine = discovery.rehearsal(place.engine)

    assert {Layer.PREPARE, Layer.DESCRIBE, Layer.EXECUTE, Layer.RESULT} <= engine.layers <= set(Layer)


def test_a_server_names_its_engine_and_version(place: Place):
    name, version = place.server.version.split(" ")

    assert name == place.engine or place.server.doubt
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


def test_another_program_finds_the_database_at_its_address(place: Place, database: RehearsalDatabase):
    likes = {Engine.POSTGRESQL: "postgres://live/shop", Engine.SQLITE: "sqlite:///var/shop.db"}
    like = likes.get(place.engine, "mysql://live/shop")

    address = database.address(Secret(like))

    connect = discovery.member(discovery.DATABASES, place.engine, "connect")
    with connect(address, lock_timeout=timedelta(seconds=1)).session(label="program") as session:
        session.execute(Batch(("CREATE TABLE from_outside (id integer)",), transaction=True))
    assert address.reveal().startswith(like.partition("//")[0])
    assert f"table {SCHEMA_PREFIX[place.engine]}from_outside" in database.catalogue()


def test_sees_what_another_program_does_whenever_it_does_it(place: Place, database: RehearsalDatabase):
    likes = {Engine.POSTGRESQL: "postgres://live/shop", Engine.SQLITE: "sqlite:///var/shop.db"}
    connect = discovery.member(discovery.DATABASES, place.engine, "connect")
    before = database.catalogue()
    address = database.address(Secret(likes.get(place.engine, "mysql://live/shop")))

    for table in ("first", "second"):
        with connect(address, lock_timeout=timedelta(seconds=1)).session(label="program") as session:
            session.execute(Batch((f"CREATE TABLE {table} (id integer PRIMARY KEY)",), transaction=True))

        assert f"table {SCHEMA_PREFIX[place.engine]}{table}" in database.catalogue().keys() - before.keys()
        database.fill()
        [found] = database.choose([f"SELECT id FROM {table}"], role=None)
        assert not isinstance(found, Objection)


def test_sees_what_a_session_does_while_it_is_open(place: Place, database: RehearsalDatabase):
    prefix = SCHEMA_PREFIX[place.engine]
    with database.session() as session:
        for table in ("first", "second"):
            session.execute(Batch((f"CREATE TABLE {table} (id integer PRIMARY KEY)",), transaction=False))

            assert f"table {prefix}{table}" in database.catalogue()
            database.fill()
            [ran] = database.execute(asks(database, (f"SELECT id FROM {table}",)), role=None)
            assert isinstance(ran, Ran)
            assert len(ran.rows) == 3
        session.execute(Batch(("INSERT INTO second (id) VALUES (700)",), transaction=True))
        [ran] = database.execute(asks(database, ("SELECT id FROM second",)), role=None)
        assert isinstance(ran, Ran)
        assert len(ran.rows) == 4
        with pytest.raises(DatabaseError):
            session.execute(Batch(("DROP TABLE first", "DROP TABLE nowhere"), transaction=False))

    assert f"table {prefix}first" not in database.catalogue()


def test_sees_every_statement_of_a_migration_once(place: Place, database: RehearsalDatabase):
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
    assert all(each.seconds >= 0 for each in seen)
    assert [each.in_transaction for each in seen] == [*[not place.engine.speaks_mysql] * 2, True]
    assert database.take_statements() == ()


def test_tells_what_a_statement_changed_and_what_it_would_write(place: Place, database: RehearsalDatabase):
    schema = SCHEMA_PREFIX[place.engine]
    apply(database, "ALTER TABLE customers ADD COLUMN phone text", "UPDATE orders SET note = 'x'")

    added, updated = database.take_statements()

    assert [(each.kind, each.relation, each.name, each.before) for each in added.changes] == [
        ("column", f"{schema}customers", "phone", None)
    ]
    assert updated.written == (f"{schema}orders",), "the table is empty, and would be written"


def test_keeps_what_ran_before_a_statement_that_failed(database: RehearsalDatabase):
    with database.session() as session, pytest.raises(DatabaseError) as failure:
        session.execute(Batch(("CREATE TABLE a (x integer)", "SELEC 1"), transaction=True))

    assert failure.value.statement == 1
    assert [each.statement.text for each in database.take_statements()] == ["CREATE TABLE a (x integer)"]
    assert not [name for name in database.catalogue() if "left_behind" in name]


# -- clones ---------------------------------------------------------------------------------------------


def test_a_statement_of_a_text_that_fails_is_told_by_its_place_in_the_text(database: RehearsalDatabase):
    text = "CREATE TABLE one (id int NOT NULL);\n\nINSERT INTO one VALUES (NULL);\n"

    with pytest.raises(DatabaseError) as failure:
        apply(database, text)

    assert text.index("INSERT") + 1 == failure.value.position


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


def test_finds_values_for_a_query_that_never_ends_from_some_sample_rows(
    place: Place, database: RehearsalDatabase
):
    apply(database, "CREATE TABLE nodes (id varchar(40) NOT NULL PRIMARY KEY, following varchar(40))")
    database.fill()
    query = (
        "WITH RECURSIVE r AS (SELECT id, following, 0 AS depth FROM nodes WHERE id = ? UNION ALL"
        " SELECT n.id, n.following, depth + 1 FROM nodes n JOIN r ON n.id = r.following)"
        " SELECT id FROM r WHERE depth < 3"
    )
    marked = query.replace("?", "$1") if place.engine is Engine.POSTGRESQL else query

    [[text, values]] = asks(database, (marked,))
    [ran] = database.execute([(text, values)], role=None)

    assert isinstance(ran, Ran)
    assert ran.rows


def test_answers_are_as_many_as_questions_and_in_their_order(place: Place, filled: RehearsalDatabase):
    good = QUERIES[place.engine]
    mixed = [text for each in good for text in (each, "SELECT nothing_of_this_name")]

    prepared = filled.prepare(mixed)
    planned = filled.plan(mixed, role=None)
    chosen = filled.choose(mixed, role=None)
    none = no_values(filled)
    ran = filled.execute([(text, none) for text in mixed[1::2]], role=None)
    looked_up = filled.look_up([each for ask in asks(filled, good) for each in (ask, (mixed[1], none))])

    assert [isinstance(each, Objection) for each in prepared] == [False, True] * len(good)
    assert [each is not None for each in planned] == [False, True] * len(good)
    assert [isinstance(each, Objection) for each in chosen] == [False, True] * len(good)
    assert [isinstance(each, Objection) for each in ran] == [True] * len(good)
    assert filled.expand_star(mixed) == mixed
    assert [each is None for each in looked_up] == [False, True] * len(good)
    assert filled.prepare([]) == filled.plan([], role=None) == filled.execute([], role=None) == []
    assert filled.look_up([]) == []


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
        (4, None if place.engine is Engine.MYSQL else ["id"]),  # it has no RETURNING
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
    codes = {Engine.POSTGRESQL: "42703", Engine.SQLITE: "SQLITE_ERROR"}
    assert answer.code == codes.get(place.engine, "1054")


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
    apply(database, "INSERT INTO customers (id, email) VALUES (77, 'a@b'), (78, 'c@d'), (79, 'e@f')")

    assert database.fill() == ()
    customers, orders, totals = rows_of(database)

    assert sorted(customers) == [(77, "a@b", None), (78, "c@d", None), (79, "e@f", None)]
    assert len(orders) == len(totals) > 1
    assert {row[1] for row in orders} <= {77, 78, 79}


def test_fills_a_parent_that_has_fewer_rows_to_three(database: RehearsalDatabase):
    apply(database, "INSERT INTO customers (id, email) VALUES (77, 'a@b')")

    assert database.fill() == ()
    customers, orders, _ = rows_of(database)

    assert len(customers) == 3
    assert (77, "a@b", None) in customers
    assert len({row[1] for row in orders}) == 2


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
    apply(database, "ALTER TABLE customers ADD COLUMN phone varchar(20) NOT NULL DEFAULT ''")
    [works] = database.execute(questions, role=None)
    broken_questions = asks(database, ("INSERT INTO customers (id, email) VALUES (900, 'new@example')",))
    if place.engine is not Engine.SQLITE:
        apply(database, "ALTER TABLE customers ALTER COLUMN phone DROP DEFAULT")
    else:
        apply(
            database,
            "CREATE TABLE copy (id integer PRIMARY KEY, email varchar(80) NOT NULL UNIQUE, name text,"
            " phone text NOT NULL)",
            "INSERT INTO copy SELECT * FROM customers",
            "DROP TABLE customers",
            "ALTER TABLE copy RENAME TO customers",
        )

    [refused] = database.execute(broken_questions, role=None)

    assert isinstance(works, Ran)
    assert isinstance(refused, Objection)
    assert refused.code in ("23502", "SQLITE_CONSTRAINT_NOTNULL", "1364")
