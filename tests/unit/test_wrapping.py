"""What lines up on a terminal lines up whatever it is written in."""

from __future__ import annotations

import pytest

from coordinator.report.wrapping import aligned, columns_of, cut_to, folded


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


HALFWAY = (
    "  why: expand failed. Error 1050. Committed before it, for good: line 1 (ALTER TABLE a ADD b int;),"
    " line 2 (CREATE TABLE c (d int);), and 3 more, up to line 9. From line 10 on nothing is."
)


def test_a_message_that_is_wider_than_its_window_is_told_by_sentences_and_items():
    assert list(folded(HALFWAY, 44)) == [
        "  why: expand failed.",
        "      Error 1050.",
        "      Committed before it, for good:",
        "      - line 1 (ALTER TABLE a ADD b int;)",
        "      - line 2 (CREATE TABLE c (d int);)",
        "      - and 3 more, up to line 9.",
        "      From line 10 on nothing is.",
    ]


def test_a_message_stays_a_line_where_it_fits_and_where_there_is_no_window():
    assert list(folded(HALFWAY, 0)) == [HALFWAY]
    assert list(folded(f"{HALFWAY}\nshort", 300)) == [HALFWAY, "short"]
