"""`${NAME}` and `--set`: what comes from outside adds text, never structure, and never vanishes."""

from __future__ import annotations

import pytest

from coordinator.errors import Usage
from coordinator.load.events import parse
from coordinator.load.tree import plain
from coordinator.load.variables import resolve, settings_from


def resolved(text, *, settings=None, environment=None):
    root = parse(text, file="f").root
    assert root is not None
    result = resolve(root, settings=settings or {}, environment=environment or {})
    return plain(result.root), [f"{each.place} {each.code}" for each in result.diagnostics]


def test_takes_a_setting_before_the_environment():
    assert resolved("a: ${X}-${Y}", settings={"X": "1"}, environment={"X": "2", "Y": "3"}) == (
        {"a": "1-3"},
        [],
    )


def test_keeps_structure_out_of_a_value():
    value = "x\nservices: {evil: 1} # ${OTHER} *alias"

    assert resolved("a: ${X}", settings={"X": value}) == ({"a": value}, [])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$${X}", "${X}"),
        ("a$${", "a${"),
        ("$X", "$X"),
        ("$$", "$$"),
        ("$${X}${X}", "${X}1"),
        ("$$${X}", "$${X}"),
    ],
)
def test_writes_a_literal_brace_after_two_dollars(text, value):
    read, _ = resolved(f"a: '{text}'\nb: ${{X}}", settings={"X": "1"})

    assert read == {"a": value, "b": "1"}


@pytest.mark.parametrize("text", ["${}", "${X", "${1}", "${A-b}", "${A:-b}", "${A ${X}}"])
def test_refuses_what_looks_like_a_variable_and_is_none(text):
    _, problems = resolved(f"a: '{text}'", environment={"X": "1"})

    assert problems == ["f:1:4 bad-variable"]


def test_refuses_a_variable_in_a_key():
    assert resolved("a: 1\n${X}: 1", environment={"X": "b"})[1] == ["f:2:1 bad-variable"]


def test_names_each_place_of_an_undefined_variable():
    assert resolved("a: ${X}\nb: [1, ${X}]".replace("[1, ${X}]", '[1, "${X}"]'))[1] == [
        "f:1:4 undefined-variable",
        "f:2:8 undefined-variable",
    ]


def test_refuses_a_setting_that_nothing_uses():
    assert resolved("a: ${X}", settings={"X": "1", "Y": "2", "s.k": "3"})[1] == [
        "--set Y unused-setting",
        "--set s.k unused-setting",
    ]


def test_sets_and_overrides_a_key_of_a_service():
    text = "services: {s: {version: '${X}', a: b}}"

    read, problems = resolved(text, settings={"s.version": "${not a variable}", "s.new": "1"})

    assert read == {"services": {"s": {"version": "${not a variable}", "a": "b", "new": "1"}}}
    assert problems == []


def test_refuses_to_set_a_list_or_a_mapping():
    read, problems = resolved("services: {s: {uses: [a]}}", settings={"s.uses": "b"})

    assert read == {"services": {"s": {"uses": ["a"]}}}
    assert problems == ["--set s.uses bad-setting"]


@pytest.mark.parametrize("value", ["a\x00b", "\udcff", "a\u202eb"])
def test_refuses_hidden_characters_that_come_from_outside(value):
    assert resolved("a: ${X}", environment={"X": value}) == ({"a": ""}, ["f:1:4 hidden-character"])


def test_bounds_what_variables_bring_in():
    text = "\n".join(f"k{n}: ${{X}}{'${X}' * 50}" for n in range(100))

    _, problems = resolved(text, environment={"X": "x" * 100_000})

    assert "f:1:5 file-too-large" in problems


def test_reads_settings_of_the_command_line():
    assert settings_from(["A=1", "B_2=x=y", "shop-api.version=1.5", "C="]) == {
        "A": "1",
        "B_2": "x=y",
        "shop-api.version": "1.5",
        "C": "",
    }


@pytest.mark.parametrize(
    "arguments", [["A"], ["=1"], ["a.b.c=1"], ["1=2"], ["A-B=1"], ["A=1", "A=2"], ["Shop.x=1"]]
)
def test_refuses_a_setting_that_cannot_be_read(arguments):
    with pytest.raises(Usage) as refused:
        settings_from(arguments)

    assert refused.value.code == "bad-setting"


def test_never_shows_a_settings_value():
    with pytest.raises(Usage) as refused:
        settings_from(["a b=hunter2"])

    assert "hunter2" not in str(refused.value)
