"""Which rehearsals are worth keeping: those whose answers the engine would give again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fixtures.rehearsed import broken, rehearsal, unchecked

from coordinator.evidence import Objection
from coordinator.rehearse import is_lasting

_OF_THE_MOMENT = ("57014", "55P03", "53200", "40P01", "58030", "XX000", "SQLITE_BUSY", "SQLITE_IOERR_READ")
_OF_THE_SCHEMA = ("42703", "0A000", "23502", "CO001", "SQLITE_ERROR", "result-differs")


@pytest.mark.parametrize("code", _OF_THE_SCHEMA)
def test_an_answer_about_the_schema_lasts(code):
    objection = replace(broken(), objection=Objection(code, "no"))
    reason = unchecked("Get", reason=f"no sample values were found with which it runs: no ({code})")

    assert is_lasting((rehearsal(breaks=(objection,), unchecked=(reason,)), {}))


@pytest.mark.parametrize("code", _OF_THE_MOMENT)
def test_an_answer_about_a_busy_machine_does_not_last(code):
    objection = replace(broken(), objection=Objection(code, "no"))
    reason = unchecked("Get", reason=f"there was no answer: no ({code})")

    assert not is_lasting((rehearsal(breaks=(objection,)), {}))
    assert not is_lasting((rehearsal(already_failing=(objection,)), {}))
    assert not is_lasting((rehearsal(unchecked=(reason,)), {}))


def test_a_table_that_got_no_rows_in_time_does_not_last():
    said = "no sample rows in: `a`: the engine refuses sample rows: canceling statement due to lock timeout"

    assert not is_lasting((rehearsal(notes=(said,)), {}))


def test_a_rehearsal_that_did_not_get_through_does_not_last():
    assert not is_lasting((rehearsal(is_whole=False), {}))
