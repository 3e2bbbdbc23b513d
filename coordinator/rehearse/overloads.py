"""Functions of PostgreSQL of one name for several types: a call may take another one than it did. Pure.

The engine takes the one whose types are nearest to those of the call. So one that comes may take calls away
from one that is there, or from the server's own, wherever its types can be had from theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Final

from coordinator.rehearse.written import items_of

_SIGNATURE: Final = re.compile(r"CREATE OR REPLACE FUNCTION [^(]+\((?P<arguments>.*?)\)\s+RETURNS", re.DOTALL)
_CALLED: Final = re.compile(r"([\w\"]+)\s*\(")
_DEFAULT: Final = re.compile(r"\s+DEFAULT\s.*", re.DOTALL)
_FAMILIES: Final = (
    re.compile(r"\b(?:smallint|integer|bigint|numeric|real|double precision)$"),
    re.compile(r"\b(?:text|character|character varying|name|citext)$"),
    re.compile(r"\b(?:date|timestamp with(?:out)? time zone|time with(?:out)? time zone)$"),
)
_ANY: Final = re.compile(r"\bany\w*$|^VARIADIC\b|\[\]$")
_OF_A_SCHEMA: Final = re.compile(r"[\w\"]\.[\w\"]")

Functions = Mapping[str, Sequence[str]]


def capturing(text: str, own: Functions, here: Functions) -> Iterator[str]:
    """Yield the functions that a text calls, of which another state has one that may take the call."""
    if own == here:
        return
    for name in sorted({each.strip('"').lower() for each in _CALLED.findall(text)} & here.keys()):
        ours, theirs = (list(_signatures(each.get(name, ()))) for each in (own, here))
        new = [each for each in theirs if each not in ours]
        if any(_may_take(each, ours) for each in new):
            yield name


def ambiguous(text: str, functions: Functions) -> Iterator[str]:
    """Yield the functions that a text calls, of which the types of its values choose among several."""
    for name in sorted({each.strip('"').lower() for each in _CALLED.findall(text)} & functions.keys()):
        pairs = permutations(_signatures(functions[name]), 2)
        if any(_may_take(one, [other]) for one, other in pairs):
            yield name


def _signatures(definitions: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for each in definitions:
        found = _SIGNATURE.search(each)
        if found is not None:
            listed = items_of(found["arguments"]) if found["arguments"].strip() else ()
            yield tuple(_DEFAULT.sub("", argument).strip() for argument in listed)


def _may_take(new: Sequence[str], ours: Sequence[Sequence[str]]) -> bool:
    if not ours:  # the server's own, or an extension's
        return not all(map(_OF_A_SCHEMA.search, new))
    return any(len(each) == len(new) and all(map(_are_near, new, each)) for each in ours)


def _are_near(one: str, other: str) -> bool:
    """Tell whether a value of one argument's type may be had as the other's, or is any."""
    if _ANY.search(one) or _ANY.search(other) or one.rpartition(" ")[2] == other.rpartition(" ")[2]:
        return True
    return any(family.search(one) and family.search(other) for family in _FAMILIES)
