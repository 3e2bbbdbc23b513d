"""What a version must be able to do before it gets traffic: write a customer, read it, change it, remove it.

`coordinator` calls this with COORDINATOR_URL, the address of the version that is asked.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request

URL = os.environ["COORDINATOR_URL"]


def ask(method: str, path: str, name: str | None = None) -> dict[str, object]:
    body = None if name is None else json.dumps({"name": name}).encode()
    request = urllib.request.Request(URL + path, data=body, method=method)  # noqa: S310 - our own address
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        content: dict[str, object] = json.load(answer)
    if name is not None and content["name"] != name:
        sys.exit(f"{method} {path}: wrote the name {name!r} and got {content['name']!r}")
    return content


def main() -> None:
    try:
        path = f"/customers/{ask('POST', '/customers', 'Smoke Test')['id']}"
        ask("PUT", path, "Smoke Test II")
        if ask("GET", path)["name"] != "Smoke Test II":
            sys.exit(f"GET {path}: the new name is not there")
        ask("DELETE", path)
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.url} answered {error.code}: {json.load(error)['error']}")


if __name__ == "__main__":
    main()
