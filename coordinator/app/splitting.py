"""Cut a migration in two where one half waits until the old version is gone; the engine says where.

Each statement is rehearsed as a migration of its own. One that the live version does not bear goes to the
end, behind all that is pending, and so does one that fails without it; what stays is asked about again, until
nothing has to move. What comes out is written as the tool's files, read again, and proven like any release.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from coordinator.app.catalogues import read_catalogues
from coordinator.app.connected import ConnectedPorts
from coordinator.app.planning import demand_sound, work_out
from coordinator.app.rehearsed import rehearse_release
from coordinator.app.schemas import Halves, Schemas
from coordinator.diagnostics import Diagnostic, Place
from coordinator.errors import PlanInvalid, Refused, Usage
from coordinator.evidence import NOTHING_KNOWN, Break, Rehearsal, Span, Use, Verdict
from coordinator.load.migrations import errors_of_folder, with_faults
from coordinator.model import DatabaseName, Migration, Phase, Role, Script, SourceFile
from coordinator.pieces import NewMigration, Piece, alone, changing, pieces_of
from coordinator.queries import Catalogue
from coordinator.rehearse import MEND_DOUBT
from coordinator.splits import Placed, Split
from coordinator.steps import StepKind
from coordinator.survey import Survey, faults_of, survey, uses_of

_TIMESTAMP: Final = "%Y%m%d%H%M%S"
_VERSION: Final = re.compile(r"[0-9]+")
_BESIDE: Final = (
    "Write what the new version needs beside what the old one has, and remove that in a later migration."
)


def split_file(ports: ConnectedPorts, path: Path, kinds: Mapping[str, StepKind]) -> Split:
    """Work out how a pending migration is cut in two; writes nothing.

    Raises: Usage where the file cannot be cut, Refused where no cut gives a release that works, and what a
    survey and a rehearsal raise.
    """
    name, migration = _find(ports, path)
    if migration.is_code:
        raise Usage(
            "split-not-possible",
            f"`{migration.name}` is code, which is not cut in two from here.",
            next_step="Write two migrations, one with `coordinator: phase=expand` and one with contract.",
        )
    seen = survey(ports)
    demand_sound(seen.diagnostics)
    pending = seen.databases[name].pending
    if migration not in pending:
        raise Usage(
            "split-not-possible",
            f"`{migration.name}` is applied already, and what is applied is not edited.",
            next_step="Undo in a new migration what is not wanted.",
        )
    catalogues, problems = read_catalogues(ports, seen)
    demand_sound(problems)
    at = pending.index(migration)
    search = _Search(
        ports, name, seen, catalogues, before=pending[:at], whole=migration, after=pending[at + 1 :]
    )
    return search.split(kinds)


def _find(ports: ConnectedPorts, path: Path) -> tuple[DatabaseName, Migration]:
    for name in ports.plan.databases:
        for migration in ports.migrations(name):
            if any(Path(file.path).resolve() == path.resolve() for file in migration.files):
                return name, migration
    raise Usage(
        "split-not-possible",
        f"{path} is not a migration of {ports.plan.file}.",
        why="The queries that say what can wait, and the database to try it on, are those of a plan.",
        next_step="Name a file in a folder of the plan's `migrations`, or the plan with --plan.",
    )


@dataclass(frozen=True, slots=True)
class _Search:
    ports: ConnectedPorts
    name: DatabaseName
    seen: Survey
    catalogues: Mapping[Use, Catalogue]
    before: tuple[Migration, ...]
    whole: Migration
    after: tuple[Migration, ...]

    def split(self, kinds: Mapping[str, StepKind]) -> Split:
        if not self._live():
            raise Usage(
                "split-not-possible",
                f"Nothing is known of a live version's queries on `{self.name}`.",
                why="They say which statements have to wait.",
                next_step="Name the `queries` of the services that use it in the plan.",
            )
        up, is_wrapped = self._pieces(self.whole.up)
        if not changing(up):
            raise Usage("split-not-possible", f"`{self.whole.name}` has no statements that could be cut.")
        kept, moved, lacking = self._partition(up, is_wrapped=is_wrapped)
        phases = {**dict.fromkeys(kept, ""), **moved}
        placed = tuple(
            Placed(each, Phase.CONTRACT if each in moved else Phase.EXPAND, phases[each])
            for each in changing(up)
        )
        if not kept or not moved:
            return Split(self.whole, placed, verdict=Verdict.UNPROVEN if lacking else None, notes=lacking)
        first, second = (
            tuple(each for each in up if each.is_setting or each in half) for half in (kept, moved)
        )
        down, _ = self._pieces(self.whole.down) if self.whole.down else ((), True)
        ways_back, notes = self._compared((first, second), down, is_wrapped=is_wrapped)
        if down and ways_back is None:
            notes.append(
                "The way back could not be cut so that each half undoes its own: the new files have none."
            )
        files = self._written((first, second), ways_back or (None, None), is_wrapped=is_wrapped)
        verdict = self._proven(files, kinds)
        replaced = tuple(each.path for each in self.whole.files)
        return Split(self.whole, placed, files, replaced, verdict, tuple(notes))

    def _compared(
        self, halves: Halves, down: tuple[Piece, ...], *, is_wrapped: bool
    ) -> tuple[Halves | None, list[str]]:
        """Return the way back of each half, and what was not asked.

        Raises: Refused where another schema comes out than with the whole.
        """
        base = (*self._applied(), *self.before)
        if coded := next((each for each in (*base, *self.after) if each.is_code), None):
            return None, [f"Whether the same schema comes out was not asked, because `{coded.name}` is code."]
        schemas = Schemas(self.ports, self.name, is_wrapped=is_wrapped)
        if others := list(schemas.compare(base, self.whole, after=self.after, halves=halves)):
            raise _refused(
                self.whole,
                f"Cut in two it makes another schema: {'; '.join(others)}.",
                "Split the file by hand: a statement does something else where another one comes later.",
            )
        return schemas.ways_back(base, self.whole, self.after, halves=halves, down=down), []

    def _live(self) -> tuple[Use, ...]:
        return tuple(use for use in self.catalogues if use[0] == self.name and use[2] is Role.LIVE)

    def _applied(self) -> tuple[Migration, ...]:
        pending = self.seen.databases[self.name].pending
        return tuple(each for each in self.ports.migrations(self.name) if each not in pending)

    def _pieces(self, script: Script | None) -> tuple[tuple[Piece, ...], bool]:
        """Return one direction's statements, and whether each half is to be in one transaction."""
        engine, tool = self.ports.plan.databases[self.name].engine, self.ports.tool(self.name)
        if script is None:
            raise Usage("split-not-possible", f"`{self.whole.name}` has no statements that could be cut.")
        for file in self.whole.files:
            parsed = tool.parse(file, engine)
            if script in (parsed.up, parsed.down):
                pieces = pieces_of(script, file.content.decode(), engine)
                is_one_text = len(script.statements) == 1 and len(pieces) > 1  # which PostgreSQL runs as one
                return pieces, script.transaction or is_one_text
        raise AssertionError("a script is that of one of its migration's files")

    # -- the search --------------------------------------------------------------------------------------

    def _partition(
        self, pieces: tuple[Piece, ...], *, is_wrapped: bool
    ) -> tuple[tuple[Piece, ...], dict[Piece, str], tuple[str, ...]]:
        """Return what can stay where it is, what has to wait with the reason, and why that is not certain.

        Raises: Refused where all of it has to wait, and the next version works only with it.
        """
        moved: dict[Piece, str] = {}
        while True:
            kept = tuple(each for each in changing(pieces) if each not in moved)
            last = tuple(each for each in pieces if each in moved)
            own = alone(self.whole, pieces, transaction=is_wrapped)
            virtual = dict(zip(own, changing(pieces), strict=True))
            first = tuple(each for each, piece in virtual.items() if piece in kept)
            second = tuple(each for each, piece in virtual.items() if piece in last)
            rehearsal, spans = self._rehearse((*self.before, *first, *self.after, *second))
            found = self._to_move(rehearsal, first, is_first=not moved)
            if found is None and kept:
                states = range(len(self.before) + len(first) + 1)
                return kept, moved, tuple(self._lacking(spans, Role.LIVE, states))
            if found is None:
                # the old version is gone only when the next one serves: on the schema before all that waits
                state = len(self.before) + len(self.after)
                self._demand_not_needed(rehearsal, state)
                return kept, moved, tuple(self._lacking(spans, Role.NEXT, range(state, state + 1)))
            migration, reason = found
            moved[virtual[migration]] = reason

    def _demand_not_needed(self, rehearsal: Rehearsal, state: int) -> None:
        """Raise Refused if the next version does not work at the state before all that waits."""
        for each in rehearsal.breaks:
            if each.use[0] == self.name and each.use[2] is Role.NEXT and each.state == state:
                raise _refused(
                    self.whole,
                    "All of it has to wait until the old version is gone, and the new version needs it before"
                    f" that: {self._fails(each)} without it: {_told(each)}.",
                    _BESIDE,
                )

    def _lacking(self, spans: Mapping[Use, tuple[Span, ...]], role: Role, states: range) -> Iterator[str]:
        """Yield why nobody knows of a version that it works at all these states."""
        for use in uses_of(self.ports.plan, self.seen):
            if use[0] != self.name or use[2] is not role:
                continue
            reasons = [
                each.finding.reason
                for each in spans.get(use, (Span(states[0], states[-1], NOTHING_KNOWN),))
                if each.first <= states[-1]
                and each.last >= states[0]
                and each.finding.verdict is Verdict.UNPROVEN
            ]
            if reasons:
                yield f"`{use[1]}` {self._version(use) or f'({role})'}: {reasons[0]}"

    def _version(self, use: Use) -> str:
        live = self.seen.services[use[1]].live_version
        return (live or "") if use[2] is Role.LIVE else self.ports.plan.services[use[1]].version

    def _rehearse(self, pending: tuple[Migration, ...]) -> tuple[Rehearsal, Mapping[Use, tuple[Span, ...]]]:
        database = replace(self.seen.databases[self.name], pending=pending)
        found = rehearse_release(
            self.ports,
            replace(self.seen, databases={**self.seen.databases, self.name: database}),
            {use: catalogue for use, catalogue in self.catalogues.items() if use[0] == self.name},
            reads_live=True,
            watches_statements=False,
            cache=None,
        )
        if self.name not in found.rehearsals:
            first = found.diagnostics[0]
            raise Usage("split-not-possible", first.what, why=first.why, next_step=first.next_step)
        rehearsal = found.rehearsals[self.name]
        if rehearsal.doubt is not None:
            raise Usage(
                "split-not-possible",
                "The rehearsal decides nothing, so nobody knows which statements have to wait.",
                why=f"{rehearsal.doubt[:1].upper()}{rehearsal.doubt[1:]}.",
                next_step=MEND_DOUBT,
            )
        return rehearsal, found.spans

    def _to_move(
        self, rehearsal: Rehearsal, first: tuple[Migration, ...], *, is_first: bool
    ) -> tuple[Migration, str] | None:
        """Return the next statement that has to wait, and why."""
        broken = min(
            (each for each in rehearsal.breaks if each.use in self._live()),
            key=lambda each: each.state,
            default=None,
        )
        names = {each.name: each for each in first}
        if broken and broken.migration in names:
            return names[broken.migration], self._reason(broken)
        if rehearsal.failed is None and rehearsal.is_whole:
            if broken and any(each.name == broken.migration for each in self.before):
                raise _refused(
                    self.whole,
                    f"`{broken.migration}`, which comes before it, waits until the old version is gone"
                    f" ({self._reason(broken)}), and so does all that comes after it.",
                    f"Split or move `{broken.migration}` first.",
                )
            return None
        if rehearsal.failed in names and not is_first:
            return names[rehearsal.failed], f"it fails before what waits: {_last_note(rehearsal)}"
        raise _refused(
            self.whole,
            f"The migrations do not apply to the scratch database: {_last_note(rehearsal)}",
            "Correct it, or split the file by hand.",
        )

    def _reason(self, broken: Break) -> str:
        return f"{self._fails(broken)} after it: {_told(broken)}"

    def _fails(self, broken: Break) -> str:
        version = self._version(broken.use)
        return f"query `{broken.query}` of `{broken.use[1]}` {version} ({broken.place}) fails".replace(
            "  ", " "
        )

    # -- the files ---------------------------------------------------------------------------------------

    def _written(
        self,
        halves: Halves,
        ways_back: tuple[tuple[Piece, ...] | None, tuple[Piece, ...] | None],
        *,
        is_wrapped: bool,
    ) -> tuple[SourceFile, ...]:
        tool = self.ports.tool(self.name)
        path = Path(self.whole.files[0].path)
        digits = _VERSION.match(path.name)
        assert digits is not None, "a tool that writes files numbers them"
        title = self.whole.name[digits.end() :].lstrip("_")
        newest = max(int(each.version) for each in self.ports.migrations(self.name))
        first = NewMigration(
            int(self.whole.version),
            len(digits[0]),
            title,
            Phase.EXPAND,
            halves[0],
            ways_back[0],
            is_wrapped,
        )
        second = replace(
            first,
            version=_after(newest),
            title=f"{title}_contract",
            phase=Phase.CONTRACT,
            up=halves[1],
            down=ways_back[1],
        )
        return tuple(
            _source(path.parent / name, text) for new in (first, second) for name, text in tool.write(new)
        )

    def _proven(self, files: Sequence[SourceFile], kinds: Mapping[str, StepKind]) -> Verdict:
        """Return the verdict on the release with the new files. Raises: Refused where it breaks."""
        tool, spec = self.ports.tool(self.name), self.ports.plan.databases[self.name]
        others = [
            file for each in self.ports.migrations(self.name) if each is not self.whole for file in each.files
        ]
        reading = with_faults(tool, tool.read([*others, *files], spec.engine), ())
        applied = {each.version for each in self._applied()}
        pending = tuple(each for each in reading.migrations if each.version not in applied)
        demand_sound((*errors_of_folder(reading), *faults_of(pending)))
        ports = self.ports.with_migrations(self.name, reading.migrations)
        database = replace(self.seen.databases[self.name], pending=pending)
        seen = replace(self.seen, databases={**self.seen.databases, self.name: database})
        try:
            proof, _ = work_out(
                ports,
                seen,
                self.catalogues,
                kinds=kinds,
                reads_live=True,
                watches_statements=False,
                cache=None,
            )
        except PlanInvalid as error:
            raise self._useless(error.diagnostics) from error
        if proof.diagnostics:
            raise self._useless(proof.diagnostics)
        return proof.verdict

    def _useless(self, diagnostics: Sequence[Diagnostic]) -> Refused:
        """Return the refusal of a cut with which the release does not work, with what stands in the way."""
        told = _refused(
            self.whole,
            "Cut between its statements, the release does not work either.",
            _BESIDE,
        )
        return Refused((*told.diagnostics, *diagnostics))


def _after(version: int) -> int:
    """Return the next version: the next number, or a second later where versions are times."""
    try:
        moment = datetime.strptime(str(version), _TIMESTAMP)  # noqa: DTZ007 - a number that looks like a time
    except ValueError:
        return version + 1
    return int((moment + timedelta(seconds=1)).strftime(_TIMESTAMP))


def _source(path: Path, text: str) -> SourceFile:
    content = text.encode()
    return SourceFile(str(path), content, hashlib.sha256(content).hexdigest())


def _told(broken: Break) -> str:
    return f"{broken.objection.message} ({broken.objection.code})"


def _last_note(rehearsal: Rehearsal) -> str:
    return next((each for each in reversed(rehearsal.notes) if "does not apply" in each), "")


def _refused(migration: Migration, what: str, next_step: str) -> Refused:
    place = Place(migration.files[0].path)
    return Refused((Diagnostic("split-not-possible", place, what, next_step=next_step),))
