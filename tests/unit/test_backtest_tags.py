from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from coordinator.backtest.tags import Order, Tag, select_tags, version_order


def tag(name: str, day: int = 1) -> Tag:
    return Tag(name, datetime(2026, 1, day, tzinfo=UTC))


def names(
    *tags: Tag, pattern: str = ".+", order: Order = Order.CREATED, last: int | None = None
) -> list[str]:
    return [each.name for each in select_tags(tags, pattern=re.compile(pattern), order=order, last=last)]


def test_takes_tags_whose_whole_name_matches():
    assert names(tag("v1.4"), tag("v1.4-rc.1"), tag("dev-v1.4"), pattern=r"v[0-9.]+") == ["v1.4"]


def test_orders_by_creation_where_release_lines_interleave():
    assert names(tag("v1.5.0", 2), tag("v1.4.9", 3), tag("v1.4.0", 1)) == ["v1.4.0", "v1.5.0", "v1.4.9"]


def test_orders_tags_of_one_instant_by_their_versions():
    assert names(tag("v1.10"), tag("v1.9"), tag("v1.10-rc.1")) == ["v1.9", "v1.10-rc.1", "v1.10"]


def test_orders_by_version_whenever_they_were_made():
    assert names(tag("v1.5.0", 2), tag("v1.4.9", 3), order=Order.VERSION) == ["v1.4.9", "v1.5.0"]


def test_takes_the_newest_of_the_tags_that_match():
    tags = [tag(f"v{number}", number) for number in range(1, 6)] + [tag("nightly", 9)]

    assert names(*tags, pattern="v.*", last=2) == ["v4", "v5"]
    assert names(*tags, pattern="v.*", last=99) == ["v1", "v2", "v3", "v4", "v5"]


@pytest.mark.parametrize(
    "ascending",
    [
        ["v1.9.0", "v1.10.0"],
        [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
        ],
        ["v1.2rc9", "v1.2rc10", "v1.2", "v1.2.1"],
        ["api/v2.0.0", "api/v2.1.0"],
        ["release-1.2", "release-1.10"],
        ["nightly", "v0.0.1"],
    ],
)
def test_knows_the_order_of_versions(ascending: list[str]):
    assert sorted(set(ascending), key=version_order) == ascending


def test_takes_two_writings_of_a_version_for_the_same():
    assert version_order("v1.2.0+build.7")[:3] == version_order("1.2")[:3]
