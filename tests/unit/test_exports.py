from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from fixtures.repository import Repository

from coordinator.adapters.trees.git import GitRepository
from coordinator.app.exports import Exports
from coordinator.errors import Usage


@pytest.fixture
def made(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "made")


def test_writes_what_a_tag_holds_and_removes_it(made: Repository):
    made.write("a/run.sh", "one")
    (made.folder / "a" / "run.sh").chmod(0o755)
    made.git("add", "a/run.sh")
    made.link("link", "a/run.sh")
    made.commit("v1")
    made.write("a/run.sh", "two")
    with GitRepository(made.folder) as repository, closing(Exports(repository)) as exports:
        root = exports.root("v1")

        assert (root / "link").read_text() == "one"
        assert (root / "a" / "run.sh").stat().st_mode & 0o111
        assert exports.root("v1") == root
    assert not root.exists()


def test_a_link_that_leads_out_is_left_out(made: Repository, tmp_path: Path):
    (tmp_path / "secret").write_text("secret")
    made.link("up", "../secret")
    made.link("absolute", str(tmp_path / "secret"))
    made.link("folder", "..")
    made.write("kept", "kept")
    made.commit("v1")

    with GitRepository(made.folder) as repository, closing(Exports(repository)) as exports:
        assert [each.name for each in exports.root("v1").iterdir()] == ["kept"]


def test_a_tree_starts_at_the_repositorys_folder_and_the_root_has_all(made: Repository):
    made.write("services/shop/a.txt", "shop")
    made.write("lib/b.txt", "lib")
    made.commit("v1")

    with GitRepository(made.folder / "services") as repository, closing(Exports(repository)) as exports:
        tree = exports.tree("v1")

        assert (tree.files("."), tree.label[:6]) == (("shop/a.txt",), "git v1")
        assert (exports.root("v1") / "lib" / "b.txt").read_text() == "lib"


def test_only_the_last_two_are_kept(made: Repository):
    for tag in ("v1", "v2", "v3"):
        made.write("a", tag)
        made.commit(tag)

    with GitRepository(made.folder) as repository, closing(Exports(repository)) as exports:
        first, second = exports.root("v1"), exports.root("v2")
        exports.root("v1")
        exports.root("v3")

        assert (first.exists(), second.exists()) == (True, False)


def test_an_unknown_ref_is_told(made: Repository):
    made.commit("v1")

    with (
        GitRepository(made.folder) as repository,
        closing(Exports(repository)) as exports,
        pytest.raises(Usage, match="v2"),
    ):
        exports.root("v2")


def test_a_commit_of_which_git_lacks_an_object_is_told(made: Repository):
    made.write("a", "text")
    commit = made.commit("v1")
    blob = made.git("rev-parse", f"{commit}:a")
    (made.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()

    with (
        GitRepository(made.folder) as repository,
        closing(Exports(repository)) as exports,
        pytest.raises(Usage, match="lacks the object"),
    ):
        exports.root("v1")


def test_a_place_that_takes_no_files_is_told(made: Repository, monkeypatch: pytest.MonkeyPatch):
    made.write("a", "text")
    made.commit("v1")
    monkeypatch.setattr("tempfile.tempdir", str(made.folder / "gone"))

    with (
        GitRepository(made.folder) as repository,
        closing(Exports(repository)) as exports,
        pytest.raises(Usage, match="The files of v1 cannot be written") as told,
    ):
        exports.root("v1")

    assert told.value.code == "file-unwritable"
