"""All that a database of MariaDB holds, as text that is the same for the same content."""

from __future__ import annotations

import re

from coordinator.ports.databases import Session

_TABLES = """
SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1
"""
_ROUTINES = """
SELECT routine_type, routine_name, routine_definition FROM information_schema.routines
WHERE routine_schema = DATABASE() ORDER BY 1, 2
"""
_TRIGGERS = """
SELECT event_manipulation, trigger_name, action_timing, action_statement FROM information_schema.triggers
WHERE trigger_schema = DATABASE() ORDER BY 1, 2
"""


def dump_mariadb(session: Session, ledger: str) -> str:
    """Return the definition of everything and all rows, but for those of the version table."""
    lines: list[str] = []
    for name, kind in session.query(_TABLES):
        quoted = "`" + str(name).replace("`", "``") + "`"
        made = str(session.query(f"SHOW CREATE TABLE {quoted}")[0][1])
        lines.append(re.sub(r" AUTO_INCREMENT=[0-9]+|`coordinator_[0-9a-z_]+`\.", "", made))
        if kind == "BASE TABLE" and name != ledger:
            lines.extend(
                f"{name} {row!r}" for row in sorted(session.query(f"SELECT * FROM {quoted}"), key=repr)
            )
    lines.extend(repr(row) for query in (_ROUTINES, _TRIGGERS) for row in session.query(query))
    return "\n".join(lines)
