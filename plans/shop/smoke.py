"""What a version must be able to do before it gets traffic: take an order, find it again, change it.

`coordinator` calls this with COORDINATOR_URL, the address of the version that is asked. Nothing is deleted in
this shop, so each call leaves one cancelled order of the customer "smoke test".
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request

URL = os.environ["COORDINATOR_URL"]


def ask(method: str, path: str, content: object = None) -> dict[str, object]:
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(URL + path, data=body, method=method)  # noqa: S310 - our own address
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        order: dict[str, object] = json.load(answer)
    return order


def expect(order: dict[str, object], **values: object) -> None:
    for key, value in values.items():
        if order[key] != value:
            sys.exit(f"order {order['id']}: `{key}` should be {value!r} and is {order[key]!r}")


def main() -> None:
    try:
        order = ask("POST", "/orders", {"customer": "smoke test", "total": "12.50"})
        expect(order, customer="smoke test", total="12.50", status="new")
        ask("PUT", f"/orders/{order['id']}/status", {"status": "cancelled"})
        expect(ask("GET", f"/orders/{order['id']}"), customer="smoke test", total="12.50", status="cancelled")
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.url} answered {error.code}: {json.load(error)['error']}")


if __name__ == "__main__":
    main()
