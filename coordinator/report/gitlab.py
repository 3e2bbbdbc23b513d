"""GitLab's Code Quality report, which a merge request shows beside its lines: a JSON array of findings.

GitLab compares the report of a branch with that of its target by fingerprints and shows what is new, so a
fingerprint must survive a moved line, and two findings with one fingerprint would be one.

Source of the format: docs.gitlab.com, "Code Quality", "Code Quality report format": each finding has
description, check_name, fingerprint, severity, location.path (relative, without `./`) and lines.begin.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from coordinator.report.annotations import Annotation, Level, fingerprints

_SEVERITIES = {Level.ERROR: "critical", Level.WARNING: "major", Level.NOTICE: "info"}


def as_text(found: Sequence[Annotation]) -> str:
    """Return the report; a release with nothing to say of is an empty array."""
    return json.dumps(
        [
            {
                "description": each.message,
                "check_name": each.code,
                "fingerprint": fingerprint,
                "severity": _SEVERITIES[each.level],
                "location": {"path": each.place.file, "lines": {"begin": each.place.line or 1}},
            }
            for each, fingerprint in zip(found, fingerprints(found), strict=True)
        ],
        indent=2,
    )
