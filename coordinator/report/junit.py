"""JUnit XML, the format that every pipeline knows: a suite for the release and one for each database.

A case is a pending migration, because that is what a reviewer can change. A case passes only where every
version that may run at the state behind it is proven to work there: JUnit has no word for unproven, and
`skipped` is the one that nobody takes for a pass.

Source of the format: the Jenkins xunit plugin's junit-10.xsd; of the allowed characters: XML 1.0, 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from xml.etree import ElementTree as ET

from coordinator.evidence import Phased, Verdict
from coordinator.model import DatabaseName
from coordinator.prove import Proof
from coordinator.report.annotations import Annotation, Level

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_text(proof: Proof | None, found: Sequence[Annotation], *, named: Callable[[str], str]) -> str:
    """Return the document; what belongs to no migration's file is said of the suite `release`.

    `named` is what the annotations' files were named with. Without a proof there are problems alone.
    """
    evidence = {} if proof is None else proof.evidence.phased
    files = {file for phased in evidence.values() for each in phased for file in _files(each, named)}
    root = ET.Element("testsuites", name="coordinator")
    _suite(root, "release", [_release(proof, [each for each in found if each.place.file not in files])])
    for database, phased in evidence.items():
        if proof is not None and phased:
            _suite(root, f"database {database}", _migrations(database, proof, found=found, named=named))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _suite(root: ET.Element, name: str, cases: Sequence[ET.Element]) -> None:
    suite = ET.SubElement(root, "testsuite", name=name, tests=str(len(cases)), errors="0")
    for outcome, attribute in (("failure", "failures"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(outcome) is not None for case in cases)))
    suite.extend(cases)


def _release(proof: Proof | None, found: Sequence[Annotation]) -> ET.Element:
    is_proven = proof is not None and proof.verdict is Verdict.PROVEN
    skipped = [] if is_proven else ["not every version was proven at every state"]
    return _case("release", "order" if proof is None else proof.plan.release, found, skipped=skipped)


def _migrations(
    database: DatabaseName, proof: Proof, *, found: Sequence[Annotation], named: Callable[[str], str]
) -> list[ET.Element]:
    return [
        _case(
            database,
            each.migration.name,
            [about for about in found if about.place.file in _files(each, named)],
            skipped=[
                *_unproven_at(state, database=database, proof=proof),
                *_refused_by_rows(database, each, proof),
            ],
        )
        for state, each in enumerate(proof.evidence.phased[database], 1)
    ]


def _files(phased: Phased, named: Callable[[str], str]) -> frozenset[str]:
    return frozenset(named(source.path) for source in phased.migration.files)


def _unproven_at(state: int, *, database: DatabaseName, proof: Proof) -> Iterator[str]:
    """Yield why it is not proven that whoever may run at a state works there."""
    met = [
        (service, role, span.finding)
        for (used, service, role), spans in proof.met.items()
        if used == database
        for span in spans
        if span.first <= state <= span.last
    ]
    if not met:
        yield "no service of this plan uses the database at this state"
    for service, role, finding in met:
        if finding.verdict is not Verdict.PROVEN:
            yield f"{service} ({role}) is {finding.verdict}: {finding.reason}"


def _refused_by_rows(database: DatabaseName, phased: Phased, proof: Proof) -> Iterator[str]:
    """Yield why it fails on the rows of the live database."""
    rehearsal = proof.evidence.rehearsals.get(database)
    failing = rehearsal.failing if rehearsal else ()
    yield from (each.what for each in failing if each.migration == phased.migration.name)


def _case(suite: str, name: str, found: Iterable[Annotation], *, skipped: Sequence[str]) -> ET.Element:
    """Return a case: failed by errors, else skipped for these reasons, else passed; the rest is output."""
    case = ET.Element("testcase", classname=_allowed(suite), name=_allowed(name), time="0")
    errors = [each for each in found if each.level is Level.ERROR]
    if errors:
        failure = ET.SubElement(case, "failure", message=_allowed(errors[0].title), type=errors[0].code)
        failure.text = "\n".join(map(_line, errors))
    elif skipped:
        ET.SubElement(case, "skipped", message=_allowed("unproven: " + "; ".join(skipped)))
    others = [_line(each) for each in found if each.level is not Level.ERROR]
    if others:
        ET.SubElement(case, "system-out").text = "\n".join(others)
    return case


def _line(each: Annotation) -> str:
    return _allowed(f"{each.place} {each.level}[{each.code}]: {each.message}")


def _allowed(text: str) -> str:
    """Return a text without what XML cannot hold, not even escaped."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
