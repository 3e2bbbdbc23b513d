"""The backtest as one self-contained page: no network, no script; what is long folds away."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from coordinator.backtest.verdict import Backtest, Release
from coordinator.model import Role
from coordinator.report.backtest import (
    closing_lines,
    failure_text,
    failures_of,
    headline,
    what_it_rests_on,
)
from coordinator.wording import counted

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { border: 1px solid #8886; padding: .2rem .6rem; text-align: center; font-weight: normal; }
th[scope=row], td.text { text-align: left; }
td.unbroken { background: #2a83; } td.breaks { background: #c336; } td.unproven { background: #8883; }
summary { cursor: pointer; } summary b { font-variant-numeric: tabular-nums; }
details { margin: .4rem 0; } details > :not(summary) { margin-left: 1.2rem; }
.any_order summary::before { content: "✔ "; } .ordered summary::before { content: "▸ "; }
.impossible summary::before { content: "✘ "; } .unproven summary::before { content: "? "; }
details summary::marker { content: ""; }
"""


def as_html(backtest: Backtest, *, seconds: float) -> str:
    """Return the whole page."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Backtest</title><style>{_STYLE}</style></head><body>",
            "<h1>Backtest</h1>",
            f"<p>{escape(what_it_rests_on(backtest, seconds=seconds))}.</p>",
            f"<pre>{escape(chr(10).join(closing_lines(backtest.releases)))}</pre>",
            *(f"<p>{escape(each)}</p>" for each in backtest.notes),
            *(line for release in backtest.releases for line in _release(release)),
            "</body></html>",
        ]
    )


def _release(release: Release) -> Iterator[str]:
    title = f"<b>{escape(release.before)} → {escape(release.after)}</b> {escape(headline(release))}"
    yield f'<details class="{release.rollout}"><summary>{title}</summary>'
    yield "<table><tr><th>state</th><th>after</th>"
    yield f"<th>{escape(release.before)}</th><th>{escape(release.after)}</th></tr>"
    for state, name in enumerate(("", *release.migrations)):
        cells = "".join(_cell(release, role, state) for role in (Role.LIVE, Role.NEXT))
        yield f'<tr><th scope="row">{state}</th><td class="text">{escape(name)}</td>{cells}</tr>'
    yield "</table>"
    for role, tag, queries in zip(
        (Role.LIVE, Role.NEXT), (release.before, release.after), release.queries, strict=True
    ):
        yield f"<p>{escape(tag)} has {counted(queries, 'query')}.</p>"
        yield from _failures(release, role)
    if release.already_failing:
        yield f"<p>Already failing, blamed on nobody: {escape(', '.join(release.already_failing))}.</p>"
    yield from (f"<p>{escape(each)}</p>" for each in release.notes)
    yield "</details>"


def _cell(release: Release, role: Role, state: int) -> str:
    broken = sum(1 for each in release.breaks if each.use[2] is role and each.state == state)
    if broken:
        return f'<td class="breaks">breaks: {broken}</td>'
    if role in release.unasked or not set(release.unseen).isdisjoint(release.migrations[:state]):
        return '<td class="unproven">unproven</td>'
    return '<td class="unbroken">no break</td>'  # not `works`: some queries may not have been asked


def _failures(release: Release, role: Role) -> Iterator[str]:
    failures = failures_of(release, role)
    if failures:
        yield "<ul>"
        for each in failures:
            yield f"<li>{each.label}: {escape(failure_text(each))}</li>"
        yield "</ul>"
