"""Lay out the shop as its repository was at one of its versions: `python3 checkout.py 1.4 FOLDER`.

This folder is the shop at its newest version. An earlier version's repository had fewer migrations, and that
is all that counts here: the program and its queries stand side by side for all versions. Called again for the
next version, it changes the same folder, as `git checkout` would; what coordinator keeps there stays.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

LAST_MIGRATION = {"1.4": 1, "1.5": 4, "1.6": 6}
"""The number of the last migration that each version brought."""
HERE = Path(__file__).resolve().parent


def later_than(version: str) -> set[str]:
    """Return the names of the migrations that a version does not have yet."""
    names = (path.name for path in (HERE / "migrations").glob("*.sql"))
    return {name for name in names if int(name.split("_")[0]) > LAST_MIGRATION[version]}


def lay_out(version: str, folder: Path) -> None:
    """Make `folder` the shop at `version`."""
    missing = later_than(version)
    shutil.rmtree(folder / "migrations", ignore_errors=True)
    left_out = shutil.ignore_patterns(".coordinator", "__pycache__", *missing)
    shutil.copytree(HERE, folder, dirs_exist_ok=True, ignore=left_out)


def main() -> None:
    parser = argparse.ArgumentParser(description="Lay out the shop as it was at one of its versions.")
    parser.add_argument("version", choices=LAST_MIGRATION)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    lay_out(asked.version, asked.folder)


if __name__ == "__main__":
    main()
