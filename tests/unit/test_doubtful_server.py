"""What is made of answers from another kind of server than the live one: nothing is decided by them."""

from __future__ import annotations

from coordinator.diagnostics import Place
from coordinator.evidence import Objection, Verdict
from coordinator.model import DatabaseName, Layer, Role, ServiceName
from coordinator.queries import Catalogue, Query
from coordinator.rehearse.findings import spans_of
from coordinator.rehearse.subject import Answer, Compiled, Subject
from coordinator.rehearse.walk import Walked

USE = (DatabaseName("shop"), ServiceName("shop"), Role.LIVE)
GET = Query("Get", "SELECT a FROM t", Place("q.sql", 1))
BROKEN = Answer((Layer.PREPARE, Objection("1054", "Unknown column 'a'")))
DOUBT = "MariaDB was asked, and the live server is MySQL"


def verdicts(doubt: str | None) -> list[tuple[Verdict, str]]:
    subject = Subject(USE, Catalogue("q.sql", (GET,)))
    walked = Walked((subject,), {USE: [Compiled(GET, GET.text)]}, {USE: [[Answer()], [BROKEN]]}, (), ())
    spans = spans_of(
        walked, USE, last=1, layers=(Layer.PREPARE,), failure=None, failing_live=frozenset(), doubt=doubt
    )
    return [(each.finding.verdict, each.finding.reason) for each in spans]


def test_neither_works_nor_breaks_where_another_kind_of_server_answered():
    assert [verdict for verdict, _ in verdicts(None)] == [Verdict.PROVEN, Verdict.BROKEN]

    works, breaks = verdicts(DOUBT)

    assert works == (Verdict.UNPROVEN, DOUBT)
    assert breaks[0] is Verdict.UNPROVEN
    assert breaks[1].startswith(f"{DOUBT}; there, query `Get` fails at the layer prepare")
