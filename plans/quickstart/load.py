"""Clients of the shop that never stop writing and reading, and that check each answer.

Half of them keep their connection, half open a new one for each request: the two meet a switch of traffic
in different ways. By hand: `python load.py http://127.0.0.1:8080`, until Ctrl-C.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

PAUSE = 0.01
"""Seconds between two requests of a client: the load shows that nothing breaks, not how fast it is."""
TRUST_IDLE = 1.0
"""Seconds after which a client does not use its open connection again; the server closes it after five."""


@dataclass
class Tally:
    """What all clients met; `served` counts good answers by the version that gave them."""

    served: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    """(version that answered, or empty where nobody did; what was wrong)"""
    last_version: str = ""
    """The version that gave the newest good answer."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def failed(self, *, at_version: str | None = None) -> int:
        """Return how many requests failed or were answered wrongly, of all or at one version."""
        return sum(at_version in (None, version) for version, _what in self.failures)


class WrongAnswerError(ValueError):
    """The server answered, but not what is true."""


class Client:
    """One client, which knows what it wrote and asks for it again."""

    def __init__(self, url: str, tally: Tally, *, number: int, keeps_connection: bool) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port
        self._tally = tally
        self._number = number
        self._keeps_connection = keeps_connection
        self._connection: http.client.HTTPConnection | None = None
        self._last_used = 0.0
        self._version = ""
        """The version that gave the last answer; empty while nobody has."""
        self._written: dict[int, str] = {}
        self._random = random.Random(number)  # noqa: S311 - no secret hangs on it

    def run(self, stop: threading.Event) -> None:
        """Ask until `stop` is set, one request after another."""
        turn = 0
        while not stop.wait(PAUSE):
            turn += 1
            self._count(turn)
        self._close()

    def _count(self, turn: int) -> None:
        self._version = ""
        try:
            self._ask_something(turn)
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
            # the last three are answers of another form: a client that died of one would count as content
            self._close()
            with self._tally.lock:
                self._tally.failures.append((self._version, f"{type(error).__name__}: {error}"))
        else:
            with self._tally.lock:
                self._tally.served[self._version] += 1
                self._tally.last_version = self._version

    def _ask_something(self, turn: int) -> None:
        name = f"client-{self._number}-turn-{turn}"
        known = self._random.choice([*self._written, 0])
        match turn % 5:
            case 0 if known:
                self._ask("DELETE", f"/customers/{known}", expected=self._written.pop(known))
            case 1 | 2 if known:
                self._ask("GET", f"/customers/{known}", expected=self._written[known])
            case 3 if known:
                self._ask("PUT", f"/customers/{known}", name=name, expected=name)
                self._written[known] = name
            case 4:
                for customer in self._ask("GET", "/customers"):
                    self._compare(customer, self._written.get(customer["id"], customer["name"]))
            case _:
                created = self._ask("POST", "/customers", name=name, expected=name)
                self._written[created["id"]] = name

    def _ask(self, method: str, path: str, *, name: str | None = None, expected: str | None = None) -> Any:
        connection = self._connect()
        connection.request(method, path, body=None if name is None else json.dumps({"name": name}))
        answer = connection.getresponse()
        self._version = answer.getheader("X-Version", "")
        body = answer.read()
        self._last_used = time.monotonic()
        if not self._keeps_connection:
            self._close()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise WrongAnswerError(f"{method} {path}: {answer.status} {body.decode()}")
        content = json.loads(body)
        if expected is not None:
            self._compare(content, expected)
        return content

    def _compare(self, customer: dict[str, Any], name: str) -> None:
        if customer["name"] != name:
            raise WrongAnswerError(
                f"customer {customer['id']} is {name!r}, and the answer says {customer['name']!r}"
            )

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is not None and time.monotonic() - self._last_used > TRUST_IDLE:
            self._close()
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=20)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Load:
    """Some clients in threads; a context manager that has stopped them all when it is left."""

    def __init__(self, url: str, *, clients: int = 6) -> None:
        self.tally = Tally()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(
                target=Client(url, self.tally, number=number, keeps_connection=number % 2 == 0).run,
                args=(self._stop,),
            )
            for number in range(clients)
        ]

    def __enter__(self) -> Tally:
        for thread in self._threads:
            thread.start()
        return self.tally

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def main() -> None:
    with Load(sys.argv[1]) as tally:
        try:
            while True:
                time.sleep(1)
                print(f"served {dict(tally.served)}, failed {tally.failed()}", flush=True)
        except KeyboardInterrupt:
            pass
    for version, what in tally.failures[:10]:
        print(f"failed at {version or 'no version'}: {what}")


if __name__ == "__main__":
    main()
