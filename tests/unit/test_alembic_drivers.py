"""What a driver of SQLAlchemy has in a way of its own, where Alembic runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from coordinator.adapters.runners._alembic_inside.answer import sqlstate_of
from coordinator.adapters.runners._alembic_inside.project import config_of
from coordinator.adapters.runners._alembic_inside.refusal import told


@pytest.mark.parametrize(
    ("query", "socket"),
    [
        ("?host=/run/scratch", "/run/scratch/.s.PGSQL.5432"),
        ("?host=/run/scratch&port=5499", "/run/scratch/.s.PGSQL.5499"),
        ("", None),
    ],
)
def test_pg8000_gets_the_file_of_a_socket(tmp_path: Path, query: str, socket: str | None):
    request = {"folder": str(tmp_path), "section": None, "x_arguments": {}, "variable": None}

    config = config_of({**request, "url": f"postgresql+pg8000://me@/shop{query}"})

    _, found = PGDialect_pg8000().create_connect_args(make_url(config.get_main_option("sqlalchemy.url")))
    assert (found.get("unix_sock"), found["database"], found.get("host")) == (socket, "shop", None)


def test_what_postgresql_says_by_pg8000_is_read():
    said = {"S": "ERROR", "C": "55P03", "M": "canceling statement due to lock timeout"}
    error = DBAPIError("ALTER", None, Exception(said))

    assert (sqlstate_of(error), told(error)) == (
        "55P03",
        "DBAPIError: canceling statement due to lock timeout",
    )
