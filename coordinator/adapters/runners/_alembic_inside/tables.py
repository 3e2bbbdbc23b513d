"""Which version table env.py writes: the one that is read for the plan, and no other one beside it."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import Any

from .refusal import Refused
from .session import driver_connection

_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.comprehension)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_CALLS = 2
"""How often `run_migrations` stands in an env.py as Alembic writes it: with a database, and without one."""


def demand_table(request: dict[str, Any], context: Any, *, is_first: bool) -> None:
    """Refuse to work where env.py keeps its versions in another table than the one that is read."""
    written, wanted = _tables(request, context)
    if written == wanted:
        return
    if not is_first:
        raise Refused(_several(wanted, written))
    raise Refused(
        f"env.py keeps the versions in the table {written}, and what is read is"
        f" {wanted}. Write `migrations: {{table: {written}}}` (for a backtest:"
        f" `--table {written}`). Nothing was applied."
    )


def demand_one_table(request: dict[str, Any], config: Any, script: Any) -> None:
    """Refuse an env.py that runs the migrations once for each of several schemas, before anything is applied.

    It is run once more for that, with nothing to do, unless its text shows that it runs them once: the first
    schema would have the revision when the second one is seen.
    """
    from alembic.runtime.environment import EnvironmentContext

    if not _may_repeat(ast.parse(Path(script.dir, "env.py").read_bytes())):
        return
    found: dict[str, None] = {}

    def look(_heads: Any, context: Any) -> list[Any]:
        found[_tables(request, context)[0]] = None
        return []

    with EnvironmentContext(config, script, fn=look, as_sql=False, dont_mutate=True):
        script.run_env()
    if len(found) > 1:
        raise Refused(f"{_several(*found)} Nothing was applied.")


def _may_repeat(tree: ast.Module) -> bool:
    """Tell whether an env.py may run the migrations more than once: in a loop, by two calls, or elsewhere.

    What is called in the place of one of Alembic's two may run them. What runs them and is not just called,
    but handed over, kept, decorated or a lambda, may be called again by who has it.
    """
    nodes = list(ast.walk(tree))
    own = [each for each in nodes if isinstance(each, _FUNCTIONS)]
    named = Counter(each.id for each in nodes if isinstance(each, ast.Name))
    running = _running(own)
    once = {id(each) for call in nodes if isinstance(call, ast.Call) for each in _called_once(call)}
    return (
        any(isinstance(each, _LOOPS) for each in nodes)
        or any(named[each.name] > 1 for each in own)
        or any(_runs(each, running) and id(each) not in once for each in nodes)
        or any(each.name in running and each.decorator_list for each in own)
        or any(isinstance(each, ast.Lambda) and _reaches(each, running) for each in nodes)
        or sum(_runs(each, set()) for each in nodes) != _CALLS
    )


def _running(own: list[ast.FunctionDef | ast.AsyncFunctionDef]) -> set[str]:
    """Return the functions that run the migrations, by others of them as well."""
    running: set[str] = set()
    while more := {each.name for each in own if _reaches(each, running)} - running:
        running |= more
    return running


def _reaches(node: ast.AST, running: set[str]) -> bool:
    return any(_runs(each, running) for each in ast.walk(node))


def _runs(node: ast.AST, running: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in running
    return isinstance(node, ast.Attribute) and node.attr == "run_migrations"


def _called_once(call: ast.Call) -> list[ast.expr]:
    """Return what a call calls, once; `run_sync` of an async env.py calls what it is handed."""
    is_handed = isinstance(call.func, ast.Attribute) and call.func.attr == "run_sync"
    return [call.func, *(call.args[:1] if is_handed else ())]


def _several(*tables: str) -> str:
    return (
        f"env.py runs the migrations in one go for several version tables ({', '.join(tables)}), and the plan"
        " knows one: it could not tell who has a revision. Let env.py do one of them, that an argument names"
        " (`context.get_x_argument()`), and give the plan a database for each:"
        f" `migrations: {{…, table: {tables[0]}, x_arguments: {{schema: NAME}}}}`."
    )


def _tables(request: dict[str, Any], context: Any) -> tuple[str, str]:
    """Return the table that env.py has and the one that is read, each with its schema where they differ."""
    schema, _, name = (request["table"] or "alembic_version").rpartition(".")
    home = context.version_table_schema or _home(request["home_query"], context)
    is_here = not schema and not context.version_table_schema and home == request["home"]
    written = context.version_table if is_here else ".".join(filter(None, (home, context.version_table)))
    wanted = name if is_here else ".".join(filter(None, (request["home"] or schema, name)))
    return written, wanted


def _home(query: str | None, context: Any) -> str:
    """Return the schema in which env.py's session finds the table, or would make it."""
    if query is None:
        return ""
    cursor = driver_connection(context.connection).cursor()
    try:
        cursor.execute(query)
        return str(cursor.fetchone()[0] or "")
    finally:
        cursor.close()
