"""A URL of MySQL or MariaDB: three forms, what TLS asks, and nothing of it in a message."""

from __future__ import annotations

import ssl
from dataclasses import replace

import pytest

from coordinator.adapters.mysql_url import Address, _context_of, address_of, shown_by, written_like
from coordinator.errors import Usage
from coordinator.secret import Secret


def read(url: str) -> Address:
    return address_of(Secret(url))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://shop:pw@db/orders", ("shop", "pw", "db", 3306, "orders")),
        ("mariadb://shop:p%40w%2F+@db.example:3307/orders", ("shop", "p@w/+", "db.example", 3307, "orders")),
        ("mysql://shop@db/orders?parseTime=true&charset=utf8mb4", ("shop", "", "db", 3306, "orders")),
        ("mysql://db/orders", ("", "", "db", 3306, "orders")),
        ("mysql://shop:pw@[::1]:3307/orders", ("shop", "pw", "::1", 3307, "orders")),
        ("mysql://shop:p%40w+x@tcp(db:3307)/orders", ("shop", "p@w x", "db", 3307, "orders")),
        ("mysql://shop:p@w@tcp(db)/orders", ("shop", "p@w", "db", 3306, "orders")),
        (
            "shop:p%40w@/x@tcp([::1]:3307)/orders?multiStatements=true",
            ("shop", "p%40w@/x", "::1", 3307, "orders"),
        ),
    ],
)
def test_reads_a_url_as_the_tool_does_that_it_is_from(url: str, expected: tuple[object, ...]):
    address = read(url)

    assert (address.user, address.password, address.host, address.port, address.database) == expected


def test_reads_a_socket():
    assert read("mysql://shop@unix(/run/mysqld/s)/orders").socket == "/run/mysqld/s"
    assert read("mysql://shop@db/orders").socket is None


@pytest.mark.parametrize(
    ("query", "mode"),
    [
        ("", None),
        ("tls=false", "disabled"),
        ("tls=true", "verify_identity"),
        ("tls=skip-verify", "required"),
        ("tls=preferred", "preferred"),
        ("tls=custom&x-tls-insecure-skip-verify=true", "required"),
        ("ssl-mode=REQUIRED", "required"),
        ("ssl-mode=VERIFY_CA", "verify_ca"),
        ("ssl-ca=ca.pem", "verify_ca"),
        ("ssl-mode=DISABLED", "disabled"),
    ],
)
def test_reads_what_tls_asks(query: str, mode: str | None):
    assert read(f"mysql://shop@db/orders?{query}").tls == mode


@pytest.mark.parametrize(
    ("mode", "checks"),
    [
        ("REQUIRED", (False, ssl.CERT_NONE)),
        ("VERIFY_CA", (False, ssl.CERT_REQUIRED)),
        ("VERIFY_IDENTITY", (True, ssl.CERT_REQUIRED)),
    ],
)
def test_checks_of_a_certificate_what_was_asked(mode: str, checks: tuple[bool, ssl.VerifyMode]):
    context = _context_of(read(f"mysql://shop@db/orders?ssl-mode={mode}"))

    assert context is not None
    assert (context.check_hostname, context.verify_mode) == checks


@pytest.mark.parametrize("query", ["", "tls=preferred", "tls=false"])
def test_asks_nothing_where_nothing_was_asked(query: str):
    assert _context_of(read(f"mysql://shop@db/orders?{query}")) is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is not one"),
        ("postgresql://shop:geheim@db/orders", "is not one"),
        ("mysql://shop:geh/eim@db/orders", "is not one"),
        ("mysql://shop:geh@eim@db/orders", "is not one"),
        ("mysql://shop:geheim@db", "is not one"),
        ("mysql://shop:geheim@db/", "names no database"),
        ("mysql://shop:geheim@tcp(db:port)/orders", "no host and port"),
        ("mysql://shop:geheim@db:99999/orders", "no host and port"),
        ("mysql://shop:geheim@db/orders?tsl=true", "does not know (tsl)"),
        ("mysql://shop:geheim@db/orders?x-migrations-table=geheim", "does not know (x-migrations-table)"),
        ("mysql://shop:geheim@db/orders?tls=geheim", "`tls` or `ssl-mode` that is none"),
        ("mysql://shop:geheim@db/orders?timeout=geheim", "no whole number of seconds"),
    ],
)
def test_refuses_what_it_cannot_read_and_shows_nothing_of_it(url: str, said: str):
    with pytest.raises(Usage) as refusal:
        read(url)

    assert refusal.value.code == "bad-database-url"
    assert said in refusal.value.what
    assert "geheim" not in str(refusal.value)


def test_says_where_the_version_table_is_named():
    with pytest.raises(Usage) as refusal:
        read("mysql://shop@tcp(db)/orders?x-migrations-table=a&x-unheard=1")

    assert "`migrations: {…, table: NAME}`" in refusal.value.next_step


def test_refuses_a_file_for_tls_that_is_not_there():
    with pytest.raises(Usage, match="a file for TLS that cannot be used"):
        _context_of(read("mysql://shop@db/orders?ssl-ca=/nowhere/ca.pem"))


def test_hides_the_password_in_each_form():
    assert shown_by(Secret("mysql://shop:p%40w@db/orders"))[1:] == ("p%40w", "p@w")


@pytest.mark.parametrize(
    ("like", "socket", "written"),
    [
        ("mysql://a:b@live:3306/shop?tls=true", "/s", "mysql://u:p@h:1/d?unix_socket=%2Fs"),
        ("mysql://a:b@live:3306/shop?tls=true", None, "mysql://u:p@h:1/d?tls=true"),
        ("mysql://a:b@tcp(live:3306)/shop?parseTime=true", "/s", "mysql://u:p@unix(/s)/d?parseTime=true"),
        ("a:b@tcp(live:3306)/shop?parseTime=true", None, "u:p@tcp(h:1)/d?parseTime=true"),
        ("a:b@unix(/live)/shop", "/s", "u:p@unix(/s)/d"),
    ],
)
def test_another_address_is_written_in_the_form_that_a_program_reads(
    like: str, socket: str | None, written: str
):
    address = replace(
        address_of(Secret("mysql://u:p@h:1/d")), socket=socket, tls=None if socket is None else "disabled"
    )

    assert written_like(address, Secret(like)).reveal() == written
