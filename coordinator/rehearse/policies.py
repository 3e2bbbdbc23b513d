"""Row security of PostgreSQL, which hides rows from a role or refuses them. Pure.

What a policy does to three sample rows says little of others: another one (`USING (tenant < 100)`) may hide
from a version what it needs, or show what it must not see. Only a query that runs as a role is asked about
them, for the owner of a table sees all its rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from coordinator.rehearse.catalogued import Read, bare, words_of

_POLICY: Final = re.compile(
    r"(?P<kind>permissive|restrictive) for (?P<event>\S) to (?P<roles>.*?)"
    r"(?P<rows>(?: using .*| with check .*)?)$",
    re.DOTALL,
)
_OF_ALL_ROWS: Final = re.compile(r" using true(?: with check true)?")
_ANY_EVENT: Final = "*"
_READS: Final = "r"


@dataclass(frozen=True, slots=True)
class Policy:
    """One of a table's, without its name."""

    event: str
    """pg_policy.polcmd."""
    text: str
    hides_nothing: bool = False


_NONE_SHOWN: Final = Policy(_ANY_EVENT, "row security")
"""Where it is enabled and no policy shows a row, none is shown."""


def policies(read: Read) -> Mapping[str, frozenset[Policy]]:
    """Return by table, without schema, what hides rows; tables of which all rows are shown are left out."""
    found = {
        key.removeprefix("row security "): {_NONE_SHOWN}
        for key in read.things
        if key.startswith("row security ")
    }
    for key, definition in read.things.items() if found else ():
        kind, _, name = key.partition(" ")
        each = _POLICY.match(definition) if kind == "policy" else None
        table = read.table_of(name, definition)
        if each and table in found:
            is_open = each["kind"] == "permissive" and _OF_ALL_ROWS.fullmatch(each["rows"]) is not None
            hides_nothing = is_open and (each["event"], each["roles"]) == (_ANY_EVENT, "public")
            found[table].add(Policy(each["event"], definition, hides_nothing))
    return {bare(table): frozenset(these) for table, these in found.items() if not _shows_all(these)}


def _shows_all(these: set[Policy]) -> bool:
    is_open = any(each.hides_nothing for each in these)
    return is_open and not any(each.text.startswith("restrictive") for each in these)


def hidden_otherwise(
    text: str,
    own: Mapping[str, frozenset[Policy]],
    here: Mapping[str, frozenset[Policy]],
    *,
    is_read: bool,
) -> str | None:
    """Return a table whose rows other policies hide here than at the own state, if a text may name it."""
    for table in sorted(words_of(text) & (own.keys() | here.keys())):
        differing = own.get(table, frozenset()) ^ here.get(table, frozenset())
        if any(not is_read or each.event in (_ANY_EVENT, _READS) for each in differing):
            return table
    return None
