"""The pages of `coordinator explain`, each named after its code: a code without a page is easy to see."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def codes() -> tuple[str, ...]:
    """Return every code that has a page, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.md")))


def page(code: str) -> str | None:
    """Return the page of a code, None if there is none."""
    return (_FOLDER / f"{code}.md").read_text(encoding="utf-8") if code in codes() else None


def summary(code: str) -> str:
    """Return the first sentence of a page's first section."""
    text = (_FOLDER / f"{code}.md").read_text(encoding="utf-8")
    paragraph = " ".join(text.split("\n\n")[2].split())
    return paragraph.partition(". ")[0].removesuffix(".") + "."
