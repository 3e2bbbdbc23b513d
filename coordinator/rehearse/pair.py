"""A query at its own state and at another one, where it ran as well: what it is held against. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from coordinator.rehearsal_ports import Ran
from coordinator.rehearse.met import Met
from coordinator.rehearse.schema import Schema
from coordinator.rehearse.written import columns_by, targets_of
from coordinator.sameness import moving


@dataclass(frozen=True)
class At:
    """How a text ran at a state, and what the schema says there."""

    text: str
    schema: Schema
    ran: Ran

    @cached_property
    def names(self) -> frozenset[str]:
        """What it writes: tables, the views in front of them, the parts that hold their rows."""
        return self.schema.written(self.text, self.ran.written)

    @property
    def tables(self) -> frozenset[str]:
        """What it writes, without the views."""
        return self.schema.tables_of(self.names)

    @property
    def moving(self) -> frozenset[str]:
        """The columns that get a value which differs from run to run."""
        return moving(self.ran.written)


@dataclass(frozen=True)
class Pair:
    """A query at its own state, and here, where it ran as well."""

    own: At
    here: At

    @property
    def text(self) -> str:
        """What is sent at either."""
        return self.own.text

    @cached_property
    def named(self) -> frozenset[str] | None:
        """The words among which the columns are that its text lists, also behind views; None: any."""
        columns = columns_by(self.text)
        if columns is None:
            return None
        schemas, targets = (self.own.schema, self.here.schema), targets_of(self.text)
        return columns.union(*(each.behind(name, columns) for each in schemas for name in targets))

    @cached_property
    def columns(self) -> frozenset[str] | None:
        """The words among which the columns are that it writes; None if it may be any."""
        before, now = self.own.schema, self.here.schema
        columns = self.named
        mine = before.columns_of(self.own.names) if columns is None else frozenset[str]()
        if mine and mine <= now.columns_of(self.here.names):
            columns = mine  # a text without a list of columns was made for these, and none has another name
        if columns is None:
            return None
        return columns.union(*(each.columns for each in now.givers if each.table in self.here.names))

    @cached_property
    def met_before(self) -> Met:
        """What it may meet at its own state."""
        return self._met(self.own)

    @cached_property
    def met_here(self) -> Met:
        """What it may meet here."""
        return self._met(self.here)

    def _met(self, at: At) -> Met:
        return Met.at(at.schema, tables=at.names, columns=self.columns, ran=at.ran)
