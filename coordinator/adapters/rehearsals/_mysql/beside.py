"""Which tables a text may write that it does not name: where triggers, functions and foreign keys lead.

The server does not tell, so it is every table that their texts name. One too many costs a look; what was
done to it is seen in its rows.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from coordinator.adapters.rehearsals._mysql.schema import Schema
from coordinator.adapters.rehearsals._mysql.tokens import tokens_of

_FOLLOWS: Final = re.compile(r"cascade|set (?:null|default)")


def tables_beside(schema: Schema, text: str, target: str | None) -> frozenset[str]:
    """Return the tables that a text may write beside its target, or beside those that its target shows."""
    tables = {each.name.lower(): each.name for each in schema.tables}
    views = {name.lower(): _named(body) for name, body in schema.views.items()}
    functions = {name.lower(): _named(body) for (_, name), body in schema.routines.items()}
    own = _reached(() if target is None else (target.lower(),), views)
    called = _reached(_named(text) & functions.keys(), functions)
    reached = _reached(own | called, _acting(schema, functions))
    return frozenset(tables[name] for name in reached - own if name in tables)


def _acting(schema: Schema, functions: Mapping[str, frozenset[str]]) -> Mapping[str, frozenset[str]]:
    """Return what a write to each table may lead to."""
    leads: defaultdict[str, frozenset[str]] = defaultdict(frozenset, functions)
    for (name, _), body in schema.triggers.items():
        leads[name.lower()] |= _named(body)
    for table in schema.tables:
        for key in table.foreign_keys:
            if _FOLLOWS.search(key.actions):
                leads[key.parent.lower()] |= {table.name.lower()}
    return leads


def _reached(start: Iterable[str], leads: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found: set[str] = set()
    left = list(start)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += leads.get(name, ())
    return frozenset(found)


@lru_cache(maxsize=4_096)  # the texts of a schema are asked about with each query and each set of values
def _named(text: str) -> frozenset[str]:
    return frozenset(token.name for token in tokens_of(text) if token.name is not None)
