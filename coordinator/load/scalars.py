"""YAML 1.2's core scalars, and no more: `no`, `on`, `1_000`, `12:30` and dates are texts.

PyYAML's own resolver follows YAML 1.1, in which `no` is false and `12:30` is 750, so it is not used. Infinity
and not-a-number stay texts, because nothing in a plan can be either; so does an integer of more than 18
digits.
Source: YAML 1.2.2, section 10.3.2.
"""

from __future__ import annotations

import re
from dataclasses import replace

from coordinator.load.tree import Core, ScalarNode

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DECIMAL = re.compile(r"[-+]?[0-9]{1,18}")
_OCTAL = re.compile(r"0o[0-7]{1,20}")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,100}|[0-9]{1,100}(\.[0-9]{0,100})?)([eE][-+]?[0-9]{1,2})?")


def core_value(text: str) -> Core:
    """Return what YAML 1.2's core schema reads in a text without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    return float(text) if _FLOAT.fullmatch(text) else text


def as_read(node: ScalarNode) -> ScalarNode:
    """Return a scalar of the file with its readings: YAML's first, its text for a field that wants text."""
    if not node.plain:
        return node
    value = core_value(node.source)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return replace(node, value=value, alternative=node.source if is_number else None)


def as_substituted(node: ScalarNode, text: str) -> ScalarNode:
    """Return a scalar whose text came from a variable: a text first, a number or truth value if need be."""
    return replace(node, value=text, alternative=_typed(text))


def _typed(text: str) -> Core:
    value = core_value(text)
    return None if isinstance(value, str) else value
