"""YAML that other programs own: sqlc's configuration, Kubernetes manifests, a pipeline's file.

Unlike a plan it may have anchors, merges and several documents, so the library reads it; what is checked
before is only that it is small, however often its aliases repeat a part, and not nested so deep that libyaml
dies of it. Nobody wants places here: whoever finds something wrong names the file.
"""

from __future__ import annotations

import yaml

from coordinator.load.events import MAX_DEPTH

_MAX_BYTES = 1 << 20
_MAX_VALUES = 100_000


class NotReadable(Exception):
    """The bytes are no YAML that can be read; the message is a clause that says why."""


def read_yaml(content: bytes) -> object:
    """Return the one document of a file, None for an empty one. JSON is YAML too. Raises: NotReadable."""
    documents = read_yaml_documents(content)
    if len(documents) > 1:
        raise NotReadable(f"it holds {len(documents)} documents")
    return documents[0] if documents else None


def read_yaml_documents(content: bytes) -> tuple[object, ...]:
    """Return every document of a file. Raises: NotReadable."""
    if len(content) > _MAX_BYTES:
        raise NotReadable(f"it has more than {_MAX_BYTES >> 20} MiB")
    try:
        text = content.decode("utf-8-sig")
        _check_size(text)
        return tuple(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except UnicodeDecodeError as error:
        raise NotReadable("it is not UTF-8") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
        mark = getattr(error, "problem_mark", None)
        raise NotReadable(f"line {mark.line + 1} is not YAML" if mark else "it is not YAML") from error


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
