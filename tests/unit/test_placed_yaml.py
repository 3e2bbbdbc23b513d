"""Manifests read with places: each value has a line, and what Kubernetes would read otherwise is no date."""

from __future__ import annotations

import pytest

from coordinator.diagnostics import Place
from coordinator.load.foreign import NotReadable, read_placed_documents

MERGED = b"""\
base: &base {image: a, port: 80}
both:
  - <<: *base
    image: b
"""


def test_says_where_a_key_and_an_item_stand():
    [document] = read_placed_documents(b"a:\n  - b: 1\n  - c: 2\n")

    assert document.place("f") == Place("f", 1, 1)
    assert document.place("f", "a") == Place("f", 1, 1)
    assert document.place("f", "a", 1) == Place("f", 3, 5)
    assert document.place("f", "a", 1, "c") == Place("f", 3, 5)


def test_says_where_the_nearest_stands_that_is_there():
    [document] = read_placed_documents(b"a:\n  - b: 1\n")

    assert document.place("f", "a", 0, "image", "tag") == Place("f", 2, 5)
    assert document.place("f", "z") == Place("f", 1, 1)


def test_a_merged_value_stands_where_it_was_written():
    [document] = read_placed_documents(MERGED)

    assert document.value == {"base": {"image": "a", "port": 80}, "both": [{"image": "b", "port": 80}]}
    assert document.place("f", "both", 0, "image").line == 4
    assert document.place("f", "both", 0, "port").line == 1


def test_each_document_counts_its_lines_from_the_beginning_of_the_file():
    first, second = read_placed_documents(b"a: 1\n---\n# nothing\n---\nb: 2\n")

    assert (first.value, second.value) == ({"a": 1}, {"b": 2})
    assert second.place("f", "b") == Place("f", 5, 1)


def test_reads_scalars_as_kubernetes_does():
    [document] = read_placed_documents(b"[2026-01-31, 12:30, 1:1.5, 0644, 1.5, yes, ~, '7']")

    assert document.value == ["2026-01-31", "12:30", "1:1.5", 420, 1.5, True, None, "7"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: 1\nb: 2\na: 3", "`a` in line 3 stands there twice"),
        (b"a:\n  1: b", "a key in line 2 is no text"),
        (b"image: {{ .Values.image }}", "a key in line 1 is no text"),
        (b"a: .inf", "line 1 holds a number that JSON does not have"),
        (b"a: .nan", "line 1 holds a number that JSON does not have"),
        (b"a: !!binary aGk=", "line 1 holds what JSON does not have"),
        (b"a: !!python/object:os.system x", "line 1 holds what JSON does not have"),
        (b"a: [b}", "line 1 is not YAML"),
        (b"\xff", "it is not UTF-8"),
        (b"a: &a [*a]", "it holds too many values"),
    ],
)
def test_refuses_what_kubernetes_would_read_otherwise(content: bytes, reason: str):
    with pytest.raises(NotReadable, match=reason):
        read_placed_documents(content)
