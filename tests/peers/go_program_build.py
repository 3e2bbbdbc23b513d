"""Builds a team's program with a tool's library once into the cache, as the real tools are built."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from peers.real_tools import binary


def build_program(name: str) -> Path:
    """Return the program of a folder here; Go's own database is asked for the checksums of its parts."""
    sources = Path(__file__).with_name(name)
    content = b"".join(each.read_bytes() for each in sorted(sources.iterdir()))
    folder = f"{name.replace('_', '-')}-{hashlib.sha256(content).hexdigest()[:16]}"
    path = binary("goose").parent.parent / folder / "program"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as made:
        shutil.copytree(sources, made, dirs_exist_ok=True)
        subprocess.run(
            ["go", "build", "-mod=mod", "-o", "program", "."],
            cwd=made,
            env={**os.environ, "CGO_ENABLED": "0"},
            check=True,
            capture_output=True,
            timeout=900,
        )
        (Path(made) / "program").replace(path)
    return path
