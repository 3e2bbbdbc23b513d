"""The release as one page: the matrix, the evidence to unfold, and the graph. Pure.

It loads nothing and runs nothing: it can be mailed, kept as a build's artefact and opened years later, and
a query's text or an engine's message in it can do nothing either. The policy in its head says so to the
browser.
No time stands in it: the same release gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.diagnostics import Diagnostic
from coordinator.evidence import Verdict
from coordinator.prove import Proof
from coordinator.report.drawing import as_chains
from coordinator.report.matrix import matrices
from coordinator.report.page.found import MOST, database_section
from coordinator.report.page.graph import as_svg
from coordinator.report.page.markup import Html, details, element, joined, sentence
from coordinator.report.page.style import STYLE
from coordinator.report.page.tables import scrolling
from coordinator.report.story import migrated, movement, verdict, way_back
from coordinator.wording import NOTHING_TO_DO, counted

_SIGNS: Final = {Verdict.PROVEN: "✔", Verdict.BROKEN: "✘", Verdict.UNPROVEN: "?"}
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def as_html(proof: Proof) -> str:
    """Return the whole document."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"Release {proof.plan.release}: {proof.verdict}"),
        element("style", Html(STYLE)),
    )
    page = element("html", head, element("body", element("main", *_sections(proof))), lang="en")
    return f"<!doctype html>\n{page.text}\n"


def _sections(proof: Proof) -> Iterator[Html]:
    yield element("h1", f"Release {proof.plan.release}")
    if proof.graph:
        sign = _SIGNS[proof.verdict]
        yield element("p", sentence(f"{sign} Verdict: {verdict(proof)}"), class_=f"verdict {proof.verdict}")
    else:
        yield element("p", NOTHING_TO_DO)
    yield element(
        "dl", *(joined(element("dt", name), element("dd", text)) for name, text in _subjects(proof))
    )
    yield from _problems(proof.diagnostics)
    for matrix in matrices(proof):
        yield from database_section(matrix, proof)
    if proof.graph:
        yield from _order(proof)


def _subjects(proof: Proof) -> Iterator[tuple[str, str]]:
    """Yield each service and database with what is the case with it."""
    plan, survey = proof.plan, proof.survey
    for name, service in survey.services.items():
        yield f"service {name}", movement(plan, name, service)
    for database, seen in survey.databases.items():
        yield f"database {database}", migrated(plan, database, seen)


def _problems(diagnostics: tuple[Diagnostic, ...]) -> Iterator[Html]:
    if not diagnostics:
        return
    yield element("h2", "What stands in the way")
    items = [
        element(
            "li",
            element("code", f"{each.place} {each.severity}[{each.code}]"),
            element("p", sentence(f"{each.what} {each.why}")),
            element("p", sentence(each.next_step)),
        )
        for each in diagnostics[:MOST]
    ]
    yield element("ul", *items)
    if len(diagnostics) > MOST:
        yield element("p", f"… and {len(diagnostics) - MOST} more.", class_="quiet")


def _order(proof: Proof) -> Iterator[Html]:
    is_refused = proof.verdict is Verdict.BROKEN
    yield element("h2", "Steps, of which none will be done" if is_refused else "Steps")
    if not is_refused:
        yield element("p", sentence(way_back(proof.graph, proof.survey)))
    yield scrolling("The graph of the steps", as_svg(proof.graph))
    yield details(
        f"{counted(len(proof.graph), 'step')}, one a line", element("pre", "\n".join(as_chains(proof.graph)))
    )
