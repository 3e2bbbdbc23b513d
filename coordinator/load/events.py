"""From YAML text to a tree with places: a loop of its own over libyaml's parser events.

Nothing of YAML beyond mappings, lists and scalars is wanted: an anchor, an alias, a tag or a merge key makes
two places of a file one, so each is refused. Rejected: `yaml.load`, which loses places and texts, keeps the
last of two equal keys, and whose C loader dies with a stack overflow on 50,000 nested brackets. The events
stream, so the loop stops at the 65th level before libyaml's own cost, quadratic in the depth, is felt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from coordinator.diagnostics import Diagnostic, Place
from coordinator.load.leaks import shortened
from coordinator.load.scalars import as_read
from coordinator.load.source import find_hidden, hidden_character
from coordinator.load.tree import Entry, MappingNode, Node, ScalarNode, SequenceNode

_CORE_TAGS = "tag:yaml.org,2002:"
MAX_DEPTH = 64
MAX_VALUES = 10_000
MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's values, None if no whole tree could be read, with every problem found."""

    root: Node | None
    diagnostics: tuple[Diagnostic, ...]


class _Stop(Exception):
    """The rest of the file is not worth reading; the diagnostics say why."""


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet; `key` waits for its value."""

    place: Place
    is_mapping: bool
    entries: dict[str, Entry] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    key: tuple[str | None, Place] | None = None

    def close(self) -> Node:
        if self.is_mapping:
            return MappingNode(self.place, self.entries)
        return SequenceNode(self.place, tuple(self.items))


class _Builder:
    """Takes the events of one file, one after the other."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.problems: list[Diagnostic] = []
        self._stack: list[_Open] = []
        self._values = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            raise _Stop
        take = _TAKE.get(type(event))
        if take is not None:
            take(self, event, self._place_of(event.start_mark))

    def fail(self, error: yaml.YAMLError, text: str) -> None:
        mark = getattr(error, "problem_mark", None)
        parts = (getattr(error, "context", None), getattr(error, "problem", None))
        said = ", ".join(str(each) for each in parts if each)
        line = text.splitlines()[mark.line : mark.line + 1] if mark is not None else []
        hint = "Look at the indentation, the colons and the quotes here and in the line before."
        if any("\t" in each[: len(each) - len(each.lstrip())] for each in line):
            hint = "The line begins with a tab, which YAML does not take for indentation: write spaces."
        if any("${" in each for each in line):
            hint += ' Between brackets or braces a variable needs quotes: "${NAME}".'
        self.problems.append(
            Diagnostic(
                code="not-yaml",
                place=self._place_of(mark),
                what=f"This is not YAML: {said or 'it cannot be read'}.",
                next_step=hint,
            )
        )

    def _place_of(self, mark: Any) -> Place:
        return Place(self.file) if mark is None else Place(self.file, mark.line + 1, mark.column + 1)

    def document(self, _event: yaml.Event, place: Place) -> None:
        self._documents += 1
        if self._documents > 1:
            self._stop(
                Diagnostic(
                    code="several-documents",
                    place=place,
                    what="A second document begins here.",
                    why="A plan is one document.",
                    next_step="Remove the `---`, or make it a file of its own.",
                )
            )

    def alias(self, event: yaml.AliasEvent, place: Place) -> None:
        self.problems.append(_alias(str(event.anchor), place))
        self._add(ScalarNode(place, source="", value=None))

    def scalar(self, event: yaml.ScalarEvent, place: Place) -> None:
        self._refuse_properties(event, place)
        hidden = find_hidden(event.value)
        if hidden is not None:
            self.problems.append(hidden_character(event.value[hidden], place))
        self._add(as_read(ScalarNode(place, event.value, event.value, plain=not event.style)))

    def open(self, event: yaml.CollectionStartEvent, place: Place) -> None:
        self._refuse_properties(event, place)
        if len(self._stack) >= MAX_DEPTH:
            self._stop(
                Diagnostic(
                    code="too-deep",
                    place=place,
                    what=f"The values here are nested more than {MAX_DEPTH} levels deep.",
                    next_step="Check the brackets; a plan needs fewer than ten levels.",
                )
            )
        self._stack.append(_Open(place, isinstance(event, yaml.MappingStartEvent)))

    def close(self, _event: yaml.Event, _place: Place) -> None:
        self._add(self._stack.pop().close())

    def _refuse_properties(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, place: Place) -> None:
        if event.anchor is not None:
            self.problems.append(_anchor(event.anchor, place))
        if event.tag is not None:
            self.problems.append(_tag(event.tag, place))

    def _stop(self, diagnostic: Diagnostic) -> None:
        self.problems.append(diagnostic)
        raise _Stop

    def _add(self, node: Node) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            self._stop(
                Diagnostic(
                    code="file-too-large",
                    place=node.place,
                    what=f"The file holds more than {MAX_VALUES} values.",
                    next_step="Check that this is the plan file.",
                )
            )
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        if not top.is_mapping:
            top.items.append(node)
        elif top.key is None:
            top.key = (self._key_from(node), node.place)
        else:
            self._add_entry(top, node)

    def _add_entry(self, top: _Open, node: Node) -> None:
        assert top.key is not None
        (key, place), top.key = top.key, None
        if key is None:
            return
        if key in top.entries:
            self.problems.append(_duplicate_key(key, place, top.entries[key].place))
            return
        top.entries[key] = Entry(place, node)

    def _key_from(self, node: Node) -> str | None:
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            self.problems.append(_key_not_text(node))
            return node.source if isinstance(node, ScalarNode) else None
        if node.value == "<<":
            self.problems.append(_merge_key(node.place))
            return None
        return node.value


_TAKE: dict[type[yaml.Event], Callable[..., None]] = {
    yaml.DocumentStartEvent: _Builder.document,
    yaml.AliasEvent: _Builder.alias,
    yaml.ScalarEvent: _Builder.scalar,
    yaml.SequenceStartEvent: _Builder.open,
    yaml.MappingStartEvent: _Builder.open,
    yaml.SequenceEndEvent: _Builder.close,
    yaml.MappingEndEvent: _Builder.close,
}


def parse(text: str, *, file: str) -> Parsed:
    """Return the one document of `text`; `file` is the name that the places carry."""
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
    except _Stop:
        return Parsed(None, tuple(builder.problems))
    except yaml.YAMLError as error:
        builder.fail(error, text)
        return Parsed(None, tuple(builder.problems))
    if builder.root is None or (isinstance(builder.root, ScalarNode) and builder.root.value is None):
        return Parsed(None, (*builder.problems, _empty(file)))
    return Parsed(builder.root, tuple(builder.problems))


def _empty(file: str) -> Diagnostic:
    return Diagnostic(
        code="empty-file",
        place=Place(file),
        what="The file holds nothing.",
        next_step="Start with `version: 1`; docs/reference/plan-file.md shows a whole plan.",
    )


def _duplicate_key(key: str, place: Place, first: Place) -> Diagnostic:
    return Diagnostic(
        code="duplicate-key",
        place=place,
        what=f"`{shortened(key)}` stands here twice, first in line {first.line}.",
        why="Only one of the two could count.",
        next_step="Remove one.",
    )


def _key_not_text(node: Node) -> Diagnostic:
    hint = f'Put it in quotes: "{shortened(node.source)}".' if isinstance(node, ScalarNode) else "Use a text."
    return Diagnostic(
        code="key-not-text",
        place=node.place,
        what="This key is no text.",
        why="YAML reads it as a number, a truth value, nothing or a collection.",
        next_step=hint,
    )


def _merge_key(place: Place) -> Diagnostic:
    return Diagnostic(
        code="merge-key",
        place=place,
        what="`<<` merges another mapping into this one.",
        why="A reader could not tell which value counts, so a plan has no merging.",
        next_step="Write the keys out.",
    )


def _anchor(name: str, place: Place) -> Diagnostic:
    return Diagnostic(
        code="anchor",
        place=place,
        what=f"`&{shortened(name)}` is an anchor.",
        why="A plan says each value where it counts.",
        next_step="Remove it. A text that begins with `&` needs quotes.",
    )


def _alias(name: str, place: Place) -> Diagnostic:
    return Diagnostic(
        code="alias",
        place=place,
        what=f"`*{shortened(name)}` is an alias.",
        why="A plan says each value where it counts.",
        next_step="Write the value out. A text that begins with `*` needs quotes.",
    )


def _tag(name: str, place: Place) -> Diagnostic:
    return Diagnostic(
        code="tag",
        place=place,
        what=f"`{shortened(name.replace(_CORE_TAGS, '!!', 1))}` is a tag.",
        why="A tag can change a value's type or call code; the plan's schema alone gives the types here.",
        next_step="Remove it. A text that begins with `!` needs quotes.",
    )
