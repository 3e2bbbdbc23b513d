"""A number is said with the right form of its noun, wherever something is counted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import coordinator
from coordinator.wording import counted


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (2, "query", "2 queries"),
        (1, "query", "1 query"),
        (10_000, "row", "10,000 rows"),
        (1, "more query", "1 more query"),
        (2, "more query", "2 more queries"),
    ],
)
def test_a_number_is_said_with_its_noun(number: int, noun: str, said: str):
    assert counted(number, noun) == said


def test_no_message_leaves_the_choice_of_the_form_to_its_reader():
    folder = Path(coordinator.__file__).parent
    files = (*folder.rglob("*.py"), *folder.rglob("*.md"))

    assert [
        str(each) for each in files if re.search(r"[a-z]\((?:s|es|ies)\)[ .,:\"']", each.read_text())
    ] == []
