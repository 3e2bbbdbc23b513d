"""The reports for pipelines: each against its golden file, and against the rules of its format.

`make golden` (UPDATE_GOLDEN=1) writes the golden files anew; read the diff.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from builders import Release, Service, declared, one_service

from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.evidence import (
    Basis,
    Break,
    Finding,
    Hazard,
    Objection,
    Rehearsal,
    Span,
    Unchecked,
    Use,
    Verdict,
)
from coordinator.model import DatabaseName, Layer, Role, ServiceName
from coordinator.prove import Proof
from coordinator.report import github, gitlab, junit, sarif
from coordinator.report.annotations import Annotation, Level, annotate

HERE = Path(__file__).parent / "reports"
DB = DatabaseName("db")
NEXT: Use = (DB, ServiceName("app"), Role.NEXT)
LIVE: Use = (DB, ServiceName("app"), Role.LIVE)
ODD = 'line one\nline two: 100% of "x", ]]> <y> \x07'
"""What an engine's message may hold, and what a format must not stumble over."""


def ordered() -> Proof:
    """Return a release whose order is found: what it breaks and needs are notices."""
    return rehearsed(
        one_service("expand contract").proof(),
        Break(
            LIVE,
            2,
            "GetOrder",
            Place("queries/a.sql", 3),
            Layer.PREPARE,
            Objection("42703", ODD),
            "00002_m2",
        ),
        Break(
            NEXT,
            0,
            "ListNew",
            Place("queries/b c.sql", 7),
            Layer.PREPARE,
            Objection("42P01", "no t"),
            "00001_m1",
        ),
    )


def refused() -> Proof:
    """Return a release in the wrong order: the next version may run without what it needs."""
    wanted = Place("queries/b.sql", 7, 2)
    return rehearsed(
        one_service("contract expand").proof(),
        Break(NEXT, 1, "ListNew", wanted, Layer.PREPARE, Objection("42P01", "no t"), "00002_m2"),
    )


def rehearsed(proof: Proof, *breaks: Break) -> Proof:
    hazard = Hazard(
        "lock-timeout",
        Place("migrations/00001_m1.sql", 2),
        "00001_m1",
        "It locks `t`.",
        "Every query waits.",
        "SET lock_timeout = '2s';",
    )
    rehearsal = Rehearsal(
        "postgresql 18.6",
        "replay",
        tuple(Layer),
        {},
        breaks=breaks,
        hazards=(hazard,),
        unchecked=(Unchecked(NEXT, "Copy", Layer.EXECUTE, "it copies"),),
    )
    return replace(proof, evidence=replace(proof.evidence, rehearsals={DB: rehearsal}))


STRAY = Diagnostic("stray-version", Place("plan.yaml", 9, 3), "`app` 3 runs.", severity=Severity.WARNING)
RELEASES = {"ordered": ordered, "refused": refused}


def found_in(proof: Proof) -> tuple[Annotation, ...]:
    return annotate(proof, (STRAY,))


def shown(release: str, form: str) -> str:
    proof = RELEASES[release]()
    found = found_in(proof)
    match form:
        case "github.txt":
            return "\n".join(github.commands(found))
        case "gitlab.json":
            return gitlab.as_text(found)
        case "sarif.json":
            # The help of a rule is its page, which changes for its own reasons.
            return re.sub(r'("(?:text|markdown)": ")# .*"', r'\1(the page)"', sarif.as_text(found))
        case _:
            return junit.as_text(proof, found, named=str)


@pytest.mark.parametrize("form", ["github.txt", "gitlab.json", "sarif.json", "junit.xml"])
@pytest.mark.parametrize("release", RELEASES)
def test_reports_as_before(release: str, form: str):
    golden = HERE / release / form
    now = shown(release, form) + "\n"

    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(now, encoding="utf-8")

    assert now == golden.read_text(encoding="utf-8"), (
        "If this is wanted, run `make golden` and read the diff."
    )


def note(number: int, level: Level = Level.WARNING, **values: Any) -> Annotation:
    given = {"place": Place("a.sql", number), "code": "tag", "title": f"t{number}", "message": "m"}
    return Annotation(level=level, **(given | values))  # type: ignore[arg-type]


# -- GitHub ---------------------------------------------------------------------------------------------


def test_github_gets_ten_of_a_level_and_the_log_gets_the_rest():
    found = [*map(note, range(1, 14)), note(1, Level.NOTICE)]

    lines = list(github.commands(found))

    assert len([line for line in lines if line.startswith("::warning ")]) == 10
    assert len([line for line in lines if line.startswith("::notice ")]) == 1
    assert "Left out of warning: 3" in lines[10]
    assert lines[11:14] == [f"a.sql:{number} warning[tag]: m" for number in (11, 12, 13)]


def test_github_escapes_what_would_end_a_command():
    [line] = github.commands((note(1, place=Place("a,b:c.sql", 0), title="x: y, 5%", message="1\r\n2: 5%"),))

    assert line == "::warning file=a%2Cb%3Ac.sql,line=1,title=tag%3A x%3A y%2C 5%25::1%0D%0A2: 5%25"


@pytest.mark.parametrize(
    "text", ["::error::forged", "  ::set-env name=A::b", "x\n::error::y", "a ##[error]b"]
)
def test_no_text_of_the_log_is_a_command(text: str):
    lines = list(github.plain([text]))

    assert not [line for line in lines if line.lstrip().startswith("::") or "##[" in line]


def test_what_was_left_out_is_no_command_either():
    found = [note(number, message="x\n::error::forged") for number in range(12)]

    lines = list(github.commands(found))

    assert not [line for line in lines if line.lstrip().startswith("::error")]


# -- GitLab ---------------------------------------------------------------------------------------------


def test_gitlab_findings_have_every_field_of_the_format_and_fingerprints_of_their_own():
    findings = json.loads(gitlab.as_text(found_in(refused())))

    assert {each["severity"] for each in findings} <= {"info", "minor", "major", "critical", "blocker"}
    assert len({each["fingerprint"] for each in findings}) == len(findings)
    for each in findings:
        assert each.keys() == {"description", "check_name", "fingerprint", "severity", "location"}
        assert each["location"]["lines"]["begin"] >= 1
        assert not each["location"]["path"].startswith(("/", "./"))


def test_gitlab_gets_an_empty_list_for_nothing():
    assert json.loads(gitlab.as_text(())) == []


# -- SARIF ----------------------------------------------------------------------------------------------


def assert_is_sarif(text: str) -> dict[str, Any]:
    """Assert what sarif-schema-2.1.0.json and code scanning demand of the parts that we write."""
    document = json.loads(text)
    assert document["version"] == "2.1.0"
    [run] = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["help"]["text"]
        assert rule["shortDescription"]["text"]
        assert len(rule["shortDescription"]["text"]) <= 1024
    for result in run["results"]:
        assert result["level"] in {"none", "note", "warning", "error"}
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        [location] = result["locations"]
        physical = location["physicalLocation"]
        assert re.fullmatch(r"[!-~]+", physical["artifactLocation"]["uri"])
        assert not physical["artifactLocation"]["uri"].startswith("/")
        assert physical["artifactLocation"]["uriBaseId"] in run["originalUriBaseIds"]
        assert all(number >= 1 for number in physical["region"].values())
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
    assert run["columnKind"] in {"utf16CodeUnits", "unicodeCodePoints"}
    assert run["invocations"][0]["executionSuccessful"] is True
    return document


@pytest.mark.parametrize("release", RELEASES)
def test_sarif_keeps_the_rules_of_the_format(release: str):
    found = found_in(RELEASES[release]())

    [run] = assert_is_sarif(sarif.as_text(found))["runs"]

    locations = [each["locations"][0]["physicalLocation"] for each in run["results"]]
    assert [unquote(each["artifactLocation"]["uri"]) for each in locations] == [
        each.place.file for each in found
    ]


def test_sarif_leaves_the_least_important_out_and_says_so():
    found = (note(1, Level.ERROR), *[note(2, Level.NOTICE)] * sarif.MAX_RESULTS)

    [run] = assert_is_sarif(sarif.as_text(found))["runs"]

    assert len(run["results"]) == sarif.MAX_RESULTS
    assert run["results"][0]["level"] == "error"
    assert run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"].startswith("1 result")


def test_sarif_of_nothing_is_a_run_without_results():
    assert assert_is_sarif(sarif.as_text(()))["runs"][0]["results"] == []


# -- JUnit ----------------------------------------------------------------------------------------------


def cases(proof: Proof) -> dict[tuple[str | None, str | None], ET.Element]:
    root = ET.fromstring(junit.as_text(proof, found_in(proof), named=str))
    assert root.tag == "testsuites"
    for suite in root:
        for outcome, attribute in (("failure", "failures"), ("skipped", "skipped")):
            assert suite.get(attribute) == str(len(suite.findall(f"testcase/{outcome}")))
        assert suite.get("tests") == str(len(suite.findall("testcase")))
    return {(each.get("classname"), each.get("name")): each for each in root.iter("testcase")}


def test_junit_fails_the_migration_that_is_refused():
    found = cases(refused())

    failure = found["db", "00001_m1"].find("failure")
    assert failure is not None
    assert failure.get("type") == "version-meets-broken-state"
    assert found["release", "shop-2"].find("failure") is not None


def test_junit_passes_nothing_that_is_unproven():
    found = cases(ordered())

    for case in found.values():
        skipped = case.find("skipped")
        assert skipped is not None
        assert (skipped.get("message") or "").startswith("unproven: ")


def test_junit_passes_a_migration_behind_which_all_is_proven():
    proof = ordered()
    works = (Span(0, 2, Finding(Verdict.PROVEN, Basis.REHEARSED, "asked")),)
    proven = replace(proof, verdict=Verdict.PROVEN, met=dict.fromkeys(proof.met, works))

    found = cases(proven)

    assert all(len(case.findall("skipped")) == 0 for case in found.values())
    assert set(found) == {("release", "shop-2"), ("db", "00001_m1"), ("db", "00002_m2")}


def test_junit_skips_a_migration_of_a_database_that_nobody_in_the_plan_uses():
    found = cases(Release({"app": Service()}, {"db": declared("expand")}).proof())

    assert found["db", "00001_m1"].find("skipped") is not None


def test_junit_of_an_invalid_plan_fails_the_release():
    root = ET.fromstring(junit.as_text(None, [note(1, Level.ERROR)], named=str))

    assert root.find("testsuite/testcase/failure") is not None


def test_junit_holds_any_text():
    document = junit.as_text(ordered(), found_in(ordered()), named=str)

    output = ET.fromstring(document).findtext(".//testcase[@name='00002_m2']/system-out") or ""
    assert 'line two: 100% of "x", ]]> <y> \N{REPLACEMENT CHARACTER}' in output
