from __future__ import annotations

import hashlib

from coordinator.backtest.checkout import (
    Checkout,
    Contents,
    Readings,
    checkout_from,
    effect,
    new_migrations,
    pair_notes,
)
from coordinator.model import Engine, SourceFile
from coordinator.ports.migrations import MigrationTool
from migrations_hooks.golang_migrate import TOOL as GOLANG_MIGRATE
from migrations_hooks.goose import TOOL as GOOSE


def source(path: str, text: str) -> SourceFile:
    content = text.encode()
    return SourceFile(path, content, hashlib.sha256(content).hexdigest())


def goose(**texts: str) -> list[SourceFile]:
    return [
        source(f"m/{name.removeprefix('m')}.sql", f"-- +goose Up\n{text}\n") for name, text in texts.items()
    ]


def checkout(tag: str, files: list[SourceFile], tool: MigrationTool = GOOSE) -> Checkout:
    _, reading = Readings(tool, Engine.POSTGRESQL).read(files)
    return checkout_from(tag, reading, is_there=bool(files))


def versions(checkout: Checkout) -> list[int]:
    return [each.version for each in checkout.migrations]


def test_new_is_what_the_older_tag_has_not_in_the_order_of_the_tool():
    before = checkout("v1", goose(m1_a="SELECT 1;"))
    after = checkout("v2", goose(m10_c="SELECT 3;", m2_b="SELECT 2;", m1_a="SELECT 1;"))

    assert [each.name for each in new_migrations(before, after)] == ["2_b", "10_c"]
    assert list(pair_notes(before, after)) == []


def test_a_file_that_moved_or_was_renamed_is_not_new():
    before = checkout("v1", [source("old/1_a.sql", "-- +goose Up\nSELECT 1;\n")])
    after = checkout("v2", [source("new/1_first.sql", "-- +goose Up\nSELECT 1;\n")])

    assert new_migrations(before, after) == ()
    assert list(pair_notes(before, after)) == ["1_a is called 1_first in v2."]


def test_says_which_migrations_are_gone():
    before = checkout("v1", goose(m1_a="SELECT 1;", m2_b="SELECT 2;"))

    [note] = pair_notes(before, checkout("v2", goose(m2_b="SELECT 2;")))

    assert "v2 has no more 1_a of v1" in note


def test_says_which_migration_came_late():
    before = checkout("v1", goose(m1_a="SELECT 1;", m3_c="SELECT 3;"))
    after = checkout("v2", goose(m1_a="SELECT 1;", m2_b="SELECT 2;", m3_c="SELECT 3;"))

    [note] = pair_notes(before, after)

    assert note.startswith("2_b is older than 3_c, which v1 has applied")


def test_a_migration_in_code_is_one_that_does_nothing_and_is_told():
    before = checkout("v1", goose(m1_a="SELECT 1;"))
    after = checkout("v2", [*goose(m1_a="SELECT 1;"), source("m/2_move.go", "package m")])

    [migration] = new_migrations(before, after)
    [note] = pair_notes(before, after)

    assert (migration.version, migration.name, migration.up) == (2, "2_move", None)
    assert note == "2_move has no effect here: it is code, which is not run here."


def test_tells_an_edit_once_also_where_release_lines_bring_the_old_content_back():
    contents = Contents()
    first, edited = goose(m1_a="SELECT 1;"), goose(m1_a="SELECT 2;")

    told = [
        list(contents.edits(checkout(tag, files)))
        for tag, files in zip("abcd", [first, edited] * 2, strict=True)
    ]

    assert told == [[], ["Edited in b, after release: 1_a (released in a)."], [], []]


def test_the_effect_changes_with_the_up_side_alone():
    one, comment, other = (
        checkout("v", [source("m/1_a.sql", text)]).migrations[0]
        for text in (
            "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n",
            "-- about\n-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 3;\n",
            "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\n",
        )
    )

    assert effect(one) == effect(comment) != effect(other)


def test_reads_a_folder_as_its_tool_does_whatever_was_read_before():
    folders = [
        {"1_a.up.sql": "SELECT 1;"},
        {"1_a.up.sql": "SELECT 1;", "1_a.down.sql": "SELECT 2;"},
        {"1_a.up.sql": "SELECT 1;", "1_a.down.sql": "SELECT 2;", "2_b.up.sql": "SELECT 3;"},
        {"1_a.up.sql": "SELECT 9;", "2_b.up.sql": "SELECT 3;"},
        {"2_b.up.sql": "SELECT 3;", "2_c.up.sql": "SELECT 4;"},
        {"2_b.down.sql": "SELECT 3;"},
        {},
    ]
    readings = Readings(GOLANG_MIGRATE, Engine.POSTGRESQL)

    for folder in folders:
        files = [source(f"m/{name}", text) for name, text in folder.items()]
        _, reading = readings.read(files)
        assert reading == GOLANG_MIGRATE.read(files)


def test_a_copy_in_another_folder_is_the_same_migration():
    files = [source(f"{folder}/1_a.sql", "-- +goose Up\nSELECT 1;\n") for folder in ("old", "new")]

    found = checkout("v1", files)

    assert (versions(found), found.problems) == ([1], {})
