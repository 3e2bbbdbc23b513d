"""The copy of initdb's work that later rehearsals start from, and where it is kept."""

from __future__ import annotations

from pathlib import Path

from coordinator.adapters.cache_folder import cache_folder
from coordinator.adapters.rehearsals._postgresql.templates import copy_template, keep_template


def test_a_copy_that_cannot_be_finished_takes_no_room(tmp_path: Path):
    cluster, template = tmp_path / "data", tmp_path / "cache" / "18.6"
    cluster.mkdir()
    (cluster / "first").write_text("x")
    (cluster / "second").symlink_to("nowhere")

    keep_template(template, cluster)

    assert [each.name for each in template.parent.iterdir()] == ["lock"]
    assert not copy_template(template, tmp_path / "copy")


def test_a_complete_copy_is_kept(tmp_path: Path):
    cluster, template = tmp_path / "data", tmp_path / "cache" / "18.6"
    cluster.mkdir()
    (cluster / "first").write_text("x")

    keep_template(template, cluster)

    assert copy_template(template, tmp_path / "copy")
    assert (tmp_path / "copy" / "first").read_text() == "x"
    assert {each.name for each in template.parent.iterdir()} == {"lock", "18.6"}


def test_nothing_is_kept_below_a_relative_path(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))

    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "coordinator"

    monkeypatch.setenv("HOME", "relative")
    assert not cache_folder().parent.is_dir()
