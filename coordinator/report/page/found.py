"""What a rehearsal found, to unfold: breaks, what was not asked, hazards, statements, what it rests on. Pure.

Each list ends somewhere: a page that no browser can open tells nothing. What is left out is counted, and is
in the JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from coordinator.evidence import Hazard, Rehearsal, Unchecked
from coordinator.prove import Proof
from coordinator.report.failures import Failure, failures, meets, of_use
from coordinator.report.matrix import Matrix, states, title, without_users
from coordinator.report.page.markup import Html, details, element, joined, sentence
from coordinator.report.page.tables import anchor, matrix_table, statement_table
from coordinator.report.rehearsed import blamed_for, grouped_unchecked, how, offers, unproven
from coordinator.report.windows import sentences
from coordinator.report.wrapping import shortened
from coordinator.wording import counted

MOST: Final = 100
"""Entries of one list."""
_LETTERS: Final = 1000
_FEW: Final = 3


def database_section(matrix: Matrix, proof: Proof) -> Iterator[Html]:
    """Yield a database's part of the page."""
    rehearsal = proof.evidence.rehearsals.get(matrix.database)
    found = failures(rehearsal.breaks) if rehearsal else ()
    yield element("h2", f"Database {matrix.database}")
    yield matrix_table(matrix, proof, frozenset(each.broken.use for each in found))
    if not matrix.columns:
        yield element("p", without_users(matrix.database, proof))
    if rehearsal is None:
        yield element("p", "No query was checked against it.", class_="quiet")
    yield from (element("p", sentence(each)) for each in sentences(matrix.database, proof))
    yield from _listed("? Why not everything is proven", list(_unproven(matrix, proof)))
    if rehearsal is not None:
        yield from _answers(found, matrix, rehearsal, proof=proof)


def _unproven(matrix: Matrix, proof: Proof) -> Iterator[Html]:
    for use, span in unproven(matrix, proof):
        yield element(
            "li",
            element("strong", states(span.first, span.last)),
            sentence(f" {title(use, proof)}: {shortened(span.finding.reason, _LETTERS)}"),
        )


def _answers(
    found: Sequence[Failure], matrix: Matrix, rehearsal: Rehearsal, *, proof: Proof
) -> Iterator[Html]:
    """Yield what the engine answered; `found` are the breaks."""
    for use in matrix.columns:
        yield from _breaks(of_use(found, use), matrix, rehearsal, proof=proof)
    asked_not = counted(len(rehearsal.unchecked), "question")
    yield from _listed(f"? {asked_not} could not be put", _unchecked(rehearsal.unchecked, proof))
    failing = failures(rehearsal.already_failing)
    yield from _listed(
        f"{counted(len(failing), 'query')} failing where it belongs: live's now, next's with all migrations",
        [
            element("li", f"{title(each.broken.use, proof)}: ", _failure(each, matrix, rehearsal))
            for each in failing
        ],
    )
    yield from _hazards(rehearsal.hazards)
    if rehearsal.statements:
        rest = len(rehearsal.statements) - MOST
        yield details(
            f"{counted(len(rehearsal.statements), 'statement')}: locks, and what each did",
            statement_table(rehearsal.statements[:MOST]),
            *([_more(rest)] if rest > 0 else []),
        )
    yield from _listed(
        f"{counted(len(rehearsal.drift), 'difference')} between the files and the live schema",
        [element("li", sentence(each)) for each in rehearsal.drift],
    )
    yield from _how(matrix, rehearsal, proof)


def _breaks(
    found: Sequence[Failure], matrix: Matrix, rehearsal: Rehearsal, *, proof: Proof
) -> Iterator[Html]:
    """Yield the failures of one version."""
    if not found:
        return
    use = found[0].broken.use
    met = [each for each in found if meets(each, proof)]
    harm = "" if met else " at states that the order keeps it away from"
    refused = counted(len({(each.broken.query, each.broken.place) for each in found}), "query")
    summary = f"{'✘' if met else '·'} {title(use, proof)}: {refused} refused{harm}"
    shown = sorted(found, key=lambda each: not meets(each, proof))[:MOST]
    items = [
        element("li", element("strong", each.label), " ", _failure(each, matrix, rehearsal)) for each in shown
    ]
    rest = [_more(len(found) - MOST)] if len(found) > MOST else []
    yield details(summary, element("ul", *items, *rest, id=anchor(use)), is_open=bool(met))


def _failure(failure: Failure, matrix: Matrix, rehearsal: Rehearsal) -> Html:
    one, blame = failure.broken, blamed_for(failure, matrix, rehearsal)
    return joined(
        element("code", one.query),
        element("span", f" {one.place}", class_="quiet"),
        f": {one.layer}{blame and f', {blame}'}",
        element("pre", f"{one.objection.code}  {shortened(one.objection.message, _LETTERS)}"),
    )


def _unchecked(unchecked: Sequence[Unchecked], proof: Proof) -> list[Html]:
    return [
        element(
            "li",
            sentence(f"{title(same[0].use, proof)}, {same[0].layer}: {same[0].reason}: "),
            element("code", shortened(", ".join(dict.fromkeys(each.query for each in same)), _LETTERS)),
        )
        for same in grouped_unchecked(unchecked)
    ]


def _listed(summary: str, items: Sequence[Html]) -> Iterator[Html]:
    if items:
        rest = [_more(len(items) - MOST)] if len(items) > MOST else []
        yield details(summary, element("ul", *items[:MOST], *rest))


def _more(number: int) -> Html:
    return element("p", f"… and {number} more: coordinator plan --output json", class_="quiet")


def _hazards(hazards: Sequence[Hazard]) -> Iterator[Html]:
    for hazard in hazards[:MOST]:
        safe = [one for word, sql in offers(hazard) for one in (element("p", word), element("pre", sql))]
        yield details(
            sentence(f"‼ {hazard.place} {hazard.what}"),
            element("p", sentence(f"{hazard.why} "), element("code", f"coordinator explain {hazard.code}")),
            *safe,
            is_open=len(hazards) <= _FEW,
        )
    if len(hazards) > MOST:
        yield _more(len(hazards) - MOST)


def _how(matrix: Matrix, rehearsal: Rehearsal, proof: Proof) -> Iterator[Html]:
    """Yield what the answers rest on."""
    rows = [*how(matrix, rehearsal, proof), *(("note", note) for note in rehearsal.notes[:MOST])]
    yield element("h3", "What this rests on")
    yield element("dl", *(joined(element("dt", name), element("dd", sentence(text))) for name, text in rows))
