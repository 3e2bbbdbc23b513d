"""Which statements of a file a cut moves, and which stand in both halves."""

from __future__ import annotations

import pytest

from coordinator.errors import Usage
from coordinator.model import Engine, Script, Statement
from coordinator.pieces import Piece, changing, pieces_of


def pieces(text: str, engine: Engine = Engine.MARIADB) -> tuple[Piece, ...]:
    return pieces_of(Script((Statement(text, 1),), transaction=False), text, engine)


@pytest.mark.parametrize(
    "text",
    [
        "SET lock_timeout = '1s'",
        "RESET ALL",
        "USE shop",
        "SELECT pg_catalog.set_config('search_path', '', false)",
        "SET FOREIGN_KEY_CHECKS = 0",
        "SET @@session.sql_mode = ''",
    ],
)
def test_what_sets_something_for_the_statements_behind_it_moves_with_none(text: str) -> None:
    found = pieces(f"{text};\nDROP TABLE orders;")

    assert [each.text for each in found] == [f"{text};", "DROP TABLE orders;"]
    assert [each.text for each in changing(found)] == ["DROP TABLE orders;"]


def test_a_statement_that_brings_its_own_settings_is_moved_like_any_other() -> None:
    text = "SET STATEMENT lock_wait_timeout = 1 FOR ALTER TABLE orders DROP COLUMN total;"

    assert [each.text for each in changing(pieces(text))] == [text]


@pytest.mark.parametrize(
    "text", ["SET @ids = (SELECT max(id) FROM orders)", "SELECT max(id) INTO @ids FROM orders"]
)
def test_a_file_with_a_variable_of_the_session_is_not_cut(text: str) -> None:
    with pytest.raises(Usage, match="line 2") as caught:
        pieces(f"ALTER TABLE orders ADD COLUMN n integer;\n{text};\nDROP TABLE orders;")

    assert caught.value.code == "split-not-possible"


def test_an_account_and_an_address_are_no_variables() -> None:
    text = "GRANT SELECT ON orders TO 'app'@'%';\nINSERT INTO mails VALUES ('a@example.com');"

    assert len(pieces(text)) == 2


@pytest.mark.parametrize(
    ("above", "kept"),
    [
        (["-- of the shop", "", "-- once"], ["-- of the shop", "-- once"]),
        (["/* of the shop:", "", "   once */"], ["/* of the shop:", "   once */"]),
        (["/* one */", "# two"], ["/* one */", "# two"]),
        (["/*!40101 SET NAMES utf8 */"], []),
        (["-- +goose StatementBegin"], []),
    ],
)
def test_comments_go_with_the_statement_below_them(above: list[str], kept: list[str]) -> None:
    text = "\n".join(["DROP TABLE customers; /* gone */", *above, "DROP TABLE orders;"])

    assert pieces(text)[-1].comments == tuple(kept)


def test_a_number_sign_is_no_comment_elsewhere() -> None:
    found = pieces("SELECT 5\n# 3;\nDROP TABLE orders;", Engine.POSTGRESQL)

    assert [each.comments for each in found] == [(), ()]
