"""Passwords that stand in the plan itself, or that a variable brought into it.

A plan is checked in, printed and kept in the journal, so it holds references to secrets only. This looks for
the two forms in which a database's password travels, URLs and key=value strings; a password that stands alone
looks like any other text, and the fields that want secrets refuse those (fields.SecretReference).
A message quotes the plan through `shortened` only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from coordinator.diagnostics import Diagnostic, Place
from coordinator.load.tree import Node, keys, scalars

_URL = re.compile(r"://[^\s/:@]{0,300}:(?![0-9]{1,5}/)[^\s@]{1,300}@")
"""A user, a password, a host; the look-ahead spares `https://host:8080/@name`."""
_PAIR = re.compile(r"(?:password|passwd)\s{0,10}=\s{0,10}(?!\$[A-Z_])[^\s&;]", re.IGNORECASE)
"""As in libpq's `host=db password=x` and `?password=x`; `password=$NAME` leaves it to a shell."""

_QUOTE_LENGTH = 60


def find_leaks(root: Node) -> tuple[Diagnostic, ...]:
    """Return a `literal-secret` for each key and value that holds a password; none shows it."""
    return tuple(_literal_secret(place) for text, place in _texts(root) if is_leak(text))


def is_leak(text: str) -> bool:
    """Tell whether a text holds a password in a URL or in a key=value pair."""
    return bool(_URL.search(text) or _PAIR.search(text))


def shortened(text: str) -> str:
    """Return `text` for a message: one line, at most 60 characters, never a password."""
    if is_leak(text):
        return "…"
    line = " ".join(text.split())
    return line if len(line) <= _QUOTE_LENGTH else line[: _QUOTE_LENGTH - 1] + "…"


def _texts(root: Node) -> Iterator[tuple[str, Place]]:
    yield from keys(root)
    for scalar in scalars(root):
        if isinstance(scalar.value, str):
            yield scalar.value, scalar.place


def _literal_secret(place: Place) -> Diagnostic:
    return Diagnostic(
        code="literal-secret",
        place=place,
        what="A password stands here.",
        why="A plan is checked in and printed, so it holds references to secrets only.",
        next_step="Write env:NAME or file:PATH where the plan wants a secret, and change this password.",
    )
