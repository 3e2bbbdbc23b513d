"""What applies migrations that are code, by their tool's key: a tool with a file here needs no `command`."""

from __future__ import annotations
