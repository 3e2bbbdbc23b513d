"""A release that was killed and whose journal is lost, as with the checkout of a CI job, goes on from where
the world is; what stands in between works as if the journal were there.
"""

from __future__ import annotations

import json
import shutil

import pytest
from shop import LAST_INSTANT, Shop, instant, kept, worth_a_kill


def passed(shop: Shop) -> set[str]:
    """Return which kinds of checks passed, under whichever command."""
    lines = map(json.loads, (shop.folder / "history").read_text().splitlines())
    return {line["passed"] for line in lines if "passed" in line}


def test_a_release_whose_journal_was_lost_goes_on_from_the_world(shop: Shop) -> None:
    begin_anew = kept(shop)
    names = shop.run()["passed"]
    numbers = worth_a_kill(names[: names.index(LAST_INSTANT)])
    problems: dict[str, list[str]] = {}

    for kill_at in numbers:
        if names[kill_at - 1] in ("after change", "after execute"):  # the journal alone is gone anyway
            begin_anew()
            assert shop.run(kill_at=instant(names, kill_at))["killed"]
            shutil.rmtree(shop.folder / ".coordinator")
            ended = shop.run()
            problems[f"{kill_at} {names[kill_at - 1]}"] = [
                *([] if ended["code"] == 0 else [f"the run ended with {ended['code']}"]),
                *([] if "verify" in passed(shop) else ["nobody verified what works now"]),
                *shop.problems_on_the_way(),
                *shop.problems_at_the_end(),
            ]

    assert len(problems) >= 7
    assert {kill_at: found for kill_at, found in problems.items() if found} == {}


def test_what_a_release_ended_with_is_not_verified_again(shop: Shop) -> None:
    assert shop.run()["code"] == 0
    (shop.folder / "history").unlink()
    shutil.rmtree(shop.folder / ".coordinator")

    ended = shop.run()

    assert ended["code"] == 0
    assert not (shop.folder / "history").exists() or "verify" not in passed(shop)


@pytest.mark.parametrize("shop", ["worker: handover"], indirect=True)
def test_what_was_handed_over_and_fails_is_asked_until_it_passes(shop: Shop) -> None:
    begin_anew = kept(shop)
    names = shop.run()["passed"]
    begin_anew()
    assert shop.run(kill_at=names.index("before step-started verify:shop") + 1)["killed"]
    shutil.rmtree(shop.folder / ".coordinator")
    (shop.folder / "fail-verify").touch()

    codes = [shop.run()["code"], shop.run()["code"]]

    assert codes == [1, 1]
    assert shop.has_lease()
    assert "verify" not in passed(shop)
    assert "name" in shop.columns(), "contract waits for what was not verified"
    (shop.folder / "fail-verify").unlink()
    assert shop.run()["code"] == 0
    assert [*shop.problems_on_the_way(), *shop.problems_at_the_end()] == []
