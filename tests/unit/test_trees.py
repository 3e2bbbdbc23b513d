"""The trees that a version's sources are read from: the folder as it is, any commit, not checked out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fixtures.repository import Repository

from coordinator.adapters.trees.folder import FolderTree
from coordinator.adapters.trees.git import GitRepository
from coordinator.errors import Usage


@pytest.fixture
def made(tmp_path):
    return Repository(tmp_path / "made")


def code_of(caught) -> str:
    return caught.value.code


def test_a_commit_is_read_as_it_was_and_the_folder_as_it_is(made):
    made.write("queries/a.sql", "SELECT 1")
    made.commit("v1")
    made.write("queries/a.sql", "SELECT 2")

    with GitRepository(made.folder) as repository:
        tree = repository.tree("v1")
        assert tree.read("queries/a.sql") == b"SELECT 1"
        assert tree.read("queries/b.sql") is None
        assert tree.read("queries") is None
    assert FolderTree(made.folder).read("queries/a.sql") == b"SELECT 2"
    assert FolderTree(made.folder).read("queries/b.sql") is None
    assert FolderTree(made.folder).read("queries") is None


def test_both_kinds_list_the_same_files(made):
    made.write("a.sql", "1")
    made.write("deep/er/ü b.sql", "2")
    made.write("deep/c.sql", "3")
    made.link("deep/link.sql", "../a.sql")
    made.link("deep/folder", "er")
    made.link("deep/nowhere.sql", "gone.sql")
    made.commit("v1")

    with GitRepository(made.folder) as repository:
        for tree in (repository.tree("v1"), FolderTree(made.folder)):
            assert tree.files("deep") == ("deep/c.sql", "deep/er/ü b.sql", "deep/link.sql")
            assert tree.files(".") == ("a.sql", "deep/c.sql", "deep/er/ü b.sql", "deep/link.sql")
            assert tree.files("./deep/er/") == ("deep/er/ü b.sql",)
            assert tree.files("deep/folder") == ("deep/folder/ü b.sql",)
            assert tree.files("none") == tree.files("a.sql") == ()
            assert tree.read("deep/link.sql") == b"1"
            assert tree.read("deep/folder/ü b.sql") == b"2"


def test_a_tree_starts_at_the_plans_folder_and_reaches_the_whole_repository(made):
    made.write("services/shop/plan.yaml", "plan")
    made.write("queries/a.sql", "SELECT 1")
    made.commit("v1")
    folder = made.folder / "services" / "shop"

    with GitRepository(folder) as repository:
        for tree in (repository.tree("v1"), FolderTree(folder)):
            assert tree.read("plan.yaml") == b"plan"
            assert tree.read("../../queries/a.sql") == b"SELECT 1"
            assert tree.files("../../queries") == ("../../queries/a.sql",)
            with pytest.raises(Usage, match="leads out of the repository") as caught:
                tree.read("../../../x")
            assert code_of(caught) == "path-outside"
            with pytest.raises(Usage):
                tree.read("/etc/passwd")


@pytest.mark.parametrize("target", ["../../outside.sql", "/etc/hostname", "loop.sql"])
def test_a_link_that_leaves_the_repository_is_no_file(made, target):
    (made.folder.parent / "outside.sql").write_text("SELECT 1")
    made.link("q/loop.sql", target)
    made.commit("v1")

    with GitRepository(made.folder) as repository:
        for tree in (repository.tree("v1"), FolderTree(made.folder)):
            assert tree.files("q") == ()
            with pytest.raises(Usage) as caught:
                tree.read("q/loop.sql")
            assert code_of(caught) in ("path-outside", "file-unreadable")


def test_a_place_is_what_a_person_opens(made, monkeypatch):
    made.write("services/shop/a.sql", "SELECT 1")
    made.commit("v1")
    monkeypatch.chdir(made.folder)

    with GitRepository(Path("services/shop")) as repository:
        assert repository.tree("v1").place("a.sql") == "v1:services/shop/a.sql"
    assert FolderTree(Path("services/shop")).place("a.sql") == "services/shop/a.sql"


def test_a_bare_clone_and_a_worktree_are_read_like_the_repository(made, tmp_path):
    made.write("a.sql", "SELECT 1")
    made.commit("v1")
    made.git("clone", "--quiet", "--bare", str(made.folder), str(tmp_path / "bare"))
    made.git("worktree", "add", "--quiet", str(tmp_path / "worktree"), "v1")

    for folder in (tmp_path / "bare", tmp_path / "worktree"):
        with GitRepository(folder) as repository:
            assert repository.tree("v1").files(".") == ("a.sql",)
            assert repository.tree("v1").read("a.sql") == b"SELECT 1"


def test_a_label_names_the_ref_and_the_commit(made):
    made.write("a.sql", "SELECT 1")
    commit = made.commit("v1")

    with GitRepository(made.folder) as repository:
        assert repository.tree("v1").label == f"git v1 ({commit[:7]})"
        assert repository.tree(commit[:9]).label == f"git {commit[:9]}"
        assert repository.resolve("v1") == repository.resolve("HEAD") == commit


@pytest.mark.parametrize("ref", ["v2", "", "v1\nv1", "--help", "HEAD:a.sql", "0000000"])
def test_an_unknown_ref_is_named(made, ref):
    made.write("a.sql", "SELECT 1")
    made.commit("v1")

    with GitRepository(made.folder) as repository:
        with pytest.raises(Usage) as caught:
            repository.tree(ref)
        assert repository.resolve("v1")

    assert code_of(caught) == "unknown-ref"
    assert f"`{ref}`" in str(caught.value)
    assert str(made.folder) in str(caught.value)


def test_a_folder_without_a_repository_is_named(tmp_path):
    with pytest.raises(Usage, match="not a git repository") as caught:
        GitRepository(tmp_path)

    assert code_of(caught) == "not-a-repository"
    with pytest.raises(Usage):
        GitRepository(tmp_path / "gone")


def test_the_environment_of_a_hook_does_not_redirect_to_another_repository(made, tmp_path, monkeypatch):
    other = Repository(tmp_path / "other")
    other.write("a.sql", "other")
    other.commit("v1")
    made.write("a.sql", "made")
    made.commit("v1")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))

    with GitRepository(made.folder) as repository:
        assert repository.tree("v1").read("a.sql") == b"made"


def test_a_program_that_the_configuration_names_for_files_is_not_run(made, tmp_path):
    made.write(".gitattributes", "*.sql diff=evil filter=evil")
    made.write("a.sql", "SELECT 1")
    made.commit("v1")
    trap = tmp_path / "trap"
    for key in ("diff.evil.textconv", "filter.evil.smudge", "core.fsmonitor", "core.pager"):
        made.git("config", key, f"touch {trap} #")

    with GitRepository(made.folder) as repository:
        assert repository.tree("v1").read("a.sql") == b"SELECT 1"
        repository.tags()
        repository.default_branch()

    assert not trap.exists()


def test_a_submodule_is_said_to_be_one(made):
    commit = made.commit("v0")
    made.git("update-index", "--add", "--cacheinfo", f"160000,{commit},vendor/lib")
    made.write("vendor/own.sql", "SELECT 1")
    made.commit("v1")

    with GitRepository(made.folder) as repository:
        tree = repository.tree("v1")
        assert tree.files("vendor") == ("vendor/own.sql",)
        with pytest.raises(Usage, match="vendor/lib") as caught:
            tree.read("vendor/lib/a.sql")

    assert code_of(caught) == "submodule"


def test_a_giant_is_refused_and_the_next_file_is_read(made, monkeypatch):
    made.write("giant.sql", "x" * 300)
    made.write("small.sql", "x" * 100)
    made.commit("v1")
    for module in ("git", "folder"):
        monkeypatch.setattr(f"coordinator.adapters.trees.{module}.MAX_FILE_BYTES", 200)

    with GitRepository(made.folder) as repository:
        for tree in (repository.tree("v1"), FolderTree(made.folder)):
            with pytest.raises(Usage) as caught:
                tree.read("giant.sql")
            assert code_of(caught) == "file-too-large"
            assert tree.read("small.sql") == b"x" * 100


def test_tags_come_oldest_first_with_their_time(made):
    made.write("a", "1")
    first = made.commit("v2", day=1)
    made.write("a", "2")
    second = made.commit("v1", day=2, annotated=True)
    made.git("tag", "-a", "-m", "of a tag", "v3", "v1", day=3)
    made.git("tag", "a-file", "HEAD:a")

    with GitRepository(made.folder) as repository:
        tags = repository.tags()

    assert [(each.name, each.commit, each.created.day) for each in tags] == [
        ("v2", first, 1),
        ("v1", second, 2),
        ("v3", second, 3),
    ]


def test_merge_base_and_default_branch_are_found(made, tmp_path):
    made.write("a", "1")
    base = made.commit("base")
    made.git("checkout", "--quiet", "-b", "topic")
    made.write("a", "2")
    made.commit("topic-tip")
    made.git("checkout", "--quiet", "main")
    made.write("b", "1")
    made.commit("main-tip")
    made.git("checkout", "--quiet", "--orphan", "island")
    made.commit("alone")
    made.git("clone", "--quiet", str(made.folder), str(tmp_path / "clone"), "--branch", "topic")

    with GitRepository(made.folder) as repository:
        assert repository.merge_base("topic", "main") == base
        assert repository.default_branch() == "main"
        with pytest.raises(Usage) as caught:
            repository.merge_base("main", "alone")
        assert code_of(caught) == "no-merge-base"
    with GitRepository(tmp_path / "clone") as clone:
        assert clone.default_branch() == "origin/island"


def test_no_default_branch_where_nobody_follows_the_custom(made):
    made.commit("v1")
    made.git("branch", "-m", "trunk")

    with GitRepository(made.folder) as repository:
        assert repository.default_branch() is None


def test_git_goes_on_after_it_was_ended(made):
    made.write("a.sql", "SELECT 1")
    made.commit("v1")

    with GitRepository(made.folder) as repository:
        tree = repository.tree("v1")
        repository.close()
        assert tree.read("a.sql") == b"SELECT 1"
        assert repository._child is not None
        os.kill(repository._child.pid, 9)
        repository._child.wait()
        assert repository.resolve("v1") == tree.commit


def test_a_partial_clone_says_what_it_lacks_and_fetches_nothing(made, tmp_path):
    made.write("a.sql", "SELECT 1")
    made.commit("v1")
    made.git("config", "uploadpack.allowFilter", "true")
    made.git(
        "clone", "--quiet", "--bare", "--filter=blob:none", f"file://{made.folder}", str(tmp_path / "partial")
    )

    with GitRepository(tmp_path / "partial") as repository:
        tree = repository.tree("v1")
        assert tree.files(".") == ("a.sql",)
        with pytest.raises(Usage) as caught:
            tree.read("a.sql")

    assert code_of(caught) == "object-missing"
