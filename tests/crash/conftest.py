from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shop import LEDGERS, LIVE_SIDE, MANNERS, NO_SIDE, Shop, fill_database, write_plan

from coordinator.journal.events import Outcome


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


@pytest.fixture(params=MANNERS)
def shop(request: pytest.FixtureRequest, tmp_path: Path, forker: Callable[..., dict[str, Any]]) -> Shop:
    folder = tmp_path / "shop"
    folder.mkdir()
    url, ledger = f"sqlite://{folder}/shop.db", LEDGERS["goose", "sqlite"]
    shop = Shop(folder, url, ledger, Outcome.RELEASED, forker, manner=request.param)
    write_plan(folder, tool="goose", engine="sqlite", url=url, manner=request.param)
    fill_database(shop)
    (folder / "shop.json").write_text(json.dumps({"live": "blue", "blue": LIVE_SIDE, "green": NO_SIDE}))
    return shop
