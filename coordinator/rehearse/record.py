"""What is kept of a rehearsal, as a text: the answers and no input. Pure.

A migration's statements stand in it as digests, and the migrations, which the key was made from, give them
back; a query's text is in no answer. Hazards are left out: they follow from the statements and from what the
live tables measure now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from typing import Final

from pydantic import TypeAdapter, ValidationError

from coordinator.evidence import Rehearsal, Span, StatementEvidence, Use
from coordinator.model import Engine, Migration
from coordinator.rehearse.moment import OF_THE_MOMENT
from coordinator.rehearse.texts import texts_of

Found = tuple[Rehearsal, dict[Use, tuple[Span, ...]]]
"""What `rehearse_database` returns."""

_SAID_SO: Final = re.compile(rf"\((?:{OF_THE_MOMENT.pattern})\)|canceling statement|terminating connection")


@dataclass(frozen=True, slots=True)
class _Kept:
    rehearsal: Rehearsal
    catalogues: tuple[tuple[Use, tuple[str, int]], ...]
    spans: tuple[tuple[Use, tuple[Span, ...]], ...]
    """Pairs, because a key of JSON is a text."""


def is_lasting(found: Found) -> bool:
    """Tell whether the engine would say the same again: all of it was asked, and nothing gave out."""
    rehearsal, _ = found
    broken = (*rehearsal.breaks, *rehearsal.already_failing)
    said = (*rehearsal.notes, *rehearsal.drift, *(each.reason for each in rehearsal.unchecked))
    return (
        rehearsal.is_whole
        and not any(OF_THE_MOMENT.fullmatch(each.objection.code) for each in broken)
        and not any(_SAID_SO.search(each) for each in said)
    )


def text_from(found: Found) -> str:
    """Return a text from which `found_in` makes the same, but for the hazards."""
    rehearsal, spans = found
    statements = tuple(_with_text(each, _digest(each.statement.text)) for each in rehearsal.statements)
    kept = _Kept(
        replace(rehearsal, catalogues={}, hazards=(), statements=statements),
        tuple(rehearsal.catalogues.items()),
        tuple(spans.items()),
    )
    return _adapter().dump_json(kept).decode()


def found_in(text: str, pending: Sequence[Migration]) -> Found | None:
    """Return what a text holds, without hazards; None if it does not belong to these migrations."""
    try:
        kept = _adapter().validate_json(text, strict=True)
    except ValidationError:
        return None
    engine = Engine(kept.rehearsal.engine.partition(" ")[0])
    texts = {
        (migration.name, _digest(each)): each
        for migration in pending
        for each, _ in texts_of(migration, engine)
    }
    statements = tuple(_restored(kept.rehearsal.statements, texts))
    if len(statements) < len(kept.rehearsal.statements):
        return None
    return replace(kept.rehearsal, catalogues=dict(kept.catalogues), statements=statements), dict(kept.spans)


def _restored(
    statements: Sequence[StatementEvidence], texts: Mapping[tuple[str, str], str]
) -> Iterator[StatementEvidence]:
    for each in statements:
        text = texts.get((each.migration, each.statement.text))
        if text is not None:
            yield _with_text(each, text)


def _with_text(evidence: StatementEvidence, text: str) -> StatementEvidence:
    return replace(evidence, statement=replace(evidence.statement, text=text))


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


@cache
def _adapter() -> TypeAdapter[_Kept]:
    return TypeAdapter(_Kept)
