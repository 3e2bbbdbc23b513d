"""Put a version's queries to the engine at one state, layer by layer, cheap to dear.

A query's story ends at its first refusal: a dearer layer could only repeat it. Everything that an engine
answers is compared with the version's own state (live: the first one, next: the last one), because that is
what its client was compiled for and where its queries are known to work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from coordinator.evidence import Objection
from coordinator.model import Layer
from coordinator.queries import Query
from coordinator.rehearsal_ports import Description, Lookup, Origin, Ran, Values
from coordinator.rehearse.between import Between
from coordinator.rehearse.catalogued import ANY, bare
from coordinator.rehearse.collated import concerns
from coordinator.rehearse.description import mismatch, other_strings
from coordinator.rehearse.free_parents import parent_of
from coordinator.rehearse.lost_indexes import lost
from coordinator.rehearse.met import events_of
from coordinator.rehearse.moment import is_no_answer
from coordinator.rehearse.nullable import shown_by
from coordinator.rehearse.recomputed import Concerns
from coordinator.rehearse.schema import Schema
from coordinator.rehearse.state import State
from coordinator.rehearse.subject import WORKS, Answer, Compiled
from coordinator.rehearse.unmet import hidden, ignores, unmet
from coordinator.rehearse.written import columns_by, targets_of
from coordinator.sameness import difference, loss, overwritten
from coordinator.sql import split_statements

_REFERRED: Final = {
    "23503": re.compile(r'^update or delete on table .* on table "(?P<child>[^"]*)"'),
    "1451": re.compile(r"foreign key constraint fails \((?:`[^`]*`\.)?`(?P<child>[^`]*)`"),
}
"""What PostgreSQL (ri_triggers.c) and MySQL say where a row is taken away that another one refers to."""
_REFERRED_BY_ANY: Final = frozenset({"SQLITE_CONSTRAINT_FOREIGNKEY", "1217"})
"""The same without a table's name, so any new table may be the reason. SQLite has no other words; MySQL has
these for an account that may not see the other table, in 8.0.15 for one with rights on the whole database."""

_BESIDE: Final = (
    "a trigger, a function or a foreign key's action does that, and nobody knows if the version counts on it;"
    " if so, let it run only where that is done"
)

_OVERWRITTEN: Final = "a trigger does that, and nobody knows if the version counts on what it wrote"
_ANEW: Final = "`{migration}` {clause}: whether what it holds means the same to both versions is not known"

_GIVEN: Final = (
    "`{migration}` gives rows of `{table}` to parents that have none: whether the version inserts one for a"
    " parent that has its row by then is not known"
)
_NULL: Final = (
    "column `{column}` may be NULL: the other version's `{writer}` leaves it so, and where this one was made"
    " no row could be"
)

_OF_ROWS: Final = frozenset({Concerns.READING, Concerns.WRITING})

_Answer = TypeVar("_Answer")

# -- at the version's own state --------------------------------------------------------------------------


def compile_queries(state: State, queries: Sequence[Query], *, role: str | None) -> list[Compiled]:
    """Return each query as its client has it; `state` is the one that the version belongs to."""
    frozen = [query.text for query in queries if query.freezes_star and query.obstacle is None]
    expanded = dict(zip(frozen, state.database.expand_star(frozen), strict=True)) if frozen else {}
    cheapest = min(state.layers, key=list(Layer).index)
    made = [
        Compiled(query, expanded.get(query.text, query.text) if query.freezes_star else query.text)
        if query.obstacle is None
        else Compiled(query, query.text, own=Answer(unchecked=((cheapest, query.obstacle),)))
        for query in queries
    ]
    _each(made, lambda some: state.describe([each.text for each in some]), _described)
    if Layer.PLAN in state.layers:
        _each(made, lambda some: state.plan([each.text for each in some], role=role), _planned)
    if not {Layer.EXECUTE, Layer.RESULT}.isdisjoint(state.layers):
        _each(made, lambda some: state.database.choose([each.text for each in some], role=role), _chosen)
        _each(made, lambda some: state.execute(_asks(some), role=role), _executed)
        _each(made, lambda some: state.look_up(_asks(some)), _looked_up)
        made = [replace(each, schema=state.schema) if each.ran is not None else each for each in made]
    return made


def _each(
    made: list[Compiled],
    ask: Callable[[list[Compiled]], Sequence[_Answer]],
    take: Callable[[Compiled, _Answer], Compiled],
) -> None:
    """Ask about the queries that nothing was found about yet, and put in what each answer makes of them."""
    places = [place for place, each in enumerate(made) if each.own.works]
    if places:
        for place, answer in zip(places, ask([made[place] for place in places]), strict=True):
            made[place] = take(made[place], answer)


def _described(query: Compiled, answer: Description | Objection) -> Compiled:
    if isinstance(answer, Objection):
        return replace(query, own=fails(WORKS, Layer.PREPARE, answer))
    return replace(query, description=answer)


def _planned(query: Compiled, answer: Objection | None) -> Compiled:
    return replace(query, own=fails(WORKS, Layer.PLAN, answer)) if answer else query


def _chosen(query: Compiled, answer: Values | Objection) -> Compiled:
    if isinstance(answer, Objection):
        reason = f"no sample values were found with which it runs: {answer.message} ({answer.code})"
        return replace(query, own=Answer(unchecked=((Layer.EXECUTE, reason),)))
    return replace(query, values=answer)


def _executed(query: Compiled, answer: Ran | Objection) -> Compiled:
    if isinstance(answer, Objection):
        reason = f"it ran once, and then not again: {answer.message} ({answer.code})"
        return replace(query, values=None, own=Answer(unchecked=((Layer.EXECUTE, reason),)))
    return replace(query, ran=answer)


def _looked_up(query: Compiled, answer: Lookup | None) -> Compiled:
    return replace(query, lookup=answer)


def _asks(queries: Sequence[Compiled]) -> list[tuple[str, Values]]:
    return [(each.text, each.values or ()) for each in queries]


# -- at another state ------------------------------------------------------------------------------------


Nulls = dict[Origin, str]
"""Columns in which writes leave NULL, each with the name of one of them."""
_LEAVES: Final = (("INSERT",), ("REPLACE",), ("UPDATE",))


def ask_queries(
    state: State,
    queries: Sequence[Compiled],
    *,
    role: str | None,
    between: Between,
    nulls: Nulls | None = None,
) -> list[Answer]:
    """Return how each query fares at `state`; those that fail at their own state are not asked again.

    What they leave NULL there is put into `nulls`.
    """
    answers = {place: each.own for place, each in enumerate(queries) if each.own.broken is None}

    asked = [place for place in answers if queries[place].description is not None]
    for place, here in zip(asked, state.describe([queries[each].text for each in asked]), strict=True):
        answers[place] = _compared(queries[place], here, answers[place], state.layers)
    asked = _still(answers, asked)
    if Layer.PLAN in state.layers and asked:
        objections = state.plan([queries[each].text for each in asked], role=role)
        for place, objection in zip(asked, objections, strict=True):
            if objection is not None:
                answers[place] = fails(answers[place], Layer.PLAN, objection)
    asked = [place for place in _still(answers, asked) if queries[place].ran is not None]
    if asked:
        ran = state.execute(_asks([queries[each] for each in asked]), role=role)
        for place, result in zip(asked, ran, strict=True):
            if nulls is not None and isinstance(result, Ran):
                nulls.update(nulls_of(queries[place], result))
            answers[place] = _ran(
                queries[place], result, answers[place], layers=state.layers, between=between
            )
            answers[place] = _met(queries[place], result, answers[place], state, between=between)
            answers[place] = _given(queries[place], answers[place], state, between)
            if role is not None:
                answers[place] = _hidden(queries[place], answers[place], state)
    for place in _still(answers, list(answers)) if between.recomputed else ():
        answers[place] = _reread(queries[place], answers[place], state, between)
    return [answers.get(place, each.own) for place, each in enumerate(queries)]


def nulls_of(query: Compiled, ran: Ran) -> Nulls:
    """Return the columns that a write leaves NULL in every row, whatever values it has.

    A row that an UPDATE leaves so may have been so before, and a backfill be about to change that: it counts
    where no row was.
    """
    statements = split_statements(query.text)
    word = statements[0].words[:1] if statements else ()
    if word not in _LEAVES or ran.written is None or ran.written.table is None or not ran.written.rows:
        return {}
    cells = zip(*ran.written.rows, strict=True)
    return {
        (ran.written.table, column.name): query.query.name
        for place, (column, values) in enumerate(zip(ran.written.columns, cells, strict=True))
        if all(value is None for value in values)
        and (word != ("UPDATE",) or all(row[place] is not None for row in ran.written.present))
    }


def meets_null(query: Compiled, here: Description, nulls: Nulls, schema: Schema) -> str | None:
    """Return which column of a result could not be NULL at the own state, and is left so by others here.

    `schema` is the one here: where no engine tells what a result shows, as of a view, its text does.
    """
    own = query.description
    if own is None or not query.query.reads_result:
        return None
    for before, now in zip(own.columns or (), here.columns or (), strict=False):
        if before.origin and not before.may_be_null and now.may_be_null and now.origin in nulls:
            return _NULL.format(column=before.name, writer=nulls[now.origin])
    made_for, shown = query.schema, shown_by(query.text) if nulls else frozenset[str]()
    for (table, column), writer in nulls.items() if shown else ():
        name = bare(table), bare(column)
        is_new = made_for is not None and name in made_for.never_null and name not in schema.never_null
        if is_new and not shown.isdisjoint({name[1], *ANY}) and schema.may_name(query.text, *name):
            return _NULL.format(column=name[1], writer=writer)
    return None


def with_lost_indexes(state: State, queries: Sequence[Compiled], answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers of `state` with the tables that a query has lost its index of there."""
    found = list(answers)
    places = [
        place
        for place, (query, answer) in enumerate(zip(queries, answers, strict=True))
        if query.lookup is not None and answer.broken is None
    ]
    lookups = state.look_up(_asks([queries[place] for place in places])) if places else []
    for place, here in zip(places, lookups, strict=True):
        own = queries[place].lookup
        if own is not None and here is not None:
            found[place] = replace(found[place], lost=lost(own, here))
    return found


def _still(answers: dict[int, Answer], places: Sequence[int]) -> list[int]:
    return [place for place in places if answers[place].broken is None]


def fails(answer: Answer, layer: Layer, objection: Objection) -> Answer:
    """Return the answer with a layer's refusal; one that says nothing of the schema leaves it open."""
    if is_no_answer(objection.code):
        return unknown(answer, layer, f"there was no answer: {objection.message} ({objection.code})")
    return Answer((layer, objection), answer.unchecked)


def unknown(answer: Answer, layer: Layer, reason: str) -> Answer:
    """Return the answer with what a layer leaves open."""
    return replace(answer, unchecked=(*answer.unchecked, (layer, reason)))


def _compared(
    query: Compiled, here: Description | Objection, answer: Answer, layers: Collection[Layer]
) -> Answer:
    own = query.description
    assert own is not None, "asked only where the own state answered"
    if isinstance(here, Objection):
        return fails(answer, Layer.PREPARE, here)
    if objection := other_strings(own, here):
        return fails(answer, Layer.PREPARE, objection)
    if Layer.DESCRIBE not in layers:
        return answer
    found = mismatch(own, here, reads_result=query.query.reads_result)
    if found is None:
        return answer
    if found.unless is None:
        return fails(answer, Layer.DESCRIBE, found.objection)
    return unknown(answer, Layer.DESCRIBE, f"{found.objection.message}: {found.unless}")


def _ran(
    query: Compiled,
    here: Ran | Objection,
    answer: Answer,
    *,
    layers: Collection[Layer],
    between: Between,
) -> Answer:
    if isinstance(here, Objection):
        return _refused(here, answer, layers=layers, between=between)
    if Layer.RESULT not in layers or query.ran is None:
        return answer
    named = columns_by(query.text)
    found = difference(query.ran, here, named=named or ())
    if found is None:
        if (clause := overwritten(query.ran, here, named=named)) is not None:
            return unknown(answer, Layer.RESULT, f"the query {clause}: {_OVERWRITTEN}")
        lost = loss(query.ran, here, missing=between.missing_tables)
        return answer if lost is None else unknown(answer, Layer.RESULT, f"the query {lost}: {_BESIDE}")
    if between.writer is None:
        return fails(answer, Layer.RESULT, Objection("result-differs", f"the query {found}"))
    reason = f"the query {found}; `{between.writer}` writes rows, and nobody knows if it minds"
    return unknown(answer, Layer.RESULT, reason)


def _met(query: Compiled, here: Ran | Objection, answer: Answer, state: State, *, between: Between) -> Answer:
    """Return the answer with a constraint that only one state has and that no set of values met."""
    if isinstance(here, Objection) or answer.broken is not None:
        return answer
    if query.ran is None or query.schema is None:
        return answer
    own, now = (
        schema.about(query.text, known=_tables_of(query, ran), ran=ran)
        for schema, ran in ((query.schema, query.ran), (state.schema, here))
    )
    may_have_twice = between.is_live or between.writer is not None
    why = unmet(query.text, own=(own, query.ran), here=(now, here), may_have_twice=may_have_twice)
    return answer if why is None else unknown(answer, Layer.EXECUTE, why)


def _given(query: Compiled, answer: Answer, state: State, between: Between) -> Answer:
    """Return the answer with a table that a migration filled, and took one row from: see free_parents."""
    if answer.broken is not None or "insert" not in events_of(query.text) or ignores(query.text):
        return answer
    for migration, table in between.filled:
        if table in targets_of(query.text) and parent_of(state.schema.constraints_of({table})) is not None:
            why = _GIVEN.format(migration=migration, table=table)
            return unknown(answer, Layer.EXECUTE, why)
    return answer


def _tables_of(query: Compiled, ran: Ran) -> Iterator[str]:
    """Yield tables, as the engine writes them, of which it tells that a query is about them."""
    columns = query.description.columns if query.description is not None else None
    yield from (column.origin[0] for column in columns or () if column.origin is not None)
    if ran.written is not None and ran.written.table is not None:
        yield ran.written.table


def _hidden(query: Compiled, answer: Answer, state: State) -> Answer:
    """Return the answer with a table whose rows are hidden from the role otherwise than at the own state."""
    if answer.broken is not None or query.schema is None:
        return answer
    why = hidden(query.text, own=query.schema, here=state.schema)
    return answer if why is None else unknown(answer, Layer.RESULT, why)


def _reread(query: Compiled, answer: Answer, state: State, between: Between) -> Answer:
    """Return the answer with a column that is computed anew between here and the own state, if it has one."""
    every = ((name, each) for name, found in between.recomputed for each in state.along(found))
    for migration, each in every:
        is_seen = each.concerns in _OF_ROWS and not answer.works  # results have told of it
        is_named = not is_seen and state.schema.may_name(query.text, each.table, each.column)
        if is_named and concerns(query.text, each, state.schema):
            clause = each.clause.format(table=each.table, column=each.column)
            why = _ANEW.format(migration=migration, clause=clause)
            return unknown(answer, Layer.RESULT, why)
    return answer


def _refused(here: Objection, answer: Answer, *, layers: Collection[Layer], between: Between) -> Answer:
    told = f"{here.message} ({here.code})"
    if Layer.EXECUTE not in layers:
        return unknown(answer, Layer.RESULT, f"it did not run, so there is no result to compare: {told}")
    if (table := _new_child(here, between.new_tables)) is not None:
        return unknown(
            answer, Layer.EXECUTE, f"it fails where a row of the new {table} refers to its row: {told}"
        )
    return fails(answer, Layer.EXECUTE, here)


def _new_child(objection: Objection, new_tables: frozenset[str]) -> str | None:
    """Return the new table, in words, whose sample rows refer to what a query takes away, if that is why."""
    if objection.code in _REFERRED_BY_ANY and new_tables:
        return "tables"
    pattern = _REFERRED.get(objection.code)
    match = pattern.search(objection.message) if pattern else None
    return f"table `{match['child']}`" if match and match["child"] in new_tables else None
