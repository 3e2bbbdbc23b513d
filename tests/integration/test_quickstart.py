"""The front door: what `make quickstart` shows is true, and nothing of it stays."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.local import processes_of

ROOT = Path(__file__).parent.parent.parent
QUICKSTART = ROOT / "plans" / "quickstart" / "quickstart.py"


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary folder with a short path, for PostgreSQL's socket; pytest's own is closed to its user."""
    with tempfile.TemporaryDirectory(prefix="qs-") as folder:
        yield Path(folder)


def without_version(text: str) -> str:
    """Return a text that is the same whichever PostgreSQL was asked."""
    return re.sub(r"postgresql [0-9.]+", "postgresql", text)


def test_the_quickstart_tells_the_readmes_story_fails_no_request_and_leaves_nothing(temporary: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(temporary)}

    ended = subprocess.run(
        [sys.executable, str(QUICKSTART)], env=environment, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    last = ended.stdout.splitlines()[-1]
    assert re.fullmatch(r"quickstart: 1\.4 → 1\.5 released, [0-9]+ requests served, 0 failed", last)
    story = re.search(
        r"^```text\n(Release .*?)^```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert story
    left = without_version(ended.stderr)
    for part in re.split(r"^ *…\n\n?", without_version(story[1]), flags=re.MULTILINE):
        before, found, left = left.partition(part)
        assert found, f"{part}\nis not told behind\n{before}"
    assert list(temporary.glob("shop-*")) == []
    assert processes_of(temporary) == {}
