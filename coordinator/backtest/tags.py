"""Which tags are the releases, and in which order they came.

Tags of several release lines interleave in a real repository, so both orders are offered: the one in which
people met the releases, and the one of their numbers. Tags that were made in the same second, as tools do,
go by their numbers in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_IDENTIFIER = re.compile(r"[0-9]+|[A-Za-z]+")

_Identifier = tuple[int, int, str]
VersionOrder = tuple[tuple[int, ...], bool, tuple[_Identifier, ...], str]


class Order(StrEnum):
    """How releases follow each other."""

    CREATED = "created"
    VERSION = "version"


@dataclass(frozen=True, slots=True)
class Tag:
    """A release's tag; `created` is the tagger's time, or the commit's where nobody tagged with a name."""

    name: str
    created: datetime


def select_tags(
    tags: Iterable[Tag], *, pattern: re.Pattern[str], order: Order, last: int | None
) -> tuple[Tag, ...]:
    """Return the tags whose whole name matches, oldest first; with `last`, only so many of the newest."""
    matching = [each for each in tags if pattern.fullmatch(each.name)]
    chosen = sorted(matching, key=lambda each: version_order(each.name))
    if order is Order.CREATED:
        chosen.sort(key=lambda each: each.created)
    return tuple(chosen if last is None else chosen[max(len(chosen) - last, 0) :])


def version_order(name: str) -> VersionOrder:
    """Return the place of a tag among versions: `v1.9` < `v1.10.0-rc.2` < `v1.10.0`; a name without is first.

    The version is the part of the name with the most numbers, so that `api/v1.2.3` and `r-1.2` are read.
    What follows it is a pre-release as semver.org (2.0.0, 11) orders it; `+build` says nothing.
    """
    found = max(_NUMBERS.finditer(name), key=lambda each: each[0].count("."), default=None)
    if found is None:
        return (), False, (), name
    numbers = [int(each) for each in found[0].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()  # 1.2 is 1.2.0
    suffix, _, _ = name[found.end() :].partition("+")
    identifiers = tuple(_identifier(each) for each in _IDENTIFIER.findall(suffix))
    return tuple(numbers), not identifiers, identifiers, name


def _identifier(text: str) -> _Identifier:
    return (0, int(text), "") if text.isdigit() else (1, 0, text)
