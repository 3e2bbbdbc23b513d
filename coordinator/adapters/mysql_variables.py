"""Which variables of its session a text for MySQL or MariaDB may set, and how they are set back. Pure.

What one migration sets would else hold for the next: of `SET NAMES latin1` each letter beyond ASCII, of
`SET time_zone` each time; and only while the session lasts, so that a run which was interrupted ends
otherwise. Read by words: one too many is found to have its value still. What a stored procedure sets is not
seen, and neither are a role and the user's own variables (`@x`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from coordinator.model import Engine
from coordinator.sql import literal, split_statements

_SET: Final = re.compile(r"\bSET\b(?P<assigned>.*)", re.IGNORECASE | re.DOTALL)
_BEGINS: Final = (("SET",), ())
"""What a statement begins with that sets them; one without words may be a comment that the server runs."""
_NAME: Final = re.compile(
    r"(?<![\w@`'\".])(?:@@)?(?:(?:SESSION|LOCAL)\s*\.\s*)?(?P<name>[a-z]\w+)", re.IGNORECASE
)
_SETS_SEVERAL: Final = {
    "names": ("character_set_client", "character_set_results", "collation_connection"),
    "character": ("character_set_client", "character_set_results", "collation_connection"),
    "charset": ("character_set_client", "character_set_results", "collation_connection"),
    "isolation": ("transaction_isolation", "tx_isolation"),
}
"""What is set by words that are no variables. MySQL and MariaDB call the last one otherwise."""
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_CLOCK: Final = "timestamp"
"""It shows the present time until it is set, and stands still from then on."""


def set_by(texts: Iterable[str], engine: Engine) -> frozenset[str]:
    """Return the words among which the names are of the variables that texts set, in small letters."""
    found = {
        name["name"].lower()
        for text in texts
        for statement in (split_statements(text, engine) if "SET" in text.upper() else ())
        if statement.words[:1] in _BEGINS and (assigning := _SET.search(statement.text)) is not None
        for name in _NAME.finditer(assigning["assigned"])
    }
    return frozenset(found.union(*(_SETS_SEVERAL.get(each, ()) for each in found)))


def shown(names: Iterable[str], engine: Engine) -> str:
    """Return the query that shows those of some words that are variables, each with its value."""
    listed = ", ".join(literal(each, engine) for each in sorted(names))
    return f"SHOW SESSION VARIABLES WHERE Variable_name IN ({listed})"


def setting_back(name: str, value: str, engine: Engine) -> Iterator[str]:
    """Yield what gives a variable its value again; the second where the first is refused."""
    if name == _CLOCK:
        yield f"SET SESSION {name} = DEFAULT"
        return
    if _NUMBER.fullmatch(value):
        yield f"SET SESSION {name} = {value}"
    yield f"SET SESSION {name} = {literal(value, engine)}"
