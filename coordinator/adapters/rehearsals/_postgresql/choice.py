"""Choose sample values with which a query runs at its own state, and which say much elsewhere.

One set of values meets too little, so a query gets several: sets that find the sample rows, a write that
repeats what a row already has (a UNIQUE that is added would refuse it), one with NULL wherever the column
takes it now (NOT NULL), two at the edges of the types (CHECK, a shorter type, a foreign key), for each unique
column one that repeats a row there alone and one everywhere else, one in the other case, two that copy a row
as it is (columns that a check ties to each other), NULL and edges for what a function, MERGE or unnest gets,
and one for each value of an enum. Each set is tried at the query's own state, and only those that run there
are kept: what they bring elsewhere is then the migration's doing. A set that is refused as a whole is tried
again parameter by parameter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import psycopg

from coordinator.adapters.rehearsals._postgresql.bindings import highest_parameter
from coordinator.adapters.rehearsals._postgresql.dangers import refusal
from coordinator.adapters.rehearsals._postgresql.execution import samples_that_run
from coordinator.adapters.rehearsals._postgresql.knowledge import Knowledge
from coordinator.adapters.rehearsals._postgresql.parameters import Question
from coordinator.adapters.rehearsals._postgresql.pipeline import Command, Reply, Sample, at_ease, rolled_back
from coordinator.evidence import Objection
from coordinator.rehearsal_ports import Values

_NAME: Final = "coordinator_ask_"
_MOST_SETS: Final = 13


def choose(
    connection: psycopg.Connection, texts: Sequence[str], *, role: str | None
) -> list[Values | Objection]:
    """Return sets of sample values with which each text runs here, or why none does; see rehearsal_ports.

    The connection is idle and in autocommit mode.
    """
    refused = [refusal(text) for text in texts]
    open_ = [text for text, objection in zip(texts, refused, strict=True) if objection is None]
    with at_ease(connection):
        knowledge = Knowledge(connection)
        questions = [knowledge.question(text, *asked) for text, asked in _asked(connection, open_)]
        tried = _tried(connection, questions, role)
        for place, freed in _with_free_parents(connection, questions, tried, role).items():
            questions[place], tried[place] = freed
        last = [[] if found else each.plain_sets() for each, (found, _) in zip(questions, tried, strict=True)]
        rest = _kept(connection, questions, last, role)
        ran = [[*one[0], *two[0][:1]] for one, two in zip(tried, rest, strict=True)]
        handed = [each.handed_on(some[0]) if some else [] for each, some in zip(questions, ran, strict=True)]
        further = _kept(connection, questions, handed, role)
    answers: list[Values | Objection] = []
    for question, first, second, some, on in zip(questions, tried, rest, ran, further, strict=True):
        labelled = set(question.labelled())
        every = dict.fromkeys((*some, *on[0]))
        few = [sample for sample in every if sample not in labelled][:_MOST_SETS]
        found = (*few, *(sample for sample in every if sample in labelled))
        answers.append(found or next(iter((*first[1].values(), *second[1].values()))))
    chosen = iter(answers)
    return [objection or next(chosen) for objection in refused]


_Tried = tuple[list[Sample], dict[Sample, Objection]]
"""The sets that ran, and what the others met."""


def _tried(connection: psycopg.Connection, questions: Sequence[Question], role: str | None) -> list[_Tried]:
    """Return which sets of each question run, those that were refused as a whole also in parts."""
    kept = _kept(connection, questions, [each.sets() for each in questions], role)
    again = [each.parts_of(objections) for each, (_, objections) in zip(questions, kept, strict=True)]
    more = _kept(connection, questions, again, role)
    return [([*one[0], *two[0]], one[1]) for one, two in zip(kept, more, strict=True)]


def _with_free_parents(
    connection: psycopg.Connection, questions: Sequence[Question], tried: Sequence[_Tried], role: str | None
) -> dict[int, tuple[Question, _Tried]]:
    """Return, by place, the questions that run only with parents that have no row yet, and those sets."""
    freed = {
        place: question.with_free_parents()
        for place, (question, (found, _)) in enumerate(zip(questions, tried, strict=True))
        if not found and any(each.free for each in question.parameters)
    }
    again = zip(freed.items(), _tried(connection, list(freed.values()), role), strict=True)
    return {place: (question, found) for (place, question), found in again if found[0]}


def _kept(
    connection: psycopg.Connection,
    questions: Sequence[Question],
    sets: Sequence[Iterable[Sample]],
    role: str | None,
) -> list[_Tried]:
    distinct = [list(dict.fromkeys(each)) for each in sets]
    tries = [
        (question.text, sample) for question, each in zip(questions, distinct, strict=True) for sample in each
    ]
    outcomes = iter(samples_that_run(connection, tries, role=role))
    tried: list[_Tried] = []
    for each in distinct:
        objections = {sample: next(outcomes) for sample in each}
        tried.append(
            (
                [sample for sample, objection in objections.items() if objection is None],
                {sample: objection for sample, objection in objections.items() if objection},
            )
        )
    return tried


# -- what the engine knows of a text ----------------------------------------------------------------------


def _asked(
    connection: psycopg.Connection, texts: Sequence[str]
) -> list[tuple[str, tuple[tuple[int, ...], Mapping[str, Any]]]]:
    """Return each text with the types of its parameters and its generic plan, both empty if unknown."""
    replies = rolled_back(connection, [_asking(place, text) for place, text in enumerate(texts)])
    for (name,) in connection.execute(
        "SELECT name FROM pg_catalog.pg_prepared_statements WHERE starts_with(name, %s)", [_NAME]
    ).fetchall():
        connection.execute(f"DEALLOCATE {name}")
    return [(text, _told(reply)) for text, reply in zip(texts, replies, strict=True)]


def _asking(place: int, text: str) -> list[Command]:
    nulls = ", ".join(["NULL"] * highest_parameter(text))
    return [
        Command("SET LOCAL plan_cache_mode = force_generic_plan"),
        Command("SET LOCAL enable_partition_pruning = off"),  # it would prune all partitions for NULL
        Command(f"PREPARE {_NAME}{place} AS {text}"),
        Command(
            "SELECT array_to_json(parameter_types::oid[]::int8[])::text"
            f" FROM pg_catalog.pg_prepared_statements WHERE name = '{_NAME}{place}'"
        ),
        Command(
            f"EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) EXECUTE {_NAME}{place}"
            + (f"({nulls})" if nulls else "")
        ),
    ]


def _told(replies: list[Reply]) -> tuple[tuple[int, ...], Mapping[str, Any]]:
    *_, types, plan = replies
    oids = tuple(json.loads(types.rows[0][0] or "[]")) if types.rows else ()
    return oids, json.loads(plan.rows[0][0] or "[{}]")[0].get("Plan", {}) if plan.rows else {}
