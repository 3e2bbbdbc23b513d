"""Parts of the PostgreSQL rehearsal."""

from __future__ import annotations
