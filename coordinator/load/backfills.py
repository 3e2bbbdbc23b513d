"""The plan's backfills as their authors write them, and what can be said of them before anybody is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from coordinator.diagnostics import Place
from coordinator.fields import PositiveDuration, Spec
from coordinator.load.choice import OneOrMore
from coordinator.load.command import PLACEHOLDER, URL, told_nowhere
from coordinator.load.texts import Name, Text, Unrepeated
from coordinator.load.tree import Node, find
from coordinator.load.tree import Path as TreePath
from coordinator.model import RANGE, BackfillSpec, CommandSpec, Engine
from coordinator.sql import controls_transaction, split_statements

_RATE = re.compile(r"(?:(?P<percent>[1-9][0-9]?|100)%|(?P<rows>[1-9][0-9]{0,9})/s)")
_LAG: Final = timedelta(seconds=10)
_CHANGES: Final = frozenset({"DELETE", "INSERT", "MERGE", "REPLACE", "UPDATE", "WITH"})


def _is_rate(value: str) -> str:
    if not _RATE.fullmatch(value):
        raise PydanticCustomError(
            "bad-rate",
            "This is no rate. Write a share of the time in percent, `50%`, or rows a second, `2000/s`.",
        )
    return value


def _has_range(value: str) -> str:
    if RANGE not in value:
        raise PydanticCustomError(
            "backfill-sql",
            "The statement does not say which rows a batch has. Write {range} into its WHERE: `UPDATE orders "
            "SET total_cents = total * 100 WHERE {range}`.",
        )
    return value


def _says_which_rows(command: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [found for each in command for found in PLACEHOLDER.findall(each) if found not in (RANGE, URL)]
    if unknown:
        raise PydanticCustomError(
            "unknown-placeholder",
            "`{name}` stands for nothing here. Write {range} for the condition that says which rows, or {url}"
            " for the database's address.",
            {"name": unknown[0], "range": RANGE, "url": URL},
        )
    if not any(RANGE in each for each in command):
        raise PydanticCustomError(
            "backfill-command",
            "The program is not told which rows a batch has. Give it {range}: `command: [./bin/backfill, "
            '"{range}"]`.',
            {"range": RANGE},
        )
    return command


RangeCommand = Annotated[
    tuple[Annotated[str, Field(pattern="^[^\\x00]*$")], ...],
    Field(strict=False, min_length=1, examples=[["./bin/backfill", "--where", "{range}"]]),
    AfterValidator(_says_which_rows),
]


class Backfill(Spec):
    """Rows that are changed in batches, beside the service's work."""

    name: Name = Field(description="Its name, once in the database; the cursor is kept under it.")
    after: Text = Field(
        description="The migration whose state it needs, by file name or version; it begins right after it.",
        examples=["00007_add_total_cents"],
    )
    before: Text = Field(
        default="contract",
        description="What waits until no row is left: `switch` (and the start of the next version), "
        "`contract`, or a migration by file name or version. Before contract it is asked again in each case.",
    )
    table: Text = Field(
        description="The table that is gone over, as the engine knows it; with its schema if need be."
    )
    key: Annotated[tuple[Text, ...], Field(min_length=1), Unrepeated, OneOrMore()] = Field(
        description="The column by which it is gone over: NOT NULL with a unique index. A list where only "
        "several together are unique (PostgreSQL, SQLite).",
        examples=["id"],
    )
    sql: Annotated[Text, AfterValidator(_has_range)] | None = Field(
        default=None,
        description="The statement of a batch, with `{range}` where its rows are chosen. Either this or "
        "`command`.",
        examples=["UPDATE orders SET total_cents = total * 100 WHERE {range}"],
    )
    command: RangeCommand | None = Field(
        default=None,
        description="A program of yours that does the rows of a batch, in place of `sql`: a list of the "
        "program and its arguments, without a shell. `{range}` stands for the condition on the key, and "
        "`{url}` for the database's address, which the variable of `url: env:NAME` holds too. It may get the "
        "same rows twice. A program with a slash starts at the plan file's folder.",
    )
    deadline: PositiveDuration = Field(
        default=timedelta(hours=1),
        description="How long `command` may take for one batch; then it is ended. In a rehearsal it has 5 "
        "minutes at most.",
    )
    rehearse: bool = Field(
        default=False,
        description="`command` may be tried on a scratch database, with sample rows: it works where `{url}` "
        "or the variable of `url: env:NAME` leads and nowhere else, and what else it calls (a service) can "
        "bear that. Without it the backfill is unproven.",
    )
    remaining: Text = Field(
        description="A query with one number: the rows that are left. It is done when this is zero.",
        examples=["SELECT count(*) FROM orders WHERE total_cents IS NULL"],
    )
    rate: Annotated[Text, AfterValidator(_is_rate)] = Field(
        default="100%",
        description="How fast it may be: a share of the time, `50%` (it sleeps as long as it works), or rows "
        "a second, `2000/s`.",
    )
    replication_lag: PositiveDuration | None = Field(
        default=None,
        description="How far a replica may be behind before the next batch waits. PostgreSQL, where it is "
        "10s without it.",
        examples=["5s"],
    )
    sessions: int = Field(
        default=1,
        ge=1,
        le=8,
        description="How many batches may be under way at once, each in a session of its own; they are "
        "committed in their order. More than one (PostgreSQL, with `sql`) is for a statement that reads "
        "nothing that other batches write.",
        examples=[2],
    )
    repeatable: bool = Field(
        default=False,
        description="The statement leaves rows alone that are done, so that the table may be gone over once "
        "more for rows that are left.",
    )

    @model_validator(mode="after")
    def _has_one_way(self) -> Self:
        if (self.sql is None) is (self.command is None):
            raise PydanticCustomError(
                "backfill-command",
                "A backfill has either `sql` or `command`, and `{name}` has {count}. Write one of them.",
                {"name": self.name, "count": "neither" if self.sql is None else "both"},
            )
        for key in ("deadline", "rehearse"):
            if self.command is None and key in self.model_fields_set:
                raise PydanticCustomError(
                    "idle-setting",
                    "`{key}` is about `command`, and there is none. Add `command:`, or remove `{key}`.",
                    {"key": key},
                )
        if self.command is not None and self.sessions > 1:
            raise PydanticCustomError(
                "backfill-sessions",
                "Two programs of `{name}` never run beside each other. Remove `sessions`.",
                {"name": self.name},
            )
        return self


def demand_backfills(backfills: Sequence[Backfill], engine: Engine, *, has_variable: bool) -> None:
    """Check what only all of them with their database show; `has_variable`: one names its address.

    Raises: PydanticCustomError, or ValidationError where it is about one key of one of them.
    """
    names = [each.name for each in backfills]
    if len(set(names)) != len(names):
        raise PydanticCustomError("backfill-twice", "Two backfills have the same name. Rename one of them.")
    found = [
        InitErrorDetails(type=error, loc=("backfills", position, key), input=each.name)
        for position, each in enumerate(backfills)
        for key, error in _unfit(each, engine, has_variable=has_variable)
    ]
    if found:
        raise ValidationError.from_exception_data("backfills", found)


def _is_batch(text: str, engine: Engine) -> bool:
    statements = split_statements(text.replace(RANGE, "(true)"), engine)
    if len(statements) != 1 or not statements[0].is_closed or controls_transaction(statements[0]):
        return False
    return statements[0].words[:1] != () and statements[0].words[0] in _CHANGES


def _is_question(text: str, engine: Engine) -> bool:
    statements = split_statements(text, engine)
    return len(statements) == 1 and statements[0].words[:1] in (("SELECT",), ("WITH",))


def _unfit(
    backfill: Backfill, engine: Engine, *, has_variable: bool
) -> Iterator[tuple[str, PydanticCustomError]]:
    """Yield each key that says what cannot be done on the database, and the error."""
    told = {"engine": engine.value, "name": backfill.name}
    if backfill.sql is not None and not _is_batch(backfill.sql, engine):
        yield (
            "sql",
            PydanticCustomError(
                "backfill-sql",
                "A batch is one statement that changes rows: UPDATE, INSERT … SELECT, DELETE or WITH.",
            ),
        )
    if not _is_question(backfill.remaining, engine):
        yield (
            "remaining",
            PydanticCustomError(
                "backfill-remaining",
                "This is no query with one number. Write how many rows are left: `SELECT count(*) FROM "
                "orders WHERE total_cents IS NULL`.",
            ),
        )
    if backfill.replication_lag is not None and engine is not Engine.POSTGRESQL:
        yield (
            "replication_lag",
            PydanticCustomError(
                "backfill-lag-unseen",
                "A server of {engine} does not know how far its replicas are behind. Remove "
                "`replication_lag` from `{name}`, and give it a `rate` that they can follow.",
                told,
            ),
        )
    if backfill.rehearse and not has_variable and not any(URL in each for each in backfill.command or ()):
        yield "rehearse", told_nowhere()
    if backfill.sessions > 1 and engine is not Engine.POSTGRESQL:
        yield (
            "sessions",
            PydanticCustomError(
                "backfill-sessions",
                "On {engine} a backfill has one session. Remove `sessions` from `{name}`.",
                told,
            ),
        )
    if len(backfill.key) > 1 and engine.speaks_mysql:
        yield (
            "key",
            PydanticCustomError(
                "backfill-key",
                "{engine} finds no rows by several columns at once without reading the table. Give "
                "`{name}` a key of one column.",
                told,
            ),
        )


def backfills_from(
    backfills: Sequence[Backfill], path: TreePath, root: Node, *, engine: Engine, folder: Path
) -> tuple[BackfillSpec, ...]:
    """Return them as the rest of the program sees them."""
    return tuple(
        BackfillSpec(
            name=each.name,
            after=each.after,
            before=each.before,
            table=each.table,
            key=each.key,
            sql=None if each.sql is None else each.sql.strip().rstrip(";"),
            command=_command(each, folder=folder, place=find(root, (*path, position, "command")).value_place),
            remaining=each.remaining.strip().rstrip(";"),
            place=find(root, (*path, position, "name")).value_place,
            percent=_percent(each.rate),
            rows_per_second=_rows(each.rate),
            replication_lag=_LAG
            if engine is Engine.POSTGRESQL and not each.replication_lag
            else each.replication_lag,
            sessions=each.sessions,
            repeatable=each.repeatable,
        )
        for position, each in enumerate(backfills)
    )


def _command(backfill: Backfill, *, folder: Path, place: Place) -> CommandSpec | None:
    if backfill.command is None:
        return None
    return CommandSpec(
        argv=backfill.command,
        folder=folder,
        deadline=backfill.deadline,
        is_repeatable=True,
        rehearses=backfill.rehearse,
        place=place,
    )


def _percent(rate: str) -> int:
    match = _RATE.fullmatch(rate)
    return int(match["percent"]) if match and match["percent"] else 100


def _rows(rate: str) -> int | None:
    match = _RATE.fullmatch(rate)
    return int(match["rows"]) if match and match["rows"] else None
