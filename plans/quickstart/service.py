"""The shop: customers over HTTP, from a table that its next release changes.

One program for both versions. What tells 1.4 from 1.5 stands in queries/<VERSION>/customers.sql, so that the
two can be read side by side; in a repository of yours they would be two commits. The platform gives PORT,
VERSION and DATABASE_URL in the environment.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg

VERSION = os.environ["VERSION"]
LIFE_OF_A_CONNECTION = 2.0
"""Seconds after which a kept connection is closed with its next answer, so that a drain comes to an end."""


def read_queries(version: str) -> dict[str, str]:
    """Return the version's queries by their names."""
    text = (Path(__file__).parent / "queries" / version / "customers.sql").read_text(encoding="utf-8")
    parts = re.split(r"-- name: (\w+) :\w+\n", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


class Database:
    """A small pool: a connection is opened when none is idle, and forgotten when a query fails on it."""

    def __init__(self, url: str, *, size: int) -> None:
        self._url = url
        self._idle: queue.LifoQueue[psycopg.Connection] = queue.LifoQueue()
        self._room = threading.Semaphore(size)

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        with self._room:
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                name = f"shop-{VERSION}"
                connection = psycopg.connect(self._url, autocommit=True, application_name=name)
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._idle.put(connection)

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Run one query; its parameters are $1, $2 as the engine itself writes them."""
        with self._connection() as connection, psycopg.RawCursor(connection) as cursor:
            return cursor.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close what is idle; call it when no request is left."""
        while not self._idle.empty():
            self._idle.get().close()


QUERIES = read_queries(VERSION)
DATABASE = Database(os.environ["DATABASE_URL"], size=8)
STOPPING = threading.Event()


class Shop(BaseHTTPRequestHandler):
    """One connection of one client."""

    protocol_version = "HTTP/1.1"
    timeout = 5  # seconds that a kept-alive connection may say nothing
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.opened = time.monotonic()

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(HTTPStatus.OK, {"health": "ok"})
        elif self.path == "/version":
            self.answer(HTTPStatus.OK, {"version": VERSION})
        elif self.path == "/ready":
            self.answer_from("SELECT 1")
        elif self.path == "/customers":
            self.answer_from(QUERIES["ListCustomers"], many=True)
        else:
            self.answer_from(QUERIES["ReadCustomer"], self.customer())

    def do_POST(self) -> None:
        self.answer_from(QUERIES["CreateCustomer"], self.name_in_body(), status=HTTPStatus.CREATED)

    def do_PUT(self) -> None:
        self.answer_from(QUERIES["UpdateCustomer"], self.name_in_body(), self.customer())

    def do_DELETE(self) -> None:
        self.answer_from(QUERIES["DeleteCustomer"], self.customer())

    def customer(self) -> int:
        """Return the number in /customers/<number>; 0, which nobody has, for every other path."""
        match = re.fullmatch(r"/customers/([0-9]{1,18})", self.path)
        return int(match[1]) if match else 0

    def name_in_body(self) -> str:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return str(json.loads(body)["name"])

    def answer_from(
        self, sql: str, *values: object, status: HTTPStatus = HTTPStatus.OK, many: bool = False
    ) -> None:
        """Answer with what the query returns: the first column is the id, the second the name."""
        try:
            rows = DATABASE.rows(sql, *values)
        except psycopg.Error as error:
            reason = error.diag.message_primary or str(error)
            self.answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": reason})
            return
        found = [dict(zip(("id", "name"), row, strict=False)) for row in rows]
        if many:
            self.answer(status, found)
        elif found:
            self.answer(status, found[0])
        else:
            self.answer(HTTPStatus.NOT_FOUND, {"error": "no such customer"})

    def answer(self, status: HTTPStatus, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", VERSION)
        if STOPPING.is_set() or time.monotonic() - self.opened > LIFE_OF_A_CONNECTION:
            self.send_header("Connection", "close")  # the base class reads this and closes
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing for a request: the log is for what went wrong."""


class Server(ThreadingHTTPServer):
    """Closing it waits for the requests that are open."""

    daemon_threads = False
    request_queue_size = 128


def main() -> None:
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Shop)

    def stop(_signal: int, _frame: object) -> None:
        STOPPING.set()
        threading.Thread(target=server.shutdown).start()  # it waits for serve_forever, which runs below us

    signal.signal(signal.SIGTERM, stop)
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    DATABASE.close()


if __name__ == "__main__":
    main()
