"""A server that answers in another language than English is understood as well: by its codes."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from fixtures.backfilling import Items, items

from coordinator.adapters import mysql_refusals, postgresql_url
from coordinator.errors import CoordinatorError, DatabaseError
from coordinator.model import Engine
from coordinator.secret import Secret

ROWS = 300


# -- a login that is refused --------------------------------------------------------------------------------

_SSL = 80877103
_REFUSED = {
    "28P01": "Passwort-Authentifizierung für Benutzer »shop« fehlgeschlagen",
    "28000": "kein pg_hba.conf-Eintrag für Host »127.0.0.1«, Benutzer »shop«",
    "3D000": "Datenbank »shop« existiert nicht",
    "53300": "tut mir leid, schon zu viele Verbindungen",
    "57P03": "das Datenbanksystem startet",
}


def _refuse(connection: socket.socket, code: str) -> None:
    """Answer as PostgreSQL's protocol 3.0 has it: no TLS, and then a refusal instead of a question."""
    while True:
        length, number = struct.unpack("!II", connection.recv(8, socket.MSG_WAITALL))
        connection.recv(length - 8, socket.MSG_WAITALL)
        if number != _SSL:
            break
        connection.sendall(b"N")
    fields = (b"SFATAL", b"VFATAL", f"C{code}".encode(), f"M{_REFUSED[code]}".encode(), b"")
    body = b"".join(field + b"\0" for field in fields)
    connection.sendall(b"E" + struct.pack("!I", len(body) + 4) + body)


@contextmanager
def _refusing(code: str) -> Iterator[Secret]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        _refuse(connection, code)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Secret(f"postgresql://shop:geheim@127.0.0.1:{server.getsockname()[1]}/shop")
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _error_of_connecting(url: Secret) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught:
        postgresql_url.connect(url, called="The database", label="test")
    return caught.value


@pytest.mark.parametrize("code", _REFUSED)
def test_a_login_that_is_refused_in_german_is_known_by_its_sqlstate(code: str) -> None:
    with _refusing(code) as url:
        error = _error_of_connecting(url)

    assert _REFUSED[code] in error.what
    assert error.is_login_refused is code.startswith("28")
    assert error.is_out_of_reach is not code.startswith("28")
    assert ("No connection is left" in error.next_step) is (code == "53300")
    assert "geheim" not in str(error)


def test_nobody_is_asked_again_where_no_server_answered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    error = _error_of_connecting(Secret(f"postgresql://shop@127.0.0.1:{port}/shop"))

    assert not error.is_login_refused
    assert error.is_out_of_reach


# -- a statement that takes too long ------------------------------------------------------------------------

_IN_GERMAN = (
    "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM pg_sleep({}); RETURN NEW; EXCEPTION"
    " WHEN query_canceled THEN RAISE 'storniere Anfrage' USING ERRCODE = 'query_canceled'; END $$;"
    "CREATE TRIGGER slowly BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION slowly()"
)


def _limited(database_url: str, milliseconds: int) -> Items:
    separator = "&" if "?" in database_url else "?"
    url = f"{database_url}{separator}options=-c%20statement_timeout%3D{milliseconds}"
    return items(Engine.POSTGRESQL, url, rows=ROWS)


def test_batches_get_shorter_where_the_server_says_in_german_that_they_take_too_long(
    database_url: str,
) -> None:
    table = _limited(database_url, 900)
    table.execute(_IN_GERMAN.format("0.008"))

    assert table.work().run() == f"{ROWS} rows passed, none left"
    assert any("half as long" in note for note in table.notes)


def test_a_statement_that_somebody_ends_in_german_is_not_taken_for_one_that_takes_too_long(
    database_url: str,
) -> None:
    table = _limited(database_url, 60_000)
    ends_itself = "(pg_cancel_backend(pg_backend_pid())::int) * 10"
    table.execute(_IN_GERMAN.format(ends_itself))

    with pytest.raises(CoordinatorError) as caught:
        table.work().run()

    assert caught.value.code == "backfill-refused"
    assert "Somebody ended the statement" in caught.value.next_step
    assert not any("half as long" in note for note in table.notes)


@pytest.mark.parametrize(("number", "is_over"), [(1969, True), (3024, True), (1317, False)])
def test_mariadb_and_mysql_tell_by_a_number_that_a_statement_takes_too_long(
    number: int, *, is_over: bool
) -> None:
    message = "La ejecución de la consulta se ha interrumpido"

    error = mysql_refusals.refusal_from(
        number, message, statement=0, position=None, committed=0, is_first=True
    )

    assert error.took_too_long is is_over


@pytest.mark.parametrize(
    ("message", "is_read_only"),
    [
        (
            "Der MariaDB-Server läuft mit der Option --read-only und kann diese Anweisung nicht ausführen",
            True,
        ),
        ("The MySQL server is running with the --super-read-only option so it cannot execute this", True),
        ("Der MariaDB-Server läuft mit der Option --skip-grant-tables", False),
    ],
)
def test_a_server_that_takes_no_writes_is_known_by_its_option(message: str, *, is_read_only: bool) -> None:
    error = mysql_refusals.refusal_from(1290, message, statement=0, position=None, committed=0, is_first=True)

    assert (error.code == "database-read-only") is is_read_only
