"""What of a rehearsed program's surroundings leads to the live database, and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.adapters.live_address import LiveAddress
from coordinator.model import Engine
from coordinator.secret import Secret

URL = "postgresql://shop:p%40ss-1@db.example:5432/shop?sslmode=require"


def of_server(url: str = URL) -> LiveAddress:
    return LiveAddress(Secret(url), Engine.POSTGRESQL, Path("/srv/plan"))


@pytest.mark.parametrize(
    "text",
    [
        URL,
        f"--database={URL}",
        "postgresql+psycopg2://shop:p%40ss-1@db.example:5432/shop",
        "postgres://other:p%40ss-1@replica.example/shop",
        "host=db.example password=p@ss-1 dbname=shop",
        "host=db.example password='p@ss-1'",
        "p@ss-1",
    ],
)
def test_the_address_leads_there_in_any_scheme_and_so_does_the_password(text: str) -> None:
    assert of_server().is_in(text)


@pytest.mark.parametrize(
    "text", ["", "shop", "/srv/shop/bin:/usr/bin", "postgresql://shop@test.example/shop"]
)
def test_what_has_neither_does_not_lead_there(text: str) -> None:
    assert not of_server().is_in(text)


def test_a_database_that_is_called_as_a_folder_is_not_the_folder() -> None:
    address = of_server("postgresql:///shop?host=/run/live")

    assert not address.is_in("/srv/shop/bin:/usr/bin")
    assert address.is_in("postgres:///shop?host=/run/live")


@pytest.mark.parametrize(
    "url", ["shop:s3cret@tcp(db.example:3306)/shop", "mysql://db.example/shop?user=shop&password=s3cret"]
)
def test_a_password_is_known_from_any_form_of_an_address(url: str) -> None:
    address = LiveAddress(Secret(url), Engine.MYSQL, Path("/srv/plan"))

    assert address.is_in(url)
    assert address.is_in("--password=s3cret")
    assert address.is_in("shop:s3cret@tcp(other:3306)/shop")
    assert not address.is_in("--table=s3crets")


def test_a_password_that_is_a_word_is_not_seen_inside_of_other_words() -> None:
    address = of_server("postgresql://shop:shop@db.example/shop")

    assert not address.is_in("/srv/shop/bin:/usr/bin")
    assert not address.is_in("--table=shop_orders")
    assert address.is_in("postgresql://other:shop@replica/shop")


@pytest.mark.parametrize(
    "text",
    [
        "/srv/data/shop.db",
        "sqlite:///srv/data/shop.db?mode=rw",
        "sqlite+pysqlite:////srv/data/shop.db",
        "../data/shop.db",
        "--db=../data/shop.db",
    ],
)
def test_a_file_leads_there_by_its_path_from_the_folder_of_the_program(text: str) -> None:
    address = LiveAddress(Secret("sqlite:///srv/data/shop.db"), Engine.SQLITE, Path("/srv/plan"))

    assert address.is_in(text)
    assert not address.is_in(text.replace("shop.db", "test.db"))


def test_nothing_is_seen_of_an_address_that_nobody_knows() -> None:
    assert not of_server("").is_in("anything")


def test_what_leads_to_any_server_is_kept_from_a_program_and_nothing_else() -> None:
    environment = {"PGHOST": "other", "MYSQL_PWD": "x", "OTHER_URL": URL, "PATH": "/usr/bin", "TZ": "UTC"}

    assert of_server().kept_from(environment) == {"PATH": "/usr/bin", "TZ": "UTC"}
    assert of_server("").kept_from(environment) == {"OTHER_URL": URL, "PATH": "/usr/bin", "TZ": "UTC"}
