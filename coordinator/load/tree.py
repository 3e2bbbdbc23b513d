"""A file's values together with their places, before anybody knows what they mean.

A scalar may have two readings: `version: 1.10` is a number to YAML and a text to the field that wants a
version. YAML libraries decide at once and lose the `0`; here the file's own text stays, and the field decides
(validation.py). A mapping keeps the place of each key, because most problems are a key's problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from coordinator.diagnostics import Place

Core: TypeAlias = str | int | float | bool | None
Path: TypeAlias = tuple[str | int, ...]
"""The way from the root to a value: keys and list positions (from 0)."""


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One text, number, truth value or nothing."""

    place: Place
    source: str = field(repr=False)
    """What the file says, variables not replaced: the only form that a message may quote."""
    value: Core = field(repr=False)
    alternative: Core = field(default=None, repr=False)
    """The other reading, for a field that cannot take `value`; None: there is none."""
    plain: bool = False
    """Written without quotes, so that a number is a number."""


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's place and its value."""

    place: Place
    node: Node


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys and values in the file's order."""

    place: Place
    entries: dict[str, Entry]


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


def plain(node: Node, *, swapped: frozenset[Place] = frozenset()) -> object:
    """Return the values without places; scalars whose place is in `swapped` in their other reading."""
    match node:
        case ScalarNode():
            return node.alternative if node.place in swapped else node.value
        case SequenceNode():
            return [plain(item, swapped=swapped) for item in node.items]
        case MappingNode():
            return {key: plain(entry.node, swapped=swapped) for key, entry in node.entries.items()}


@dataclass(frozen=True, slots=True)
class Spot:
    """What the file has at a path: the value, the place of its key, and the steps that were found."""

    node: Node
    key_place: Place
    path: Path

    @property
    def value_place(self) -> Place:
        """Return where the value stands; where its key stands if it is empty or a block of its own."""
        is_text = isinstance(self.node, ScalarNode) and self.node.source
        return self.node.place if is_text else self.key_place


def find(root: Node, path: Sequence[str | int]) -> Spot:
    """Return the value at `path`, or the nearest that the file has.

    A step that the file does not have is passed over: a model may wrap a value (`command: [./a]` becomes
    `command.argv`) and then speak of steps that nobody wrote.
    """
    node, place, found = root, root.place, []
    for step in path:
        match node, step:
            case MappingNode(), str() if step in node.entries:
                place, node = node.entries[step].place, node.entries[step].node
            case SequenceNode(), int() if 0 <= step < len(node.items):
                node = node.items[step]
                place = node.place
            case _:
                continue
        found.append(step)
    return Spot(node, place, tuple(found))


def with_entry(root: Node, path: Sequence[str], entry: Entry) -> Node:
    """Return the tree with `entry` at a path of keys; all but the last lead through mappings that exist."""
    assert isinstance(root, MappingNode)
    key, *rest = path
    if rest:
        below = root.entries[key]
        entry = replace(below, node=with_entry(below.node, rest, entry))
    return replace(root, entries={**root.entries, key: entry})


def scalars(node: Node) -> Iterator[ScalarNode]:
    """Yield every scalar value, in the file's order."""
    match node:
        case ScalarNode():
            yield node
        case SequenceNode():
            for item in node.items:
                yield from scalars(item)
        case MappingNode():
            for entry in node.entries.values():
                yield from scalars(entry.node)


def keys(node: Node) -> Iterator[tuple[str, Place]]:
    """Yield every key with its place, in the file's order."""
    match node:
        case SequenceNode():
            for item in node.items:
                yield from keys(item)
        case MappingNode():
            for key, entry in node.entries.items():
                yield key, entry.place
                yield from keys(entry.node)
