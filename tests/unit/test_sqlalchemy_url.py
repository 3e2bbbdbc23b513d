"""URLs in SQLAlchemy's form reach what SQLAlchemy itself would reach, or are refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import make_url

from coordinator.adapters import mysql_url, postgresql_url, sqlite_url
from coordinator.errors import Usage
from coordinator.secret import Secret

ODD = "ge%2Fh%40e:i/m%20+"


@pytest.mark.parametrize(
    "rest",
    [
        "shop:geheim@db.example:5433/orders",
        f"shop:{ODD}@db/orders",
        "sh%40op@db/orders",
        "db/orders",
        "shop@/orders?host=/run/postgresql",
        "shop@[::1]:5433/orders",
        "shop:a?b@db/orders?sslmode=require&application_name=a+b",
        "shop@db/orders?options=-c%20search_path%3Dshop&connect_timeout=3",
        "shop:pw@/orders?host=a:5432&host=b.example:5433&target_session_attrs=read-write",
        "shop@/orders?host=a&host=b:5433",
        "shop@/orders?host=a:5433",
        "shop@/orders?target_session_attrs=read-write&host=a,b&port=5432,5433",
    ],
)
def test_postgresql_is_reached_with_what_sqlalchemy_gives_its_driver(rest: str):
    _, expected = PGDialect_psycopg().create_connect_args(make_url(f"postgresql+psycopg://{rest}"))
    expected.pop("context", None)  # how values are adapted

    for driver in ("psycopg", "psycopg2"):
        found = postgresql_url.parameters_of(Secret(f"postgresql+{driver}://{rest}"))
        assert found == {name: str(value) for name, value in expected.items()}


@pytest.mark.parametrize(
    "rest",
    [
        "shop:geheim@db.example:3307/orders?charset=utf8mb4",
        f"shop:{ODD}@db/orders",
        "sh%40op:pw@db/orders",
        "shop:pw@[::1]:3307/orders",
        "shop:pw@/orders?unix_socket=/run/mysqld/mysqld.sock",
    ],
)
@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_mysql_is_reached_with_what_sqlalchemy_gives_its_driver(scheme: str, rest: str):
    url = f"{scheme}+pymysql://{rest}"
    _, expected = MySQLDialect_pymysql().create_connect_args(make_url(url.replace("mariadb", "mysql")))

    found = mysql_url.address_of(Secret(url))

    assert (found.user, found.password) == (expected["user"], expected.get("password", ""))
    assert (found.host, found.port) == (expected.get("host", "localhost"), expected.get("port", 3306))
    assert (found.database, found.socket) == (expected["database"], expected.get("unix_socket"))


@pytest.mark.parametrize("url", ["sqlite+pysqlite:///a/shop.db", "sqlite+pysqlite:////srv/shop.db"])
def test_three_slashes_begin_a_relative_path_and_four_an_absolute_one(url: str):
    [expected], _ = SQLiteDialect_pysqlite().create_connect_args(make_url(url))

    assert os.path.realpath(sqlite_url.path_from(Secret(url))) == os.path.realpath(expected)


def test_what_an_authority_and_a_mode_ask_is_translated():
    assert mysql_url.address_of(Secret("mysql+pymysql://u@db/a?ssl_ca=ca.pem")).tls == "verify_identity"
    asked = mysql_url.address_of(Secret("mysql+mysqldb://u@db/a?ssl_ca=ca.pem&ssl_mode=VERIFY_CA"))
    assert (asked.tls, asked.ca) == ("verify_ca", "ca.pem")
    assert postgresql_url.parameters_of(Secret("postgresql+asyncpg://u@db/a?ssl=verify-full"))["sslmode"] == (
        "verify-full"
    )


def test_a_socket_of_pg8000_is_one_of_libpq_in_its_folder():
    url = "postgresql+pg8000://u:pw@/a?unix_sock=/run/postgresql/.s.PGSQL.5433&application_name=b"

    found = postgresql_url.parameters_of(Secret(url))

    assert {name: found[name] for name in ("host", "port", "dbname", "application_name")} == {
        "host": "/run/postgresql",
        "port": "5433",
        "dbname": "a",
        "application_name": "b",
    }


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+pg8000://u:geheim@db/a?unix_sock=/run/.s.PGSQL.1", "a host and a socket"),
        ("postgresql+pg8000://u:geheim@/a?unix_sock=/run/socket", "has no translation (`unix_sock`)"),
        ("postgresql+psycopg2://u:geheim@db/a?plugin=x", "has no translation (`plugin`)"),
        ("postgresql+psycopg2://u:geheim@/a?host=b:x", "has no translation (`host`)"),
        ("postgresql+psycopg2://u:geheim@/a?host=b&host=/run", "parameter `host` more than once"),
        ("postgresql+psycopg2://u:geheim@/a?host=b,c&port=1", "has no translation (`host`)"),
        ("postgresql+psycopg2://u:geheim@db/a?host=b&host=c", "parameter `host` more than once"),
        ("postgresql+asyncpg://u:geheim@/a?host=b:1&host=c:2", "parameter `host` more than once"),
        ("postgresql+psycopg2://u:geheim@db/a?host=/run", "has no translation (`host`)"),
        ("postgresql+asyncpg://u:geheim@db/a?sslmode=require", "has no translation (`sslmode`)"),
        ("postgresql+psycopg://u:geheim@db/a?geheim%20=1", "one whose name is odd"),
        ("postgresql+oracle://u:geheim@db/a", "names a driver that coordinator does not know for postgresql"),
        ("postgresql+psycopg://u:geheim@db/a%20b", "a percent sign in the database's name"),
        ("postgresql+psycopg://u:ge@heim@db/a", ""),
        ("mysql+pymysql://u:geheim@db/a?read_default_file=/x", "has no translation (`read_default_file`)"),
        ("mysql+aiomysql://u:geheim@db/a?ssl_ca=x", "has no translation (`ssl_ca`)"),
        ("sqlite+pysqlite:///file:geheim?mode=ro&uri=true", "has no translation (`mode`)"),
        ("sqlite+pysqlite://", "names no file"),
        ("sqlite+pysqlite:///:memory:", "names no file"),
        ("sqlite+pysqlite://geheim/shop.db", "has a host"),
        ("sqlite+pysqlcipher:///geheim.db", "names a driver that coordinator does not know for sqlite"),
    ],
)
def test_what_has_no_translation_is_refused_by_name_and_shows_no_secret(url: str, said: str):
    read = {
        "postgresql": postgresql_url.parameters_of,
        "mysql": mysql_url.address_of,
        "sqlite": sqlite_url.path_from,
    }[url.partition("+")[0]]

    with pytest.raises(Usage) as refused:
        read(Secret(url))  # type: ignore[operator]

    assert (refused.value.code, said in refused.value.what) == ("bad-database-url", True)
    assert "heim" not in str(refused.value)


def test_a_scratch_database_is_named_in_the_same_form():
    like = Secret("postgresql+asyncpg://u@db/a")
    server = Secret("postgresql://admin:p%2Fw@localhost:5555/postgres")
    assert postgresql_url.address_of(server, database="x", like=like).reveal() == (
        "postgresql+asyncpg://admin:p%2Fw@localhost:5555/x"
    )
    address = mysql_url.address_of(Secret("mysql://admin:p@127.0.0.1:3309/x"))
    assert mysql_url.written_like(address, Secret("mariadb+pymysql://u:p@db/a?charset=utf8mb4")).reveal() == (
        "mariadb+pymysql://admin:p@127.0.0.1:3309/x?charset=utf8mb4"
    )
    file = sqlite_url.written_like(Path("/srv/x.db"), Secret("sqlite+aiosqlite:///shop.db"))
    assert file.reveal() == "sqlite+aiosqlite:////srv/x.db"
    assert sqlite_url.written_like(Path("/srv/x.db"), Secret("shop.db")).reveal() == "/srv/x.db"


def test_alembic_s_three_slashes_are_relative_and_refused_where_an_absolute_path_was_perhaps_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.db").touch()

    here = sqlite_url.of_sqlalchemy(Secret("sqlite:///shop.db"))
    four = sqlite_url.of_sqlalchemy(Secret(f"sqlite:///{tmp_path}/there.db"))

    assert sqlite_url.path_from(here).absolute() == tmp_path / "shop.db"
    assert sqlite_url.path_from(four).samefile(tmp_path / "there.db")
    (tmp_path / str(tmp_path).lstrip("/")).mkdir(parents=True)  # the folder is there, and not the file
    for meant in (f"{tmp_path}/there.db", "/no/folder/shop.db"):
        with pytest.raises(Usage, match="three slashes"):
            sqlite_url.of_sqlalchemy(Secret(f"sqlite://{meant}"))
