"""Rehearsals on MariaDB: what does the work is in _mysql, and imported when a rehearsal begins."""

from __future__ import annotations

from typing import Final

from coordinator.adapters.rehearsals._mysql.engine import MysqlRehearsal
from coordinator.model import Engine
from coordinator.rehearsal_ports import RehearsalEngine

REHEARSAL: Final[RehearsalEngine] = MysqlRehearsal(Engine.MARIADB)
