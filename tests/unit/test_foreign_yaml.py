"""YAML of other programs: what it may hold, and what would fill the memory or end the process."""

from __future__ import annotations

import pytest

from coordinator.load.foreign import NotReadable, read_yaml, read_yaml_documents

MERGED = b"base: &base {engine: postgresql}\nsql: [{<<: *base, schema: a}]\n"
LAUGHS = "\n".join(["a0: &a0 [x, x]", *(f"a{at}: &a{at} [*a{at - 1}, *a{at - 1}]" for at in range(1, 40))])


def test_reads_anchors_merges_and_json():
    assert read_yaml(MERGED) == {
        "base": {"engine": "postgresql"},
        "sql": [{"engine": "postgresql", "schema": "a"}],
    }
    assert read_yaml(b'\xef\xbb\xbf{"version": "2"}') == {"version": "2"}


def test_reads_every_document_of_a_manifest():
    assert read_yaml_documents(b"kind: A\n---\nkind: B\n---\n") == ({"kind": "A"}, {"kind": "B"}, None)
    assert read_yaml(b"# nothing\n") is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: [1 2: }", "line 1 is not YAML"),
        (b"kind: {{ .Values.kind }}\nb: [", "is not YAML"),
        (b"a: !!python/object:os.system x", "line 1 is not YAML"),
        (b"\xff", "it is not UTF-8"),
        (b"a: 1\n---\nb: 2", "it holds 2 documents"),
        (b"when: 2026-13-45", "it is not YAML"),
        (b"[" * 50_000, "it is nested too deep"),
        (LAUGHS.encode(), "it holds too many values"),
        (b"a: &a [*a]", "it holds too many values"),
        (b"#" * (1 << 20) + b"#", "it has more than 1 MiB"),
    ],
)
def test_refuses_what_it_cannot_read_and_says_why(content: bytes, reason: str):
    with pytest.raises(NotReadable, match=reason):
        read_yaml(content)
