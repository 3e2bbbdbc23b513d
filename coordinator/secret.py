"""A secret's value, which shows itself to nobody who does not ask for it by name.

Everything that turns an object into text or bytes by accident (logs, tracebacks with locals, JSON, pickle,
f-strings) gets a placeholder or an error. `reveal` is the one way in, so a search for it finds every use.
"""

from __future__ import annotations

from typing import NoReturn, final

PLACEHOLDER = "********"


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
