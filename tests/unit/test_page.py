"""The page as text; tests/browser opens it in a real browser."""

from __future__ import annotations

import random
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from builders import Release, Service
from fixtures.rehearsed import HAZARD, broken, proof, rehearsal, shop, statement, torn

from coordinator.graph import Graph, Step, StepId
from coordinator.model import DatabaseName, Phase
from coordinator.report.page import as_html
from coordinator.report.page.graph import as_svg, boxes
from coordinator.report.page.layout import BOX, lay_out
from coordinator.report.page.markup import Html, details, element, joined, sentence

MEGABYTE = 1_000_000


class Tags(HTMLParser):
    """Checks that every element is closed, and collects them with their attributes and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_text_is_escaped_where_it_is_put_in():
    assert element("p", "a < b & 'c'", title='"><script>') == Html(
        '<p title="&quot;&gt;&lt;script&gt;">a &lt; b &amp; &#x27;c&#x27;</p>'
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("`a<b` and `c`", "<code>a&lt;b</code> and <code>c</code>"),
        ("a `b` c` d", "a <code>b</code> c` d"),
        ("` alone", "` alone"),
    ],
)
def test_what_stands_in_backticks_is_code(text: str, shown: str):
    assert sentence(text).text == shown


def test_what_is_markup_already_stays_as_it_is():
    assert joined(Html("<br>"), "<br>").text == "<br>&lt;br&gt;"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\0b", r"a\u0000b"),
        ("\x1b[2J", r"\u001b[2J"),
        ("abc\u202edef", r"abc\u202edef"),
        ("\ud800", r"\ud800"),
    ],
)
def test_characters_that_nobody_sees_are_shown_by_their_number(text: str, shown: str):
    assert element("p", text).text == f"<p>{shown}</p>"


@pytest.mark.parametrize("text", ["größer", "注文", "a\n\tb", "✔"])
def test_other_characters_stay(text: str):
    assert element("p", text).text == f"<p>{text}</p>"


def test_what_folds_says_whether_it_is_open():
    assert details("more", "text").text == "<details><summary>more</summary>text</details>"
    assert details("more", is_open=True).text == '<details open=""><summary>more</summary></details>'


def test_every_element_is_closed_and_nothing_is_loaded():
    page = Tags(as_html(shop(hazards=(HAZARD,), statements=(statement(),))))

    assert {"script", "img", "link", "iframe", "object", "base", "form"}.isdisjoint(
        tag for tag, _ in page.found
    )
    links = {
        value for _, attributes in page.found for name, value in attributes.items() if name in ("src", "href")
    }
    assert all(link is not None and link.startswith("#") for link in links)
    policies = [attributes.get("content") for _, attributes in page.found if "http-equiv" in attributes]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_every_link_leads_to_its_evidence():
    page = Tags(as_html(shop()))

    ids = {attributes["id"] for _, attributes in page.found if "id" in attributes}
    links = {attributes["href"][1:] for tag, attributes in page.found if tag == "a" and attributes["href"]}
    assert links == {"breaks-db-app-live", "breaks-db-app-next"}
    assert links <= ids


def test_the_same_release_gives_the_same_bytes():
    assert as_html(shop()) == as_html(shop())


def test_says_the_verdict_with_a_sign_and_in_the_title():
    page = as_html(torn())

    assert "<title>Release shop-2: broken</title>" in page
    assert '<p class="verdict broken">✘ Verdict: refused' in page
    assert "<h2>What stands in the way</h2>" in page
    assert "Way back" not in page


def test_a_release_with_nothing_to_do_has_no_graph_and_no_verdict():
    page = as_html(Release({"app": Service(("db",), live="2")}, {"db": ""}).proof())

    assert "Nothing to do: the wanted versions serve and no migration is pending." in page
    assert "<svg" not in page
    assert "Verdict" not in page


def test_lists_end_somewhere_and_say_how_much_is_left_out():
    breaks = tuple(
        broken(state=at, query=f"Query{number}", message="m" * 5000)
        for number in range(1000)
        for at in (1, 2, 3)
    )
    page = as_html(
        proof("expand expand expand", live="wbbb", next_="wwww", rehearsed=rehearsal(breaks=breaks))
    )

    assert "1,000 queries refused" in page
    assert "… and 900 more: coordinator plan --output json" in page
    assert len(page) < MEGABYTE / 4


def test_two_hundred_states_that_all_differ_stay_readable_in_size():
    live = "wu" * 100 + "w"
    page = as_html(
        proof(
            " ".join(["expand", "migrate"] * 100),
            live=live,
            next_=live,
            rehearsed=rehearsal(statements=tuple(statement(line=at) for at in range(1, 300))),
        )
    )

    assert "<summary>The matrix: 201 rows</summary>" in page
    assert len(page) < MEGABYTE


def step(name: str, *after: str, migration: int | None = None) -> Step:
    """Return a step; one with a migration is an expand step of `db`."""
    if migration is None:
        return Step(StepId(name), "verify", tuple(map(StepId, after)))
    return Step(
        StepId(name),
        "apply",
        tuple(map(StepId, after)),
        database=DatabaseName("db"),
        phase=Phase.EXPAND,
        migration=migration,
        state=migration,
    )


def test_many_migrations_in_a_row_are_one_box():
    applies = [step(f"m{at}", f"m{at - 1}" if at > 1 else "a", migration=at) for at in range(1, 8)]
    drawn = boxes(Graph((step("a"), *applies, step("b", "m7"))))

    assert [(box.title, box.detail, box.after) for box in drawn] == [
        ("a", "", ()),
        ("expand:db: 7 migrations", "s1 to s7", (0,)),
        ("b", "", (1,)),
    ]


def test_a_step_between_migrations_keeps_them_apart():
    applies = [step(f"m{at}", f"m{at - 1}" if at > 1 else "a", migration=at) for at in range(1, 8)]
    drawn = boxes(Graph((step("a"), *applies, step("b", "m3"))))

    assert [box.title for box in drawn] == ["a", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "b"]


def test_every_box_stands_below_what_it_comes_after_and_beside_its_neighbours():
    after = random_graph(120)
    drawing = lay_out(after)

    for box, before in enumerate(after):
        assert all(drawing.centres[each][1] + BOX[1] < drawing.centres[box][1] for each in before)
    rows: dict[float, list[float]] = {}
    for x, y in drawing.centres:
        rows.setdefault(y, []).append(x)
    assert all(right - left >= BOX[0] for row in rows.values() for left, right in pairwise(sorted(row)))
    assert all(x - BOX[0] / 2 >= 0 and x + BOX[0] / 2 <= drawing.width for x, _ in drawing.centres)
    assert max(y for _, y in drawing.centres) + BOX[1] / 2 == drawing.height


def test_an_edge_runs_beside_the_boxes_of_the_layers_that_it_crosses():
    drawing = lay_out(((), (0,), (1,), (0, 2)))

    long = next(edge for edge in drawing.edges if len(edge) > 2)
    assert all(x not in [centre[0] for centre in drawing.centres[1:3]] for x, _ in long[1:-1])


def random_graph(size: int) -> list[tuple[int, ...]]:
    chance = random.Random(4)
    return [
        tuple(sorted({chance.randrange(box) for _ in range(chance.randrange(3))})) if box else ()
        for box in range(size)
    ]


def test_a_graph_of_five_hundred_steps_is_drawn_whole_and_small():
    after = random_graph(500)
    graph = Graph(
        tuple(step(f"s{box}", *(f"s{each}" for each in before)) for box, before in enumerate(after))
    )

    svg = as_svg(graph).text

    drawn = ET.fromstring(svg)
    assert sum(each.get("class", "").startswith("step") for each in drawn.iter("g")) == 500
    assert len(svg) < MEGABYTE / 2


def test_no_graph_at_all_is_an_empty_picture():
    assert lay_out(()).edges == ()
    ET.fromstring(as_svg(Graph(())).text)
