"""What MySQL and MariaDB say of themselves and of a user, and what a release would lack there."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from builders import migration

from coordinator.model import Engine
from coordinator.ports.databases import Target
from coordinator.rights import missing_rights

ALL = "GRANT ALL PRIVILEGES ON `shop`.* TO `releasing`@`%`"
TRIGGER = "CREATE DEFINER = `a`@`%` TRIGGER t BEFORE INSERT ON users FOR EACH ROW SET NEW.x = 1"
FUNCTION = "CREATE FUNCTION one() RETURNS int DETERMINISTIC RETURN 1"
CHILD = "CREATE TABLE child (id int PRIMARY KEY, of_user int, FOREIGN KEY (of_user) REFERENCES `users` (id))"


class Server:
    """Answers as one does that was set up in a certain way."""

    def __init__(self, engine: Engine, *grants: str, **settings: object) -> None:
        self._engine = engine
        self._answers: Mapping[str, list[tuple[object, ...]]] = {
            "SELECT DATABASE()": [("shop",)],
            "SHOW GRANTS": [(each,) for each in grants],
            "SELECT CURRENT_ROLE()": [("NONE",)],
            "SELECT @@read_only, VERSION()": [
                (settings.get("read_only", 0), settings.get("version", "8.4.2"))
            ],
            "SELECT @@super_read_only": [(settings.get("super_read_only", 0),)],
            "SELECT @@log_bin, @@log_bin_trust_function_creators": [
                (settings.get("log_bin", 0), settings.get("trusts", 0))
            ],
        }

    def target(self, table: str | None) -> Target:
        return Target(self._engine, "shop", None, table)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        return self._answers[sql]


def told(server: Server, sql: str = "") -> tuple[str, ...]:
    return missing_rights(server, (migration(2, sql),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("engine", "version", "right", "takes_writes"),
    [
        (Engine.MYSQL, "8.4.2", "SUPER", True),
        (Engine.MYSQL, "8.4.2", "PROCESS", False),
        (Engine.MARIADB, "10.6.18-MariaDB-log", "SUPER", True),
        (Engine.MARIADB, "10.11.19-MariaDB-0+deb12u1-log", "SUPER", False),
        (Engine.MARIADB, "10.11.19-MariaDB-0+deb12u1-log", "READ ONLY ADMIN", True),
    ],
)
def test_who_may_write_where_a_server_is_read_only(engine, version, right, takes_writes):
    grants = (f"GRANT {right} ON *.* TO `releasing`@`%`", ALL)

    found = told(Server(engine, *grants, read_only=1, version=version))

    assert found == (() if takes_writes else ("This server takes no writes (`read_only`).",))


def test_super_read_only_takes_no_writes_of_anybody():
    server = Server(Engine.MYSQL, "GRANT SUPER ON *.* TO `releasing`@`%`", ALL, super_read_only=1)

    assert told(server) == ("This server takes no writes (`super_read_only`).",)


@pytest.mark.parametrize(("sql", "kind"), [(TRIGGER, "trigger"), (FUNCTION, "function")])
def test_a_binary_log_lets_no_user_without_super_make_what_it_would_repeat(sql: str, kind: str):
    [sentence] = told(Server(Engine.MARIADB, ALL, log_bin=1), sql)

    assert (
        f"migrations/00002_m2.sql:1 makes a {kind}, for which the user lacks SUPER (error 1419;" in sentence
    )


@pytest.mark.parametrize(
    ("grants", "settings"),
    [
        ((ALL,), {"log_bin": 0}),
        ((ALL,), {"log_bin": 1, "trusts": 1}),
        (("GRANT SUPER ON *.* TO `releasing`@`%`", ALL), {"log_bin": 1}),
    ],
)
def test_where_a_binary_log_minds_no_trigger_nothing_is_told(grants, settings):
    assert told(Server(Engine.MYSQL, *grants, **settings), f"{TRIGGER};\n{FUNCTION}") == ()


def test_a_foreign_key_takes_the_right_to_refer_to_its_parent_on_mysql_alone():
    grants = "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `shop`.* TO `releasing`@`%`"

    [sentence] = told(Server(Engine.MYSQL, grants), CHILD)

    assert sentence.startswith("The user lacks REFERENCES on `shop`.`users`, which migrations/00002_m2.sql:1")
    assert (
        told(Server(Engine.MYSQL, grants, "GRANT REFERENCES (`id`) ON `shop`.`users` TO `a`@`%`"), CHILD)
        == ()
    )
    assert told(Server(Engine.MARIADB, grants), CHILD) == ()


def test_what_was_taken_back_of_one_database_is_no_right_there():
    everywhere = "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER ON *.* TO `releasing`@`%`"
    revoked = "REVOKE ALTER ON `shop`.* FROM `releasing`@`%`"
    of_another = "REVOKE CREATE ON `other`.* FROM `releasing`@`%`"
    change = "ALTER TABLE users ADD x int"

    [sentence] = told(Server(Engine.MYSQL, everywhere, revoked, of_another), change)

    assert sentence.startswith("The user lacks ALTER on `shop`.`users`")
    assert told(Server(Engine.MYSQL, everywhere, of_another), change) == ()
    assert told(Server(Engine.MYSQL, everywhere, revoked, "GRANT ALTER ON `shop`.* TO `a`@`%`"), change) == ()
