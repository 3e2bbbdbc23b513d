"""Where a backfill stands among the migrations: which one it waits for, and which one waits for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from coordinator.diagnostics import Diagnostic, did_you_mean
from coordinator.evidence import Phased
from coordinator.model import BackfillSpec, Migration, Phase

SWITCH: Final = "switch"
CONTRACT: Final = "contract"


def is_named(migration: Migration, text: str) -> bool:
    """Tell whether a plan means a migration: by its file name or its version."""
    return text in (migration.name, str(migration.version)) or (
        text.isdecimal() and int(text) == migration.version
    )


def named(migrations: Sequence[Migration], text: str) -> Migration | None:
    """Return the migration that a plan means."""
    return next((each for each in migrations if is_named(each, text)), None)


def waiting(spec: BackfillSpec, phased: Sequence[Phased]) -> Phased | None:
    """Return the migration that waits until a backfill is complete; None if none of these does.

    One that declares contract waits also where it is expand, because nobody serves yet: it takes away what
    the backfill needs all the same.
    """
    if spec.before in (SWITCH, CONTRACT):
        is_contract = (each for each in phased if Phase.CONTRACT in (each.phase, each.migration.declared))
        return next(is_contract, None)
    return next((each for each in phased if is_named(each.migration, spec.before)), None)


def order_problems(
    backfills: Sequence[BackfillSpec], migrations: Sequence[Migration]
) -> Iterator[Diagnostic]:
    """Yield what is wrong with the migrations that the backfills name; `migrations` are in their order."""
    names = [each.name for each in migrations]
    for spec in backfills:
        texts = [spec.after] if spec.before in (SWITCH, CONTRACT) else [spec.after, spec.before]
        for text in (each for each in texts if named(migrations, each) is None):
            yield Diagnostic(
                "backfill-migration-unknown",
                spec.place,
                f"Backfill `{spec.name}` names migration `{text}`, which the folder does not have.",
                next_step=did_you_mean(text, names),
            )
        first, last = named(migrations, spec.after), named(migrations, spec.before)
        if first and last and migrations.index(last) <= migrations.index(first):
            yield Diagnostic(
                "backfill-order",
                spec.place,
                f"Backfill `{spec.name}` is to be done before `{last.name}`, which comes before it can begin:"
                f" after `{first.name}`.",
                next_step="Name a later migration in `before`, or `contract`.",
            )
