"""No secret is on any screen, in any file of ours, or in any argument list; whatever goes wrong."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from fixtures.checkout import USERS, Checkout, waiting_check

PASSWORD = "canary/pass?word#1"
TOKEN = "canary token=2"
PRINTS_ALL = (
    "import base64, os, sys, urllib.parse\n"
    "url, token = os.environ['SHOP_URL'], os.environ['TOKEN']\n"
    "password = urllib.parse.unquote(urllib.parse.urlsplit(url).password)\n"
    "print(url, token, password, urllib.parse.quote(token), base64.b64encode(password.encode()).decode())\n"
    "sys.exit(1)\n"
)


@pytest.fixture
def with_secrets(checkout: Checkout, database_url: str) -> Checkout:
    """Return a checkout with PostgreSQL, a password in its URL, and a token that the service gets."""
    checkout.environment |= {"SHOP_URL": with_password(database_url), "TOKEN": TOKEN}
    checkout.migration(1, "users", USERS)
    checkout.write_plan(engine="postgresql", env={"SECRET": "env:TOKEN"})
    return checkout


def with_password(url: str) -> str:
    parts = urlsplit(url)
    user = f"{parts.username or 'postgres'}:{quote(PASSWORD, safe='')}"
    return parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()


def canaries(checkout: Checkout) -> set[bytes]:
    """Return every form in which the secrets may appear."""
    values = {PASSWORD, TOKEN, checkout.environment["SHOP_URL"]}
    forms: set[bytes] = set()
    for value in values:
        encoded = value.encode()
        forms |= {encoded, quote(value).encode(), quote(value, safe="").encode(), b64encode(encoded)}
    return forms


def assert_nowhere(checkout: Checkout, *, but: Callable[[Path], bool] = lambda _: False) -> None:
    """Assert that no file that a command wrote, its output included, holds a secret."""
    files = [path for path in checkout.folder.parent.rglob("*") if path.is_file() and not but(path)]
    assert any(path.name == "journal.sqlite3" for path in files)
    leaks = {
        (path.name, canary) for path in files for canary in canaries(checkout) if canary in path.read_bytes()
    }
    assert leaks == set()


def assert_in_no_argument(checkout: Checkout) -> None:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes()
        except OSError:
            continue  # it ended
        assert not any(canary in arguments for canary in canaries(checkout)), path


def test_a_release_shows_no_secret(with_secrets: Checkout):
    with_secrets.write_plan(engine="postgresql", env={"SECRET": "env:TOKEN"}, verify=[waiting_check()])
    running = with_secrets.start_release("1.4")
    with_secrets.until_waiting()
    assert_in_no_argument(with_secrets)
    with_secrets.go()

    assert running.wait().exit_code == 0
    for command in ("status", "history", "doctor"):
        settings = ["--set", "VERSION=1.4"] if command == "doctor" else []
        assert with_secrets.run(command, *settings).exit_code == 0
    assert_nowhere(with_secrets)


def test_a_failing_check_and_a_dying_service_show_no_secret(with_secrets: Checkout):
    (with_secrets.folder / "check.py").write_text(PRINTS_ALL)
    check = {"command": [sys.executable, "check.py"]}
    with_secrets.write_plan(engine="postgresql", env={"SECRET": "env:TOKEN"}, verify=[check])

    failing = with_secrets.release("1.4")
    dying = with_secrets.release("1.5-dies")

    assert failing.exit_code == 1
    assert "********" in failing.err
    assert dying.exit_code == 1
    assert "no luck with ********" in dying.err
    # What a service itself writes goes to its log as it is: nobody may change the evidence.
    assert_nowhere(with_secrets, but=lambda path: path.suffix == ".log")


def test_a_secret_in_a_file_is_as_safe(with_secrets: Checkout):
    secret = with_secrets.folder.parent / "secret.url"
    secret.write_text(with_secrets.environment["SHOP_URL"] + "\n")
    with_secrets.write_plan(engine="postgresql", url=f"file:{secret}")

    ended = with_secrets.release("1.4")

    assert ended.exit_code == 0, ended.err
    assert_nowhere(with_secrets, but=lambda path: path == secret)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql://shop:{quoted}@no-such-host.invalid/shop", "database-unreachable"),
        ("postgresql://shop:{quoted}@127.0.0.1:1/shop", "database-unreachable"),
        ("postgresql://shop:{password}@127.0.0.1/shop", "bad-database-url"),
        ("postgresql://shop@127.0.0.1:{quoted}/shop", "bad-database-url"),
        ("postgresql://shop:1/canary@127.0.0.1/shop", "bad-database-url"),
        ("postgresql://shop:1@canary@127.0.0.1/shop", "bad-database-url"),
        ("mysql://shop:{quoted}@127.0.0.1/shop", "bad-database-url"),
        ("host=127.0.0.1 port=1 password='{password}'", "database-unreachable"),
        ("host=127.0.0.1 pass={quoted}", "bad-database-url"),
    ],
)
def test_a_url_that_leads_nowhere_is_not_quoted(checkout: Checkout, url, code):
    checkout.environment["SHOP_URL"] = url.format(password=PASSWORD, quoted=quote(PASSWORD, safe=""))
    checkout.write_plan(engine="postgresql")

    ended = checkout.release("1.4")

    assert f"error[{code}]" in ended.err
    assert "canary" not in ended.out + ended.err
