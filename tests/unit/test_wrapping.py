"""What lines up on a terminal lines up whatever it is written in."""

from __future__ import annotations

import pytest

from coordinator.report.wrapping import aligned, columns_of, cut_to


def test_columns_line_up_behind_letters_that_take_two_and_none():
    rows = [("plain", "|"), ("名前🎉", "|"), ("e\u0301", "|")]

    assert list(aligned(rows)) == ["plain   |", "名前🎉  |", "e\u0301       |"]


@pytest.mark.parametrize(
    ("text", "fits"),
    [("abcdef", "abcdef"), ("abcdefg", "abcde…"), ("名前🎉", "名前🎉"), ("名前🎉a", "名前…")],
)
def test_what_is_cut_off_fits_and_is_marked(text: str, fits: str):
    assert cut_to(text, 6) == fits
    assert columns_of(fits) <= 6
