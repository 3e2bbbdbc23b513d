from __future__ import annotations

from pathlib import Path

from coordinator.load.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "plan-file.md"


def test_the_reference_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m coordinator.load.reference > docs/reference/plan-file.md"
    )


def test_the_reference_page_shows_keys_of_platforms_and_checks():
    page = reference()

    assert "## `services.<name>.platform.local`" in page
    assert "## `services.<name>.verify[].http`" in page
