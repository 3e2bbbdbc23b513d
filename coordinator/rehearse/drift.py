"""How the live schema and the one that the files make differ, as lines for a person. Pure.

A table that only one of them has is one line: its columns, indexes and privileges come with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from coordinator.wording import counted

_SHOWN: Final = 50
_LONGEST: Final = 200
"""Characters of a definition; a function's is its whole text."""
_SILENT: Final = ("bounds ", "owner ", "partition ", "schema ", "extension ")
_WHOLE: Final = ("table ", "view ", "materialized view ")


def differences(files: Mapping[str, str], live: Mapping[str, str]) -> Iterator[str]:
    """Yield what the live schema has otherwise than the files make it, a line each.

    Both are as RehearsalDatabase.catalogue writes them: `column public.orders.total` → `bigint not null`.
    """
    names = sorted(name for name in {*files, *live} if files.get(name) != live.get(name))
    one_sided = [name for name in names if name not in files or name not in live]
    whole = {name.removeprefix(kind) for name in one_sided for kind in _WHOLE if name.startswith(kind)}
    definitions = {**files, **live}
    told = [name for name in names if not belongs(name, definitions[name], whole)]
    for name in told[:_SHOWN]:
        if name not in files:
            said = "" if name.startswith(f"{live[name]} ") else f": {_shortened(live[name])}"
            yield f"{name} is in the live database and in no file{said}"
        elif name not in live:
            yield f"{name} is made by the files and missing in the live database"
        else:
            here, there = _shortened(files[name]), _shortened(live[name])
            yield f"{name} is `{there}` in the live database, and the files make it `{here}`"
    if len(told) > _SHOWN:
        yield f"and {counted(len(told) - _SHOWN, 'more difference')}"


def matters(files: Mapping[str, str], live: Mapping[str, str], *, asks_privileges: bool) -> bool:
    """Tell whether queries may fare otherwise on the live schema than on the one that the files make.

    They do not for another owner or plain index, for a table or partition that only the live database has,
    nor for a privilege where no role is asked about.
    """
    silent = _SILENT if asks_privileges else (*_SILENT, "privilege ")
    definitions = {**files, **live}
    names = [name for name in definitions if files.get(name) != live.get(name)]
    whole = {name.removeprefix("table ") for name in names if name.startswith("table ") and name not in files}
    return any(
        not name.startswith(silent)
        and not (name.startswith("index ") and " UNIQUE " not in definitions[name])
        and name.removeprefix("table ") not in whole
        and not belongs(name, definitions[name], whole)
        for name in names
    )


def belongs(name: str, definition: str, whole: Collection[str]) -> bool:
    """Tell whether a thing is a part of a table or view that is missing as a whole."""
    if name.startswith(_WHOLE):
        return False
    of_index = f" {definition} " if name.startswith("index ") else ""
    return any(
        f" {table}." in name or f" {table} " in f"{name} " or f" ON {table} " in of_index for table in whole
    )


def _shortened(definition: str) -> str:
    line = " ".join(definition.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
