"""Layers prepare, describe, plan and session: what the engine says of a query before it runs.

Prepare and describe are the protocol's Parse and Describe, sent in libpq's pipeline mode. Plan is EXPLAIN
EXECUTE of what was parsed, with a generic plan: the planner finds the arbiter of ON CONFLICT, and the
executor's start, which EXPLAIN goes through, checks the privileges. EXPLAIN (GENERIC_PLAN) would do the same,
but only since 16. A statement that has no plan (SET, LOCK, CALL …) gets no objection there: the engine
checks it when it runs. Session is the same for statements that were parsed before a migration: Describe of
a held one raises `cached plan must not change result type` as its client would see it (plancache.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from coordinator.adapters.rehearsals._postgresql.pipeline import (
    Command,
    in_batches,
    lost,
    objection_of,
    rolled_back,
)
from coordinator.errors import Usage
from coordinator.evidence import Objection
from coordinator.rehearsal_ports import Column, Description, Origin

Connection = psycopg.Connection[tuple[object, ...]]
Held = Callable[[], list[Objection | None]]
_Type = tuple[int, int]
"""A type's oid and its modifier (-1: none), as RowDescription has them."""
_Place = tuple[int, int]
"""The oid of the table that a column of a result comes from, and its number there; (0, 0): from none."""
_NOTHING = -1


@dataclass(frozen=True, slots=True)
class _Question:
    """A Parse or a Describe, or both, that is one pipelined step; without a name nothing of it stays."""

    text: str | None
    """None: only describe what was parsed under the name."""
    name: bytes = b""
    parameters: tuple[int, ...] = ()
    """Types that the client insists on; without them the engine finds them out."""

    def size(self) -> int:
        return 100 + 4 * len(self.text or "")


@dataclass(frozen=True, slots=True)
class _Parsed:
    """Types of the parameters, names, types and places of the columns; None where it returns no rows."""

    parameters: tuple[int, ...]
    columns: tuple[tuple[str, _Type, _Place], ...] | None


def prepare(connection: Connection, texts: Sequence[str]) -> list[Description | Objection]:
    """Return what a compiled client would learn of each text, or why it cannot be prepared."""
    answers = _ask(connection, [_Question(text) for text in texts])
    parsed = [answer for answer in answers if isinstance(answer, _Parsed)]
    names, origins = _type_names(connection, parsed), _origins(connection, parsed)
    return [
        answer if isinstance(answer, Objection) else _description(answer, names, origins)
        for answer in answers
    ]


def plan(connection: Connection, texts: Sequence[str], *, role: str | None) -> list[Objection | None]:
    """Return why each text cannot be planned, or run, by `role` (None: by whoever is connected).

    Raises: Usage `unknown-database-role`.
    """
    with _as_role(connection, role), _kept(connection, texts) as kept:
        return _planned(connection, kept)


@contextmanager
def executions(connection: Connection, texts: Sequence[str]) -> Iterator[list[str | None]]:
    """Prepare each text, and yield what executes it by a generic plan; None for one that is refused."""
    with _kept(connection, texts) as kept:
        yield [None if isinstance(each, Objection) else _execution(*each) for each in kept]


@contextmanager
def held(connection: Connection, texts: Sequence[str]) -> Iterator[Held]:
    """Prepare each text; the function tells what the same session says to it later.

    Between the calls the session is idle and in no transaction, so it holds no lock and hinders nobody.
    """
    with _kept(connection, texts) as kept:

        def ask_again() -> list[Objection | None]:
            return _held_still(connection, kept)

        yield ask_again


_Kept = list[tuple[bytes, _Parsed] | Objection]
"""For each text its name in the session, or why it has none."""


@contextmanager
def _kept(connection: Connection, texts: Sequence[str]) -> Iterator[_Kept]:
    """Hold each text as a prepared statement that is planned anew for no values in particular."""
    connection.execute("SET plan_cache_mode = force_generic_plan")
    questions = [_Question(text, f"coordinator_{number}".encode()) for number, text in enumerate(texts)]
    answers = _with_base_types(connection, questions, _ask(connection, questions))
    try:
        yield [
            answer if isinstance(answer, Objection) else (question.name, answer)
            for question, answer in zip(questions, answers, strict=True)
        ]
    finally:
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            connection.execute("DEALLOCATE ALL; RESET plan_cache_mode")


def _with_base_types(
    connection: Connection, questions: Sequence[_Question], answers: list[_Parsed | Objection]
) -> list[_Parsed | Objection]:
    """Parse again, with the base type, what has a parameter of a domain: NULL need not be one of its values.

    Clients send the base type too, and EXPLAIN EXECUTE wants a value for each parameter.
    """
    base = _base_types(
        connection, {oid for each in answers if isinstance(each, _Parsed) for oid in each.parameters}
    )
    again = [
        (
            place,
            _Question(question.text, question.name, tuple(base.get(oid, oid) for oid in answer.parameters)),
        )
        for place, (question, answer) in enumerate(zip(questions, answers, strict=True))
        if isinstance(answer, _Parsed) and base.keys() & set(answer.parameters)
    ]
    for _, question in again:
        connection.execute(sql.SQL("DEALLOCATE {}").format(sql.Identifier(question.name.decode())))
    for (place, _), answer in zip(again, _ask(connection, [question for _, question in again]), strict=True):
        answers[place] = answer
    return answers


def _base_types(connection: Connection, oids: set[int]) -> dict[int, int]:
    rows = connection.execute(
        "WITH RECURSIVE base AS (SELECT oid AS domain, typbasetype AS type FROM pg_catalog.pg_type"
        " WHERE oid = ANY(%s::oid[]) AND typtype = 'd' UNION ALL SELECT domain, t.typbasetype FROM base"
        " JOIN pg_catalog.pg_type t ON t.oid = base.type AND t.typtype = 'd')"
        " SELECT domain::int8, type::int8 FROM base JOIN pg_catalog.pg_type t ON t.oid = type"
        " WHERE t.typtype <> 'd'",
        [sorted(oids)],
    ).fetchall()
    return {int(str(domain)): int(str(base)) for domain, base in rows}


def _planned(connection: Connection, kept: _Kept) -> list[Objection | None]:
    asked = [each for each in kept if not isinstance(each, Objection)]
    transactions = [[Command(f"EXPLAIN (COSTS OFF) {_execution(*each)}")] for each in asked]
    replies = iter(rolled_back(connection, transactions))
    return [each if isinstance(each, Objection) else next(replies)[0].objection for each in kept]


def _execution(name: bytes, parsed: _Parsed) -> str:
    values = ", ".join(["NULL"] * len(parsed.parameters))
    return f"EXECUTE {name.decode()}{f'({values})' if values else ''}"


def _held_still(connection: Connection, kept: _Kept) -> list[Objection | None]:
    """Describe speaks for what returns rows, and says it as the client sees it; EXPLAIN for the rest.

    A text that could not be held is none of this layer's business: prepare has said why.
    """
    names = [None if isinstance(each, Objection) else each[0] for each in kept]
    described = iter(_ask(connection, [_Question(None, name) for name in names if name is not None]))
    planned = _planned(connection, kept)
    answers: list[Objection | None] = []
    for name, later in zip(names, planned, strict=True):
        first = next(described) if name is not None else None
        answers.append(None if name is None else first if isinstance(first, Objection) else later)
    return answers


@contextmanager
def _as_role(connection: Connection, role: str | None) -> Iterator[None]:
    if role is None:
        yield
        return
    try:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    except psycopg.errors.InvalidParameterValue:
        raise Usage(
            "unknown-database-role",
            f"The rehearsal's server has no role `{role}`.",
            why="No migration makes or names it, so nobody knows what it may do.",
            next_step="Correct the service's `database_role`, or rehearse on a dump (`base: dump`), which"
            " names the live server's roles.",
        ) from None
    try:
        yield
    finally:
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            connection.execute("RESET ROLE")


# -- types ------------------------------------------------------------------------------------------------


def _type_names(connection: Connection, answers: Sequence[_Parsed]) -> dict[_Type, str]:
    types = {(oid, _NOTHING) for each in answers for oid in each.parameters}
    types |= {type_ for each in answers for _, type_, _ in each.columns or ()}
    ordered = sorted(types)
    rows = connection.execute(
        "SELECT pg_catalog.format_type(o, CASE WHEN m <> -1 THEN m END) FROM unnest(%s::oid[], %s::int4[])"
        " WITH ORDINALITY AS u(o, m, place) ORDER BY place",
        [[oid for oid, _ in ordered], [modifier for _, modifier in ordered]],
    ).fetchall()
    return {type_: str(name) for type_, [name] in zip(ordered, rows, strict=True)}


def _origins(connection: Connection, answers: Sequence[_Parsed]) -> dict[_Place, tuple[Origin, bool]]:
    """Return of places in tables their names, and whether NULL may stand there."""
    places = sorted({place for each in answers for _, _, place in each.columns or ()})
    rows = connection.execute(
        "SELECT attrelid::int8, attnum, pg_catalog.format('%%I.%%I', nspname, relname), attname,"
        " NOT (attnotnull OR typnotnull)"
        " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = atttypid"
        " JOIN pg_catalog.pg_class c ON c.oid = attrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace"
        " JOIN unnest(%s::oid[], %s::int4[]) AS u(o, n) ON (attrelid, attnum) = (o, n)",
        [[oid for oid, _ in places], [number for _, number in places]],
    ).fetchall()
    return {
        (int(str(oid)), int(str(number))): ((str(table), str(column)), bool(may_be_null))
        for oid, number, table, column, may_be_null in rows
    }


def _description(
    parsed: _Parsed, names: dict[_Type, str], origins: dict[_Place, tuple[Origin, bool]]
) -> Description:
    return Description(
        tuple(names[oid, _NOTHING] for oid in parsed.parameters),
        None
        if parsed.columns is None
        else tuple(
            Column(name, names[type_], *origins.get(place, (None, True)))
            for name, type_, place in parsed.columns
        ),
    )


# -- the protocol -----------------------------------------------------------------------------------------


def _ask(connection: Connection, questions: Sequence[_Question]) -> list[_Parsed | Objection]:
    """Put every question, each a transaction of its own that does nothing."""
    if not questions:
        return []
    pgconn = connection.pgconn
    pgconn.enter_pipeline_mode()
    answers: list[_Parsed | Objection] = []
    for batch in in_batches(questions, _Question.size):
        unsent = [_send(pgconn, question) for question in batch]
        pgconn.flush()
        answers += [each or _take(pgconn, question) for each, question in zip(unsent, batch, strict=True)]
    pgconn.exit_pipeline_mode()
    return answers


def _send(pgconn: PGconn, question: _Question) -> Objection | None:
    """Send a question; return why it cannot be sent at all."""
    if question.text is not None:
        if "\0" in question.text:
            return Objection("22021", "a text for PostgreSQL cannot hold the character NUL")
        try:
            text = question.text.encode()
        except UnicodeEncodeError:
            return Objection("22021", "the text is no valid UTF-8")
        pgconn.send_prepare(question.name, text, question.parameters or None)
    pgconn.send_describe_prepared(question.name)
    pgconn.pipeline_sync()
    return None


def _take(pgconn: PGconn, question: _Question) -> _Parsed | Objection:
    results = [_result(pgconn)] if question.text is None else [_result(pgconn), _result(pgconn)]
    sync = pgconn.get_result()
    if sync is None or sync.status != ExecStatus.PIPELINE_SYNC:
        raise lost(pgconn)
    refused = next((each for each in results if each.status == ExecStatus.FATAL_ERROR), None)
    return _parsed(results[-1]) if refused is None else objection_of(refused)


def _result(pgconn: PGconn) -> PGresult:
    """Return one command's result, and take the None that ends it."""
    result = pgconn.get_result()
    if result is None or pgconn.status != ConnStatus.OK:
        raise lost(pgconn)
    pgconn.get_result()
    return result


def _parsed(result: PGresult) -> _Parsed:
    columns = tuple(
        (
            (result.fname(place) or b"").decode(errors="replace"),
            (result.ftype(place), result.fmod(place)),
            (result.ftable(place), result.ftablecol(place)),
        )
        for place in range(result.nfields)
    )
    return _Parsed(tuple(result.param_type(place) for place in range(result.nparams)), columns or None)
