"""The matrix and the statements as real tables, which a screen reader can walk by row and column. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from coordinator.evidence import Finding, Phased, StatementEvidence, Verdict
from coordinator.prove import Proof
from coordinator.report.locks import who_waits
from coordinator.report.matrix import Matrix, Row, mark, title
from coordinator.report.page.markup import Child, Html, details, element, joined
from coordinator.report.wrapping import shortened
from coordinator.wording import counted

_CLASSES: Final = {Verdict.PROVEN: "works", Verdict.BROKEN: "breaks", Verdict.UNPROVEN: "unproven"}
_MANY_ROWS: Final = 40
"""A longer table is folded: what it says is also said in sentences below it."""
_NAMES: Final = 250
_SQL: Final = 400


def matrix_table(matrix: Matrix, proof: Proof, broken: frozenset[object]) -> Html:
    """Return states by versions; a cell that breaks leads to the evidence of the versions in `broken`."""
    head = ("state", "reached by", "phase", *(title(use, proof) for use in matrix.columns))
    caption = f"Which version works at which state of {matrix.database}"
    table = _table(caption, head, (_matrix_row(matrix, row, broken) for row in matrix.rows))
    if len(matrix.rows) <= _MANY_ROWS:
        return table
    return details(f"The matrix: {counted(len(matrix.rows), 'row')}", table)


def _matrix_row(matrix: Matrix, row: Row, broken: frozenset[object]) -> Iterator[Html]:
    yield element("th", row.label, scope="row")
    reached, phase = matrix.reached_by(row)
    yield element("td", _reached(matrix.phased[max(row.first - 1, 0) : row.last], reached))
    yield element("td", phase)
    for use, finding in zip(matrix.columns, row.findings, strict=True):
        where = f"#{anchor(use)}" if use in broken and finding.verdict is Verdict.BROKEN else None
        yield _cell(finding, where)


def _reached(phased: Sequence[Phased], reached: str) -> Child:
    if len(phased) < 2:  # noqa: PLR2004 - one migration, or none
        return reached
    names = [each.migration.name for each in phased[:_NAMES]]
    rest = [f"… and {len(phased) - _NAMES} more"] if len(phased) > _NAMES else []
    lines = joined(*(element("div", name) for name in (*names, *rest)))
    return details(f"{counted(len(phased), 'migration')}: {reached}", lines)


def _cell(finding: Finding, where: str | None) -> Html:
    shown: Child = mark(finding)
    if where is not None:
        shown = element("a", shown, href=where)
    return element("td", shown, class_=f"mark {_CLASSES[finding.verdict]}", title=finding.reason)


def anchor(use: Sequence[str]) -> str:
    """Return the id of a version's evidence; names are quoted so that each id is one word."""
    return "breaks-" + "-".join("".join(_word(letter) for letter in part) for part in use)


def _word(letter: str) -> str:
    return letter if letter.isascii() and letter.isalnum() else f"_{ord(letter):x}_"


def statement_table(statements: Iterable[StatementEvidence]) -> Html:
    """Return what each statement did to the scratch database."""
    head = ("statement", "place", "locks", "does", "took")
    return _table("Each statement on the scratch database", head, map(_statement_row, statements))


def _statement_row(seen: StatementEvidence) -> Iterator[Html]:
    yield element("th", element("code", shortened(seen.statement.text, _SQL)), scope="row", class_="sql")
    yield element("td", str(seen.place))
    yield element("td", *(element("div", line) for line in _locks(seen)))
    yield element("td", *(element("div", line) for line in _deeds(seen)))
    yield element("td", f"{seen.seconds * 1000:.1f} ms")


def _locks(seen: StatementEvidence) -> Iterator[str]:
    for lock in seen.locks:
        kept = who_waits(lock.mode)
        waits = ": its own table" if lock.is_new else f": {kept} wait" if kept else ""
        yield f"{lock.mode} on {lock.relation}{waits}"


def _deeds(seen: StatementEvidence) -> Iterator[str]:
    yield from (f"rewrites {each}" for each in seen.rewritten)
    yield from (f"reads all of {each}" for each in seen.scanned)
    yield from (f"changes rows of {each}" for each in seen.written)


def _table(caption: str, head: Iterable[str], rows: Iterable[Iterable[Html]]) -> Html:
    """Return a table that scrolls by itself, with the keyboard too, where the window is too narrow."""
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *(element("th", each, scope="col") for each in head))),
        element("tbody", *(element("tr", *row) for row in rows)),
    )
    return scrolling(caption, table)


def scrolling(label: str, content: Html) -> Html:
    """Return what may be wider than the window and must not widen the page."""
    return element("div", content, class_="scroll", role="region", aria_label=label, tabindex="0")
