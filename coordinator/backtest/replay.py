"""The walk over the releases: for each pair of neighbours a base, the old and the new queries, a verdict.

Each release gets its base from the old tag's own files. What the engine answered at a release's last state
is remembered, because that is the next one's first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from coordinator.backtest.asking import Asked, ask_release
from coordinator.backtest.bases import Bases
from coordinator.backtest.checkout import Checkout, Contents, listed, new_migrations, pair_notes
from coordinator.backtest.tags import Tag
from coordinator.backtest.verdict import Release, Rollout, point_of_no_return, rollout_of, switch_window
from coordinator.errors import DatabaseError
from coordinator.model import Layer, Migration, Role
from coordinator.queries import Catalogue
from coordinator.rehearse.walk import Memory

_SHRUNK = 2
"""Of neighbouring versions, one hardly ever has so many times the queries of the other."""


class History(Protocol):
    """A repository's past, as the composition reads it."""

    def checkout(self, tag: Tag) -> Checkout:
        """Return the migrations that a tag holds."""
        ...

    def catalogue(self, tag: Tag, role: Role) -> Catalogue:
        """Return the queries that a tag holds, as those of the old or of the new version."""
        ...


@dataclass(frozen=True, slots=True)
class Pair:
    """Neighbouring tags, the older one first, and the migrations that the later one brings."""

    tags: tuple[Tag, Tag]
    before: Checkout
    after: Checkout
    new: tuple[Migration, ...]

    def release(self, *notes: str) -> Release:
        """Return the release as it is before anything was asked."""
        names = tuple(each.name for each in self.new)
        return Release(self.before.tag, self.after.tag, names, notes=notes)


def replay(
    tags: Sequence[Tag],
    history: History,
    bases: Bases,
    *,
    layers: Collection[Layer],
    told: Callable[[Release], None],
) -> tuple[tuple[Release, ...], tuple[str, ...]]:
    """Judge each pair of neighbouring tags that brings migrations; `told` hears of each as it is done.

    Returns beside the releases the notes that belong to none of them: edits in a tag that brings nothing new
    are told with the next release, as long as there is one.
    """
    contents, walk = Contents(), Walk(history, bases, layers)
    releases: list[Release] = []
    notes: list[str] = []
    for pair in _pairs(tags, history):
        notes.extend((*contents.edits(pair.before), *contents.edits(pair.after)))
        if pair.new:
            release = walk.release(pair)
            releases.append(replace(release, notes=(*notes, *release.notes)))
            told(releases[-1])
            notes.clear()
    return tuple(releases), tuple(notes)


def _pairs(tags: Sequence[Tag], history: History) -> Iterator[Pair]:
    found = ((tag, history.checkout(tag)) for tag in tags)
    for (older, before), (newer, after) in pairwise(found):
        yield Pair((older, newer), before, after, new_migrations(before, after))


class Walk:
    """Takes one release after the other through the rehearsal."""

    def __init__(self, history: History, bases: Bases, layers: Collection[Layer]) -> None:
        self._history = history
        self._bases = bases
        self._layers = layers
        self._memory = Memory()
        self._said: set[str] = set()

    def release(self, pair: Pair) -> Release:
        """Judge one release."""
        notes = list(pair_notes(pair.before, pair.after))
        catalogues = [self._history.catalogue(tag, role) for tag, role in zip(pair.tags, Role, strict=True)]
        old, new = (len(each.queries) for each in catalogues)
        if not pair.before.is_there:
            return replace(pair.release(*notes), queries=(old, new))
        walk, failures = self._bases.take(pair.before.migrations)
        notes.extend(f"At its base, {each}" for each in failures if each not in self._said)
        self._said.update(failures)
        notes.extend(self._without_effect(pair.before))
        try:
            asked, walked = ask_release(
                walk,
                pair.new,
                catalogues,
                layers=self._layers,
                apply=self._bases.apply,
                engine=self._bases.engine,
                memory=self._memory,
            )
        except DatabaseError as error:  # of a scratch database: the releases after it have others
            notes.append(f"Nothing could be asked: {error.what}")
            return replace(pair.release(*notes), queries=(old, new))
        self._bases.keep(walked)
        self._said.update((*asked.failures, *(each.name for each in pair.new)))
        notes.extend((*asked.failures, *_catalogue_notes(catalogues), *_asked_notes(pair, asked)))
        return judged(replace(pair.release(*notes), queries=(old, new)), asked)

    def _without_effect(self, base: Checkout) -> Iterator[str]:
        """Yield which migrations of a base do nothing here, each once."""
        for each in base.migrations:
            if each.up is None and each.name in base.problems and each.name not in self._said:
                self._said.add(each.name)
                yield f"At its base, {each.name} has no effect here: {base.problems[each.name]}."


def judged(release: Release, asked: Asked) -> Release:
    """Return a release with the verdict that the engine's answers lead to."""
    states = len(release.migrations) + 1
    window = switch_window(asked.breaks, states)
    unasked = frozenset(role for role in Role if not asked.answered[role])
    is_proven = not unasked and not asked.unseen
    return replace(
        release,
        rollout=rollout_of(window, states) if is_proven else Rollout.UNPROVEN,
        switch_window=window if is_proven else (),
        point_of_no_return=point_of_no_return(asked.breaks),
        breaks=asked.breaks,
        already_failing=tuple(dict.fromkeys(each.query for each in asked.already_failing)),
        unasked=unasked,
        unseen=asked.unseen,
    )


def _catalogue_notes(catalogues: Sequence[Catalogue]) -> Iterator[str]:
    for catalogue in catalogues:
        yield from dict.fromkeys(f"{each.place}: {each.what}" for each in catalogue.diagnostics)
    old, new = (len(each.queries) for each in catalogues)
    if min(old, new) < max(old, new) / _SHRUNK:
        yield f"One version has {old} queries and the other has {new}: were all of them found?"


def _asked_notes(pair: Pair, asked: Asked) -> Iterator[str]:
    if asked.stopped_by_rows:
        yield (
            f"On sample rows {asked.stopped_by_rows} So there were {'fewer' if asked.has_rows else 'none'}:"
            " what only rows show was not all seen, and a live row may have stood in its way as well."
        )
    if asked.unfilled:
        yield f"No sample rows in: {listed(asked.unfilled, 'table')}."
    for role, tag in zip(Role, (pair.before.tag, pair.after.tag), strict=True):
        unchecked = list(
            dict.fromkeys(f"{each.query} ({each.reason})" for each in asked.unchecked if each.use[2] is role)
        )
        if unchecked:
            yield f"Of {tag} this is not proven: {listed(unchecked, 'query')}."
        if not asked.answered[role]:
            yield f"{tag} has no query that works where it belongs, so nothing is known about it."
    if asked.already_failing:
        yield f"What fails where it belongs: {listed(list(_why_failing(asked)), 'query')}."
    failing = {each.query for each in asked.already_failing if each.use[2] is Role.LIVE}
    lacking = [
        each for each in asked.already_failing if each.use[2] is Role.NEXT and each.query not in failing
    ]
    if lacking:
        names = listed([each.query for each in lacking], "query")
        yield f"{pair.after.tag} fails also where {pair.before.tag} got all of its migrations: {names}."


def _why_failing(asked: Asked) -> Iterator[str]:
    """Yield each query that fails where it belongs, with why; the first of each reason come first."""
    whys: dict[str, str] = {}
    for each in asked.already_failing:
        whys.setdefault(each.query, f"{each.objection.code}: {each.objection.message}")
    firsts = {why: query for query, why in reversed(whys.items())}
    for query, why in sorted(whys.items(), key=lambda one: firsts[one[1]] != one[0]):
        yield f"{query} ({why})"
