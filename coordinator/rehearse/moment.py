"""Which refusals say nothing of the schema: those of the moment, and those that are our own. Pure.

A busy, full or failing machine may say something else when it is asked again. A release that is refused for
it would be refused for nothing, and evidence that holds it is of no use tomorrow.
"""

from __future__ import annotations

import re
from typing import Final

OF_THE_MOMENT: Final = re.compile(
    r"(?:40|53|57|58|XX)[0-9A-Z]{3}|55P03"
    r"|SQLITE_(?:BUSY|LOCKED|NOMEM|INTERRUPT|IOERR|CORRUPT|FULL|CANTOPEN|READONLY|PROTOCOL).*"
    r"|10(?:03|21|26|30|37|38|40|41|53)|11(?:14|52|59|60|61|80)|1203|1205|1213|1226|1317|1436|1927|1969"
    r"|2002|2003|2006|2013|2055|3024|3572"
)
"""Codes that tell of a busy, full or failing machine: its time, its locks, its memory and its disk.

Those of MySQL and MariaDB are their error numbers (ER_LOCK_WAIT_TIMEOUT is 1205, CR_SERVER_LOST 2013)."""
_OURS: Final = "CO"
"""A class that PostgreSQL does not use: what a rehearsal does not dare to ask or to run."""


def is_no_answer(code: str) -> bool:
    """Tell whether an objection's code says nothing of the schema."""
    return code.startswith(_OURS) or OF_THE_MOMENT.fullmatch(code) is not None
