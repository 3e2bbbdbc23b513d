"""What the rehearsal of a database found, as lines for a person who must say yes. Pure.

Few lines where all is well: how the answers were got, where traffic may switch, what makes the live service
wait. Where something breaks, the query, the engine's own words and both places in the files. The rest is one
line that says how much more there is and where.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from coordinator.evidence import Hazard, Rehearsal, Span, Unchecked, Use, Verdict
from coordinator.model import Role
from coordinator.prove import Proof
from coordinator.report.failures import Failure, failures, meets, of_use, place_of_blame
from coordinator.report.locks import waiting
from coordinator.report.matrix import Matrix, states, title
from coordinator.report.wrapping import shortened, wrapped
from coordinator.wording import counted

_HANDFUL: Final = 5
_MOST_SQL: Final = 12
"""Lines of safe rewrites that a story shows; more are read on a page."""
_MESSAGE: Final = 300
_NAMES: Final = 3


def how(matrix: Matrix, rehearsal: Rehearsal, proof: Proof) -> Iterator[tuple[str, str]]:
    """Yield what was asked, as names and values: engine, base, whose queries, with which layers."""
    yield "engine", rehearsal.engine
    yield "base", rehearsal.base
    for use in matrix.columns:
        source, number = rehearsal.catalogues.get(use, ("", None))
        unasked = "not known, so it was not asked about" if rehearsal.failed is None else "not asked about"
        known = unasked if number is None else f"{number} of {source}"
        yield "queries", f"{title(use, proof)}: {known}"
    if rehearsal.catalogues:
        yield "layers", ", ".join(rehearsal.layers) or "none"


def what(matrix: Matrix, rehearsal: Rehearsal, proof: Proof, *, width: int) -> Iterator[str]:
    """Yield what breaks, what is not known, what waits for locks, and what limits the evidence."""
    yield from _broken(matrix, rehearsal, proof, width=width)
    yield from _unknown(matrix, rehearsal, proof, width=width)
    yield from _stalls(rehearsal, width=width)
    for label, lines in (("drift", rehearsal.drift), ("note", rehearsal.notes)):
        for line in lines[:_HANDFUL]:
            yield from wrapped(f"{label}: {line}", width, first="  · ", then="    ")
        yield from _more(len(lines) - _HANDFUL)


def _more(number: int) -> Iterator[str]:
    if number > 0:
        yield f"    … and {number} more: --output json, --html FILE"


def _broken(matrix: Matrix, rehearsal: Rehearsal, proof: Proof, *, width: int) -> Iterator[str]:
    """Yield a version's breaks: some of those that refuse the release, or one that the order avoids."""
    found = failures(rehearsal.breaks)
    for use in matrix.columns:
        its = sorted(of_use(found, use), key=lambda each: not meets(each, proof))
        shown = max(1, min(_NAMES, sum(meets(each, proof) for each in its)))
        for failure in its[:shown]:
            sign = "✘" if meets(failure, proof) else "·"
            blamed = blamed_for(failure, matrix, rehearsal)
            text = f"{failure.label}  {_whose(failure, proof)} {_told(failure)}{blamed and f'; {blamed}'}"
            yield from wrapped(text, width, first=f"  {sign} ", then="      ")
        yield from _more(len(its) - shown)


def _whose(failure: Failure, proof: Proof) -> str:
    """Return the version that a query is of, and why it does no harm where the order keeps it away."""
    whose = title(failure.broken.use, proof)
    if meets(failure, proof):
        return f"{whose}:"
    return f"when {whose} is gone:" if failure.broken.use[2] is Role.LIVE else f"before {whose} starts:"


def _told(failure: Failure) -> str:
    """Return the query with its place, and the engine's answer."""
    one = failure.broken
    answer = shortened(one.objection.message, _MESSAGE)
    return f"{one.query} ({one.place}), {one.layer} {one.objection.code}: {answer}"


def blamed_for(failure: Failure, matrix: Matrix, rehearsal: Rehearsal) -> str:
    """Return which migration broke a query of live, or mends one of next, and where it stands."""
    one = failure.broken
    place = place_of_blame(one, matrix.phased, rehearsal.statements)
    if place is None:
        return ""
    return f"{'since' if one.use[2] is Role.LIVE else 'until'} {one.migration} ({place})"


def _unknown(matrix: Matrix, rehearsal: Rehearsal, proof: Proof, *, width: int) -> Iterator[str]:
    """Yield what is not proven, and where a version is unproven for another reason."""
    grouped = grouped_unchecked(rehearsal.unchecked)
    for same in grouped[:_HANDFUL]:
        one = same[0]
        queries = _named([each.query for each in same])
        text = f"{title(one.use, proof)}, {one.layer}: {queries}{_at_states(same)}: {one.reason}"
        yield from wrapped(text, width, first="  ? ", then="      ")
    yield from _more(len(grouped) - _HANDFUL)
    failing = failures(rehearsal.already_failing)
    for failure in failing[:_HANDFUL]:
        is_live = failure.broken.use[2] is Role.LIVE
        how = "already failing and no migration's fault" if is_live else "fails with all migrations applied"
        text = f"{title(failure.broken.use, proof)}, {how}: {_told(failure)}"
        yield from wrapped(text, width, first="  ? ", then="      ")
    yield from _more(len(failing) - _HANDFUL)
    for use, span in unproven(matrix, proof):
        if not _is_told(use, span.finding.reason, rehearsal):
            text = f"{states(span.first, span.last)}  {title(use, proof)}: {span.finding.reason}"
            yield from wrapped(text, width, first="  ? ", then="      ")


def unproven(matrix: Matrix, proof: Proof) -> Iterator[tuple[Use, Span]]:
    """Yield each stretch of states that a version may meet, and nobody knows whether it works there."""
    for use in matrix.columns:
        for span in proof.met.get(use, ()):
            if span.finding.verdict is Verdict.UNPROVEN:
                yield use, span


def _is_told(use: Use, reason: str, rehearsal: Rehearsal) -> bool:
    """Tell whether a finding's reason only repeats what another line says."""
    lines = [each.reason for each in rehearsal.unchecked if each.use == use]
    lines += [each.objection.message for each in rehearsal.already_failing if each.use == use]
    return any(line and line in reason for line in lines)


def _at_states(unchecked: Sequence[Unchecked]) -> str:
    """Return between which states a question could not be put; nothing where it could at none."""
    found = [each.state for each in unchecked if each.state is not None]
    return f" at {states(min(found), max(found))}" if found else ""


def grouped_unchecked(unchecked: Sequence[Unchecked]) -> list[list[Unchecked]]:
    """Return the questions that were not put, together where version, layer and reason are the same."""

    def alike(each: Unchecked) -> tuple[str, ...]:
        return (*each.use, each.layer, each.reason)

    return [list(same) for _, same in groupby(sorted(unchecked, key=alike), key=alike)]


def _named(queries: Sequence[str]) -> str:
    names = list(dict.fromkeys(queries))
    return f"{counted(len(names), 'query')} not proven ({_first_few(names)})"


def _first_few(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return f"{', '.join(names[:_NAMES])}{rest}"


def offers(hazard: Hazard) -> tuple[tuple[str, str], ...]:
    """Return the SQL that goes with a hazard, each text behind a word of what it is."""
    return tuple(each for each in (("These:", hazard.rows), ("Instead:", hazard.rewrite)) if each[1])


def _stalls(rehearsal: Rehearsal, *, width: int) -> Iterator[str]:
    """Yield the hazards, with the safe way if that is short, and what else waits for a moment."""
    shown = rehearsal.hazards[:_HANDFUL]
    lines = sum(len(sql.splitlines()) for each in shown for _, sql in offers(each))
    is_short = lines <= _MOST_SQL
    for hazard in shown:
        text = f"{hazard.place} [{hazard.code}]: {hazard.what} {hazard.why}"
        yield from wrapped(text, width, first="  ‼ ", then="      ")
        for word, sql in offers(hazard) if is_short else ():
            yield f"      {word}"
            yield from (f"        {line}".rstrip() for line in sql.splitlines())
    if shown and not is_short:
        yield "      How to do it without: --output json, --html FILE"
    yield from _more(len(rehearsal.hazards) - len(shown))
    told = {(hazard.migration, hazard.place) for hazard in rehearsal.hazards}
    rest = [each for each in rehearsal.statements if (each.migration, each.place) not in told]
    groups = list(waiting(rest).items())
    for (kept, relation), statements in groups[:_HANDFUL]:
        places = list(dict.fromkeys(str(each.place) for each in statements))
        text = f"{kept} of {relation} wait for {_first_few(places)}"
        yield from wrapped(text, width, first="  · ", then="      ")
    yield from _more(len(groups) - _HANDFUL)
