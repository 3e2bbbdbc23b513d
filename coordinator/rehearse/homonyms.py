"""Tables and views of one name in several schemas: which of them a query is about. Pure.

Everything else is found by names without a schema. So where a query is about one of them alone, the others
are left out of what it is held against: what is done to them says nothing of it, and hides nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from coordinator.rehearse.catalogued import PARENT, bare, words_of
from coordinator.rehearse.drift import belongs

_KINDS: Final = ("table ", "view ", "materialized view ")
Homonyms = Mapping[str, frozenset[str]]
"""By a name without schema, those with one."""


def homonyms(catalogue: Mapping[str, str]) -> Homonyms:
    """Return the tables and views that share a name; such as refer to each other are told apart by nobody."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for key in catalogue:
        if key.startswith(_KINDS):
            name = key.removeprefix("materialized ").partition(" ")[2]
            found[bare(name)].add(name)
    several = {name: frozenset(these) for name, these in found.items() if len(these) > 1}
    for key, definition in catalogue.items() if several else ():
        parent = PARENT.search(definition) if key.startswith("constraint ") else None
        if parent is not None and any(
            f" {each}." in f" {key.partition(' ')[2]}" for each in several.get(bare(parent["parent"]), ())
        ):
            del several[bare(parent["parent"])]
    return several


def others(text: str, several: Homonyms, *, known: Iterable[str], beside: Collection[str]) -> frozenset[str]:
    """Return those that a text does not mean; none where its names may mean any.

    `known` are tables, with their schemas, of which the engine told; `beside` are those, without schemas,
    that a trigger or the like wrote for it.
    """
    meant = {each.replace('"', "").lower() for each in known}
    left: frozenset[str] = frozenset()
    for name in several.keys() & words_of(text) - frozenset(beside):
        these = {each.replace('"', "").lower(): each for each in several[name]}
        written = re.sub(r'["`]', "", text.lower())
        told = {each for each in these if re.search(rf"(?<![\w.]){re.escape(each)}(?!\w)", written)}
        if re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", written):
            if not (shown := meant & these.keys() - told):
                continue
            told |= shown
        left |= {each for key, each in these.items() if told and key not in told}
    return left


def without(catalogue: Mapping[str, str], left: Collection[str]) -> Mapping[str, str]:
    """Return a schema without some tables and views and what belongs to them."""
    own = {f"{kind}{each}" for each in left for kind in _KINDS}
    return {
        key: definition
        for key, definition in catalogue.items()
        if key not in own and not belongs(key, definition, left)
    }
