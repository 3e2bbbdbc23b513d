"""Releases code and schema together; docs/architecture.md follows one release through these modules."""

from __future__ import annotations

__version__ = "0.1.0"
