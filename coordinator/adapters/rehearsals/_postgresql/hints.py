"""Values that the text of a check suggests, for the engine to try.

Nothing of a check is understood here. Its literals, their neighbours and a few well-known shapes (an email
address, a slug) are candidates, and no more.
"""

from __future__ import annotations

import re
from typing import Final

_STRING = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"(?<![\w.'])-?\d+(?:\.\d+)?")
_LENGTH = re.compile(r"\b(?:char_|character_|octet_|bit_)?length\(", re.IGNORECASE)
_LONGEST_TEXT: Final = 2000
_MATCHES: Final = ("~", "similar", "regexp")
_SHAPES: Final = tuple(
    shape.replace("#", str(n))
    for n in range(1, 6)
    for shape in (
        *(
            "sample#@example.org",
            "sample-#",
            "sample_#",
            "https://example.org/sample#",
            "sample#.example.org",
        ),
        *("sample", "Sample", "SAMPLE", "#a#b#c", "##", "#.#.#", "v#.#.#", "+1202555010#", "202-555-010#"),
        *(
            "ab",
            "AB",
            "abc",
            "ABC",
            "en-US",
            "en_US",
            "ABCD",
            "AB#",
            "AB-#",
            "ABC-000#",
            "#",
            "#.50",
            "/sample#",
        ),
        *(
            "a" * 31 + "#",
            "a" * 39 + "#",
            "a" * 63 + "#",
            "00000000-0000-4000-8000-00000000000#",
            "0x" + "a" * 39 + "#",
        ),
        *(
            "200#-01-01",
            "0#:00",
            "0#:00:00",
            "#" * 4,
            "#" * 5,
            "#" * 6,
            "#" * 8,
            "#" * 10,
            "#" * 11,
            "#" * 13,
            "#" * 16,
        ),
        *("arn:sample:#", "sample:#", "sample/#", "image/png", "192.0.2.#", "#a1b2c3"[1:], "usr_sample#"),
    )
)
"""Texts for a column that must match a pattern."""


def literals(expression: str) -> tuple[str, ...]:
    """Return values that a check's own text suggests, the likely ones first."""
    strings = [text.replace("''", "'") for text in _STRING.findall(expression)]
    found = [part for text in strings for part in (*_elements(text), text)]
    found += [text.replace("%", "sample").replace("_", "s") for text in strings if "%" in text or "_" in text]
    numbers = _NUMBER.findall(_STRING.sub("''", expression)) + [
        text for text in strings if _NUMBER.fullmatch(text)
    ]
    for number in numbers:
        found += _neighbours(number)
    if _LENGTH.search(expression):
        lengths = {int(float(each)) + step for each in numbers for step in (-1, 0, 1)}
        for length in sorted(each for each in lengths if 0 < each <= _LONGEST_TEXT):
            found += [("s" * length)[:-1] + end for end in "123"]
    if any(word in expression.lower() for word in _MATCHES):
        found += _SHAPES
    return tuple(dict.fromkeys(found))


def _elements(text: str) -> list[str]:
    return [each.strip('"') for each in text[1:-1].split(",")] if re.fullmatch(r"\{.*\}", text) else []


def _neighbours(number: str) -> list[str]:
    if "." in number:
        middle = float(number)
        return [number, f"{middle + 1:g}", f"{middle - 1:g}", f"{middle / 2:g}"]
    middle = int(number)
    return [str(each) for each in (middle + 1, middle, middle - 1, middle + 2, middle + 3, middle // 2)]
