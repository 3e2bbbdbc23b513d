"""Apply revisions: those of one request, or of one after the other in a process that stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from .guard import guard
from .project import config_of, demand_as_read, demand_folders, folders_of, script_of
from .refusal import Lost, Refused, told
from .session import commits_itself, driver_connection, leaves_alone
from .tables import demand_one_table, demand_table
from .taps import line_of, on_each_text, replace_method
from .trail import Trail


def apply_revisions(request: dict[str, Any], answer: dict[str, Any]) -> None:
    """Apply the revisions of the request from the first on, and nothing else, on its database.

    Each of several commits by itself. The last ones may be left for another process. A process that `stays`
    waits for the next request then, while its session is as good as a new one.
    """
    from alembic.runtime.environment import EnvironmentContext

    config = config_of(request)
    script = script_of(config, request)
    guard(request, answer)
    if not request["stays"]:
        demand_one_table(request, config, script)
    upgrade = _Upgrade(request, script, answer)
    last = next(reversed(request["revisions"]))
    with EnvironmentContext(config, script, fn=upgrade.steps, as_sql=False, destination_rev=last) as made:
        if len(request["revisions"]) > 1 or request["stays"]:
            replace_method(made, "configure", partial(made.configure, transaction_per_migration=True))
        script.run_env()
    answer["may_stay"] = upgrade.may_stay


class _Upgrade:
    """What Alembic is to do, for one request or for several."""

    def __init__(self, request: dict[str, Any], script: Any, answer: dict[str, Any]) -> None:
        self._request = request
        self._script = script
        self._answer = answer
        self._trail = Trail()
        self._calls = 0
        self._sent: list[str] = []
        self._folders = folders_of(script)
        self.may_stay = False
        """env.py runs migrations once and sends nothing behind them: it would be sent too late."""
        on_each_text(self._hear)

    def steps(self, heads: Any, context: Any) -> Iterator[Any]:
        """Yield steps, each of which is committed before the next one is asked for."""
        self._calls += 1
        self.may_stay = False
        if self._calls > 1 and self._request["stays"]:
            raise Refused(
                f"env.py runs the migrations {self._calls} times, and did it once in a process before."
            )
        demand_table(self._request, context, is_first=self._calls == 1)
        demand_folders(self._script, self._folders)
        if self._request["trail"] is None:
            path = next(iter(self._request["revisions"].values()))[0]
            sent = self._answer["sent"] = []
            on_each_text(lambda text: sent.append((line_of(path), text)))
        yield from self._steps(_Heads(heads), context)
        self.may_stay = self._calls == 1 and not _is_in_transaction_of_env(context)

    def _steps(self, heads: _Heads, context: Any) -> Iterator[Any]:
        request: dict[str, Any] | None = self._request
        while request is not None:
            wanted = list(request["revisions"])
            found = _in_order(self._script, wanted if _commits_each(context) else wanted[:1], heads.now)
            if not set(request["whole"]).isdisjoint(each.revision.revision for each in found):
                _demand_transaction(context)
            self._answer["began"] = True
            self._trail.begin(request)
            for each in found:
                self._sent.clear()
                yield each
                if not all(leaves_alone(text, context.dialect.name) for text in self._sent):
                    return  # the next one would find that, and not if it ran after a kill
            if len(found) < len(wanted) or not _commits_each(context) or context.connection.in_transaction():
                return
            request = self._next_request(context)

    def _hear(self, text: str) -> None:
        self.may_stay = False
        self._sent.append(text)

    def _next_request(self, context: Any) -> dict[str, Any] | None:
        """Say that all is done that was asked for, and wait for more; None where nothing more comes."""
        if not self._request["stays"]:
            return None
        more, asked, done = map(Path, self._request["stays"])
        done.write_bytes(b"d")
        with asked.open("rb", buffering=0) as pipe:
            pipe.read(1)
        request: dict[str, Any] | None = json.loads(more.read_text(encoding="utf-8"))
        if request is not None:
            _demand_connected(context)
            demand_as_read(self._script, request)
            self._answer["commits"] = 0
        return request


class _Heads:
    """The heads of the version table, as Alembic knows them after each step."""

    def __init__(self, heads: Any) -> None:
        from alembic.runtime.migration import HeadMaintainer

        self.now = tuple(heads)
        update = HeadMaintainer.update_to_step

        def updated(maintainer: Any, step: Any) -> None:
            update(maintainer, step)
            self.now = tuple(maintainer.heads)

        replace_method(HeadMaintainer, "update_to_step", updated)


def _commits_each(context: Any) -> bool:
    """Tell whether a revision is committed before the next one begins, as env.py uses its connection."""
    is_each = bool(getattr(context, "_transaction_per_migration", False))
    return is_each and not _is_in_transaction_of_env(context)


def _is_in_transaction_of_env(context: Any) -> bool:
    return bool(getattr(context, "_in_external_transaction", True))


def _demand_transaction(context: Any) -> None:
    """Refuse to begin what is taken to be there as a whole or not at all, where each statement stays.

    Its text does not show it: the engine may be made elsewhere, or by settings of alembic.ini.
    """
    connection = driver_connection(context.connection)
    if context.impl.transactional_ddl and not commits_itself(connection):
        return
    raise Refused(
        f"env.py's connection, by {context.dialect.driver}, commits each statement by itself"
        " (`isolation_level`, in alembic.ini or where the engine is made, or `transactional_ddl`), and env.py"
        " does not say so: what a revision that fails leaves behind would be done again. Take that setting"
        " away (`autocommit_block()` is for the statements that need it), or let env.py set it:"
        ' execution_options(isolation_level="AUTOCOMMIT")'
    )


def _demand_connected(context: Any) -> None:
    """Raise Lost where the server has ended the connection meanwhile: no revision is sent over it."""
    connection = driver_connection(context.connection)
    try:
        is_there = context.dialect.do_ping(connection)
    except context.dialect.dbapi.Error as error:
        raise Lost(f"The connection was lost between two revisions: {told(error)}") from error
    if not is_there:  # as SQLAlchemy 1.4 says it
        raise Lost("The connection was lost between two revisions.")


def _in_order(script: Any, wanted: list[str], heads: Any) -> list[Any]:
    """Return Alembic's steps for as many of the revisions, from the first, as it applies in this order."""
    for count in range(len(wanted), 0, -1):
        found = list(script._upgrade_revs(wanted[count - 1], heads))
        names = [each.revision.revision for each in found]
        if names == wanted[:count]:
            return found
    raise Refused(f"`upgrade {wanted[0]}` would apply {', '.join(names) or 'nothing'}.")
