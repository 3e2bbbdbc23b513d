"""Functions, aggregates and views that are made of something else than where a version was made. Pure.

What they do to three sample rows is compared. That one has `> 1000` now where it had `> 100` may show in none
of them, so their texts are held against each other as well: without names, for tables and columns get other
ones and mean the same; and of a view without the columns that it shows behind those it had.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from coordinator.rehearse.catalogued import words_of
from coordinator.sql import tokens

_BODY: Final = re.compile(r"\bAS (?P<quote>\$\w*\$)(?P<body>.*)(?P=quote)", re.DOTALL)
_MANNER: Final = re.compile(r"\bSTRICT\b|^ SET (?!search_path\b).*$|\bDEFAULT .*?(?=, |\)$)", re.MULTILINE)
"""What else a function's head says that decides what it gives: whether NULL gives NULL, a setting, and what
an argument is that a call leaves out."""
_PATH: Final = re.compile(r"^ SET search_path\b.*$", re.MULTILINE)
_RETURNS: Final = re.compile(r"^ RETURNS (?!TABLE\b|SETOF\b|trigger\b|void\b)(?P<type>.+)$", re.MULTILINE)
"""The type of what a function of PostgreSQL gives: `7 / 2` and `7 < '10'` go by it."""
_WIDER: Final = {"smallint": "integer", "bigint": "integer", "character varying": "text"}
_ALIAS: Final = re.compile(r"\bAS\s+(?!SELECT\b|WITH\b|MATERIALIZED\b)[\w\"`]+", re.IGNORECASE)
_OPTIONS: Final = re.compile(r";?\s+with (?:\([^()]*\)|check option \w+ sql security \w+)$", re.IGNORECASE)
"""Behind a view's text: who is asked for rights, and which rows it takes, of which others tell."""
_CAST: Final = re.compile(r"\((?P<of>(?:\"?\w+\"?\.)?\"?(?P<column>\w+)\"?)\)::text\b(?!\[)")
"""What PostgreSQL writes around a `varchar` wherever it compares it, and not around a `text`."""
_OWN_COLUMNS: Final = re.compile(
    r"\bSELECT\b.*\bSELECT\b|\b(?:WITH|VALUES|COLUMNS)\b|\) \"?\w+\"?\(", re.IGNORECASE | re.DOTALL
)
"""In a view with columns that no table has: a name may be one of theirs, of whatever type."""
_SILENT: Final = frozenset({"space", "comment", "block"})
_PUNCTUATION: Final = frozenset("(),.;`")

Bodies = Mapping[str, Sequence[str]]
"""By name, without schema, the definitions of what has that name."""


def otherwise(own: Bodies, here: Bodies, *, named: Collection[str], names: Collection[str]) -> Iterator[str]:
    """Yield those of some functions that are at both states, and not of the same body.

    `names` are what tables, columns and the like are called at either state.
    """
    for name in sorted(named):
        ours, theirs = own.get(name, ()), here.get(name, ())
        if ours != theirs and theirs:
            bodies = [_weights(_decisive(each), names) for each in theirs]
            if any(_weights(_decisive(each), names) not in bodies for each in ours):
                yield name


def looking_elsewhere(
    own: Bodies, here: Bodies, *, named: Collection[str], ambiguous: Collection[str]
) -> Iterator[str]:
    """Yield those of some functions whose `search_path` differs, and that name what several schemas have."""
    for name in sorted(named):
        ours, theirs = (
            [each for text in of.get(name, ()) for each in _PATH.findall(text)] for of in (own, here)
        )
        if ours != theirs and any(
            not words_of(body_of(each)).isdisjoint(ambiguous) for each in own.get(name, ())
        ):
            yield name


def shown_otherwise(
    own: Mapping[str, str], here: Mapping[str, str], *, named: Collection[str], names: Collection[str]
) -> Iterator[str]:
    """Yield those of some views that are at both states, and show other rows or other values."""
    for name in sorted(named):
        ours, theirs = own.get(name), here.get(name)
        if ours != theirs and ours is not None and theirs is not None:
            (mine, rest), (others, other_rest) = parts_of(ours), parts_of(theirs)
            both = min(len(mine), len(others))
            texts = [" , ".join([*items[:both], end]) for items, end in ((mine, rest), (others, other_rest))]
            if _weights(texts[0], names) != _weights(texts[1], names):
                yield name


def without_casts(view: str, columns: Collection[str]) -> str:
    """Return a view's text without the casts of some columns to what they are in any case."""
    if _OWN_COLUMNS.search(view):
        return view
    return _CAST.sub(lambda found: found["of"] if found["column"].lower() in columns else found[0], view)


def body_of(definition: str) -> str:
    found = _BODY.search(definition)
    return found["body"] if found else definition


def _decisive(definition: str) -> str:
    """Return what a function's definition says but its name, its arguments' types and how fast it may be."""
    found = _BODY.search(definition)
    if found is None:
        return definition
    head = definition[: found.start()]
    returned = [_WIDER.get(each, each) for each in _RETURNS.findall(head)]
    return " ".join([*_MANNER.findall(head), *returned, found["body"]])


def _weights(text: str, names: Collection[str]) -> Sequence[str]:
    """Return what decides what a text means, as far as no name does."""
    lexemes = (text[start:end] for kind, start, end, _ in tokens(text) if kind not in _SILENT)
    return [each.upper() for each in lexemes if each not in _PUNCTUATION and not _is_name(each, names)]


def _is_name(lexeme: str, names: Collection[str]) -> bool:
    return lexeme.strip('"').lower() in names


def parts_of(view: str) -> tuple[list[str], str]:
    """Return the columns that a view shows, and all that is behind them."""
    text = _ALIAS.sub("", _OPTIONS.sub("", view))
    items: list[str] = []
    depth, begin = 0, None
    for _, start, end, _ in tokens(text):
        lexeme = text[start:end].upper()
        depth += (lexeme == "(") - (lexeme == ")")
        if begin is None and lexeme == "WITH":
            break
        if lexeme == "SELECT" and begin is None:
            begin = end
        elif begin is not None and depth == 0 and lexeme in (",", "FROM"):
            items.append(text[begin:start])
            begin = end
            if lexeme == "FROM":
                return items, text[start:]
    return [], text
