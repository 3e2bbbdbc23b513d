"""SARIF 2.1.0, the format of code scanning: what was found, each with its rule and the rule's help.

The help is the page that `coordinator explain` shows. Columns count characters, and paths are relative to the
root of the repository (`%SRCROOT%`), because a reader's checkout lies somewhere else.

Source of the format: docs.oasis-open.org, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0";
of the limits: docs.github.com, "SARIF support for code scanning" (a run has at most 25,000 results).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

from coordinator import __version__, pages
from coordinator.report.annotations import Annotation, Level, fingerprints

MAX_RESULTS = 25_000
"""GitHub refuses a file with more; the least important are left out, and a notification says how many."""
_LEVELS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTICE: "note"}


def as_text(found: Sequence[Annotation]) -> str:
    """Return the report as one run with at most MAX_RESULTS results."""
    shown = found[:MAX_RESULTS]
    codes = sorted({each.code for each in shown})
    run = {
        "tool": {
            "driver": {
                "name": "coordinator",
                "version": __version__,
                "rules": [_rule(code) for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "The root of the repository."}}},
        "invocations": [
            {"executionSuccessful": True, "toolExecutionNotifications": _left_out(len(found) - len(shown))}
        ],
        "results": [
            _result(each, codes.index(each.code), fingerprint)
            for each, fingerprint in zip(shown, fingerprints(shown), strict=True)
        ],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: str) -> dict[str, object]:
    text = pages.page(code)
    assert text is not None, f"the code {code} has no page"
    return {
        "id": code,
        "name": code.title().replace("-", ""),
        "shortDescription": {"text": pages.summary(code)},
        "fullDescription": {"text": pages.summary(code)},
        "help": {"text": text, "markdown": text},
    }


def _result(each: Annotation, rule: int, fingerprint: str) -> dict[str, object]:
    region = {"startLine": each.place.line or 1}
    if each.place.line and each.place.column:
        region["startColumn"] = each.place.column
    location = {"uri": quote(each.place.file, errors="backslashreplace"), "uriBaseId": "%SRCROOT%"}
    return {
        "ruleId": each.code,
        "ruleIndex": rule,
        "level": _LEVELS[each.level],
        "message": {"text": each.message},
        "locations": [{"physicalLocation": {"artifactLocation": location, "region": region}}],
        "partialFingerprints": {"coordinator/v1": fingerprint},
    }


def _left_out(count: int) -> list[dict[str, object]]:
    text = f"{count} results were left out: a run holds at most {MAX_RESULTS}."
    return [{"level": "warning", "message": {"text": text}}] if count else []
