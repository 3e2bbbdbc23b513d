"""From the engine's answers to the matrix: which version works at which state, and who is to blame. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from coordinator.evidence import Basis, Break, Finding, LostIndex, Objection, Span, Unchecked, Use, Verdict
from coordinator.model import Layer, Migration, Role
from coordinator.rehearse.subject import Answer, Compiled
from coordinator.rehearse.walk import Failure, Walked


def breaks_of(walked: Walked, pending: Sequence[Migration]) -> Iterator[Break]:
    """Yield each query that breaks at a state, with the migration to blame, by state for each version."""
    for use, compiled, answers in _subjects(walked):
        for state, at_state in enumerate(answers):
            for place, (query, answer) in enumerate(zip(compiled, at_state, strict=True)):
                if answer.broken is None or query.own.broken is not None:
                    continue
                layer, objection = answer.broken
                column = [each[place].broken is not None for each in answers]
                yield Break(
                    use,
                    state,
                    query.query.name,
                    query.query.place,
                    layer,
                    objection,
                    _blamed(column, state, pending, role=use[2]),
                )


def _blamed(is_bad: Sequence[bool], state: int, pending: Sequence[Migration], *, role: Role) -> str | None:
    """Return the migration that led into the stretch of bad states around `state`, or out of it."""
    if role is Role.LIVE:
        while state and is_bad[state - 1]:
            state -= 1
        return pending[state - 1].name if state else None
    while state + 1 < len(is_bad) and is_bad[state + 1]:
        state += 1
    return pending[state].name if state < len(pending) else None


def lost_indexes_of(walked: Walked, pending: Sequence[Migration]) -> Iterator[LostIndex]:
    """Yield each table of which a query has lost its index at a state, and who took it or will give it."""
    of_next = {
        query.query.text
        for use, compiled, _ in _subjects(walked)
        for query in compiled
        if use[2] is Role.NEXT
    }
    for use, compiled, answers in _subjects(walked):
        for state, at_state in enumerate(answers):
            for place, (query, answer) in enumerate(zip(compiled, at_state, strict=True)):
                for table in sorted(answer.lost):
                    column = [table in each[place].lost for each in answers]
                    migration = _blamed(column, state, pending, role=use[2])
                    is_for_good = use[2] is Role.LIVE and column[-1] and query.query.text in of_next
                    if migration is not None:
                        yield LostIndex(use, state, query.query.name, table, migration, is_for_good)


def already_failing_of(walked: Walked) -> Iterator[Break]:
    """Yield each query that fails where it belongs, once."""
    for use, compiled, answers in _subjects(walked):
        home = 0 if use[2] is Role.LIVE else len(answers) - 1
        for query in compiled:
            if query.own.broken is not None:
                layer, objection = query.own.broken
                yield Break(use, home, query.query.name, query.query.place, layer, objection, None)


def unchecked_of(walked: Walked) -> Iterator[Unchecked]:
    """Yield each question that got no answer: once for a query that nowhere can be asked, else by state."""
    for use, compiled, answers in _subjects(walked):
        for place, query in enumerate(compiled):
            for layer, reason in query.own.unchecked:
                yield Unchecked(use, query.query.name, layer, reason)
            for state, at_state in enumerate(answers):
                for layer, reason in at_state[place].unchecked[len(query.own.unchecked) :]:
                    yield Unchecked(use, query.query.name, layer, reason, state)


def spans_of(
    walked: Walked,
    use: Use,
    *,
    last: int,
    layers: Sequence[Layer],
    failure: Failure | None,
    failing_live: Collection[str],
    mended: Collection[str] = (),
    lacks: str | None = None,
    doubt: str | None = None,
) -> tuple[Span, ...]:
    """Return what is known about a version at the states 0 to `last`.

    `failure` is the migration that did not apply: from its state on nothing was asked. `failing_live` are
    texts that fail on the live schema itself, where no release can break them further; a query that fails
    where it belongs and is none of these may well work in the world, and nothing is known of it. `mended` are
    texts that fail for the live version and work for the next one. `lacks`
    says what was missing for all questions, so that no state is proven; `doubt` why no answer decides
    anything, so that none is broken either.
    """
    compiled, answers = walked.compiled.get(use, ()), walked.answers.get(use, ())
    texts = mended if use[2] is Role.LIVE else ()
    findings = [_finding(compiled, at_state, layers, failing_live, mended=texts) for at_state in answers]
    if lacks is not None:
        lacking = Finding(Verdict.UNPROVEN, Basis.REHEARSED, lacks)
        findings = [lacking if each.verdict is Verdict.PROVEN else each for each in findings]
    if doubt is not None:
        findings = [doubted(each, doubt) for each in findings]
    if failure is not None:
        reason = failure.told()
        findings += [Finding(Verdict.UNPROVEN, Basis.REHEARSED, reason)] * (last + 1 - len(findings))
    return spans_from(findings)


def doubted(finding: Finding, doubt: str) -> Finding:
    """Return what a finding is worth where nothing that the server answers decides anything."""
    answer = "" if finding.verdict is Verdict.PROVEN else f"; there, {finding.reason}"
    return Finding(Verdict.UNPROVEN, finding.basis, f"{doubt}{answer}")


def spans_from(findings: Sequence[Finding]) -> tuple[Span, ...]:
    """Return findings by state as spans of states with the same finding."""
    spans: list[Span] = []
    for finding, group in groupby(enumerate(findings), key=lambda each: each[1]):
        states = [state for state, _ in group]
        spans.append(Span(states[0], states[-1], finding))
    return tuple(spans)


_FAILING: Final = "fails already where it belongs, so nothing is known of it elsewhere"
_MENDED: Final = (
    "fails on the schema that serves and works for the next version: either this release mends it, or the"
    " catalogue is not that of what serves"
)


def _finding(
    compiled: Sequence[Compiled],
    answers: Sequence[Answer],
    layers: Sequence[Layer],
    failing_live: Collection[str],
    *,
    mended: Collection[str],
) -> Finding:
    pairs = [
        (query, answer)
        for query, answer in zip(compiled, answers, strict=True)
        if query.own.broken is None or query.text not in failing_live
    ]
    if not pairs:
        reason = "all its queries fail on the live schema" if compiled else "its query catalogue is empty"
        return Finding(Verdict.UNPROVEN, Basis.REHEARSED, reason)
    broken = [
        f"query `{query.query.name}` fails at the layer {answer.broken[0]}: {told(answer.broken[1])}"
        for query, answer in pairs
        if answer.broken and not query.own.broken
    ]
    if broken:
        return Finding(Verdict.BROKEN, Basis.REHEARSED, _with_more(broken, "breaks", "break"))
    unknown = [
        f"query `{query.query.name}` is not proven at the layer {layer}: {reason}"
        for query, answer in pairs
        for layer, reason in answer.unchecked[:1]
    ]
    unknown += [
        f"query `{query.query.name}` {_MENDED if query.text in mended else _FAILING}:"
        f" {told(query.own.broken[1])}"
        for query, _ in pairs
        if query.own.broken
    ]
    if unknown:
        return Finding(
            Verdict.UNPROVEN, Basis.REHEARSED, _with_more(unknown, "is not known", "are not known")
        )
    number = "its query works" if len(pairs) == 1 else f"all its {len(pairs)} queries work"
    return Finding(Verdict.PROVEN, Basis.REHEARSED, f"{number} at the layers {', '.join(layers)}")


def told(objection: Objection) -> str:
    """Return the engine's own words and its code."""
    return f"{objection.message} ({objection.code})"


def _with_more(reasons: Sequence[str], one: str, several: str) -> str:
    more = len(reasons) - 1
    tail = f"; {more} more {one if more == 1 else several}" if more else ""
    return reasons[0] + tail


def _subjects(
    walked: Walked,
) -> Iterator[tuple[Use, Sequence[Compiled], Sequence[Sequence[Answer]]]]:
    for subject in walked.subjects:
        yield subject.use, walked.compiled[subject.use], walked.answers[subject.use]


@dataclass(frozen=True, slots=True)
class FailingLive:
    """Texts of live versions that fail on the schema that serves."""

    known: frozenset[str] = frozenset()
    """Those that no release can break further."""
    mended: frozenset[str] = frozenset()
    """Those that work for the next version, where nobody is sure that they are the live version's."""


def failing_live_of(walked: Walked) -> FailingLive:
    """Return the texts that fail on the live schema, by what the next version says of them.

    A text of the live version that fails where it serves and works where the next version belongs is one of
    the next version's, as far as anybody can tell: what the live version asks in its place is not known. Only
    where the catalogue is surely of what serves is it a query that is broken today, which the release mends.
    Even then the schema itself has to refuse it (PREPARE): rows decide the rest, and those here are samples.
    """
    asked = [(subject, query) for subject in walked.subjects for query in walked.compiled[subject.use]]
    works_next = {
        query.query.text for subject, query in asked if subject.role is Role.NEXT and not query.own.broken
    }
    failing: set[str] = set()
    mended: set[str] = set()
    for subject, query in asked:
        if subject.role is Role.LIVE and query.own.broken:
            is_sure = subject.catalogue.is_what_serves and query.own.broken[0] is Layer.PREPARE
            is_known = is_sure or query.query.text not in works_next
            (failing if is_known else mended).add(query.text)
    return FailingLive(frozenset(failing - mended), frozenset(mended))


def notes_on_mended(walked: Walked) -> Iterator[str]:
    """Yield why a live version is unproven whose queries fail where it serves and work for the next one."""
    mended = failing_live_of(walked).mended
    for (_, name, role), compiled, _ in _subjects(walked):
        names = [each.query.name for each in compiled if each.own.broken and each.text in mended]
        if role is Role.LIVE and names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield (
                f"`{names[0]}`{more} of `{name}` as it serves now {_MENDED}"
                " (`coordinator explain query-already-fails`)"
            )


def counts_of(walked: Walked) -> Mapping[Use, tuple[str, int]]:
    """Return source and number of queries of each version that was asked about."""
    return {
        subject.use: (subject.catalogue.source, len(subject.catalogue.queries)) for subject in walked.subjects
    }
