"""One release through the stage that `plan` uses, and what its answers come to for a backtest.

Where `plan` stops at a migration that the engine refuses, the past went on: so does this, as if it had done
nothing, and the release says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from coordinator.backtest.bases import Applying, Content, Scratch, content_of, failure, key_of
from coordinator.backtest.checkout import effect
from coordinator.evidence import Break, Unchecked
from coordinator.model import DatabaseName, Engine, Layer, Migration, Role, ServiceName
from coordinator.queries import Catalogue
from coordinator.rehearse.ask import ask_queries, compile_queries
from coordinator.rehearse.between import Between
from coordinator.rehearse.emptied import NOTHING_EMPTIED, emptied_by
from coordinator.rehearse.findings import already_failing_of, breaks_of, unchecked_of
from coordinator.rehearse.sample_rows import FIRST_TRIED, SampleRows, wishes_of
from coordinator.rehearse.schema import Schema
from coordinator.rehearse.state import State
from coordinator.rehearse.subject import Subject
from coordinator.rehearse.walk import Failure, Memory, Pair, Walked, walk_states

_DATABASE, _SERVICE = DatabaseName("past"), ServiceName("past")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the engine answered about a release."""

    breaks: tuple[Break, ...]
    already_failing: tuple[Break, ...]
    unchecked: tuple[Unchecked, ...]
    answered: Mapping[Role, int]
    """How many queries of each version work where they belong: only their refusals mean anything."""
    failures: tuple[str, ...]
    """A sentence for each migration that fails to apply."""
    unseen: tuple[str, ...] = ()
    """The names of the new migrations that failed, or are code that nobody ran."""
    unfilled: tuple[str, ...] = ()
    """A clause for each table that got no sample rows."""
    stopped_by_rows: str | None = None
    """A sentence: the migration that sample rows made fail, so that there were fewer, or none."""
    has_rows: bool = False


def ask_release(
    base: Scratch,
    new: Sequence[Migration],
    catalogues: Sequence[Catalogue],
    *,
    layers: Collection[Layer],
    apply: Applying,
    engine: Engine,
    memory: Memory,
) -> tuple[Asked, Scratch]:
    """Ask both versions' queries at every state; return the answers, and a database at the last state.

    `base` stands at the first state and is used up; `catalogues` are the old version's and the new one's.
    """
    subjects = [_subject(role, each) for role, each in zip(Role, catalogues, strict=True)]
    release = _Question(new, subjects, layers, apply, engine)
    if not {Layer.EXECUTE, Layer.RESULT}.isdisjoint(layers):
        return _ask_on_rows(base, release)
    ask = _ask_on_one if _one_is_enough(layers, catalogues) else _ask_on_two
    contents = [base.content + content_of(new[:state]) for state in range(len(new) + 1)]
    walked, last = ask(base, release, keys=[key_of(each) for each in contents], memory=memory)
    content = _content(contents[-1], walked.failures)
    memory.keep_only(key_of(content))
    return _asked(walked, release), last.holding(content)


@dataclass(frozen=True, slots=True)
class _Question:
    """A release, and what is to be asked about it."""

    new: Sequence[Migration]
    subjects: Sequence[Subject]
    layers: Collection[Layer]
    apply: Applying
    engine: Engine


def _content(wanted: Content, failures: Sequence[Failure]) -> Content:
    """Return what a database holds where these migrations failed."""
    failed = {effect(each.migration) for each in failures}
    return tuple(f"failed: {each}" if each in failed else each for each in wanted)


def _ask_on_rows(base: Scratch, release: _Question) -> tuple[Asked, Scratch]:
    """Ask on copies with sample rows, with fewer where they make a migration fail that works without them.

    What is kept for the next release has no rows. Nothing is remembered either: a migration that the rows
    stopped leaves another schema than its files make.
    """
    last, new = base.copied(), release.new
    bare = [Failure(each, error) for each in new if (error := release.apply(last.database, each)) is not None]
    last = last.holding(_content(base.content + content_of(new), bare))
    names = {each.migration.name for each in bare}
    refused: Failure | None = None
    rows: SampleRows | None = FIRST_TRIED
    wishes = wishes_of(release.subjects, new, release.engine)
    while True:
        filled = base.copied()
        unfilled = rows.fill(filled.database, wishes) if rows is not None else ()
        walked, ahead = _ask_on_two(filled, release, rows=rows, failing=names)
        stopped = next((each for each in walked.failures if each.migration.name not in names), None)
        if stopped is None or rows is None:
            ahead.close()
            break
        refused = refused or stopped
        schemas = [Schema.of(each.database.catalogue()) for each in (base, ahead)]
        ahead.close()
        emptied = partial(
            emptied_by, stopped, pending=new, backfills=(), schemas=schemas, engine=release.engine
        )
        rows = rows.less(stopped, emptied)
    base.close()
    return replace(
        _asked(walked, release),
        unfilled=unfilled,
        stopped_by_rows=None if refused is None else failure(refused.migration, refused.error),
        has_rows=rows is not None,
    ), last


def _one_is_enough(layers: Collection[Layer], catalogues: Sequence[Catalogue]) -> bool:
    """Tell whether the questions can be written down before the last state is seen."""
    new = catalogues[1]
    stars = any(each.freezes_star and "*" in each.text.replace("(*)", "") for each in new.queries)
    return not stars and {Layer.PREPARE, Layer.DESCRIBE}.issuperset(layers)


def _ask_on_two(
    base: Scratch,
    release: _Question,
    *,
    keys: Sequence[str] | None = None,
    memory: Memory | None = None,
    rows: SampleRows | None = None,
    failing: Collection[str] = (),
) -> tuple[Walked, Scratch]:
    """Ask as `plan` does: the new version's own state stands on a copy from the start."""
    ahead = base.copied()
    wishes = wishes_of(release.subjects, release.new, release.engine)
    try:
        walked = walk_states(
            Pair(base.database, ahead.database),
            release.new,
            release.subjects,
            layers=release.layers,
            apply=release.apply if rows is None else rows.after(release.apply, release.engine, wishes),
            engine=release.engine,
            goes_on=True,
            keys=keys,
            memory=memory,
            is_in_vain=lambda failure: rows is not None and failure.migration.name not in failing,
            lacks_rows=(NOTHING_EMPTIED if rows is None else rows.emptied).doubt,
        )
    finally:
        base.close()
    return walked, ahead


def _ask_on_one(
    base: Scratch, release: _Question, *, keys: Sequence[str], memory: Memory
) -> tuple[Walked, Scratch]:
    """Put every question in passing, and compare afterwards: copying a database takes longer than asking."""
    states = [State(base.database, release.layers, memory.at(key)) for key in keys]
    old, fresh = release.subjects
    compiled = {old.use: compile_queries(states[0], old.catalogue.queries, role=None)}
    texts = [each.text for each in compiled[old.use] if each.query.obstacle is None]
    texts += [each.text for each in fresh.catalogue.queries if each.obstacle is None]
    states[0].describe(texts)
    failures = []
    for state, migration in zip(states[1:], release.new, strict=True):
        if (error := release.apply(base.database, migration)) is not None:
            failures.append(Failure(migration, error))
        state.describe(texts)
    compiled[fresh.use] = compile_queries(states[-1], fresh.catalogue.queries, role=None)
    answers = {
        use: [ask_queries(state, queries, role=None, between=Between()) for state in states]
        for use, queries in compiled.items()
    }
    return Walked(tuple(release.subjects), compiled, answers, (), tuple(failures)), base


def _subject(role: Role, catalogue: Catalogue) -> Subject:
    return Subject((_DATABASE, _SERVICE, role), catalogue)


def _asked(walked: Walked, release: _Question) -> Asked:
    answered = {
        use[2]: sum(each.own.broken is None and each.description is not None for each in compiled)
        for use, compiled in walked.compiled.items()
    }
    failed = [each.migration for each in walked.failures]
    return Asked(
        breaks=tuple(breaks_of(walked, release.new)),
        already_failing=tuple(already_failing_of(walked)),
        unchecked=tuple(unchecked_of(walked)),
        answered=answered,
        failures=tuple(failure(each.migration, each.error) for each in walked.failures),
        unseen=tuple(each.name for each in release.new if each in failed or not release.apply.runs(each)),
    )
