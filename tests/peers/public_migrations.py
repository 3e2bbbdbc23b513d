"""The migrations that goose and golang-migrate publish themselves, read from Go's module cache by a test.

They were written for each tool's own tests and examples, by people who had never heard of coordinator, for
engines of all kinds. Nothing of them is kept in this repository.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MODULES = {
    "goose": "github.com/pressly/goose/v3@v3.29.0",
    "golang-migrate": "github.com/golang-migrate/migrate/v4@v4.20.1",
}
FLOORS = {"goose": 25, "golang-migrate": 20}
"""So many inputs at least: a module that moved its files must not make a comparison of nothing."""


@dataclass(frozen=True)
class Published:
    """A folder of a module, or one file of it that is no migration by its name and may be one by its text."""

    name: str
    files: tuple[Path, ...]
    is_alone: bool

    def write(self, folder: Path) -> Path:
        """Copy it to where a tool reads it; a file alone becomes version 1."""
        folder.mkdir(parents=True)
        for file in self.files:
            name = f"00001_{file.stem.replace('.', '_')}.sql" if self.is_alone else file.name
            (folder / name).write_bytes(file.read_bytes())
        return folder


@cache
def published(tool: str) -> tuple[Published, ...]:
    """Return everything that a tool's module has, in the order of its names."""
    root = _module(MODULES[tool])
    folders = sorted({file.parent for file in root.rglob("*.sql")})
    found = []
    for folder in folders:
        name, files = str(folder.relative_to(root)), tuple(sorted(folder.glob("*.sql")))
        found.append(Published(name, files, is_alone=False))
        if tool == "goose" and "sqlparser" in name:
            inputs = (each for each in files if ".golden." not in each.name)
            found += [Published(f"{name}/{each.name}", (each,), is_alone=True) for each in inputs]
    assert len(found) >= FLOORS[tool], f"only {len(found)} of {tool} in {root}"
    return tuple(found)


def _module(path: str) -> Path:
    """Return where Go keeps a module, fetched if it is not there yet."""
    assert shutil.which("go"), "the tools' own migrations are in Go's module cache: install Go"
    said = subprocess.run(
        ["go", "mod", "download", "-json", path], check=True, capture_output=True, text=True, timeout=300
    )
    return Path(json.loads(said.stdout)["Dir"])
