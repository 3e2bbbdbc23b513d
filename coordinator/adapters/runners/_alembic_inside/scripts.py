"""The SQL of revisions, by Alembic's offline mode: nothing is connected to."""

from __future__ import annotations

from io import StringIO
from typing import Any

from .project import config_of, script_of
from .refusal import Refused, told
from .taps import line_of, replace_method


def make_scripts(request: dict[str, Any], answer: dict[str, Any]) -> None:
    """Return the offline SQL of each revision, or why there is none."""
    from alembic.ddl.impl import DefaultImpl
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import HeadMaintainer, MigrationStep

    config = config_of(request)
    script = script_of(config, request)
    recording = _Recording()
    replace_method(DefaultImpl, "static_output", lambda _, text: recording.take(text))
    replace_method(HeadMaintainer, "update_to_step", lambda *_: recording.end())
    answer["scripts"] = {}
    dialect = request["dialect"]
    for name in request["asked"]:
        revision = script.get_revision(name)
        recording.begin(revision.path)

        def steps(_heads: Any, context: Any, revision: Any = revision) -> Any:
            spoken = {"mariadb": "mysql"}.get(context.dialect.name, context.dialect.name)
            if spoken != dialect:
                raise Refused(f"env.py makes SQL of {spoken}, and the database speaks {dialect}.")
            return [MigrationStep.upgrade_from_script(script.revision_map, revision)]

        down = revision.down_revision
        config.output_buffer = StringIO()
        try:
            with EnvironmentContext(
                config, script, fn=steps, as_sql=True, starting_rev=down, destination_rev=name
            ):
                script.run_env()
        except (Exception, SystemExit) as error:
            answer["scripts"][name] = {"error": told(error)}
        else:
            answer["scripts"][name] = recording.found()


class _Recording:
    """The statements of one revision, each with the line of the file that sent it."""

    def __init__(self) -> None:
        self.begin("")

    def begin(self, path: str) -> None:
        self._path = path
        self._statements: list[tuple[str, int]] = []
        self._is_on = self._is_wrapped = False
        self._transaction = True

    def take(self, text: str) -> None:
        word = text.strip().rstrip(";").upper()
        if text.startswith("-- Running "):
            self._is_on = True
        elif not self._is_on:
            self._is_wrapped = self._is_wrapped or word.startswith(("BEGIN", "START TRANSACTION"))
        elif word in ("BEGIN", "COMMIT", "START TRANSACTION"):
            self._transaction = False  # a block of its own, without a transaction
        else:
            self._statements.append((text, self._line()))

    def end(self) -> None:
        self._is_on = False

    def _line(self) -> int:
        return line_of(self._path) or 1

    def found(self) -> dict[str, Any]:
        """Return the statements."""
        return {"statements": self._statements, "transaction": self._transaction and self._is_wrapped}
