"""A secret's value, which shows itself to nobody who does not ask for it by name.

Everything that turns an object into text or bytes by accident (logs, tracebacks with locals, JSON, pickle,
f-strings) gets a placeholder or an error. `reveal` is the one way in, so a search for it finds every use.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import NoReturn, final
from urllib.parse import quote, unquote, urlsplit

PLACEHOLDER = "********"
_RAW_PASSWORD = re.compile(r"[\w+]+://[^:/]*:([^@]*)@")


@final
class Secret:
    """A string that repr, str, format, JSON and pickle never show."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the value, for the call that needs it and for nothing else."""
        return self.__value

    def __repr__(self) -> str:
        return f"Secret({PLACEHOLDER})"

    def __str__(self) -> str:
        return PLACEHOLDER

    def __format__(self, spec: str) -> str:
        return PLACEHOLDER

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled or copied")


def without(text: str, secrets: Iterable[Secret]) -> str:
    """Return a text that a foreign program wrote with each secret hidden, in the forms in which they appear.

    Those are the value and, if it is a URL, the password inside it, which drivers quote alone; each as it
    stands, percent-encoded and in base64.
    """
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        text = text.replace(form, PLACEHOLDER)
    return text


def passwords_in(secret: Secret) -> frozenset[str]:
    """Return the password of a secret that is a URL, as it stands and as it is meant; none of others."""
    value = secret.reveal()
    try:
        password = urlsplit(value).password or ""
    except ValueError:
        password = ""  # it is no URL, and need not be one
    # SQLAlchemy takes a password with a slash as it stands, where a URL would end its host.
    raw = _RAW_PASSWORD.match(value)
    written = raw[1] if raw else ""
    return frozenset({password, unquote(password), written, unquote(written)} - {""})


def _forms(secret: Secret) -> Iterator[str]:
    for each in {secret.reveal(), *passwords_in(secret)} - {""}:
        yield from (each, quote(each, safe=""), b64encode(each.encode()).decode())
