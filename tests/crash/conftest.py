from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def forker() -> Iterator[Callable[..., dict[str, Any]]]:
    program = Path(__file__).with_name("forker.py")
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None

        def order(**what: Any) -> dict[str, Any]:
            parent.stdin.write(json.dumps(what) + "\n")
            parent.stdin.flush()
            return json.loads(parent.stdout.readline())

        yield order
        parent.stdin.close()
