"""Write out the `*` of a query as its client's generator did, with the columns that the engine says it has.

The engine expands a `*` when it keeps a statement as a function's body (BEGIN ATOMIC, since 14), and shows
what it kept. The text around the `*` stays the client's own: what the engine shows qualifies every name, and
with it a query would survive a new column that makes one of its names ambiguous. A function that holds the
text with a mark on either side of the `*` is made, read and rolled back; where the marks do not fit (UNION,
INSERT … SELECT), the select that the `*` stands in is asked alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from coordinator.adapters.rehearsals._postgresql.pipeline import Command, Reply, rolled_back
from coordinator.sql import tokens

_SINCE = 140000
_SCHEMA: Final = "coordinator_stars"
_BEFORE: Final = "coordinator begins"
_AFTER: Final = "coordinator ends"
_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_COLUMN = re.compile(rf"(?:(?P<relation>{_NAME})\.)?(?P<column>{_NAME})(?:\s+AS\s+(?P<alias>{_NAME}))?")
_COLUMNS = re.compile(rf"(?:{re.sub(r'[?]P<[a-z]+>', '?:', _COLUMN.pattern)}\s*,\s*)+")
_AFTER_STAR: Final = frozenset(
    {"", ",", ")", ";", "FROM", "WHERE", "UNION", "INTERSECT", "EXCEPT", "INTO", "ORDER", "LIMIT", "ON"}
)
"""What may follow a list of columns; a `*` before anything else multiplies."""
_SET_OPERATIONS: Final = frozenset({"UNION", "INTERSECT", "EXCEPT"})


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    start: int
    end: int
    depth: int
    """How many parentheses are open around it."""


@dataclass(frozen=True, slots=True)
class _Star:
    """A `*`, from its qualifier on, and the select that it stands in (both as offsets)."""

    start: int
    end: int
    select: tuple[int, int] | None
    qualifier: str


def expand(connection: psycopg.Connection[tuple[object, ...]], texts: Sequence[str]) -> list[str]:
    """Return each text with its `*` written out; one that the engine cannot show stays as it is."""
    if connection.info.server_version < _SINCE:
        return list(texts)
    asked = [(text, star) for text in dict.fromkeys(texts) for star in _stars(text)]
    bodies = _kept_as(connection, [_marked(text, star) for text, star in asked])
    alone = [
        (place, _marked(text, star, alone=True))
        for place, (text, star) in enumerate(asked)
        if bodies[place] is None and star.select is not None
    ]
    for (place, _), body in zip(alone, _kept_as(connection, [text for _, text in alone]), strict=True):
        bodies[place] = body
    connection.execute("DEALLOCATE ALL")
    written = {text: text for text in texts}
    # From the last to the first, so that what is written does not move what is still to be written.
    for (text, star), body in sorted(zip(asked, bodies, strict=True), key=lambda each: -each[0][1].start):
        columns = _columns(body, star)
        if columns is not None:
            written[text] = written[text][: star.start] + columns + written[text][star.end :]
    return [written[text] for text in texts]


# -- where the stars are ----------------------------------------------------------------------------------


def _stars(text: str) -> Iterator[_Star]:
    """Yield each `*` that stands for columns; not that of `count(*)`, nor one that multiplies."""
    all_ = list(_significant(text))
    for place, token in enumerate(all_):
        follower = all_[place + 1].text.upper() if place + 1 < len(all_) else ""
        if token.text != "*" or place == 0 or all_[place - 1].text == "(" or follower not in _AFTER_STAR:
            continue
        first = place
        while first >= 2 and all_[first - 1].text == ".":  # noqa: PLR2004 - a name and its dot
            first -= 2
        if all_[first].text == ")":
            continue  # `(value).*`: generators leave it alone
        qualifier = text[all_[first].start : token.start].strip()
        yield _Star(all_[first].start, token.end, _select_around(all_, first), qualifier)


def _significant(text: str) -> Iterator[_Token]:
    depth = 0
    for kind, start, end, _ in tokens(text):
        if kind in ("space", "comment", "block"):
            continue
        lexeme = text[start:end]
        depth -= lexeme == ")"
        yield _Token(lexeme, start, end, depth)
        depth += lexeme == "("


def _select_around(all_: Sequence[_Token], place: int) -> tuple[int, int] | None:
    depth = all_[place].depth
    begins = next(
        (
            each
            for each in range(place - 1, -1, -1)
            if all_[each].depth < depth or (all_[each].depth == depth and all_[each].text.upper() == "SELECT")
        ),
        None,
    )
    if begins is None or all_[begins].text.upper() != "SELECT":
        return None
    after = (
        each.start
        for each in all_[place:]
        if each.depth < depth
        or (each.depth == depth and each.text.upper() in {*_SET_OPERATIONS, "RETURNING", ";"})
    )
    return all_[begins].start, next(after, all_[-1].end)


# -- what the engine says ---------------------------------------------------------------------------------


def _marked(text: str, star: _Star, *, alone: bool = False) -> str:
    begin, end = star.select if alone and star.select is not None else (0, len(text))
    item = text[star.start : star.end]
    return (
        f"{text[begin : star.start]}'{_BEFORE}'::text, {item}, '{_AFTER}'::text{text[star.end : end]}"
    ).rstrip("; \n")


def _kept_as(connection: psycopg.Connection[tuple[object, ...]], texts: Sequence[str]) -> list[str | None]:
    """Return each statement as the engine keeps it, None for what it does not keep."""
    if not texts:
        return []
    replies = rolled_back(connection, [_keep(text) for text in texts])
    return [_shown(each[-1]) for each in replies]


def _keep(text: str) -> list[Command]:
    return [
        Command("DEALLOCATE ALL"),  # what a text before it left: a rollback does not undo PREPARE
        Command(f"CREATE SCHEMA {_SCHEMA}"),
        Command(f"PREPARE coordinator_star AS {text}"),
        Command(
            "DO $coordinator$ DECLARE types text; BEGIN"
            " SELECT array_to_string(parameter_types, ', ') INTO types"
            " FROM pg_catalog.pg_prepared_statements WHERE name = 'coordinator_star';"
            f" EXECUTE 'CREATE FUNCTION {_SCHEMA}.f(' || types || ') RETURNS void LANGUAGE sql BEGIN ATOMIC '"
            f" || {_literal(text)} || chr(10) || '; END'; END $coordinator$"
        ),
        Command(
            "SELECT pg_catalog.pg_get_function_sqlbody(oid) FROM pg_catalog.pg_proc"
            f" WHERE pronamespace = '{_SCHEMA}'::regnamespace"
        ),
    ]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'" if "\\" not in text else _escaped(text)


def _escaped(text: str) -> str:
    return " E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _shown(reply: Reply) -> str | None:
    return reply.rows[0][0] if reply.objection is None and reply.rows else None


def _columns(body: str | None, star: _Star) -> str | None:
    """Return the list that the engine wrote between the marks, in the words of a generator.

    A bare `*` becomes bare names, and a name that comes twice gets its relation (sqlc's expand.go does so).
    """
    if body is None:
        return None
    between = body.partition(f"'{_BEFORE}'::text")[2].partition(f"'{_AFTER}'::text")[0]
    listed = between.partition(",")[2].strip()  # the mark itself may have got a name
    if _COLUMNS.fullmatch(listed) is None:
        return None
    matches = list(_COLUMN.finditer(listed))
    if star.qualifier:
        return ", ".join(f"{star.qualifier}{each['column']}" for each in matches)
    often = Counter(each["column"] for each in matches)
    return ", ".join(
        f"{each['relation']}.{each['column']}"
        if often[each["column"]] > 1 and each["relation"]
        else each["column"]
        for each in matches
    )
