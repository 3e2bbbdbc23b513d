"""The page in a real browser, with what a person does to it: narrow, dark, on paper, with a click.

Needs Chromium or Chrome; without one these tests fail and say what to install. `make test-browser` runs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import Release, Service
from fixtures.browser import Browser, browsing
from fixtures.rehearsed import HAZARD, broken, proof, rehearsal, shop, statement, torn, unchecked

from coordinator.prove import Proof
from coordinator.report.page import as_html

pytestmark = pytest.mark.browser

HOSTILE = "</script></style></pre><img src=x onerror=alert(1)><script>alert(2)</script>"
# Every element with text of its own whose colour is too near to the ground below it (WCAG 2.2, 1.4.3).
CONTRAST = """
(() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [x, y, z] = [r, g, b].map(v => linear(v / 255));
    return .2126 * x + .7152 * y + .0722 * z;
  };
  const ground = node => {
    for (; node; node = node.parentElement) {
      const rect = node.matches("g.step") ? node.querySelector("rect") : null;
      const colour = rgb(rect ? getComputedStyle(rect).fill : getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const weak = [];
  for (const node of document.querySelectorAll("body *")) {
    const has_text = [...node.childNodes].some(each => each.nodeType === 3 && each.data.trim());
    if (!has_text || node.closest("title, marker")) continue;
    const style = getComputedStyle(node);
    const inside_svg = node instanceof SVGElement;
    const [a, b] = [light(rgb(inside_svg ? style.fill : style.color)), light(ground(node))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) weak.push([node.outerHTML.slice(0, 80), contrast]);
  }
  return weak;
})()
"""


def everything(text: str = "") -> Proof:
    """Return a release with an entry of every kind; `text` is in all that others write."""
    return shop(
        breaks=(
            broken(query=f"GetCustomer{text}", message=f"no column{text}"),
            broken(rehearsal().breaks[1].use, 0, message=f"no table{text}", migration="00001_m1"),
        ),
        hazards=(HAZARD,),
        statements=(statement("00001_m1"), statement(text=f"DROP TABLE t{text}")),
        unchecked=(unchecked(f"ListOrders{text}"),),
        already_failing=(broken(query="Old", state=0, message=f"never worked{text}", migration=None),),
        drift=(f"column a differs{text}",),
        notes=(f"a note{text}",),
    )


def crowd() -> Proof:
    """Return a release of six services, unproven, with a gate."""
    services = {f"service-{number}": Service(("db",)) for number in range(6)}
    return Release(services, {"db": "expand migrate contract"}, approve=("dba",)).proof()


def giant() -> Proof:
    """Return a release of two hundred migrations, most of them one row."""
    phases = " ".join(["expand"] * 150 + ["contract"] * 50)
    return proof(phases, live="w" * 151 + "b" * 50, next_="b" * 80 + "w" * 121)


PAGES = {
    "everything": everything,
    "refused": torn,
    "crowd": crowd,
    "giant": giant,
    "code alone": lambda: proof("", live="w", next_="w"),
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    file = tmp_path / "release.html"
    file.write_text(as_html(PAGES[request.param]()), "utf-8")
    return file


every_page = pytest.mark.parametrize("page", PAGES, indirect=True)


@every_page
def test_loads_nothing_and_the_browser_has_nothing_to_complain_about(browser: Browser, page: Path):
    browser.open(page)

    assert browser.requests() == [page.as_uri()]
    assert browser.complaints() == []


@every_page
@pytest.mark.parametrize("width", [320, 400, 1280])
def test_is_never_wider_than_the_window(browser: Browser, page: Path, width: int):
    browser.open(page, width=width)
    browser.ask("document.querySelectorAll('details').forEach(each => each.open = true)")

    assert browser.ask("innerWidth") == width
    assert browser.ask("document.documentElement.scrollWidth") <= width


@every_page
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_on_its_ground(browser: Browser, page: Path, scheme: str):
    browser.open(page, scheme=scheme)
    ground = browser.ask("getComputedStyle(document.body).backgroundColor")

    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert browser.ask(CONTRAST) == []


@pytest.mark.parametrize("page", ["everything"], indirect=True)
def test_a_click_unfolds_the_evidence(browser: Browser, page: Path):
    browser.open(page)
    query = "[...document.querySelectorAll('code')].find(each => each.textContent == 'GetCustomer')"
    assert browser.ask(f"{query}.checkVisibility()") is False

    browser.ask(f"{query}.closest('details').querySelector('summary').click()")

    assert browser.ask(f"{query}.checkVisibility()") is True


@pytest.mark.parametrize("page", ["everything"], indirect=True)
def test_a_cell_that_breaks_leads_to_its_evidence_and_unfolds_it(browser: Browser, page: Path):
    browser.open(page)

    browser.ask("document.querySelector('td.breaks a').click()")

    assert browser.ask("document.querySelector(':target').checkVisibility()") is True
    assert browser.ask("document.querySelector(':target').closest('details').open") is True


@pytest.mark.parametrize("page", ["everything"], indirect=True)
def test_on_paper_everything_is_unfolded(browser: Browser, page: Path):
    browser.open(page)
    unfolding = "[...document.querySelectorAll('details > :not(summary)')]"
    folded = f"{unfolding}.filter(each => !each.checkVisibility()).length"
    assert browser.ask(folded) > 0

    browser.prefer("light", media="print")

    assert browser.ask(folded) == 0


def test_hostile_text_is_shown_and_does_nothing(browser: Browser, tmp_path: Path):
    page = tmp_path / "hostile.html"
    page.write_text(as_html(everything(HOSTILE)), "utf-8")

    browser.open(page)

    assert browser.ask("document.querySelectorAll('script, img, iframe, object, embed').length") == 0
    assert browser.ask("document.body.textContent").count(HOSTILE) == 9
    assert browser.requests() == [page.as_uri()]
    assert browser.complaints() == []


@pytest.mark.parametrize("page", ["giant"], indirect=True)
def test_the_matrix_is_a_table_that_can_be_walked(browser: Browser, page: Path):
    browser.open(page)

    assert browser.ask("[...document.querySelectorAll('thead th')].every(each => each.scope == 'col')")
    rows = browser.ask("[...document.querySelectorAll('tbody th[scope=row]')].map(each => each.textContent)")
    assert rows == ["s0", "s1-s79", "s80-s150", "s151-s200"]
