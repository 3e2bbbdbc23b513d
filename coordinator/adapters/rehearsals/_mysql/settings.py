"""The settings of a server that decide what SQL means there, and how a table is changed.

They are read from the live server and given to the other. They travel behind the live server's version, in
the same text, so that evidence which was kept under another setting is never used again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from coordinator.model import Engine
from coordinator.ports.databases import Session

STARTED_WITH: Final = (
    "alter_algorithm",
    "character_set_server",
    "collation_server",
    "default_storage_engine",
    "explicit_defaults_for_timestamp",
    "innodb_default_row_format",
    "innodb_instant_alter_column_allowed",
    "innodb_strict_mode",
    "lower_case_table_names",
    "old_alter_table",
    "old_mode",
    "sql_mode",
    "sql_require_primary_key",
)
"""What a server of our own is started with."""
_OF_DATABASE: Final = ("character_set_database", "collation_database")
_READ: Final = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})"
_ENFORCES_CHECKS: Final = {Engine.MARIADB: (10, 2, 1), Engine.MYSQL: (8, 0, 16)}
"""Since when; a series of MySQL is on both sides of it."""
_BUG_FIXES_ALONE: Final = (8, 0, 34)
"""Since when MySQL 8.0 gets no new SQL (Oracle, "Introducing MySQL Innovation and Long-Term Support (LTS)
versions"). Before, each version brought some. All other series have theirs from the first version on."""
_LAST: Final = (999, 999, 999)
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True, slots=True)
class Traits:
    """A server: which of the two it is, its version, and its settings."""

    engine: Engine
    version: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """Empty where nobody asked."""

    @property
    def name(self) -> str:
        """Return name and version, as RehearsalServer.version has them."""
        return f"{self.engine.value} {self.version}"

    @property
    def series(self) -> tuple[str, ...]:
        """Return what decides about SQL of its version: `10.11`, `8.0`."""
        return tuple(self.version.split(".")[:2])

    @property
    def enforces_checks(self) -> bool:
        """Tell whether a CHECK refuses rows; an older server reads it and forgets it.

        A series alone (`8.0`) counts as its last version.
        """
        numbers = self._numbers
        return (*numbers, *_LAST[len(numbers) :]) >= _ENFORCES_CHECKS[self.engine]

    def has_sql_of(self, other: Traits) -> bool:
        """Tell whether the other one accepts the SQL that this one accepts, and no other.

        Of MySQL's `8.0` alone nobody knows which it is.
        """
        if (self.engine, self.series) != (other.engine, other.series):
            return False
        if self.engine is not Engine.MYSQL or self.series != ("8", "0") or self.version == other.version:
            return True
        return min(self._numbers, other._numbers) >= _BUG_FIXES_ALONE

    @property
    def _numbers(self) -> tuple[int, ...]:
        return tuple(map(int, self.version.split(".")))


def live_version(session: Session) -> str:
    """Return a live server's name and version, and behind them its settings."""
    [[version]] = session.query("SELECT VERSION()")
    names = ", ".join(f"'{name}'" for name in STARTED_WITH)
    settings = {str(name): str(value) for name, value in session.query(_READ.format(names=names))}
    [values] = session.query(f"SELECT {', '.join(f'@@{name}' for name in _OF_DATABASE)}")
    settings |= dict(zip(_OF_DATABASE, map(str, values), strict=True))
    return f"{traits_of(str(version)).name} {json.dumps(settings, sort_keys=True)}"


def traits_of(version: str, settings: Mapping[str, str] | None = None) -> Traits:
    """Return what `SELECT VERSION()` says: `10.11.19-MariaDB-…`, `5.5.5-10.3.1-MariaDB`, `8.0.36`."""
    found = _VERSION.findall(version)
    engine = Engine.MARIADB if "mariadb" in version.lower() else Engine.MYSQL
    is_prefixed = engine is Engine.MARIADB and found[:1] == ["5.5.5"] and len(found) > 1
    return Traits(engine, found[1] if is_prefixed else found[0] if found else "0", settings or {})


def traits_from(live_version: str | None) -> Traits | None:
    """Read again what `live_version` wrote."""
    if live_version is None:
        return None
    head, _, settings = live_version.partition(" {")
    name, _, version = head.partition(" ")
    return Traits(Engine(name), version, json.loads("{" + settings) if settings else {})
