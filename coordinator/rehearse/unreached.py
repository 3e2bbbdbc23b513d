"""A UNIQUE that no row of an INSERT can meet, whatever a client sends. Pure.

    ALTER TABLE t ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE;
    CREATE UNIQUE INDEX ON member (account) WHERE is_default;

Who does not name `id` gets one that no row has; who always writes `is_default = false` is not in the index.
"""

from __future__ import annotations

import re
from typing import Final

from coordinator.rehearse.catalogued import ANY, Constraint, bare, words_of
from coordinator.rehearse.met import events_of
from coordinator.rehearse.pair import At, Pair
from coordinator.rehearse.written import columns_by, literal_values, targets_of

_RANDOM: Final = re.compile(
    r"default (?:\(?(?:gen_random_uuid|uuid_generate_v4|uuidv4|uuidv7|uuid)\(\)\)?"
    r"(?:::text|::character varying)?|(?:lower\()?hex\(randomblob\((?:1[6-9]|[2-9]\d)\)\)\)?)"
)
_NUMBERED: Final = re.compile(r"\bauto_increment\b|\bgenerated always as identity\b", re.IGNORECASE)
"""What counts, and sees to it that nobody writes a number. The sequence of a `serial` does not."""
_WHERE: Final = re.compile(r"\) WHERE \(?(?P<condition>[^()]+)\)?$", re.IGNORECASE)
_HAS: Final = re.compile(
    r"(?P<negated>NOT )?[\"`]?(?P<column>\w+)[\"`]?"
    r"(?: = (?P<value>true|false|-?\d{1,18})| IS (?P<wants>NULL|NOT NULL))?",
    re.IGNORECASE,
)
_WHOLE: Final = re.compile(r"-?\d{1,18}")


def is_unreached(constraint: Constraint, pair: Pair) -> bool:
    """Tell whether no row that a query writes can be alike, by a UNIQUE of its own table, to another one."""
    if not constraint.is_unique or targets_of(pair.text) != {constraint.table} or constraint.words == ANY:
        return False
    return _is_new(constraint, pair) or _is_left_out(constraint, pair.here)


def _is_new(constraint: Constraint, pair: Pair) -> bool:
    """Tell whether a column gets a value that no row has, which was seen to differ from run to run."""
    written = columns_by(pair.text)
    if written is None or events_of(pair.text) != {"insert"}:
        return False
    columns = {column for column, _ in constraint.keys or ()} & pair.here.moving - written
    return any(_is_random((constraint.table, each), pair.here) for each in columns) or any(
        _is_numbered((constraint.table, each), pair) for each in columns
    )


def _is_random(name: tuple[str, str], at: At) -> bool:
    text = at.schema.given.get(name, "")
    is_own = not at.schema.functions.keys().isdisjoint(words_of(text))
    return _RANDOM.fullmatch(text) is not None and not is_own


def _is_numbered(name: tuple[str, str], pair: Pair) -> bool:
    """Tell whether a column that came in this release counts: it numbered the rows that are there as well."""
    if name in pair.own.schema.columns:
        return False
    found = (
        definition
        for key, definition in pair.here.schema.catalogue.items()
        if key.startswith("column ") and tuple(map(bare, key.rsplit(".", 1))) == name
    )
    return any(_NUMBERED.search(each) for each in found)


def _is_left_out(constraint: Constraint, at: At) -> bool:
    """Tell whether the index is of rows that have another value than the one that the text itself gives."""
    where = _WHERE.search(constraint.text)
    has = _HAS.fullmatch(where["condition"].strip()) if where else None
    if has is None or any(has["column"].lower() in each.columns for each in at.schema.givers):
        return False
    changes = ("update", constraint.table)
    along = [
        each for each in at.schema.followers if each.of_child == changes and each.of_parent[0] == "update"
    ]
    if along and events_of(at.text) != {"insert"}:  # other rows change along, which have any value
        return False
    value = literal_values(at.text).get(has["column"].lower(), "").lower()
    return bool(value) and _differs(has, value)


def _differs(has: re.Match[str], value: str) -> bool:
    if has["negated"] and (has["wants"] or has["value"]):
        return False
    if has["wants"]:
        return (value == "null") != (has["wants"].lower() == "null")
    if value == "null":
        return True
    given = _whole(value)
    if given is None:
        return False
    return given != _whole(has["value"]) if has["value"] else bool(given) == bool(has["negated"])


def _whole(word: str) -> int | None:
    """Return a whole number, or a truth as SQLite has it; None of anything else."""
    truth = {"true": 1, "false": 0}.get(word.lower())
    return int(word) if truth is None and _WHOLE.fullmatch(word) else truth
