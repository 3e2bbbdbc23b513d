"""The composition root: the straight line of docs/architecture.md as code, one file for each thing that a
command does with it. Only this package and the command line know which adapters exist.
"""

from __future__ import annotations
