"""docs/reference/plan-file.md, written from the JSON Schema: the models describe each key once.

    python -m coordinator.load.reference > docs/reference/plan-file.md

A test holds that the page is current. The page is for people and the schema is for editors; both have the
settings of every platform and check that is installed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

from coordinator.load.schema import json_schema

Schema: TypeAlias = dict[str, Any]

_HEAD = """\
# The plan file

This page is made from the code: `python -m coordinator.load.reference > docs/reference/plan-file.md`.
`coordinator schema plan` prints the same as a JSON Schema for editors; `coordinator validate` checks a file.

A plan is one YAML document, UTF-8, at most 1 MiB. Scalars are those of YAML 1.2: `no`, `on` and `12:30` are
texts, and where a text is wanted a number keeps its form, so `version: 1.10` is `1.10`. Anchors, aliases,
tags, merge keys, duplicate keys and unknown keys are errors. A small plan:

```yaml
version: 1
release: shop-${VERSION}
databases:
  shop:
    engine: postgresql
    url: env:SHOP_DATABASE_URL
    migrations: {tool: goose, dir: migrations}
services:
  shop:
    version: ${VERSION}
    uses: [shop]
    platform: {local: {command: [./serve]}}
    verify: [{http: /ready}]
```

## Variables and settings

`${NAME}` in a value is replaced by `--set NAME=value`, or by the environment variable of that name; without
either it is an error. `$${` is a literal `${`. A variable adds text, never keys or lists, and what it brought
is not looked at again. Between brackets or braces it needs quotes: `{port: "${PORT}"}`.
`--set service.key=value` sets a single value of a service, for example `--set shop.version=1.5`. A setting
that nothing uses is an error.

## Durations and secrets

A **duration** is a whole number and a unit: `500ms`, `30s`, `10m`, `2h`, `1d`. A **reference to a secret** is
`env:NAME` or `file:PATH`. A password in the plan is an error, also when it came from a variable.
"""
_WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


def reference() -> str:
    """Return the whole page."""
    schema = json_schema()
    sections: dict[str, str] = {}
    first: dict[str, str] = {}
    for path, mapping in _mappings_below(schema, "", schema):
        table = _table(mapping, schema)
        above = first.setdefault(table, path)
        # A mapping that has been described is not described again: checks stand in two places.
        sections[path] = table if above == path else f"As `{above}`.\n"
    titled = (
        f"## `{path}`\n\n{text}" if path else f"## The whole file\n\n{text}"
        for path, text in sections.items()
    )
    return "\n".join([_HEAD, *titled])


def _mappings_below(mapping: Schema, path: str, root: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield `mapping` and each mapping with known keys below it, with their paths, in their order."""
    yield path, mapping
    for key, below in mapping["properties"].items():
        for steps, nested in _mappings_in(below, root):
            yield from _mappings_below(nested, f"{path}.{key}{steps}".lstrip("."), root)


def _mappings_in(schema: Schema, root: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield the mappings with known keys that stand under a key, with the steps that lead there."""
    schema = _followed(schema, root)
    for alternative in schema.get("anyOf", ()):
        yield from _mappings_in(alternative, root)
    if "properties" in schema:
        yield "", schema
    elif (values := _values_of(schema)) is not None:
        yield from ((f".<name>{step}", each) for step, each in _mappings_in(values, root))
    elif "items" in schema:
        yield from ((f"[]{step}", each) for step, each in _mappings_in(schema["items"], root))


def _table(mapping: Schema, root: Schema) -> str:
    intro = (
        "Exactly one of these keys." if mapping.get("maxProperties") == 1 else mapping.get("description", "")
    )
    lines = [" ".join(intro.split()), "", "| key | value | default | meaning |", "|---|---|---|---|"]
    for key, value in mapping["properties"].items():
        meaning = value.get("description") or _followed(value, root).get("description", "")
        default = _default_of(value, is_required=key in mapping.get("required", ()))
        cells = (f"`{key}`", _word_for(value, root), default, " ".join(meaning.split()))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _default_of(value: Schema, *, is_required: bool) -> str:
    if is_required:
        return "required"
    default = value.get("default")
    return (
        ""
        if default in (None, [], {})
        else f"`{default if isinstance(default, str) else json.dumps(default)}`"
    )


def _word_for(schema: Schema, root: Schema) -> str:
    """Return what stands behind a key, in a few words."""
    title, schema = schema.get("title", ""), _followed(schema, root)
    if title in ("duration", "reference to a secret"):
        return str(title)
    words = [f"`{each}`" for each in schema.get("enum", [schema["const"]] if "const" in schema else [])]
    words += [_word_for(each, root) for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if words:
        return " or ".join(dict.fromkeys(words))
    return _word_for_collection(schema, root) or _WORDS.get(schema.get("type", ""), "mapping")


def _word_for_collection(schema: Schema, root: Schema) -> str | None:
    if "items" in schema:
        return f"list of: {_word_for(schema['items'], root)}"
    if schema.get("maxProperties") == 1:
        return "one of: " + ", ".join(f"`{key}`" for key in schema["properties"])
    values = _values_of(schema)
    return f"names, each with: {_word_for(values, root)}" if values else None


def _values_of(schema: Schema) -> Schema | None:
    """Return what stands behind each name of a mapping with free names, None for other values."""
    values = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties"))
    return values if isinstance(values, dict) else None


def _followed(schema: Schema, root: Schema) -> Schema:
    reference_to = schema.get("$ref")
    return schema if reference_to is None else root["$defs"][reference_to.rpartition("/")[2]]


if __name__ == "__main__":
    sys.stdout.write(reference())
