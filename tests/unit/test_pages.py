"""Every code that the program can say has a page, and no page is left of a code that is gone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import coordinator
from coordinator import errors, pages
from coordinator.diagnostics import did_you_mean

ROOT = Path(coordinator.__file__).parents[1]
SOURCES = sorted(
    path for package in ("coordinator", "migrations_hooks") for path in (ROOT / package).rglob("*.py")
)
SECTIONS = ["## What it means", "## Why it matters", "## What to do"]

# What takes a code as its first argument. `__init__` is an error that gives its base the one code it has; the
# other errors are found by their base, so that a new one counts at once.
EMITTERS = {"Diagnostic", "PydanticCustomError", "__init__"} | {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.CoordinatorError)
}


def codes_in(tree: ast.AST) -> Iterator[str]:
    """Yield the codes that a module emits: first arguments of emitters, and every `code="…"`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            emits = _name_of(node.func) in EMITTERS
            yield from _strings(node.args[:1] if emits else [])
            yield from _strings([each.value for each in node.keywords if each.arg == "code"])


def _name_of(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _strings(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        if isinstance(node, ast.IfExp):
            yield from _strings([node.body, node.orelse])


EMITTED = {
    code: path.relative_to(ROOT)
    for path in SOURCES
    for code in codes_in(ast.parse(path.read_text(encoding="utf-8")))
}


def test_finds_codes_in_every_form_that_emits_one():
    source = (
        'Diagnostic("a", p); Usage("b"); errors.InDoubt("c"); f(code="d"); Usage("e" if x else "f"); g("h")'
    )

    assert sorted(codes_in(ast.parse(source))) == ["a", "b", "c", "d", "e", "f"]


def test_every_code_has_a_page():
    missing = {code: str(path) for code, path in EMITTED.items() if code not in pages.codes()}

    assert missing == {}, f"write coordinator/pages/<code>.md for: {missing}"


def test_every_page_has_a_code():
    stale = [code for code in pages.codes() if code not in EMITTED]

    assert stale == [], f"nothing emits these codes; remove their pages: {stale}"


@pytest.mark.parametrize("code", pages.codes())
def test_page_says_what_why_and_what_to_do(code):
    text = pages.page(code)

    assert text is not None
    assert text.startswith(f"# {code}\n\n")
    assert [line for line in text.splitlines() if line.startswith("## ")] == SECTIONS
    sections = text.split("## ")[1:]
    assert all(section.partition("\n\n")[2].strip() for section in sections)
    assert pages.summary(code).endswith(".")


def test_a_name_that_looks_like_none_of_many_gets_no_list_that_nobody_reads():
    assert "journal" not in did_you_mean("zzz", pages.codes())
    assert did_you_mean("jornal-conflict", pages.codes()) == "Did you mean `journal-conflict`?"
