"""What Alembic sent with a database is compared with what its offline mode said, by first words."""

from __future__ import annotations

import pytest

from coordinator.adapters.runners._alembic_said import sent_otherwise
from coordinator.model import Engine, Migration, Script, Statement

SAID = ("CREATE TABLE item (id integer)", "INSERT INTO item VALUES (1, 'a; b'); UPDATE item SET id = 2")
RAN = (
    (None, "SELECT 1"),
    (5, "\nCREATE TABLE item (\n\tid INTEGER\n)\n\n"),
    (6, "INSERT INTO item VALUES (%(id)s, %(name)s); UPDATE item SET id = 2"),
    (None, "UPDATE alembic_version SET version_num='b2' WHERE alembic_version.version_num = 'a1'"),
)


def other(*sent: tuple[int | None, str], said: tuple[str, ...] = SAID) -> str | None:
    script = Script(tuple(Statement(each, 1) for each in said), transaction=True)
    migration = Migration("b2", "b2", script, None, (), by_program=True)
    return sent_otherwise(sent, migration, engine=Engine.POSTGRESQL, table="alembic_version")


def test_values_reads_and_the_version_table_are_no_difference():
    assert other(*RAN) is None


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ((*RAN, (7, "DELETE FROM item")), "it sends `DELETE FROM item`, which it had not said"),
        ((*RAN, (None, "DELETE FROM item")), "it sends `DELETE FROM item`, which it had not said"),
        ((*RAN, (7, "DELETE FROM alembic_version")), "it sends `DELETE FROM alembic_version`"),
        (RAN[:2], "it does not send `INSERT INTO item VALUES (1, 'a; b');`, which it had said"),
        ((*RAN[:2], (6, "INSERT INTO items VALUES (1)")), "it sends `INSERT INTO items VALUES (1)`"),
    ],
)
def test_what_is_more_less_or_other_is_named(sent: tuple[tuple[int | None, str], ...], said: str):
    assert said in (other(*sent) or "")


TABLE = "CREATE TABLE item (a integer, b integer)"
INDEXES = (
    "CREATE INDEX ix_a ON item (a)",
    "CREATE UNIQUE INDEX ix_b ON item (b)",
    "CREATE INDEX ix_c ON item (c)",
)


def test_the_indexes_of_a_table_come_in_any_order():
    sent = [(5, each) for each in (TABLE, *reversed(INDEXES))]

    assert other(*sent, said=(TABLE, *INDEXES)) is None


def test_an_index_more_or_on_the_other_side_of_another_statement_is_named():
    more = [(5, each) for each in (TABLE, *INDEXES, "CREATE INDEX ix_d ON item (d)")]
    moved = [(5, each) for each in (INDEXES[0], TABLE)]

    assert "it sends `CREATE INDEX ix_d" in (other(*more, said=(TABLE, *INDEXES)) or "")
    assert "`CREATE INDEX ix_a" in (other(*moved, said=(TABLE, INDEXES[0])) or "")
