"""What is refused of a file before anybody asks what its values mean, and how its scalars are read."""

from __future__ import annotations

import os

import pytest

from coordinator.load.events import MAX_PROBLEMS, parse
from coordinator.load.scalars import core_value
from coordinator.load.source import MAX_PLAN_BYTES, read_text
from coordinator.load.tree import plain


def refusals(text):
    return [(each.code, each.place.line, each.place.column) for each in parse(text, file="f").diagnostics]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", ("duplicate-key", 3, 1)),
        ("a: {b: 1, c: 2, b: 3}", ("duplicate-key", 1, 17)),
        ("a: &x foo", ("anchor", 1, 4)),
        ("a: &x {b: 1}", ("anchor", 1, 4)),
        ("&x a: 1", ("anchor", 1, 1)),
        ("a: *x", ("alias", 1, 4)),
        ("a: !!python/object:os.system x", ("tag", 1, 4)),
        ("a: ! x", ("tag", 1, 4)),
        ("a: !include [x]", ("tag", 1, 4)),
        ("a: {<<: {b: 1}}", ("merge-key", 1, 5)),
        ("1: x", ("key-not-text", 1, 1)),
        ("true: x", ("key-not-text", 1, 1)),
        ("~: x", ("key-not-text", 1, 1)),
        ("[a]: x", ("key-not-text", 1, 1)),
        ("a: 1\n---\nb: 2\n", ("several-documents", 2, 1)),
        ("", ("empty-file", 0, 0)),
        ("# only a comment\n", ("empty-file", 0, 0)),
        ("---\n", ("empty-file", 0, 0)),
        ("a: [1\nb: 2\n", ("not-yaml", 2, 2)),
        ("a: b: c", ("not-yaml", 1, 5)),
        ("a:\n\t- b", ("not-yaml", 2, 1)),
        ('a: "\\0"', ("hidden-character", 1, 4)),
        ('a: "\\u202e"', ("hidden-character", 1, 4)),
    ],
)
def test_refuses_what_a_plan_does_not_need_at_its_place(text, expected):
    assert refusals(text) == [expected]


def test_names_the_line_of_the_first_of_two_equal_keys():
    [problem] = parse("a: 1\nb: 2\na: 3\n", file="plan.yaml").diagnostics

    assert str(problem) == (
        "plan.yaml:3:1 error[duplicate-key]: `a` stands here twice, first in line 1. "
        "Only one of the two could count. Remove one."
    )


def test_names_a_tab_in_the_indentation():
    [problem] = parse("a:\n\t- b", file="plan.yaml").diagnostics

    assert problem.next_step.startswith("The line begins with a tab")


def test_collects_all_problems_up_to_a_syntax_error():
    assert refusals("a: &x 1\na: 2\nb: [\n") == [
        ("anchor", 1, 4),
        ("duplicate-key", 2, 1),
        ("not-yaml", 4, 1),
    ]


def test_stops_counting_problems_at_a_hundred():
    assert len(refusals("a: 1\n" * 5000)) == MAX_PROBLEMS


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_stops_at_the_65th_level_of_a_deep_file(opening):
    [problem] = parse(opening * 50_000, file="f").diagnostics

    assert problem.code == "too-deep"


def test_allows_64_levels():
    parsed = parse("[" * 64 + "]" * 64, file="f")

    assert parsed.diagnostics == ()
    assert parsed.root is not None


def test_refuses_more_values_than_a_plan_can_need():
    [problem] = parse("[" + "a," * 20_000 + "]", file="f").diagnostics

    assert problem.code == "file-too-large"


def test_says_that_a_variable_between_braces_needs_quotes():
    [problem] = parse("a: {b: ${PORT}}", file="f").diagnostics

    assert '"${NAME}"' in problem.next_step


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-7", -7),
        ("0o17", 15),
        ("0xff", 255),
        ("017", 17),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-01-02", "2026-01-02"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("0b1", "0b1"),
        ("1.2.3", "1.2.3"),
        ("9" * 5000, "9" * 5000),
        ("1e999", "1e999"),
        ("٣", "٣"),
    ],
)
def test_reads_scalars_as_the_core_schema_of_yaml_1_2(text, value):
    read = core_value(text)

    assert read == value
    assert type(read) is type(value)


def test_keeps_quoted_scalars_as_text():
    root = parse("""a: "1"\nb: 'true'\nc: |\n  2\n""", file="f").root

    assert root is not None
    assert plain(root) == {"a": "1", "b": "true", "c": "2\n"}


def read(tmp_path, content):
    path = tmp_path / "plan.yaml"
    path.write_bytes(content)
    source = read_text(path)
    return source.text, [(each.code, each.place.line, each.place.column) for each in source.diagnostics]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: \xff", ("not-utf-8", 1, 4)),
        ("a: 1\r\nb: ü".encode() + b"\xc3", ("not-utf-8", 2, 5)),
        ("a: b".encode("utf-16"), ("not-utf-8", 1, 1)),
        (b"a: \x00", ("hidden-character", 1, 4)),
        (b"a: 1\nb: \x1b[31m", ("hidden-character", 2, 4)),
        ("# end\u2028b: 1".encode(), ("hidden-character", 1, 6)),
        ("# end\x85b: 1".encode(), ("hidden-character", 1, 6)),
        ("a: \u202eb".encode(), ("hidden-character", 1, 4)),
        (b"#" * (MAX_PLAN_BYTES + 1), ("file-too-large", 0, 0)),
    ],
)
def test_refuses_bytes_that_are_no_visible_text(tmp_path, content, expected):
    assert read(tmp_path, content) == (None, [expected])


def test_takes_a_byte_order_mark_away(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfa: 1") == ("a: 1", [])


@pytest.mark.parametrize(
    ("name", "code"), [("gone.yaml", "file-missing"), (".", "not-a-file"), ("plan.yaml/x", "file-unreadable")]
)
def test_refuses_a_path_that_is_no_file(tmp_path, name, code):
    (tmp_path / "plan.yaml").write_text("a: 1")

    [problem] = read_text(tmp_path / name).diagnostics

    assert problem.code == code


def test_refuses_a_device_and_a_pipe_without_opening_them(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    assert [each.code for each in read_text(tmp_path / "pipe").diagnostics] == ["not-a-file"]
    assert [each.code for each in read_text(type(tmp_path)("/dev/zero")).diagnostics] == ["not-a-file"]


def test_says_why_a_file_cannot_be_read(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)

    [problem] = read_text(loop).diagnostics

    assert problem.code == "file-unreadable"
    assert problem.next_step
