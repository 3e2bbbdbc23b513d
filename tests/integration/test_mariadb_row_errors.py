"""Which refusals are the rows' and not the schema's: with others than a rehearsal's sample it may work."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from fixtures.mariadb import ADAPTER, ENGINE, enforces_checks, root_connection, version

from coordinator.errors import DatabaseError
from coordinator.model import Engine
from coordinator.ports.databases import Batch, Session
from coordinator.secret import Secret

pytestmark = pytest.mark.mariadb
ROWS = (
    "CREATE TABLE t (id int PRIMARY KEY, name varchar(40), n int, js json)",
    """INSERT INTO t VALUES (1, 'sample 1', 5, '{"a": "k"}'), (2, 'sample 2', -5, '{}')""",
    "CREATE TABLE child (t int, FOREIGN KEY (t) REFERENCES t (id))",
    "INSERT INTO child VALUES (1)",
    "CREATE TABLE whole (id int PRIMARY KEY)",
    "INSERT INTO whole VALUES (4)",
)
ON_BOTH = (
    "ALTER TABLE t MODIFY name json",
    "ALTER TABLE t MODIFY name int",
    "ALTER TABLE t MODIFY name point",
    "ALTER TABLE t MODIFY n tinyint unsigned",
    "ALTER TABLE t MODIFY name enum('a')",
    "ALTER TABLE whole PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (2))",
    "ALTER TABLE t ADD UNIQUE (name(6))",
    "ALTER TABLE t ADD q int AS (1 / (n - 5)) STORED",
    "ALTER TABLE t ADD q date AS (str_to_date(name, '%Y')) STORED",
    "ALTER TABLE child ADD q int NOT NULL DEFAULT 9, ADD FOREIGN KEY (q) REFERENCES t (id)",
    "UPDATE t SET name = date_add('9999-12-31', INTERVAL 5 year)",
    "UPDATE t SET name = json_keys(name)",
    "UPDATE t SET n = 18446744073709551615 + id",
    "UPDATE t SET name = repeat('x', 50)",
    "DELETE FROM t",
    "INSERT INTO child VALUES (9)",
)
ON_MYSQL = ("UPDATE t SET n = js->'$.a'", "UPDATE t SET name = st_geomfromtext(name)")
ARRAYS = "CREATE INDEX i ON t ((CAST(js->'$.a' AS UNSIGNED ARRAY)))"
CHECK = "ALTER TABLE t ADD CHECK (n > 0)"


def refused_here() -> Iterator[str]:
    """Yield what the server that is tested refuses for a row."""
    yield from ON_BOTH
    if ENGINE is Engine.MYSQL:
        yield from ON_MYSQL
        if version() >= (8, 0, 17):
            yield ARRAYS
    if enforces_checks():
        yield CHECK


@pytest.fixture
def session(mariadb_url: str) -> Iterator[Session]:
    """Yield a session of an account that has its rights on one database alone, as a scratch account has."""
    place, _, name = mariadb_url.partition("@")[2].partition("/")
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER narrow IDENTIFIED BY 'secret'")
        cursor.execute(f"GRANT ALL ON {name}.* TO narrow")
        url = Secret(f"mysql://narrow:secret@{place}/{name}")
        with ADAPTER.connect(url, lock_timeout=timedelta(seconds=10)).session(label="test") as session:
            yield session
        cursor.execute("DROP USER narrow")


def test_what_rows_refuse_has_the_class_of_values_or_of_rules(session: Session):
    session.execute(Batch(ROWS, transaction=False))

    for text in refused_here():
        with pytest.raises(DatabaseError) as refused:
            session.execute(Batch((text,), transaction=True))

        assert (refused.value.sqlstate or "")[:2] in ("22", "23"), (text, refused.value.what)
