"""YAML that other programs own: sqlc's configuration, Kubernetes manifests, a pipeline's file.

Unlike a plan it may have anchors, merges and several documents, so the library reads it; what is checked
before is only that it is small, however often its aliases repeat a part, and not nested so deep that libyaml
dies of it. Where places are wanted (a Kubernetes manifest, whose problems we tell), the file is read as Go
programs read it: a date is a text, and so is `12:30`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import yaml

from coordinator.diagnostics import Place
from coordinator.load.events import MAX_DEPTH
from coordinator.load.tree import Path

_MAX_BYTES = 1 << 20
_MAX_VALUES = 100_000
_SHOWN = 60
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_KEYS = frozenset({_MERGE, f"{_TAG}str"})


class NotReadable(Exception):
    """The bytes are no YAML that can be read; the message is a clause that says why.

    `line` and `column` count from 1; 0 where the whole file is meant.
    """

    def __init__(self, why: str, mark: yaml.Mark | None = None) -> None:
        super().__init__(why)
        self.line, self.column = (mark.line + 1, mark.column + 1) if mark else (0, 0)


@dataclass(frozen=True, slots=True)
class Document:
    """One document with JSON's values alone, and where its keys and list items stand: line and column."""

    value: object
    places: Mapping[Path, tuple[int, int]] = field(repr=False)

    def place(self, file: str, *path: str | int) -> Place:
        """Return where `path` stands, or the nearest above it that the document has."""
        found = next(at for end in range(len(path), -1, -1) if (at := self.places.get(path[:end])))
        return Place(file, *found)


def read_yaml(content: bytes) -> object:
    """Return the one document of a file, None for an empty one. JSON is YAML too. Raises: NotReadable."""
    documents = read_yaml_documents(content)
    if len(documents) > 1:
        raise NotReadable(f"it holds {len(documents)} documents")
    return documents[0] if documents else None


def read_yaml_documents(content: bytes) -> tuple[object, ...]:
    """Return every document of a file. Raises: NotReadable."""
    text = _text_of(content)
    try:
        _check_size(text)
        return tuple(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
        raise _not_yaml(error) from error


def read_placed_documents(content: bytes) -> tuple[Document, ...]:
    """Return every document that holds JSON's values alone, without the empty ones. Raises: NotReadable."""
    text = _text_of(content)
    try:
        _check_size(text)
        return tuple(_documents_in(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _not_yaml(error) from error


def _documents_in(text: str) -> Iterator[Document]:
    loader: Any = _Placing(text)
    while loader.check_node():
        node = loader.get_node()
        _check_keys(node)
        value = loader.construct_document(node)  # merges are resolved in the nodes by this
        if value is not None:
            yield Document(value, dict(_places_in(node, ())))


def _check_keys(node: yaml.Node) -> None:
    """Raise NotReadable where a key is no text or stands twice: only one of the two would count."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.tag not in _KEYS:
            raise NotReadable(f"a key in line {line} is no text", key.start_mark)
        if key.value in seen and key.tag != _MERGE:
            raise NotReadable(f"`{key.value[:_SHOWN]}` in line {line} stands there twice", key.start_mark)
        seen.add(key.value)
        _check_keys(value)


def _places_in(node: yaml.Node, path: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    if not path:
        yield path, _position(node)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*path, key.value)
            yield below, _position(key)
            yield from _places_in(value, below)
    elif isinstance(node, yaml.SequenceNode):
        for at, item in enumerate(node.value):
            yield (*path, at), _position(item)
            yield from _places_in(item, (*path, at))


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


class _Placing(yaml.CSafeLoader):
    """Reads scalars as gopkg.in/yaml.v2 does, which Kubernetes' tools use, and nothing that is not JSON."""

    yaml_constructors: ClassVar[dict[str | None, Callable[..., Any]]] = {}


def _text(_: _Placing, node: yaml.ScalarNode) -> str:
    return str(node.value)


def _whole(loader: _Placing, node: yaml.ScalarNode) -> int | str:
    return str(node.value) if ":" in node.value else loader.construct_yaml_int(node)


def _fraction(loader: _Placing, node: yaml.ScalarNode) -> float | str:
    if ":" in node.value:
        return str(node.value)
    number = loader.construct_yaml_float(node)
    if not math.isfinite(number):
        raise NotReadable(
            f"line {node.start_mark.line + 1} holds a number that JSON does not have", node.start_mark
        )
    return number


def _no_json(_: _Placing, node: yaml.Node) -> object:
    raise NotReadable(f"line {node.start_mark.line + 1} holds what JSON does not have", node.start_mark)


_Placing.yaml_constructors = {
    f"{_TAG}null": yaml.CSafeLoader.construct_yaml_null,
    f"{_TAG}bool": yaml.CSafeLoader.construct_yaml_bool,
    f"{_TAG}str": yaml.CSafeLoader.construct_yaml_str,
    f"{_TAG}seq": yaml.CSafeLoader.construct_yaml_seq,
    f"{_TAG}map": yaml.CSafeLoader.construct_yaml_map,
    f"{_TAG}int": _whole,
    f"{_TAG}float": _fraction,
    f"{_TAG}timestamp": _text,
    None: _no_json,
}


def _text_of(content: bytes) -> str:
    if len(content) > _MAX_BYTES:
        raise NotReadable(f"it has more than {_MAX_BYTES >> 20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotReadable("it is not UTF-8") from error


def _not_yaml(error: Exception) -> NotReadable:
    mark = getattr(error, "problem_mark", None)
    return NotReadable(f"line {mark.line + 1} is not YAML" if mark else "it is not YAML", mark)


def _check_size(text: str) -> None:
    """Raise NotReadable where the values, each alias counted as what it stands for, are too many or deep."""
    sizes: dict[str, int] = {}
    stack: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        match event:
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                stack.append((event.anchor, 0))
                if len(stack) > MAX_DEPTH:
                    raise NotReadable("it is nested too deep")
                continue
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                anchor, size = stack.pop()
            case yaml.ScalarEvent():
                anchor, size = event.anchor, 0
            case yaml.AliasEvent():
                anchor, size = (
                    None,
                    sizes.get(str(event.anchor), _MAX_VALUES),
                )  # one that holds itself never ends
            case _:
                continue
        if anchor is not None:
            sizes[anchor] = size + 1
        outer, before = stack.pop()
        stack.append((outer, before + size + 1))
        if before + size >= _MAX_VALUES:
            raise NotReadable("it holds too many values")
