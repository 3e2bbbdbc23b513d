"""Clients of the shop that never stop ordering, asking and paying, and that check each answer.

    python3 load.py http://127.0.0.1:30080

until Ctrl-C. Half of them keep their connection for as long as the shop lets them, half open a new one for
each request: the two meet a switch of traffic in different ways. A client knows the total and the status of
its order, so what one version wrote and another one reads is checked too.
"""

from __future__ import annotations

import http.client
import itertools
import json
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

PAUSE = 0.01
"""Seconds between two requests of a client: the load shows that nothing breaks, not how fast it is."""
TRUST_IDLE = 5.0
"""Seconds after which a client does not use its open connection again; the shop closes it after 65."""


class WrongAnswerError(ValueError):
    """The shop answered, but not what is true."""


@dataclass
class Tally:
    """What all clients met."""

    served: Counter[str] = field(default_factory=Counter)
    """Good answers by the version that gave them."""
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client:
    """One client: it orders something, finds it, pays for it, finds it again and lists the newest orders."""

    def __init__(self, url: str, tally: Tally, *, number: int) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port
        self._tally = tally
        self._number = number
        self._keeps_connection = number % 2 == 0
        self._connection: http.client.HTTPConnection | None = None
        self._last_used = 0.0
        self._version = ""
        """The version that gave the last answer; empty where nobody did."""

    def run(self, stop: threading.Event) -> None:
        """Ask until `stop` is set, one request after another."""
        for turn in itertools.count():
            try:
                self._order(f"{turn}.{turn % 100:02}", stop)
            except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
                # the last three are answers of another form: a client that died of one would count as content
                self._close()
                with self._tally.lock:
                    at = self._version or "no version"
                    self._tally.failures.append(f"{at}: {type(error).__name__}: {error}")
            if stop.is_set():
                break
        self._close()

    def _order(self, total: str, stop: threading.Event) -> None:
        order = {"customer": f"client {self._number}", "total": total}
        made = self._ask("POST", "/orders", order)
        path, known = f"/orders/{made['id']}", {**order, "status": "new"}
        self._compare(made, known)
        while not stop.wait(PAUSE):
            self._compare(self._ask("GET", path), known)
            if known["status"] == "paid":
                break
            known["status"] = "paid"
            self._compare(self._ask("PUT", f"{path}/status", {"status": "paid"}), known)
        if not self._ask("GET", "/orders"):
            raise WrongAnswerError("GET /orders: none is there, though one was made")

    def _ask(self, method: str, path: str, content: object = None) -> Any:
        self._version = ""
        connection = self._connect()
        connection.request(method, path, body=None if content is None else json.dumps(content))
        answer = connection.getresponse()
        self._version = answer.getheader("X-Version", "")
        body = answer.read()
        self._last_used = time.monotonic()
        if not self._keeps_connection:
            self._close()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise WrongAnswerError(f"{method} {path}: {answer.status} {body.decode()}")
        found = json.loads(body)
        with self._tally.lock:
            self._tally.served[self._version] += 1
        return found

    def _compare(self, order: dict[str, Any], known: dict[str, str]) -> None:
        for key, value in known.items():
            if order[key] != value:
                raise WrongAnswerError(f"order {order['id']}: {key} is {value!r}, and was {order[key]!r}")

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
            threading.Thread(target=Client(url, self.tally, number=number).run, args=(self._stop,))
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
                print(f"served {dict(tally.served)}, failed {len(tally.failures)}", flush=True)
        except KeyboardInterrupt:
            pass
    for failure in tally.failures[:10]:
        print(f"failed at {failure}")


if __name__ == "__main__":
    main()
