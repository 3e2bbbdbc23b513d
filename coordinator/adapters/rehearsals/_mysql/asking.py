"""Layers prepare, describe and plan: does the server compile a text, and what does a client see of it?

The server tells how many parameters a text has, and no types of them: MariaDB never does, MySQL guesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pymysql.connections import Connection

from coordinator.adapters.rehearsals._mysql.connection import (
    REFUSALS,
    REFUSED,
    Described,
    describe,
    objection_from,
    refusal_of,
    run,
    taken_back,
)
from coordinator.adapters.rehearsals._mysql.tokens import tokens_of
from coordinator.adapters.rehearsals._scratch import stars
from coordinator.adapters.rehearsals._scratch.tokens import Token, has_returning, select_of
from coordinator.evidence import Objection
from coordinator.rehearsal_ports import Description

_ANY: Final = "any"
_NO_PLAN: Final = frozenset({"1064", "1235", "1295"})
"""ER_PARSE_ERROR, ER_NOT_SUPPORTED_YET, ER_UNSUPPORTED_PS: what EXPLAIN does not know, though it runs."""
_AS_ROWS: Final = "/*!80000 FORMAT=TRADITIONAL */ "
"""MySQL 9 prints no tree of an INSERT through a view of a view (1815); MariaDB passes over such a comment."""
_MOST_ROWS: Final = 1_000


def prepare(connection: Connection, text: str) -> Description | Objection:
    """Return what a client knows of a text once it is compiled, or the server's refusal."""
    if (refusal := refusal_of(text)) is not None:
        return refusal
    try:
        described = describe(connection, text)
        tokens = tokens_of(text)
        if not described.fields and has_returning(tokens):
            # MariaDB tells the columns of RETURNING only when it runs.
            described = replace(described, fields=describe(connection, select_of(text, tokens)).fields)
    except REFUSALS as error:
        return objection_from(error)
    return Description((_ANY,) * described.parameters, described.columns if described.fields else None)


def plan(connection: Connection, text: str, *, role: str | None) -> Objection | None:
    """Return the server's refusal to plan a text."""
    if (refusal := refusal_of(text)) is not None:
        return refusal
    if role is not None:
        return Objection(
            REFUSED,
            f"what `{role}` may do is not asked on MySQL and MariaDB: privileges belong to the server's"
            " accounts, which a scratch database does not have",
        )
    try:
        with taken_back(connection):
            run(connection, f"EXPLAIN {_AS_ROWS}{text}", _nothing(tokens_of(text)), most=_MOST_ROWS)
    except REFUSALS as error:
        objection = objection_from(error)
        return None if objection.code in _NO_PLAN and _compiles(connection, text) else objection
    return None


def _compiles(connection: Connection, text: str) -> bool:
    try:
        describe(connection, text)
    except REFUSALS:
        return False
    return True


def _nothing(tokens: Sequence[Token]) -> list[object]:
    """Return NULL for each parameter, but a number where MySQL takes nothing else: behind LIMIT."""
    return [
        1 if is_limit(tokens, place) else None
        for place, token in enumerate(tokens)
        if token.kind == "parameter"
    ]


def is_limit(tokens: Sequence[Token], place: int) -> bool:
    """Tell whether a parameter is a number of rows: `LIMIT ?`, `LIMIT ?, ?`, `OFFSET ?`."""
    before = [token.keyword for token in tokens[max(0, place - 3) : place]]
    return before[-1:] in (["LIMIT"], ["OFFSET"]) or (before[-1:] == [","] and before[:1] == ["LIMIT"])


def star_reader(connection: Connection) -> stars.Engine:
    """Return how texts are read here, and what this server says of one."""

    def names_of(select: str) -> list[str]:
        if refusal_of(select) is not None:
            return []
        try:
            described: Described = describe(connection, select)
        except REFUSALS:
            return []
        return [column.name for column in described.columns]

    return stars.Engine(tokens_of, names_of)
