"""URLs as Go's tools have them reach what they reach there, or are refused by the parameter's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.adapters import mysql_url, postgresql_url, sqlite_url
from coordinator.errors import Usage
from coordinator.secret import Secret

PLAIN = {"host": "db", "user": "shop", "dbname": "orders"}


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("postgres://shop@db/orders?x-multi-statement=true&x-statement-timeout=1000", {}),
        ("pgx5://shop@db/orders?sslmode=disable", {"sslmode": "disable"}),
        ("postgres://shop@db/orders?pool_max_conns=10&sslmode=disable", {"sslmode": "disable"}),
        ("postgres://shop@db/orders?default_query_exec_mode=exec", {}),
        ("postgres://shop@db/orders?search_path=app", {"options": "-c search_path=app"}),
        (
            "postgres://shop@db/orders?search_path=app%2C%20public",
            {"options": r"-c search_path=app,\ public"},
        ),
        (
            "postgres://shop@db/orders?options=-c%20lock_timeout%3D1s&timezone=UTC&sslmode=require",
            {"options": "-c lock_timeout=1s -c timezone=UTC", "sslmode": "require"},
        ),
    ],
)
def test_a_postgresql_url_of_go_is_one_of_libpq(url: str, more: dict[str, str]):
    assert postgresql_url.parameters_of(Secret(url)) == {**PLAIN, **more}


def test_a_question_mark_in_a_password_begins_no_parameters():
    found = postgresql_url.parameters_of(Secret("postgres://shop:a?b=c@db/orders?search_path=app"))

    assert found == {**PLAIN, "password": "a?b=c", "options": "-c search_path=app"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgres://shop@db/orders?x-migrations-table=geheim", "(x-migrations-table)"),
        ("postgres://shop@db/orders?x-lock-strategy=table", "(x-lock-strategy)"),
        ("postgres://shop@db/orders?ssl_mode=require", "(ssl_mode)"),
        ("postgres://shop@db/orders?sear%20ch=app", "one whose name is odd"),
        ("postgres://shop:1/a?geheim=2@db/orders", "one whose name is odd"),
    ],
)
def test_a_postgresql_parameter_that_may_not_be_passed_over_is_named(url: str, said: str):
    with pytest.raises(Usage) as refused:
        postgresql_url.parameters_of(Secret(url))

    assert (refused.value.code, said in refused.value.what) == ("bad-database-url", True)
    assert "geheim" not in str(refused.value)


def test_a_scratch_address_keeps_the_scheme_of_pgx():
    found = postgresql_url.address_of(
        Secret("postgresql://me@h/x"), database="y", like=Secret("pgx5://shop@db/orders")
    )

    assert found.reveal() == "pgx5://me@h/y"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite3://shop.db", "shop.db"),
        ("sqlite3:///srv/shop.db?_foreign_keys=1", "/srv/shop.db"),
        ("sqlite:///srv/shop.db?x-no-tx-wrap=true", "/srv/shop.db"),
        ("file:shop.db", "shop.db"),
        ("file:data/my%20shop.db?_fk=1&cache=shared", "data/my shop.db"),
        ("file:/srv/shop.db?mode=rwc", "/srv/shop.db"),
        ("file:///srv/shop.db", "/srv/shop.db"),
        ("file://localhost/srv/shop.db", "/srv/shop.db"),
        ("shop.db?_fk=1", "shop.db"),
    ],
)
def test_a_sqlite_url_of_go_names_the_same_file(url: str, path: str):
    assert sqlite_url.path_from(Secret(url)) == Path(path)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://shop.db?x-migrations-table=mine", "(x-migrations-table)"),
        ("sqlite3://shop.db?x-migrations-table=mine", "(x-migrations-table)"),
        ("file:shop?mode=memory", "(mode=memory)"),
    ],
)
def test_a_sqlite_parameter_that_may_not_be_passed_over_is_named(url: str, said: str):
    with pytest.raises(Usage) as refused:
        sqlite_url.path_from(Secret(url))

    assert (refused.value.code, said in refused.value.what) == ("bad-database-url", True)


def test_a_mysql_url_may_say_how_go_connects():
    url = "mysql://shop@tcp(db:3306)/orders?readTimeout=30s&maxAllowedPacket=0&x-no-lock=true"

    assert mysql_url.address_of(Secret(url)).database == "orders"
