"""Pydantic's errors in the plan's words: the same problem has one code and one page wherever it stands.

Pydantic's own wording never reaches a user: it speaks of inputs and of Python, and some of its messages
quote the value. A type that this table does not know becomes `wrong-type` with the key's description. Errors
of our own validators are kebab-case codes with a finished text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic_core import ErrorDetails

from coordinator.diagnostics import Diagnostic, Place, did_you_mean
from coordinator.load.events import MAX_PROBLEMS
from coordinator.load.leaks import shortened
from coordinator.load.shape import fields_of, model_at
from coordinator.load.tree import MappingNode, Node, Path, ScalarNode, SequenceNode, Spot, find

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
}
_LIMITS = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
    "min_length": "at least as long as",
    "max_length": "at most as long as",
}


@dataclass(frozen=True, slots=True)
class _Finding:
    """One error of pydantic, at home in the file."""

    kind: str
    path: Path
    spot: Spot
    context: Mapping[str, object]
    message: str

    @property
    def is_about_key(self) -> bool:
        return self.path[-1:] == ("[key]",)

    @property
    def place(self) -> Place:
        return self.spot.key_place if self.is_about_key else self.spot.value_place

    @property
    def name(self) -> str:
        return _name_of(self.spot.path)


def diagnostics_from(errors: Sequence[ErrorDetails], *, root: Node) -> tuple[Diagnostic, ...]:
    """Return a diagnostic for each error, at most 100."""
    # A value that fits no member of a union has an error for each member; the one with a word for it counts.
    clearest_first = sorted(errors[:MAX_PROBLEMS], key=lambda error: error["type"] not in _EXPECTED)
    found: dict[tuple[Place, str], Diagnostic] = {}
    for error in clearest_first:
        diagnostic = _diagnostic_from(_finding_from(error, root))
        topic = diagnostic.code if diagnostic.code == "wrong-type" else str(diagnostic)
        found.setdefault((diagnostic.place, topic), diagnostic)
    return tuple(found.values())


def _finding_from(error: ErrorDetails, root: Node) -> _Finding:
    path = tuple(error["loc"])
    return _Finding(error["type"], path, find(root, path), error.get("ctx", {}), error["msg"])


def _diagnostic_from(finding: _Finding) -> Diagnostic:
    if "-" in finding.kind and finding.kind != "unknown-name":
        return Diagnostic(code=finding.kind, place=finding.place, what=finding.message)
    return _TRANSLATIONS.get(finding.kind, _wrong_type)(finding)


def _missing_key(finding: _Finding) -> Diagnostic:
    key = finding.path[-1]
    return Diagnostic(
        code="missing-key",
        place=finding.spot.key_place,
        what=f"{finding.name} has no `{key}`.",
        why=_description_of(finding.path),
        next_step=f"Add `{key}:`.",
    )


def _unknown_key(finding: _Finding) -> Diagnostic:
    parent, key = finding.path[:-1], str(finding.path[-1])
    model = model_at(parent)
    return Diagnostic(
        code="unknown-key",
        place=finding.spot.key_place,
        what=f"{_name_of(finding.spot.path[:-1])} has no key `{shortened(key)}`.",
        next_step=did_you_mean(key, fields_of(model)) if model else "Remove it.",
    )


def _unknown_name(finding: _Finding) -> Diagnostic:
    node = finding.spot.node
    if finding.is_about_key:
        source = value = str(finding.path[-2])
    else:
        source, value = (node.source, str(node.value)) if isinstance(node, ScalarNode) else ("", "")
    known = finding.context.get("known")
    return Diagnostic(
        code="unknown-name",
        place=finding.place,
        what=f"There is no {finding.context.get('word')} `{shortened(source)}`.",
        next_step=did_you_mean(value, known if isinstance(known, tuple) else ()),
    )


def _unknown_value(finding: _Finding) -> Diagnostic:
    possible = re.findall(r"'([^']*)'", str(finding.context.get("expected", "")))
    node = finding.spot.node
    value = node.value if isinstance(node, ScalarNode) else None
    return Diagnostic(
        code="unknown-value",
        place=finding.place,
        what=f"{finding.name} cannot be {_quoted(node)}.",
        next_step=did_you_mean(str(value), possible),
    )


def _wrong_type(finding: _Finding) -> Diagnostic:
    expected = _EXPECTED.get(finding.kind)
    must = f"must be {expected}, and it is {_quoted(finding.spot.node)}" if expected else "does not fit here"
    hint = f"Write {expected}." if expected else "Compare it with docs/reference/plan-file.md."
    if finding.kind == "string_type" and isinstance(_value_of(finding.spot.node), bool):
        hint = "Put it in quotes if the text is meant."
    return Diagnostic(
        code="wrong-type",
        place=finding.place,
        what=f"{finding.name} {must}.",
        why=_description_of(finding.path),
        next_step=hint,
    )


def _out_of_range(finding: _Finding) -> Diagnostic:
    limits = [f"{words} {finding.context[key]}" for key, words in _LIMITS.items() if key in finding.context]
    return Diagnostic(
        code="out-of-range",
        place=finding.place,
        what=f"{finding.name} must be {' and '.join(limits) or 'within its limits'}.",
        why=_description_of(finding.path),
    )


def _bad_form(finding: _Finding) -> Diagnostic:
    return Diagnostic(
        code="bad-form",
        place=finding.place,
        what=f"{finding.name} must have the form `{finding.context.get('pattern')}`.",
        why=_description_of(finding.path),
    )


_TRANSLATIONS: dict[str, Callable[[_Finding], Diagnostic]] = {
    "missing": _missing_key,
    "extra_forbidden": _unknown_key,
    "unknown-name": _unknown_name,
    "literal_error": _unknown_value,
    "enum": _unknown_value,
    "string_pattern_mismatch": _bad_form,
    **dict.fromkeys(
        (
            *("greater_than", "greater_than_equal", "less_than", "less_than_equal"),
            *("too_short", "too_long", "string_too_short", "string_too_long"),
        ),
        _out_of_range,
    ),
}


def _name_of(path: Path) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{shortened(step)}"
    return f"`{text.lstrip('.')}`" if text else "The plan"


def _description_of(path: Path) -> str:
    model = model_at(path[:-1])
    field = fields_of(model).get(str(path[-1])) if model and path else None
    return (field.description or "") if field else ""


def _value_of(node: Node) -> object:
    return node.value if isinstance(node, ScalarNode) else node


def _quoted(node: Node) -> str:
    match node:
        case MappingNode():
            return "a mapping"
        case SequenceNode():
            return "a list"
        case ScalarNode(value=None):
            return "empty"
        case ScalarNode(value=str(), source=source):
            return f"the text `{shortened(source)}`"
        case ScalarNode(source=source):
            return f"`{shortened(source)}`"
