"""What the past releases were, as JSON for programs and as text for people; backtest_page.py has the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from coordinator.backtest.checkout import listed
from coordinator.backtest.verdict import Backtest, Release, Rollout
from coordinator.evidence import Break
from coordinator.model import Layer, Role
from coordinator.report.failures import Failure, failures
from coordinator.report.matrix import states
from coordinator.wording import counted

SIDES: Mapping[Role, str] = {Role.LIVE: "from", Role.NEXT: "to"}
_UNASKED = "nothing could be asked of one of the versions"
_SHOWN = 8
"""More breaks of one version in one release say nothing that the first ones did not say."""
WORDS: Mapping[Rollout, str] = {
    Rollout.ANY_ORDER: "any order",
    Rollout.ORDERED: "ordered",
    Rollout.IMPOSSIBLE: "impossible",
    Rollout.UNPROVEN: "unproven",
}


def as_json(backtest: Backtest, *, seconds: float) -> dict[str, object]:
    """Return the fields of `coordinator/backtest/1`."""
    releases = backtest.releases
    return {
        "engine": backtest.engine,
        "seconds": round(seconds, 1),
        "releases": [_release(each) for each in releases],
        "summary": summary_of(releases),
        "notes": list(backtest.notes),
    }


def summary_of(releases: Iterable[Release]) -> dict[str, int]:
    """Count releases by what would have happened to them."""
    listed = list(releases)
    return {
        "releases": len(listed),
        "migrate_first_breaks": sum(each.migrate_first_breaks for each in listed),
        "deploy_first_breaks": sum(each.deploy_first_breaks for each in listed),
        "impossible": sum(each.rollout is Rollout.IMPOSSIBLE for each in listed),
    }


def tell(backtest: Backtest, *, seconds: float) -> Iterator[str]:
    """Yield the lines for a person: each release, then the sums."""
    yield what_it_rests_on(backtest, seconds=seconds)
    for release in backtest.releases:
        yield ""
        yield from _story(release)
    if backtest.notes:
        yield ""
        yield from (f"note: {each}" for each in backtest.notes)
    yield ""
    yield from closing_lines(backtest.releases)


def what_it_rests_on(backtest: Backtest, *, seconds: float) -> str:
    """Return which engine was asked what, in a line."""
    asked = ", ".join(backtest.layers)
    more = "" if len(backtest.layers) == len(Layer) else " (more with --layers)"
    said = f"; asked: {asked}{more}" if asked else ""
    return f"Rehearsed on {backtest.engine} in {seconds:.1f} s{said}"


def closing_lines(releases: tuple[Release, ...]) -> Iterator[str]:
    """Yield what all releases came to."""
    verdicts = Counter(each.rollout for each in releases)
    told = ", ".join(f"{verdicts[each]} {WORDS[each]}" for each in Rollout if verdicts[each])
    sums = summary_of(releases)
    yield f"{counted(len(releases), 'release')} with new migrations{': ' if told else ''}{told}"
    yield f"  migrate first: the old version breaks in {sums['migrate_first_breaks']}"
    yield f"  deploy first:  the new version breaks in {sums['deploy_first_breaks']}"
    yield f"  in any order:  some version breaks in {sums['impossible']}"


def headline(release: Release) -> str:
    """Say in one line where traffic may switch, and how far there is a way back."""
    if release.rollout is Rollout.UNPROVEN:
        unseen = listed(release.unseen, "migration")
        why = f"the effect of {unseen} was not seen" if unseen else _UNASKED
        return f"unproven: {why}"
    last = len(release.migrations)
    window, back = release.switch_window, release.point_of_no_return
    where = f"at {states(window[0], window[-1])} of {states(0, last)}" if window else "nowhere"
    until = "there is always a way back" if back is None else f"no way back from {states(back, back)} on"
    return f"{WORDS[release.rollout]}: traffic may switch {where}; {until}"


def failures_of(release: Release, role: Role) -> tuple[Failure, ...]:
    """Return a version's breaks, those of neighbouring states together."""
    return failures(each for each in release.breaks if each.use[2] is role)


def _release(release: Release) -> dict[str, object]:
    return {
        "from": release.before,
        "to": release.after,
        "migrations": list(release.migrations),
        "queries": {"from": release.queries[0], "to": release.queries[1]},
        "verdict": release.rollout.value,
        "switch_window": list(release.switch_window),
        "point_of_no_return": release.point_of_no_return,
        "breaks": [_break(each) for each in release.breaks],
        "already_failing": list(release.already_failing),
        "notes": list(release.notes),
    }


def _break(each: Break) -> dict[str, object]:
    return {
        "version": SIDES[each.use[2]],
        "state": each.state,
        "migration": each.migration,
        "query": each.query,
        "layer": each.layer.value,
        "code": each.objection.code,
        "message": each.objection.message,
    }


def _story(release: Release) -> Iterator[str]:
    old, new = release.queries
    yield f"{release.before} → {release.after}  {headline(release)}"
    numbered = (f"{state} {name}" for state, name in enumerate(release.migrations, 1))
    yield f"  migrations  {', '.join(numbered)}"
    yield f"  queries     {old} → {new}"
    for role, tag in ((Role.LIVE, release.before), (Role.NEXT, release.after)):
        failures = failures_of(release, role)
        for failure in failures[:_SHOWN]:
            yield f"  ✘ {tag} at {failure.label}: {failure_text(failure)}"
        if len(failures) > _SHOWN:
            yield f"  ✘ {tag}: {len(failures) - _SHOWN} more"
    if release.already_failing:
        yield f"  already failing, blamed on nobody: {', '.join(release.already_failing)}"
    yield from (f"  note: {each}" for each in release.notes)


def failure_text(failure: Failure) -> str:
    """Say which query broke, at which layer, and what the engine said."""
    each = failure.broken
    blamed = f" ({each.migration})" if each.migration else ""
    return f"{each.query} {each.layer} {each.objection.code}: {each.objection.message}{blamed}"
