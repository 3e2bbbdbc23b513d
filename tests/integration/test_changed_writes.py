"""What leaves or sees something else than at its own state, and what only looks so."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.evidence import Rehearsal
from coordinator.model import Engine

__all__ = ["servers"]
POSTGRESQL, SQLITE = Engine.POSTGRESQL, Engine.SQLITE
T = "CREATE TABLE t (id integer PRIMARY KEY, name varchar(20) NOT NULL, email varchar(20) NOT NULL{});\n"
READS = "SELECT id, name FROM t"
INSERTS = "INSERT INTO t (id, name, email) VALUES ($1, $2, $3)"
UPDATES = "UPDATE t SET name = $1 WHERE id = $2"
UNIQUE = "CREATE UNIQUE INDEX of_email ON t (email);"
AS_IT_IS = "name = name"
UPSERTS = f"{INSERTS} ON DUPLICATE KEY UPDATE name = VALUES(name)"
STAMPS = """-- +goose StatementBegin
CREATE TRIGGER stamp AFTER UPDATE OF name ON t BEGIN
    UPDATE t SET at = datetime('now') WHERE id = NEW.id; END;
-- +goose StatementEnd
"""


def verdicts(
    servers: Servers, engine: Engine, base: str, pending: str, *, live: str = READS, next_: str = READS
) -> tuple[list[str], Rehearsal]:
    """Rehearse one migration; parameters are written as PostgreSQL has them."""
    texts = [live, next_]
    for number in range(1, 4) if engine is not POSTGRESQL else ():
        texts = [each.replace(f"${number}", "?") for each in texts]
    rehearsal, found = rehearsed(
        servers[engine], engine, base, TOGETHER + pending, live=texts[0], next_=texts[1]
    )
    return found, rehearsal


@pytest.mark.parametrize(
    ("engine", "verb"),
    [
        (SQLITE, "INSERT OR REPLACE"),
        pytest.param(MYSQL_ENGINE, "REPLACE", marks=pytest.mark.mariadb),
    ],
)
def test_a_new_unique_index_lets_another_row_vanish(servers: Servers, engine: Engine, verb: str):
    found, rehearsal = verdicts(servers, engine, T.format(""), UNIQUE, live=INSERTS.replace("INSERT", verb))

    [broken] = rehearsal.breaks
    assert found == ["pb", "pp"]
    assert broken.objection.message.startswith("the query changed the number of rows in its table by +")


@pytest.mark.parametrize(
    ("column", "where"),
    [
        (", gone boolean NOT NULL DEFAULT false", "NOT gone"),
        (", deleted_at timestamptz", "deleted_at IS NULL"),
    ],
)
def test_next_ignores_what_a_partial_index_of_a_later_migration_forbids(
    servers: Servers, column: str, where: str
):
    found, _ = verdicts(
        servers,
        POSTGRESQL,
        T.format(column),
        f"CREATE UNIQUE INDEX of_email ON t (email) WHERE {where};",
        next_=f"{INSERTS} ON CONFLICT DO NOTHING",
    )

    assert found == ["pp", "bp"]


def test_a_unique_that_can_be_deferred_no_more_refuses_a_swap(servers: Servers):
    swaps = """UPDATE t SET at = CASE id WHEN $1 THEN (SELECT at FROM t WHERE id = $2)
        ELSE (SELECT at FROM t WHERE id = $1) END WHERE id IN ($1, $2)"""

    found, rehearsal = verdicts(
        servers,
        POSTGRESQL,
        T.format(", at integer NOT NULL, CONSTRAINT once UNIQUE (at) DEFERRABLE"),
        "ALTER TABLE t DROP CONSTRAINT once, ADD CONSTRAINT once UNIQUE (at);",
        live=swaps,
    )

    assert (found, [each.objection.code for each in rehearsal.breaks]) == (["pb", "pp"], ["23505"])


@pytest.mark.mariadb
@pytest.mark.parametrize(
    "live",
    [
        UPDATES,
        UPDATES.replace("name = $1", AS_IT_IS).replace("$2", "$1"),
        UPSERTS,
        INSERTS.replace("INSERT", "REPLACE"),
        "DELETE FROM t WHERE id = $1",
    ],
)
def test_system_versioning_changes_no_write(servers: Servers, live: str):
    found, _ = verdicts(
        servers, MYSQL_ENGINE, T.format(""), "ALTER TABLE t ADD SYSTEM VERSIONING;", live=live, next_=live
    )

    is_refused = MYSQL_ENGINE is Engine.MYSQL  # which has no such tables, and no state behind it
    assert found == (["pu", "uu"] if is_refused else ["pp", "pp"])


@pytest.mark.mariadb
@pytest.mark.parametrize("live", ["SELECT id, p FROM t", "UPDATE t SET p = $1 WHERE id = $2"])
@pytest.mark.parametrize(("pending", "expected"), [("decimal(12,4)", "pp"), ("decimal(12,1)", "pb")])
def test_another_scale_is_no_other_number(servers: Servers, live: str, pending: str, expected: str):
    base = T.format(", p decimal(10,2) NOT NULL DEFAULT 1.25")
    found, _ = verdicts(servers, MYSQL_ENGINE, base, f"ALTER TABLE t MODIFY p {pending} NOT NULL;", live=live)

    assert found[0] == expected


@pytest.mark.parametrize(
    ("engine", "base", "pending"),
    [
        pytest.param(
            MYSQL_ENGINE,
            ", at datetime",
            "ALTER TABLE t MODIFY at datetime ON UPDATE current_timestamp;",
            marks=pytest.mark.mariadb,
        ),
        (SQLITE, ", at timestamp", STAMPS),
    ],
)
def test_a_column_may_get_the_time_of_a_change(servers: Servers, engine: Engine, base: str, pending: str):
    found, _ = verdicts(servers, engine, T.format(base), pending, live=UPDATES)

    assert found == ["pp", "pp"]


@pytest.mark.parametrize(
    ("engine", "type_", "default", "drops"),
    [
        (POSTGRESQL, "timestamp", "now()", "ALTER TABLE t ALTER at DROP DEFAULT;"),
        (POSTGRESQL, "uuid", "gen_random_uuid()", "ALTER TABLE t ALTER at DROP DEFAULT;"),
        pytest.param(
            MYSQL_ENGINE,
            "timestamp NULL",
            "current_timestamp",
            "ALTER TABLE t MODIFY at timestamp NULL DEFAULT NULL;",
            marks=pytest.mark.mariadb,
        ),
    ],
)
def test_a_default_that_is_the_time_or_drawn_by_lot_is_missed_when_it_is_gone(
    servers: Servers, engine: Engine, type_: str, default: str, drops: str
):
    found, rehearsal = verdicts(
        servers, engine, T.format(f", at {type_} DEFAULT {default}"), drops, live=INSERTS
    )

    [broken] = rehearsal.breaks
    assert found == ["pb", "pp"]
    assert broken.objection.message.startswith("the query wrote `at` as ")
    assert ", now NULL" in broken.objection.message


def test_a_default_that_is_the_time_breaks_nobody_when_it_comes(servers: Servers):
    found, _ = verdicts(
        servers,
        POSTGRESQL,
        T.format(", at timestamp"),
        "ALTER TABLE t ALTER at SET DEFAULT now();",
        live=INSERTS,
    )

    assert found == ["pp", "pp"]


@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        ("DROP TABLE first;", ["pb", "up"]),
        ("ALTER TABLE t DETACH PARTITION first;", ["pb", "up"]),
        ("TRUNCATE first;", ["pu", "up"]),
        ("CREATE TABLE other PARTITION OF t FOR VALUES IN (99);", ["pp", "pp"]),
    ],
)
def test_rows_that_a_later_migration_takes_away_break_no_next_version(
    servers: Servers, pending: str, expected: list[str]
):
    """To drop what is too old would else break both versions, and no release could do it."""
    base = """CREATE TABLE t (id integer, name text) PARTITION BY LIST (id);
CREATE TABLE first PARTITION OF t FOR VALUES IN (1);
CREATE TABLE rest PARTITION OF t DEFAULT;
"""

    found, _ = verdicts(servers, POSTGRESQL, base, pending)

    assert found == expected


PAIR = "CREATE TABLE t (id integer PRIMARY KEY, {});\n"
TWO = PAIR.format("a varchar(20), b varchar(20)")


@pytest.mark.parametrize(
    ("base", "pending", "live"),
    [
        (TWO, "ALTER TABLE t DROP a;\nALTER TABLE t ADD a varchar(20);", "INSERT INTO t VALUES ($1, $2, $3)"),
        (
            f"{TWO}CREATE VIEW v AS SELECT id, a, b FROM t;",
            "CREATE OR REPLACE VIEW v AS SELECT id, b AS a, a AS b FROM t;",
            "SELECT id, a, b FROM v",
        ),
        (
            PAIR.format("a integer, b integer") + "CREATE VIEW v AS SELECT id, a, b FROM t;",
            "CREATE OR REPLACE VIEW v AS SELECT id, b AS a, a AS b FROM t;",
            "SELECT a FROM v WHERE id = $1",
        ),
    ],
    ids=["by place", "texts", "numbers"],
)
def test_two_columns_of_one_type_that_are_exchanged_are_seen(
    servers: Servers, base: str, pending: str, live: str
):
    found, rehearsal = verdicts(servers, POSTGRESQL, base, pending, live=live, next_="SELECT id FROM t")

    [broken] = rehearsal.breaks
    assert found == ["pb", "pp"]
    assert " `a` as " in broken.objection.message


def test_a_row_is_found_that_has_the_first_of_two_values_everywhere(servers: Servers):
    found, rehearsal = verdicts(
        servers,
        POSTGRESQL,
        PAIR.format("active boolean NOT NULL, confirmed boolean NOT NULL")
        + "CREATE VIEW v AS SELECT id, active, confirmed FROM t;",
        "CREATE OR REPLACE VIEW v AS SELECT id, false AS active, confirmed FROM t;",
        live="SELECT id FROM v WHERE active AND confirmed",
        next_="SELECT id FROM t",
    )

    assert (found, [each.layer for each in rehearsal.breaks]) == (["pb", "pp"], ["result"])


def test_a_migration_that_fails_on_the_numbers_that_queries_drew_leaves_its_state_unproven(servers: Servers):
    base = "CREATE TABLE t (id bigserial PRIMARY KEY, name text NOT NULL);\n"
    pending = "ALTER SEQUENCE t_id_seq MAXVALUE 8;"
    writes = "INSERT INTO t (name) VALUES ($1)"

    found, rehearsal = verdicts(servers, POSTGRESQL, base, pending, live=writes, next_="SELECT id FROM t")

    assert found == ["uu", "uu"]
    assert any("no more once queries were asked there" in note for note in rehearsal.notes)


def test_a_changed_sequence_is_no_table_that_is_written_anew(servers: Servers):
    base = "CREATE TABLE t (id bigserial PRIMARY KEY, name text NOT NULL);\n"

    _, rehearsal = verdicts(servers, POSTGRESQL, base, "ALTER SEQUENCE t_id_seq MAXVALUE 800000;")

    assert [each.code for each in rehearsal.hazards] == []
